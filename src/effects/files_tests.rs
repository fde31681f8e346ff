use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::host::HostDisk;

/// Fails after some bytes, as an interrupted download or a full disk does.
struct Failing(usize);

impl Read for Failing {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let n = self.0.min(buf.len());
        buf[..n].fill(b'x');
        self.0 -= n;
        Ok(n)
    }
}

fn names(dir: &Path) -> Vec<String> {
    let mut out: Vec<_> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    out.sort();
    out
}

#[test]
fn write_new_never_replaces() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    assert!(write_new(&HostDisk, &path, 0o600, &mut &b"one"[..]).unwrap());
    assert!(!write_new(&HostDisk, &path, 0o600, &mut &b"two"[..]).unwrap());
    assert_eq!(fs::read(&path).unwrap(), b"one");
    replace(&HostDisk, &path, 0o600, &mut &b"three"[..]).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"three");
    assert_eq!(names(dir.path()), ["f"]);
}

#[test]
fn what_a_crash_left_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    fs::write(dir.path().join(".f.partial"), "half of it").unwrap();
    assert!(write_new(&HostDisk, &path, 0o600, &mut &b"whole"[..]).unwrap());
    fs::write(dir.path().join(".f.partial"), "half of it").unwrap();
    replace(&HostDisk, &path, 0o600, &mut &b"whole again"[..]).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"whole again");
    assert_eq!(names(dir.path()), ["f"]);
}

#[test]
fn what_a_crash_left_beside_a_whole_file_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    write_new(&HostDisk, &path, 0o600, &mut &b"whole"[..]).unwrap();
    // Between the link and the removal of the temporary name.
    fs::hard_link(&path, partial(&path)).unwrap();
    assert!(!write_new(&HostDisk, &path, 0o600, &mut &b"whole"[..]).unwrap());
    assert_eq!(names(dir.path()), ["f"]);
}

#[test]
fn a_full_disk_leaves_the_old_state_and_no_rubbish() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    let e = write_new(&HostDisk, &path, 0o600, &mut Failing(1_000_000)).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Transient);
    assert!(e.message().contains("/f`") && !e.hints().is_empty(), "{}", e.report());
    assert!(names(dir.path()).is_empty());
    fs::write(&path, "old").unwrap();
    replace(&HostDisk, &path, 0o600, &mut Failing(1_000_000)).unwrap_err();
    assert_eq!(fs::read(&path).unwrap(), b"old");
    assert_eq!(names(dir.path()), ["f"]);
}

/// Two threads that shared one temporary file would link or rename each other's half-written bytes.
#[test]
fn threads_that_write_one_path_do_not_mix() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..20 {
        let path = Arc::new(dir.path().join(format!("f{round}")));
        let created = Arc::new(AtomicU32::new(0));
        std::thread::scope(|s| {
            for n in 0..8u8 {
                let (path, created) = (path.clone(), created.clone());
                s.spawn(move || {
                    let bytes = vec![n; 600_000];
                    if write_new(&HostDisk, &path, 0o600, &mut &bytes[..]).unwrap() {
                        created.fetch_add(1, Ordering::SeqCst);
                    } else {
                        replace(&HostDisk, &path, 0o600, &mut &bytes[..]).unwrap();
                    }
                });
            }
        });
        assert_eq!(created.load(Ordering::SeqCst), 1);
        let bytes = fs::read(&*path).unwrap();
        assert!(bytes.len() == 600_000 && bytes.iter().all(|b| *b == bytes[0]));
    }
}

#[test]
fn directories_on_the_way_get_the_mode() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a/b/c");
    create_dir_all(&HostDisk, &path, 0o711).unwrap();
    create_dir_all(&HostDisk, &path, 0o700).unwrap();
    for p in ["a", "a/b", "a/b/c"] {
        assert_eq!(fs::metadata(dir.path().join(p)).unwrap().permissions().mode() & 0o777, 0o711);
    }
    fs::write(dir.path().join("file"), "").unwrap();
    assert!(create_dir_all(&HostDisk, &dir.path().join("file/x"), 0o700).is_err());
}

/// Puts a file at the path that is being written, as somebody who knows nothing of our locks may do at any time.
struct Meanwhile<'a>(&'a Path);

impl Read for Meanwhile<'_> {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        fs::write(self.0, "theirs").map(|()| 0)
    }
}

#[test]
fn what_a_stranger_puts_there_meanwhile_is_not_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    assert!(!write_new(&HostDisk, &path, 0o600, &mut Meanwhile(&path)).unwrap());
    assert_eq!(fs::read(&path).unwrap(), b"theirs");
    assert_eq!(names(dir.path()), ["f"]);
}
