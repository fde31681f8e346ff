use super::*;

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn modes_are_as_given_whatever_the_umask() {
    let dir = tempfile::tempdir().unwrap();
    let at = |n: &str| dir.path().join(n);
    // The usual umask 022 would make these 0755 and 0644.
    HostDisk.create_dir(&at("d"), 0o777).unwrap();
    drop(HostDisk.create_new(&at("f"), 0o666).unwrap());
    drop(HostDisk.append(&at("a"), 0o620).unwrap());
    assert_eq!((mode(&at("d")), mode(&at("f")), mode(&at("a"))), (0o777, 0o666, 0o620));
    drop(HostDisk.append(&at("a"), 0o600).unwrap());
    assert_eq!(mode(&at("a")), 0o620, "an existing file keeps its mode");
    HostDisk.set_mode(&at("f"), 0o400).unwrap();
    assert_eq!(mode(&at("f")), 0o400);
    drop(HostDisk.try_lock(&at("l")).unwrap().unwrap());
    assert_eq!(mode(&at("l")), 0o600);
}

#[test]
fn create_new_replaces_nothing_and_follows_no_link() {
    let dir = tempfile::tempdir().unwrap();
    let at = |n: &str| dir.path().join(n);
    fs::write(at("there"), "x").unwrap();
    std::os::unix::fs::symlink(at("target"), at("link")).unwrap();
    for name in ["there", "link"] {
        let e = HostDisk.create_new(&at(name), 0o600).err().unwrap();
        assert_eq!(e.kind(), ErrorKind::AlreadyExists, "{name}");
    }
    assert!(HostDisk.append(&at("link"), 0o600).is_err());
    assert!(HostDisk.try_lock(&at("link")).is_err());
    assert!(!at("target").exists());
    assert_eq!(HostDisk.hard_link(&at("there"), &at("link")).unwrap_err().kind(), ErrorKind::AlreadyExists);
}

#[test]
fn absence_is_no_failure() {
    let dir = tempfile::tempdir().unwrap();
    let none = dir.path().join("none");
    assert!(HostDisk.read(&none).unwrap().is_none());
    assert!(HostDisk.open(&none).unwrap().is_none());
    assert!(HostDisk.entry(&none).unwrap().is_none());
    assert!(HostDisk.list(&none).unwrap().is_empty());
    HostDisk.remove_file(&none).unwrap();
    HostDisk.remove_dir_all(&none).unwrap();
    assert!(HostDisk.sync_dir(&none).is_err());
    assert!(HostDisk.open(dir.path()).is_err(), "a directory is not a file");
    fs::write(&none, "").unwrap();
    assert_eq!(HostDisk.create_dir(&none, 0o700).unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert!(HostDisk.sync_dir(&none).is_err(), "a file is not a directory");
}

#[test]
fn one_lock_at_a_time_even_within_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lock");
    let held = HostDisk.try_lock(&path).unwrap().unwrap();
    assert!(HostDisk.try_lock(&path).unwrap().is_none());
    drop(held);
    let held = HostDisk.try_lock(&path).unwrap();
    assert!(held.is_some());
}

/// A child has its parent's files open from its fork to its exec.
#[test]
fn a_lock_is_given_up_though_a_child_has_the_file_open() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lock");
    let file = fs::File::create(&path).unwrap();
    file.lock().unwrap();
    let of_the_child = file.try_clone().unwrap();
    let held = LockedFile(file);
    assert!(HostDisk.try_lock(&path).unwrap().is_none());
    drop(held);
    assert!(HostDisk.try_lock(&path).unwrap().is_some());
    drop(of_the_child);
}

#[test]
fn removal_follows_no_link_and_takes_read_only_directories() {
    let dir = tempfile::tempdir().unwrap();
    let at = |n: &str| dir.path().join(n);
    fs::create_dir_all(at("kept")).unwrap();
    fs::write(at("kept/file"), "x").unwrap();
    fs::create_dir_all(at("gone/inner")).unwrap();
    std::os::unix::fs::symlink(at("kept"), at("gone/inner/link")).unwrap();
    fs::write(at("gone/inner/f"), "x").unwrap();
    fs::set_permissions(at("gone/inner"), Permissions::from_mode(0o500)).unwrap();
    make_removable(&at("gone")).unwrap();
    assert_eq!(mode(&at("gone/inner")), 0o700);
    HostDisk.remove_dir_all(&at("gone")).unwrap();
    assert!(!at("gone").exists() && at("kept/file").exists());
}

#[test]
fn lists_what_there_is() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("b"), "123").unwrap();
    fs::create_dir(dir.path().join("a")).unwrap();
    std::os::unix::fs::symlink("b", dir.path().join("c")).unwrap();
    let seen: Vec<_> = HostDisk.list(dir.path()).unwrap().into_iter().map(|e| (e.name, e.kind, e.size)).collect();
    let want = [("a", PathKind::Dir, 0), ("b", PathKind::File, 3), ("c", PathKind::Symlink, 0)];
    assert_eq!(seen, want.map(|(n, k, s)| (n.to_owned(), k, s)));
    assert!(HostDisk.free_space(dir.path()).unwrap() > 0);
}
