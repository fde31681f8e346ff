//! Every store against the contract, and what is the filesystem store's own.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may panic and print; clippy knows only `#[test]` functions"
)]

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::Arc;

use crate::support::counting::CountingDisk;
use crate::support::kill_points::{Action, KillPoints};
use crate::support::store_contract::{Fixture, Interrupted, holds};
use lifeboat::effects::{Area, Disk, Store};
use lifeboat::error::ErrorKind;
use lifeboat::host::HostDisk;
use lifeboat::model::{Digests, Sha256, StoreName};
use lifeboat::stores;

fn open(root: &Path, disk: Arc<dyn Disk>) -> Arc<dyn Store> {
    stores::directory(StoreName::new("mirror").unwrap(), root, disk)
}

/// The regular files below `dir` that another user could read, with their contents.
pub(crate) fn readable(dir: &Path, prefix: &str, out: &mut Vec<(String, Vec<u8>)>) {
    for item in fs::read_dir(dir).unwrap() {
        let item = item.unwrap();
        let (meta, name) = (item.metadata().unwrap(), item.file_name().into_string().unwrap());
        let path = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
        if meta.is_dir() && meta.permissions().mode() & 0o005 == 0o005 {
            readable(&item.path(), &path, out);
        } else if meta.is_file() && meta.permissions().mode() & 0o004 != 0 {
            out.push((path, fs::read(item.path()).unwrap()));
        }
    }
}

fn fixture(base: &Path) -> Fixture {
    let dir = tempfile::tempdir_in(base).unwrap().keep();
    let (root, scratch) = (dir.join("store"), dir.join("scratch"));
    fs::create_dir(&root).unwrap();
    fs::create_dir(&scratch).unwrap();
    let (seen, cut) = (root.clone(), root.clone());
    Fixture {
        store: open(&root, Arc::new(HostDisk)),
        second: open(&root, Arc::new(HostDisk)),
        interrupted: Box::new(move |n| {
            let points = KillPoints::at(n, Action::Fail);
            let store = open(&cut, CountingDisk::new(Arc::new(HostDisk), points.clone()));
            Interrupted { store, happened: Box::new(move || points.reached()) }
        }),
        strangers_see: Box::new(move || {
            let mut out = Vec::new();
            readable(&seen, "", &mut out);
            out.sort();
            // What an interrupted write left is hidden from a listing by its name, and harmless once public.
            out.retain(|(path, _)| !path.contains("/.") || path.starts_with(".well-known/"));
            out
        }),
        scratch,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn filesystem_passes_the_contract() {
    let base = crate::support::scratch();
    holds(|| fixture(base.path())).await;
}

/// The same on the runtime on which each system call can be stepped alone.
#[tokio::test]
async fn filesystem_passes_the_contract_in_one_thread() {
    let base = crate::support::scratch();
    holds(|| fixture(base.path())).await;
}

struct One {
    _dir: tempfile::TempDir,
    root: std::path::PathBuf,
    store: Arc<dyn Store>,
    source: std::path::PathBuf,
}

fn one() -> One {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("store");
    let source = dir.path().join("source");
    fs::create_dir(&root).unwrap();
    fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(&source, "bytes").unwrap();
    One { store: open(&root, Arc::new(HostDisk)), root, source, _dir: dir }
}

impl One {
    async fn put(&self, area: &Area, path: &str) -> lifeboat::error::Result<()> {
        self.store.put_new(area, path, &self.source, &Digests::of(b"bytes")).await.map(drop)
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn staging() -> Area {
    Area::Staging("t".to_owned())
}

#[tokio::test]
async fn modes_are_for_the_team_and_then_for_everyone() {
    let one = one();
    one.put(&staging(), "releases/1.0.0/a").await.unwrap();
    for (path, want) in [(".staging", 0o700), (".staging/t", 0o700), (".staging/t/releases/1.0.0", 0o700)] {
        assert_eq!(mode(&one.root.join(path)), want, "{path}");
    }
    assert_eq!(mode(&one.root.join(".staging/t/releases/1.0.0/a")), 0o600);
    one.store.promote("t", "releases/1.0.0/a", &Digests::of(b"bytes")).await.unwrap();
    one.store.replace_if("releases/index.json", None, b"{}").await.unwrap();
    for (path, want) in
        [("releases", 0o755), ("releases/1.0.0", 0o755), ("releases/1.0.0/a", 0o644), ("releases/index.json", 0o644)]
    {
        assert_eq!(mode(&one.root.join(path)), want, "{path}");
    }
}

/// A name that follows from its bytes may never be written again, so nobody else would take its unfinished write away.
#[tokio::test]
async fn what_a_dead_writer_left_unfinished_goes_with_the_next_write() {
    let one = one();
    one.put(&Area::Public, "releases/a").await.unwrap();
    let left = one.root.join("releases/.index.0123.asc.partial");
    fs::write(&left, "half").unwrap();
    // As long as the writer lives it holds one of the store's 256 locks.
    let lock_of = |name: &str| {
        let lock = Sha256::of(format!("releases/{name}").as_bytes()).hex();
        one.root.join(".staging/.locks").join(&lock[..2])
    };
    let others = "b";
    assert_ne!(lock_of(others), lock_of("index.0123.asc"));
    let held = HostDisk.try_lock(&lock_of("index.0123.asc")).unwrap().unwrap();
    one.put(&Area::Public, &format!("releases/{others}")).await.unwrap();
    assert!(left.exists(), "a write that goes on was taken away");
    drop(held);
    fs::write(one.root.join("releases/.hidden"), "a person's").unwrap();
    one.put(&Area::Public, "releases/c").await.unwrap();
    assert!(!left.exists(), "it is still there");
    // Also with a write whose name shares its lock file.
    let shares = (0..).map(|n| format!("c{n}")).find(|n| lock_of(n) == lock_of("index.0123.asc")).unwrap();
    fs::write(&left, "half").unwrap();
    one.put(&Area::Public, &format!("releases/{shares}")).await.unwrap();
    assert!(!left.exists(), "it is still there");
    assert!(one.root.join("releases/.hidden").exists(), "what is not an unfinished write is not ours");
}

/// `mkdir` under a strict umask, then a crash: without repair the release would stay closed to readers.
#[tokio::test]
async fn a_public_directory_that_a_crash_left_closed_is_opened() {
    let one = one();
    fs::create_dir(one.root.join("releases")).unwrap();
    fs::set_permissions(one.root.join("releases"), fs::Permissions::from_mode(0o700)).unwrap();
    one.put(&Area::Public, "releases/1.0.0/a").await.unwrap();
    assert_eq!(mode(&one.root.join("releases")), 0o755);
    fs::set_permissions(one.root.join("releases"), fs::Permissions::from_mode(0o750)).unwrap();
    one.put(&Area::Public, "releases/1.0.0/b").await.unwrap();
    assert_eq!(mode(&one.root.join("releases")), 0o750, "open to a group: somebody's choice");
}

#[tokio::test]
async fn staging_that_others_can_read_is_refused() {
    let one = one();
    one.store.check().await.unwrap();
    fs::set_permissions(one.root.join(".staging"), fs::Permissions::from_mode(0o750)).unwrap();
    for e in [one.store.check().await.err().unwrap(), one.put(&staging(), "a").await.unwrap_err()] {
        assert!(e.message().contains("others can look into") && e.message().contains("0750"), "{}", e.report());
        assert!(e.hints()[0].contains("chmod 700"), "{}", e.report());
    }
}

#[tokio::test]
async fn symbolic_links_in_the_way_are_refused() {
    let one = one();
    let outside = one.root.parent().unwrap().join("outside");
    fs::create_dir(&outside).unwrap();
    symlink(&outside, one.root.join("releases")).unwrap();
    symlink(&outside, one.root.join(".staging")).unwrap();
    for area in [Area::Public, staging()] {
        let e = one.put(&area, "releases/a").await.unwrap_err();
        assert!(e.message().contains("symbolic link") && e.kind() == ErrorKind::Conflict, "{}", e.report());
        assert!(one.store.get(&area, "releases/a").await.is_err());
        assert!(one.store.list(&area, "releases").await.is_err());
    }
    assert!(one.store.clear_staging("t").await.is_err());
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    assert!(one.store.replace_if("releases/index.json", None, b"x").await.is_err());
    // A file where a directory should be, and a link where an object should be.
    fs::remove_file(one.root.join(".staging")).unwrap();
    fs::write(one.root.join("file"), "").unwrap();
    symlink(&one.source, one.root.join("link")).unwrap();
    assert!(one.put(&Area::Public, "file/a").await.unwrap_err().message().contains("not a directory"));
    assert!(one.store.get(&Area::Public, "link").await.is_err());
}

/// The root itself may be a link: whoever made it chose the place.
#[tokio::test]
async fn the_root_may_be_a_link() {
    let one = one();
    let link = one.root.parent().unwrap().join("link");
    symlink(&one.root, &link).unwrap();
    let store = open(&link, Arc::new(HostDisk));
    store.check().await.unwrap();
    store.put_new(&Area::Public, "a", &one.source, &Digests::of(b"bytes")).await.unwrap();
    assert_eq!(fs::read(one.root.join("a")).unwrap(), b"bytes");
}

/// Two machines seldom mount a directory in the same place; and names may share a lock file, so nothing may hold two.
#[tokio::test]
async fn the_lock_of_a_name_is_the_same_wherever_the_root_is_mounted() {
    let one = one();
    let elsewhere = one.root.parent().unwrap().join("elsewhere");
    symlink(&one.root, &elsewhere).unwrap();
    let locks = || {
        let found = fs::read_dir(one.root.join(".staging/.locks")).unwrap();
        let mut names: Vec<_> = found.map(|f| f.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    for root in [&one.root, &elsewhere] {
        let store = open(root, Arc::new(HostDisk));
        store.put_new(&Area::Public, "a", &one.source, &Digests::of(b"bytes")).await.unwrap();
        store.replace_if("a", Some(&Sha256::of(b"bytes")), b"bytes").await.unwrap();
        assert_eq!(locks().len(), 1, "{:?}", locks());
    }
    for root in [&one.root, &elsewhere] {
        open(root, Arc::new(HostDisk)).check().await.unwrap();
        assert_eq!(
            (locks().len(), locks().last().unwrap().as_str()),
            (3, "probe"),
            "the probe itself and what it writes"
        );
    }
}

#[tokio::test]
async fn a_root_that_is_not_there_is_not_made() {
    let one = one();
    fs::remove_dir(&one.root).unwrap();
    for e in [one.store.check().await.err().unwrap(), one.put(&staging(), "a").await.unwrap_err()] {
        assert_eq!(e.kind(), ErrorKind::Unreachable);
        assert!(e.hints()[0].contains("mount"), "{}", e.report());
    }
    assert!(!one.root.exists());
}

#[tokio::test]
async fn who_else_can_write_is_told() {
    let one = one();
    assert_eq!(one.store.check().await.unwrap().warnings, [""; 0]);
    fs::set_permissions(&one.root, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(one.store.check().await.unwrap().warnings[0].contains("anyone can replace"));
    fs::set_permissions(&one.root, fs::Permissions::from_mode(0o1777)).unwrap();
    assert_eq!(one.store.check().await.unwrap().warnings, [""; 0]);
    fs::set_permissions(&one.root, fs::Permissions::from_mode(0o750)).unwrap();
    assert!(one.store.check().await.unwrap().warnings[0].contains("web server"));
}

/// A real file system that is full, and then read-only: 1 MiB of memory, mounted in a namespace of our own.
#[test]
fn full_disk_and_read_only_store_are_reported_and_recover() {
    const INSIDE: &str = "LIFEBOAT_TEST_SMALL_DISK";
    let Some(mount) = std::env::var_os(INSIDE) else {
        let dir = tempfile::tempdir().unwrap();
        let test = "stores::full_disk_and_read_only_store_are_reported_and_recover";
        let out = std::process::Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "--"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(INSIDE, dir.path())
            .output()
            .expect("`unshare` is needed: apt-get install util-linux");
        let text = String::from_utf8_lossy(&out.stdout) + String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success() && text.contains("1 passed"), "{text}");
        return;
    };
    let mount = std::path::PathBuf::from(mount);
    let remount = |options: &str| {
        let mut command = std::process::Command::new("mount");
        command.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&mount);
        assert!(command.status().expect("`mount` is needed: apt-get install mount").success(), "{options}");
    };
    remount("size=1m,nr_inodes=100,mode=0755");
    let store = open(&mount, Arc::new(HostDisk));
    let scratch = tempfile::tempdir().unwrap();
    let put_as = |path: &str, bytes: &[u8], digests: &Digests| {
        let source = scratch.path().join("source");
        fs::write(&source, bytes).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(store.put_new(&staging(), path, &source, digests))
    };
    let put = |path: &str, bytes: &[u8]| put_as(path, bytes, &Digests::of(bytes));
    let big = vec![1u8; 700_000];
    put("a", &big).unwrap();
    let used = || fs::read_dir(mount.join(".staging/t")).unwrap().count();
    // Too big from the start; then full on the way, as when somebody else fills the disk meanwhile.
    for claimed in [Digests::of(&big), Digests { size: 0, ..Digests::of(&big) }] {
        let e = put_as("b", &big, &claimed).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Transient, "{}", e.report());
        assert!(e.message().contains("/b`") && e.hints()[0].contains("free some space"), "{}", e.report());
        assert_eq!(used(), 1, "nothing half-written stays");
    }
    // No name can be added any more, though there are bytes.
    let mut names = Vec::new();
    for n in 0.. {
        let path = mount.join(format!("filler-{n}"));
        if fs::write(&path, "").is_err() {
            break;
        }
        names.push(path);
    }
    let e = put("c", b"c").unwrap_err();
    assert!(e.kind() == ErrorKind::Transient && e.hints()[0].contains("free some space"), "{}", e.report());
    for name in names {
        fs::remove_file(name).unwrap();
    }
    put("c", b"c").unwrap();
    let check = || tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(store.check());
    assert!(check().unwrap().warnings.iter().any(|w| w.contains("MiB are free")));
    remount("remount,ro");
    for e in [put("b", b"x").unwrap_err(), check().unwrap_err()] {
        assert_eq!(e.kind(), ErrorKind::Unreachable, "{}", e.report());
        let report = e.report();
        assert!(report.contains("store `mirror` is read-only") && report.contains("remount"), "{report}");
    }
    assert_eq!(put("a", &big).unwrap(), lifeboat::effects::PutNew::Existed, "what is there is seen");
    remount("remount,rw,size=8m");
    put("b", &big).unwrap();
    assert_eq!(used(), 3);
}
