//! A train into a bucket, by the program: killed on the way, and verified by somebody who has an address and a digest.

#![allow(clippy::unwrap_used, reason = "a test may panic; clippy knows only `#[test]` functions")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use lifeboat::model::Sha256;

use crate::support::cut_proxy::{CutProxy, When};
use crate::support::radosgw::{ACCESS_KEY, Bucket, SECRET_KEY};

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
