use std::fs;

use super::*;
use crate::error::ErrorKind;
use crate::host::HostDisk;

fn store() -> (tempfile::TempDir, Objects) {
    let dir = tempfile::tempdir().unwrap();
    let objects = Objects::new(Arc::new(HostDisk), dir.path().join("objects"));
    (dir, objects)
}

#[test]
fn same_bytes_are_one_object() {
    let (dir, objects) = store();
    let a = objects.put(b"bytes").unwrap();
    let b = objects.put_written(|out| out.write_all(b"bytes").context("write")).unwrap();
    fs::write(dir.path().join("f"), "bytes").unwrap();
    let c = objects.put_file(&dir.path().join("f")).unwrap();
    assert!(a == b && b == c && a == Digests::of(b"bytes"));
    assert!(objects.has(&a.sha256).unwrap());
    assert_eq!(objects.get(&a.sha256).unwrap(), b"bytes");
    assert_eq!(fs::read_dir(dir.path().join("objects/incoming")).unwrap().count(), 0);
}

#[test]
fn damage_and_loss_are_reported() {
    let (_dir, objects) = store();
    let id = objects.put(b"bytes").unwrap().sha256;
    HostDisk.set_mode(&objects.path(&id), 0o600).unwrap();
    fs::write(objects.path(&id), "other").unwrap();
    assert_eq!(objects.get(&id).unwrap_err().kind(), ErrorKind::Verification);
    fs::remove_file(objects.path(&id)).unwrap();
    assert_eq!(objects.get(&id).unwrap_err().kind(), ErrorKind::Verification);
    assert!(objects.open(&id).is_err() && !objects.has(&id).unwrap());
}

#[test]
fn what_a_crash_left_is_replaced_and_a_failure_leaves_nothing() {
    let (dir, objects) = store();
    let incoming = dir.path().join("objects/incoming");
    fs::create_dir_all(&incoming).unwrap();
    fs::write(incoming.join("0.partial"), "half").unwrap();
    objects.put(b"whole").unwrap();
    assert_eq!(fs::read_dir(&incoming).unwrap().count(), 0);
    let e = objects.put_written(|out| {
        out.write_all(b"half").context("write")?;
        Err(Error::fatal("interrupted"))
    });
    assert_eq!(e.unwrap_err().message(), "interrupted");
    assert_eq!(fs::read_dir(&incoming).unwrap().count(), 0);
}

#[test]
fn threads_put_at_once() {
    let (dir, objects) = store();
    std::thread::scope(|s| {
        for n in 0..8u8 {
            let objects = objects.clone();
            s.spawn(move || {
                for k in 0..20u8 {
                    // Half of the contents are shared between the threads.
                    let bytes = vec![if k % 2 == 0 { 0 } else { n }, k];
                    let id = objects.put(&bytes).unwrap().sha256;
                    assert_eq!(objects.get(&id).unwrap(), bytes);
                }
            });
        }
    });
    assert_eq!(fs::read_dir(dir.path().join("objects/incoming")).unwrap().count(), 0);
}
