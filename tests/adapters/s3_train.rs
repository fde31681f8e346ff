//! A train into a bucket, by the program: killed on the way, and verified by somebody who has an address and a digest.

#![allow(clippy::unwrap_used, reason = "a test may panic; clippy knows only `#[test]` functions")]

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use lifeboat::effects::Area;
use lifeboat::model::Sha256;

use crate::support::canary::{Eyes, Search};
use crate::support::cut_proxy::{CutProxy, When};
use crate::support::radosgw::{ACCESS_KEY, Bucket, SECRET_KEY, wait};

struct Home {
    dir: PathBuf,
    proxy: Arc<CutProxy>,
}

impl Home {
    /// The sample of the drill, whose store is the bucket behind `proxy`.
    fn new(dir: &Path, bucket: &Bucket) -> Self {
        let proxy = CutProxy::new(&bucket.endpoint, u64::MAX, When::Before);
        let home = Self { dir: dir.join("drill"), proxy };
        let made =
            Command::new(env!("CARGO_BIN_EXE_lifeboat")).args(["drill", "--manual"]).arg(&home.dir).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let config = home.dir.join("project/lifeboat.toml");
        let text = fs::read_to_string(&config).unwrap();
        let (before, rest) = text.split_once("url = \"file://").unwrap();
        let (_, after) = rest.split_once('\n').unwrap();
        let (name, url, table) = (&bucket.name, bucket.url(), bucket.table(&home.proxy.endpoint()));
        fs::write(&config, format!("{before}url = \"s3://{name}\"\npublic_url = \"{url}\"\n{table}{after}")).unwrap();
        home
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lifeboat"));
        command.args(args).current_dir(self.dir.join("project")).stdin(Stdio::null());
        command.env("LIFEBOAT_STATE", self.dir.join("state")).env("KEY", ACCESS_KEY).env("SECRET", SECRET_KEY);
        command
    }

    fn run(&self, args: &[&str], code: i32) -> String {
        let out = self.command(args).output().unwrap();
        let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(code), "{args:?}: {said}");
        assert!(!said.contains(SECRET_KEY), "{args:?}: {said}");
        said
    }

    /// Starts it, and kills it when the server has got so many changing requests.
    fn kill_after(&self, args: &[&str], requests: u64) {
        let until = self.proxy.changing() + requests;
        let mut child = self.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while self.proxy.changing() < until && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(child.kill());
        child.wait().unwrap();
    }
}

/// What was staged would stay in it: whoever asks is told the same.
#[test]
fn a_bucket_that_keeps_versions_is_refused() {
    let (dir, bucket) = (tempfile::tempdir().unwrap(), Bucket::new());
    let home = Home::new(dir.path(), &bucket);
    home.run(&["plan", "../train.toml"], 0);
    bucket.keep_versions();
    for args in [&["doctor"][..], &["plan", "../train.toml"], &["ship", "../train.toml"]] {
        let said = home.run(args, 1);
        assert!(said.contains("keeps what is replaced or removed"), "{args:?}: {said}");
    }
    let said = home.run(&["doctor", "--store", "mirror"], 1);
    assert!(said.contains("the bucket keeps what is replaced or removed"), "{said}");
    assert!(said.contains("no train can go to store `mirror`"), "{said}");
    for row in said.lines().filter(|line| line.starts_with("ok ")) {
        assert!(!row.contains("put if absent") || !row.contains("could not be found out"), "{said}");
    }
    assert_eq!(bucket.keys(".staging/"), [""; 0], "nothing was staged");
}

#[test]
fn a_train_goes_into_a_bucket_through_kills() {
    let (dir, bucket) = (tempfile::tempdir().unwrap(), Bucket::new());
    let home = Home::new(dir.path(), &bucket);
    let said = home.run(&["doctor"], 0);
    assert!(said.contains("put if absent: yes, conditional replace: yes"), "{said}");
    home.run(&["plan", "../train.toml"], 0);
    home.kill_after(&["ship", "../train.toml"], 45);
    home.kill_after(&["ship", "../train.toml"], 50);
    home.run(&["ship", "../train.toml"], 3);
    assert_eq!(bucket.strangers_see(), [], "nothing is public before the gate");
    assert!(bucket.keys(".staging/").iter().any(|key| key.ends_with("sample-v1.0.5-linux.tar.gz")));
    home.run(&["approve", "--as", "alice", "--yes"], 0);
    home.run(&["approve", "--as", "bob", "--yes"], 0);
    for requests in [7, 13, 29, 41] {
        home.kill_after(&["ship"], requests);
    }
    let said = home.run(&["ship"], 0);
    assert!(said.contains(&format!("git fetch {}/git/sample.git", bucket.url())), "{said}");
    // A machine that knows nothing, and has no credentials.
    let pin = Sha256::of(&fs::read(home.dir.join("project/keys/trust.json")).unwrap()).to_string();
    for version in ["1.0.5", "2.0.2", "latest"] {
        let stranger = Command::new(env!("CARGO_BIN_EXE_lifeboat"))
            .args(["verify", version, &bucket.url(), "--pin", &pin])
            .env_clear()
            .env("HOME", dir.path())
            .current_dir(dir.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&stranger.stdout).into_owned() + &String::from_utf8_lossy(&stranger.stderr);
        assert!(stranger.status.success() && said.contains("verifies; approved by alice, bob"), "{said}");
    }
    let mut clone = Command::new("git");
    clone.args(["clone", "-q"]).arg(format!("{}/git/sample.git", bucket.url())).arg(dir.path().join("clone"));
    assert!(clone.env("no_proxy", "*").status().unwrap().success());
    let left: Vec<String> = bucket.keys(".staging/").into_iter().filter(|key| key.contains("/.claims/")).collect();
    assert_eq!(left, [""; 0], "a claim goes when its object is there");
}

/// Where only encrypted files are staged, the bucket has nothing of the train that anybody else could read, not even its names.
#[test]
fn a_train_goes_encrypted_into_a_bucket() {
    let (dir, bucket) = (tempfile::tempdir().unwrap(), Bucket::new());
    let home = Home::new(dir.path(), &bucket);
    let config = home.dir.join("project/lifeboat.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replacen("public_url = ", "staging = \"encrypted\"\npublic_url = ", 1)).unwrap();
    let said = home.run(&["plan", "../train.toml"], 0);
    assert!(said.contains("what is staged is encrypted to alice, bob, carol"), "{said}");
    home.kill_after(&["ship", "../train.toml"], 45);
    home.run(&["ship", "../train.toml"], 3);
    assert_eq!(bucket.strangers_see(), [], "nothing is public before the gate");
    let search = Search::new(&["sample", "1.0.5", "2.0.2", "release-", "drill", "SHA256SUMS", "lifeboat"], Eyes::Owner);
    let store = bucket.store();
    let mut objects = 0;
    for key in bucket.keys(".staging/") {
        assert_eq!(search.words_in(key.as_bytes()), [""; 0], "{key}");
        let Some((train, path)) = key.strip_prefix(".staging/").and_then(|key| key.split_once('/')) else { continue };
        if lifeboat::stores::path::check(path).is_err() || train.starts_with('.') {
            continue;
        }
        let mut bytes = Vec::new();
        let area = Area::Staging(train.to_owned());
        wait(store.get(&area, path)).unwrap().unwrap().read_to_end(&mut bytes).unwrap();
        assert_eq!(search.words_in(&bytes), [""; 0], "{key}");
        objects += usize::from(path.starts_with("objects/"));
    }
    assert_eq!(objects, 16, "each file of both lines is staged once");
    home.run(&["approve", "--as", "alice", "--yes"], 0);
    home.run(&["approve", "--as", "bob", "--yes"], 0);
    home.kill_after(&["ship"], 29);
    home.run(&["ship"], 0);
    let pin = Sha256::of(&fs::read(home.dir.join("project/keys/trust.json")).unwrap()).to_string();
    let said = home.run(&["verify", "1.0.5", &bucket.url(), "--pin", &pin], 0);
    assert!(said.contains("verifies; approved by alice, bob"), "{said}");
}
