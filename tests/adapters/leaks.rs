//! What is staged is looked at as strangers would, at each train and on each kind of server, before anything is put there.

#![allow(clippy::unwrap_used, reason = "a test may panic; clippy knows only `#[test]` functions")]

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::radosgw::{ACCESS_KEY, Bucket, SECRET_KEY};
use crate::support::sample_train::SampleTrain;
use crate::support::servers::{Nginx, PASSWORD, Sshd, USER};
use crate::support::stream_proxy::{self, Verdict};

/// A server that is down and comes back, behind a port.
struct Behind {
    port: u16,
    down: Arc<AtomicBool>,
}

impl Behind {
    fn down(server: u16) -> Self {
        let down = Arc::new(AtomicBool::new(true));
        let is_down = down.clone();
        let decide = move |_: &_| if is_down.load(Ordering::SeqCst) { Verdict::Cut(0) } else { Verdict::Pass };
        Self { port: stream_proxy::start(server, decide), down }
    }

    fn up(&self) {
        self.down.store(false, Ordering::SeqCst);
    }
}

/// Adopts the train while the server is down, so that nobody can look; then it comes back, and lets strangers see what is staged.
/// `staged` lists what is in its staging area.
fn refused(train: &SampleTrain, server: &Behind, seen: &str, staged: impl Fn() -> Vec<String>) {
    train.adopt().ends_with(5);
    server.up();
    train.ship().fails(1, &[&format!("strangers can read {seen}"), "`lifeboat doctor` looks again"]);
    let of_trains: Vec<String> = staged().into_iter().filter(|path| path.contains("releases/")).collect();
    assert_eq!(of_trains, [""; 0], "it is staged all the same");
}

/// A secret of the store, as a configuration names it.
fn secret(train: &SampleTrain, name: &str, value: &str) -> String {
    fs::write(train.root().join("sample/secret").join(name), value).unwrap();
    format!("{{ file = \"../secret/{name}\" }}")
}

fn in_directory(nginx: &Nginx) -> Vec<String> {
    crate::support::train_ends::files(&nginx.root.join(".staging")).into_iter().map(|(path, _)| path).collect()
}

/// The sample, its store a bucket.
fn with_bucket(bucket: &Bucket, endpoint: &str) -> SampleTrain {
    let train = SampleTrain::new();
    let (access, secret) = (secret(&train, "access", ACCESS_KEY), secret(&train, "secret", SECRET_KEY));
    train.configure(&format!(
        "[[store]]\nname = \"bucket\"\nurl = \"s3://{}\"\nendpoint = \"{endpoint}\"\n\
         access_key = {access}\nsecret_key = {secret}\npublic_url = \"{}\"\n",
        bucket.name,
        bucket.url()
    ));
    train
}

#[test]
fn a_bucket_whose_policy_leaks_gets_nothing() {
    for (action, resource, seen) in
        [("s3:GetObject", "/*", "a file of the staging area"), ("s3:ListBucket", "", "the names in the staging area")]
    {
        let bucket = Bucket::new();
        let server = Behind::down(bucket.endpoint.rsplit(':').next().unwrap().parse().unwrap());
        let train = with_bucket(&bucket, &format!("http://127.0.0.1:{}", server.port));
        bucket.set_policy(&format!(
            "{{\"Version\":\"2012-10-17\",\"Statement\":[{{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":[\"{action}\"],\
             \"Resource\":[\"arn:aws:s3:::{}{resource}\"]}}]}}",
            bucket.name
        ));
        refused(&train, &server, seen, || bucket.keys(".staging/"));
        bucket.set_documented_policy();
        train.ship().ends_with(3);
        assert!(bucket.keys(".staging/").iter().any(|key| key.contains("releases/")), "nothing was looked at");
    }
}

#[test]
fn a_web_server_that_lists_or_shows_what_is_staged_gets_nothing_over_webdav() {
    for (is_listed, seen) in [(true, "the names in the staging area"), (false, "a file of the staging area")] {
        let train = SampleTrain::new();
        let dir = train.root().join("web");
        let nginx = if is_listed { Nginx::that_lists(&dir) } else { Nginx::that_hides_nothing(&dir) };
        let (server, password) = (Behind::down(nginx.dav), secret(&train, "dav", PASSWORD));
        train.configure(&format!(
            "[[store]]\nname = \"web\"\nurl = \"dav://127.0.0.1:{}/releases\"\nuser = \"{USER}\"\n\
             password = {password}\npublic_url = \"http://127.0.0.1:{}\"\n",
            server.port, nginx.public
        ));
        refused(&train, &server, seen, || in_directory(&nginx));
    }
}

#[test]
fn a_web_server_that_lists_what_is_staged_over_sftp_gets_nothing() {
    let train = SampleTrain::new();
    let (nginx, sshd) = (Nginx::that_lists(&train.root().join("web")), Sshd::start(train.root()));
    let server = Behind::down(sshd.port);
    train.configure(&format!(
        "[[store]]\nname = \"host\"\nurl = \"sftp://127.0.0.1:{}{}\"\nssh_config = \"{}\"\n\
         public_url = \"http://127.0.0.1:{}\"\n",
        server.port,
        nginx.root.display(),
        sshd.config.display(),
        nginx.public
    ));
    refused(&train, &server, "the names in the staging area", || in_directory(&nginx));
}

/// A bucket that keeps versions has what was staged for as long as it has them, and takes a second write where nothing should be.
#[test]
fn a_bucket_that_keeps_versions_is_refused() {
    let bucket = Bucket::new();
    let train = with_bucket(&bucket, &bucket.endpoint);
    let file = train.train_file().display().to_string();
    train.run(&["plan", &file]).ends_with(0);
    bucket.keep_versions();
    let why = ["keeps what is replaced or removed", "switch these off"];
    train.run(&["plan", &file]).fails(1, &why);
    train.adopt().fails(1, &why);
    assert!(!train.train_dir("drill").exists(), "it was adopted");
    let doctor = train.run(&["doctor"]);
    assert_eq!(doctor.code, Some(1), "{doctor:?}");
    assert!(doctor.stdout.contains(why[0]), "{doctor:?}");
}

#[test]
fn a_web_server_that_asks_for_no_password_is_refused() {
    let train = SampleTrain::new();
    let nginx = Nginx::without_password(&train.root().join("web"));
    let password = secret(&train, "dav", PASSWORD);
    train.configure(&format!(
        "[[store]]\nname = \"web\"\nurl = \"dav://127.0.0.1:{}/releases\"\nuser = \"{USER}\"\n\
         password = {password}\npublic_url = \"http://127.0.0.1:{}\"\n",
        nginx.dav, nginx.public
    ));
    let file = train.train_file().display().to_string();
    train.run(&["plan", &file]).fails(1, &["strangers can read a file of the staging area"]);
    train.adopt().fails(1, &["strangers can read a file of the staging area"]);
    assert!(!train.train_dir("drill").exists(), "it was adopted");
}

/// Nothing over SFTP syncs a directory, and whoever uses it is told.
#[test]
fn what_sftp_cannot_do_is_said() {
    let train = SampleTrain::new();
    let sshd = Sshd::start(train.root());
    let root = train.root().join("host");
    fs::create_dir(&root).unwrap();
    train.configure(&format!(
        "[[store]]\nname = \"host\"\nurl = \"sftp://127.0.0.1:{}{}\"\nssh_config = \"{}\"\n",
        sshd.port,
        root.display(),
        sshd.config.display(),
    ));
    let says = "SFTP cannot sync directories";
    let plan = train.run(&["plan", &train.train_file().display().to_string()]).ends_with(0);
    assert!(plan.stderr.contains(&format!("! store `host`: {says}")), "{plan:?}");
    let doctor = train.run(&["doctor"]);
    let line = doctor.stdout.lines().find(|line| line.contains(says)).unwrap_or_else(|| panic!("{doctor:?}"));
    assert!(line.starts_with("warn  store"), "{line}");
}
