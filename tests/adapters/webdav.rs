//! WebDAV stores against real servers.

#![allow(clippy::unwrap_used, reason = "a test may panic; clippy knows only `#[test]` functions")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use lifeboat::adapter::Around;
use lifeboat::effects::{Area, Clock, Comparison, Habits, Store, Tried};
use lifeboat::host::{HostClock, HostDisk};
use lifeboat::model::{Secret, SecretRef, Sha256};

use crate::support::canary::{Eyes, Search};
use crate::support::faulty_proxy::{self, Fault};
use crate::support::radosgw::{ACCESS_KEY, Bucket, SECRET_KEY};
use crate::support::sample_train::{Ran, SampleTrain};
use crate::support::servers::{Nginx, PASSWORD, Rclone, USER};
use crate::support::store_contract::{Fixture, Interrupted, holds};

/// A store as a configuration gives it.
pub(crate) fn configured(keys: &str) -> Arc<dyn Store> {
    configured_with(keys, Arc::new(HostClock))
}

pub(crate) fn configured_with(keys: &str, clock: Arc<dyn Clock>) -> Arc<dyn Store> {
    let head = "[project]\nname = \"acme\"\ncommitter = \"Acme <release@acme.example>\"\n[[store]]\nname = \"web\"\n";
    let text = format!("{head}{keys}");
    let config = lifeboat::config::parse(&text, Path::new("/src/acme/lifeboat.toml"), &lifeboat::wiring::registries());
    let store = config.unwrap_or_else(|e| panic!("{}", e.report())).stores.remove(0);
    let around = Around {
        disk: Arc::new(HostDisk),
        clock,
        secrets: Arc::new(|reference| {
            let SecretRef::Env(name) = reference else { panic!("no secret is at {reference:?}") };
            Ok(Secret::new(match name.as_str() {
                "KEY" => ACCESS_KEY,
                "SECRET" => SECRET_KEY,
                _ => PASSWORD,
            }))
        }),
        hosts: store.spec.hosts().into_iter().collect::<BTreeSet<_>>(),
        repository: PathBuf::from("/src/acme"),
        jobs: None,
    };
    store.spec.open(&around).unwrap()
}

fn open(url: &str, public_url: &str) -> Arc<dyn Store> {
    configured(&format!(
        "url = \"{url}\"\npublic_url = \"{public_url}\"\nuser = \"{USER}\"\npassword = {{ env = \"DAV_PASSWORD\" }}\n"
    ))
}

/// What anybody gets from a server at a path; `None` if it is refused.
pub(crate) fn asked(port: u16, path: &str) -> Option<Vec<u8>> {
    let mut server = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(server, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    answer[..end].split(|b| *b == b' ').nth(1).unwrap().eq(b"200").then(|| answer.split_off(end + 4))
}

/// The files below a directory, by path.
fn files(dir: &Path, prefix: &str, out: &mut Vec<String>) {
    for item in fs::read_dir(dir).unwrap() {
        let item = item.unwrap();
        let path = format!("{prefix}{}", item.file_name().into_string().unwrap());
        if item.file_type().unwrap().is_dir() {
            files(&item.path(), &format!("{path}/"), out);
        } else {
            out.push(path);
        }
    }
}

/// Makes an empty store each time: a directory below the server's root.
fn fixture(n: u64, root: &Path, (dav, public): (u16, u16), dav_path: &str) -> Fixture {
    let (dir, scratch) = (root.join(format!("s{n}")), root.with_file_name(format!("scratch{n}")));
    fs::create_dir_all(&dir).unwrap();
    fs::create_dir_all(&scratch).unwrap();
    let path = format!("{dav_path}/s{n}");
    let public_url = format!("http://127.0.0.1:{public}/s{n}");
    let at = move |port: u16| open(&format!("dav://127.0.0.1:{port}{path}"), &public_url);
    Fixture {
        store: at(dav),
        second: at(dav),
        interrupted: Box::new(move |nth| {
            let (count, dead) = (AtomicU64::new(0), Arc::new(AtomicBool::new(false)));
            let happened = dead.clone();
            let port = faulty_proxy::start(dav, move |seen| {
                // A lock that cannot be ended ends by itself, and what was done under it is done.
                let counts = seen.changes() && seen.method != "UNLOCK";
                if counts && count.fetch_add(1, Ordering::SeqCst) + 1 == nth {
                    dead.store(true, Ordering::SeqCst);
                }
                if dead.load(Ordering::SeqCst) { Fault::Reset } else { Fault::None }
            });
            Interrupted { store: at(port), happened: Box::new(move || happened.load(Ordering::SeqCst)) }
        }),
        strangers_see: Box::new(move || {
            let mut all = Vec::new();
            files(&dir, "", &mut all);
            all.sort();
            let seen = all.into_iter().filter_map(|path| Some((asked(public, &format!("/s{n}/{path}"))?, path)));
            seen.map(|(bytes, path)| (path, bytes)).collect()
        }),
        scratch,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nginx_passes_the_contract() {
    let base = crate::support::scratch();
    let nginx = Nginx::start(base.path());
    let count = AtomicU64::new(0);
    holds(|| {
        let n = count.fetch_add(1, Ordering::SeqCst);
        fixture(n, &nginx.root, (nginx.dav, nginx.public), "/releases")
    })
    .await;
}

/// What a server of files is like: locks, whole uploads, and no addresses but its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn habits_of_nginx() {
    let base = crate::support::scratch();
    let nginx = Nginx::start(base.path());
    let store = fixture(0, &nginx.root, (nginx.dav, nginx.public), "/releases").store;
    let want = Habits { comparison: Comparison::Lock, resumes: Tried::No, ..Habits::default() };
    assert_eq!(store.habits().await.unwrap(), want);
    assert!(store.presign(&Area::Public, "a", std::time::Duration::from_secs(60)).await.unwrap().is_none());
}

/// More stores than the contract takes.
const ENOUGH: u64 = 200;

/// rclone writes, and nginx shows the directory to strangers.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rclone_passes_the_contract() {
    let base = crate::support::scratch();
    let nginx = Nginx::start(base.path());
    // It keeps what it knows of a directory in memory: they are there before it looks.
    for n in 0..ENOUGH {
        fs::create_dir(nginx.root.join(format!("s{n}"))).unwrap();
    }
    let rclone = Rclone::webdav(&nginx.root);
    let count = AtomicU64::new(0);
    holds(|| {
        let n = count.fetch_add(1, Ordering::SeqCst);
        assert!(n < ENOUGH);
        fixture(n, &nginx.root, (rclone.port, nginx.public), "")
    })
    .await;
}

/// What is open to everybody is refused before anything is there.
#[tokio::test]
async fn a_server_that_lets_everybody_write_or_list_is_refused() {
    let base = crate::support::scratch();
    let nginx = Nginx::without_password(base.path());
    let store = open(&format!("dav://127.0.0.1:{}/releases", nginx.dav), &format!("http://127.0.0.1:{}", nginx.public));
    let e = store.check().await.unwrap_err();
    assert!(e.report().contains("anybody can write there, without a password"), "{}", e.report());
    assert_eq!(fs::read_dir(nginx.root.join(".staging/.uploads")).unwrap().count(), 0, "the probe is removed");
}

/// `ship` to a web server that has WebDAV; a stranger with its public address and the digest of the trust root verifies it.
#[test]
fn a_train_is_released_over_webdav() {
    let (train, nginx) = with_a_web_server("private");
    released_and_verified(&train, &format!("http://127.0.0.1:{}", nginx.public));
    assert_eq!(fs::read_dir(nginx.root.join(".staging/.uploads")).unwrap().count(), 0, "what is left of uploads");
}

/// The same where the server stages only what is encrypted.
#[test]
fn a_train_is_released_encrypted_over_webdav() {
    let (train, nginx) = with_a_web_server("encrypted");
    train.to_the_gate();
    staged_says_nothing(&nginx.root);
    released_and_verified(&train, &format!("http://127.0.0.1:{}", nginx.public));
}

/// A sample with a web server as a second store.
fn with_a_web_server(staging: &str) -> (SampleTrain, Nginx) {
    let train = SampleTrain::new();
    let nginx = Nginx::start(&train.root().join("web"));
    fs::write(train.root().join("sample/secret/dav"), PASSWORD).unwrap();
    train.configure(&format!(
        "[[store]]\nname = \"web\"\nurl = \"dav://127.0.0.1:{}/releases\"\nuser = \"{USER}\"\nstaging = \"{staging}\"\n\
         password = {{ file = \"../secret/dav\" }}\npublic_url = \"http://127.0.0.1:{}\"\n",
        nginx.dav, nginx.public
    ));
    (train, nginx)
}

/// What a server has staged of a train that is encrypted tells nothing of it.
pub(crate) fn staged_says_nothing(root: &Path) {
    let words = ["sample", "1.0.5", "2.0.2", "release-", "drill", "SHA256SUMS", "lifeboat", "SAMPLE-2026-0001"];
    let found = Search::new(&words, Eyes::Owner).find(&root.join(".staging"));
    assert!(found.is_empty(), "{}", found.join("\n"));
    let (mut staged, mut objects) = (Vec::new(), 0);
    files(&root.join(".staging"), "", &mut staged);
    for path in &staged {
        objects += usize::from(path.contains("/objects/"));
    }
    assert_eq!(objects, 16, "each file of both lines is staged once: {staged:?}");
    assert!(!root.join("releases").exists(), "something is public");
}

/// Ships the train, looks at each moment what strangers see, and verifies it as one of them.
pub(crate) fn released_and_verified(train: &SampleTrain, url: &str) {
    train.to_the_gate();
    let stranger = |args: &[&str]| {
        let pin = Sha256::of(&fs::read(train.project().join("keys/trust.json")).unwrap()).hex();
        let home = tempfile::tempdir().unwrap();
        let mut command = train.command(&[&["verify", "--pin", &pin], args].concat());
        command.env("HOME", home.path()).env_remove("LIFEBOAT_STATE").current_dir(home.path());
        Ran::of(&mut command)
    };
    assert_ne!(stranger(&["1.0.5", url]).code, Some(0), "it is public before the gate");
    train.release();
    let ran = stranger(&["1.0.5", url]).ends_with(0);
    assert!(ran.stdout.ends_with("sample 1.0.5 verifies; approved by alice, bob\n"), "{}", ran.stdout);
    stranger(&["2.0.2", url]).ends_with(0);
}

/// A volunteer without any configuration of the project has a web server or a bucket, and describes it in a file.
#[test]
fn a_volunteer_fills_a_server_of_their_own() {
    let train = SampleTrain::new();
    train.to_the_gate();
    train.release();
    let nginx = Nginx::start(&train.root().join("web"));
    let bucket = Bucket::new();
    let (from, pin) = (train.store().display().to_string(), fs::read(train.project().join("keys/trust.json")).unwrap());
    let (pin, home) = (Sha256::of(&pin).hex(), tempfile::tempdir().unwrap());
    let file = home.path().join("mirror.toml");
    let web = format!(
        "[[store]]\nname = \"web\"\nurl = \"dav://127.0.0.1:{}/releases\"\nuser = \"{USER}\"\n\
         password = {{ env = \"DAV_PASSWORD\" }}\n",
        nginx.dav
    );
    let far = format!("[[store]]\nname = \"far\"\nurl = \"s3://{}\"\n{}", bucket.name, bucket.table(&bucket.endpoint));
    fs::write(&file, format!("{web}{far}")).unwrap();
    let run = |args: &[&str]| {
        let mut command = train.command(args);
        command.env("HOME", home.path()).env_remove("LIFEBOAT_STATE").current_dir(home.path());
        command.env("DAV_PASSWORD", PASSWORD).env("KEY", ACCESS_KEY).env("SECRET", SECRET_KEY);
        Ran::of(&mut command)
    };
    let mirror = |to: &str| run(&["mirror", "--pin", &pin, "--to-config", file.to_str().unwrap(), &from, to]);
    for (to, url) in [("web", format!("http://127.0.0.1:{}", nginx.public)), ("far", bucket.url())] {
        let ran = mirror(to).ends_with(0);
        assert!(ran.stdout.contains("copied    1.0.5, 2.0.2"), "{ran:?}");
        run(&["verify", "--pin", &pin, "1.0.5", &url]).ends_with(0);
        let again = mirror(to).ends_with(0);
        assert!(again.stdout.contains("unchanged 1.0.5, 2.0.2\n  0 files, 0 bytes"), "{again:?}");
    }
    mirror("wide").fails(2, &["`wide` is not a store of that file", "expected one of `far`, `web`"]);
    fs::write(&file, format!("{web}[project]\nname = \"acme\"\n")).unwrap();
    mirror("web").fails(2, &["mirror.toml", "project"]);
}

/// What nginx says of how long a file may be kept, with the configuration of `docs/stores.md`.
#[test]
fn nginx_says_of_each_kind_of_file_how_long_it_may_be_kept() {
    let dir = tempfile::tempdir().unwrap();
    let nginx = Nginx::start(dir.path());
    let digest = Sha256::of(b"index").hex();
    let signature = format!("releases/index.{digest}.asc");
    let (ever, again) = ("public, max-age=31536000, immutable", "no-cache");
    for (path, kept) in [
        ("releases/1.0.5/sample-v1.0.5.tar.gz", ever),
        ("releases/1.0.5/approvals/alice.json", ever),
        ("releases/1.0.5/index.html", again),
        (&signature, ever),
        ("releases/index.json", again),
        ("releases/index.json.asc", again),
        ("releases/mirrors.json", again),
        ("releases/latest", again),
        ("index.html", again),
        ("keys/trust.json", again),
        ("git/sample.git/objects/pack/pack-1.pack", ever),
        ("git/sample.git/refs/tags/v1.0.5", ever),
        ("git/sample.git/info/refs", again),
        ("git/sample.git/refs/heads/main", again),
    ] {
        assert_eq!(lifeboat::formats::layout::is_replaced(path), kept == again, "{path}");
        let file = nginx.root.join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "bytes").unwrap();
        let answer = crate::support::radosgw::wait(reqwest::get(format!("http://127.0.0.1:{}/{path}", nginx.public)));
        let headers = answer.unwrap().error_for_status().unwrap().headers().clone();
        let said: Vec<_> = headers.get_all("cache-control").iter().map(|value| value.to_str().unwrap()).collect();
        assert_eq!(said, [kept], "{path}");
    }
}
