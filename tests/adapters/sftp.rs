//! SFTP stores against a real sshd, by way of the user's own ssh.

#![allow(clippy::unwrap_used, reason = "a test may panic; clippy knows only `#[test]` functions")]

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use lifeboat::effects::{Area, Store};
use lifeboat::error::{ErrorKind, Part};
use lifeboat::model::Digests;

use crate::stores::readable;
use crate::support::sample_train::SampleTrain;
use crate::support::servers::{Nginx, Sshd};
use crate::support::store_contract::{Fixture, Interrupted, holds};
use crate::support::stream_proxy::{self, Verdict};
use crate::webdav::{configured, released_and_verified, staged_says_nothing};

fn open(config: &Path, port: u16, root: &Path) -> Arc<dyn Store> {
    let (config, root) = (config.display(), root.display());
    configured(&format!("url = \"sftp://127.0.0.1:{port}{root}\"\nssh_config = \"{config}\"\n"))
}

/// A proxy that passes an ssh connection on until the client has sent so many pieces, and then cuts every connection. What passes
/// is encrypted; a piece is a request of SFTP or more.
fn cut_after(server: u16, at: u64) -> (u16, Arc<AtomicBool>) {
    let (dead, count) = (Arc::new(AtomicBool::new(false)), AtomicU64::new(0));
    let is_dead = dead.clone();
    let port = stream_proxy::start(server, move |piece| {
        if piece.to_server && count.fetch_add(1, Ordering::SeqCst) >= at {
            dead.store(true, Ordering::SeqCst);
        }
        if dead.load(Ordering::SeqCst) { Verdict::Cut(0) } else { Verdict::Pass }
    });
    (port, is_dead)
}

fn fixture(base: &Path, sshd: &Sshd) -> Fixture {
    let dir = tempfile::tempdir_in(base).unwrap().keep();
    let (root, scratch) = (dir.join("store"), dir.join("scratch"));
    fs::create_dir(&root).unwrap();
    fs::create_dir(&scratch).unwrap();
    let (seen, cut, config, port) = (root.clone(), root.clone(), sshd.config.clone(), sshd.port);
    Fixture {
        store: open(&sshd.config, sshd.port, &root),
        second: open(&sshd.config, sshd.port, &root),
        interrupted: Box::new(move |n| {
            // The handshake takes some, and from there on every third piece will do.
            let (port, dead) = cut_after(port, 8 + 3 * n);
            let store = open(&config, port, &cut);
            Interrupted { store, happened: Box::new(move || dead.load(Ordering::SeqCst)) }
        }),
        strangers_see: Box::new(move || {
            let mut out = Vec::new();
            readable(&seen, "", &mut out);
            out.sort();
            out
        }),
        scratch,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sshd_passes_the_contract() {
    let base = crate::support::scratch();
    let sshd = Sshd::start(base.path());
    holds(|| fixture(base.path(), &sshd)).await;
}

#[tokio::test]
async fn a_machine_that_cannot_be_reached_is_said_with_what_ssh_says() {
    let base = crate::support::scratch();
    let sshd = Sshd::start(base.path());
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let e = open(&sshd.config, closed, base.path()).probe().await.unwrap_err();
    assert_eq!((e.kind(), e.part()), (ErrorKind::Unreachable, Some(Part::Store)), "{}", e.report());
    assert!(e.report().contains("refused"), "{}", e.report());
    // Another host's key: ssh refuses, and nobody is asked.
    let known = sshd.config.with_file_name("known_hosts");
    let key = fs::read_to_string(sshd.config.with_file_name("id.pub")).unwrap();
    fs::write(&known, format!("store {key}")).unwrap();
    let e = open(&sshd.config, sshd.port, base.path()).probe().await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Unreachable, "{}", e.report());
    assert!(e.report().contains("Host key verification failed"), "{}", e.report());
}

#[tokio::test]
async fn modes_are_for_the_team_and_then_for_everyone_and_links_lead_nowhere() {
    let base = crate::support::scratch();
    let sshd = Sshd::start(base.path());
    let (root, source, elsewhere) = (base.path().join("store"), base.path().join("source"), base.path().join("else"));
    fs::create_dir_all(&root).unwrap();
    fs::create_dir(&elsewhere).unwrap();
    fs::write(&source, "bytes").unwrap();
    let store = open(&sshd.config, sshd.port, &root);
    let (staging, digests) = (Area::Staging("t".to_owned()), Digests::of(b"bytes"));
    let path = "releases/1.0.0/a";
    store.put_new(&staging, path, &source, &digests).await.unwrap();
    let mode = |path: &str| fs::metadata(root.join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!([".staging", ".staging/t/releases", ".staging/t/releases/1.0.0/a"].map(mode), [0o700, 0o700, 0o600]);
    store.promote("t", path, &digests).await.unwrap();
    assert_eq!(["releases", "releases/1.0.0", path].map(mode), [0o755, 0o755, 0o644]);
    symlink(&elsewhere, root.join("releases/2.0.0")).unwrap();
    let e = store.put_new(&Area::Public, "releases/2.0.0/a", &source, &digests).await.unwrap_err();
    assert!(e.report().contains("is not a directory"), "{}", e.report());
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
}

/// A sample with a machine as a second store, whose directory a web server shows.
fn with_a_machine(staging: &str) -> (SampleTrain, Nginx, Sshd) {
    let train = SampleTrain::new();
    let nginx = Nginx::start(&train.root().join("web"));
    let sshd = Sshd::start(train.root());
    train.configure(&format!(
        "[[store]]\nname = \"host\"\nurl = \"sftp://127.0.0.1:{}{}\"\nssh_config = \"{}\"\nstaging = \"{staging}\"\n\
         public_url = \"http://127.0.0.1:{}\"\n",
        sshd.port,
        nginx.root.display(),
        sshd.config.display(),
        nginx.public
    ));
    (train, nginx, sshd)
}

/// `ship` to a machine with sshd; a stranger verifies the release from the web server.
#[test]
fn a_train_is_released_over_sftp() {
    let (train, nginx, _sshd) = with_a_machine("private");
    released_and_verified(&train, &format!("http://127.0.0.1:{}", nginx.public));
}

/// The same where the machine stages only what is encrypted.
#[test]
fn a_train_is_released_encrypted_over_sftp() {
    let (train, nginx, _sshd) = with_a_machine("encrypted");
    train.to_the_gate();
    staged_says_nothing(&nginx.root);
    released_and_verified(&train, &format!("http://127.0.0.1:{}", nginx.public));
}
