//! The program in a checkout: the diff, the files, and kills at every point of writing them.

use std::path::Path;
use std::process::{Command, Output};

const FILES: [(&str, &str); 4] = [
    ("Cargo.toml", "[workspace]\nmembers = ['a', 'b']\n"),
    ("a/Cargo.toml", "[package]\nname = 'a'\nversion = '1.2.3'\n"),
    (
        "b/Cargo.toml",
        "[package]\nname = 'b'\nversion = '1.2.3'\n[dependencies]\na = { path = '../a', version = '=1.2.3' }\n",
    ),
    (
        "lifeboat.toml",
        "[project]\nname = 'x'\n[version]\nafter = [{ run = 'grep -q 1.2.4 a/Cargo.toml && touch hooked' }]\n[[target]]\nname = 'y'\n",
    ),
];

fn git(dir: &Path, args: &[&str]) {
    let isolated = [("GIT_CONFIG_GLOBAL", "/dev/null"), ("GIT_CONFIG_SYSTEM", "/dev/null")];
    let ok = Command::new("git").arg("-C").arg(dir).args(args).envs(isolated).status().unwrap();
    assert!(ok.success(), "git {args:?}");
}

fn checkout() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in FILES {
        let at = dir.path().join(path);
        std::fs::create_dir_all(at.parent().unwrap()).unwrap();
        std::fs::write(at, text).unwrap();
    }
    git(dir.path(), &["init", "-q"]);
    git(dir.path(), &["add", "-A"]);
    git(dir.path(), &["-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qm", "x"]);
    dir
}

fn bump(dir: &Path, more: &[&str], kill: Option<usize>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lifeboat"));
    command
        .current_dir(dir)
        .args(["bump", "--config", "lifeboat.toml", "--to", "patch", "--date", "2026-05-21"])
        .args(more);
    if let Some(after) = kill {
        command.env("LIFEBOAT_TEST_KILL_BUMP", after.to_string());
    }
    command.output().unwrap()
}

/// How many of the two manifests are at the new version.
fn moved(dir: &Path) -> usize {
    let at = |p: &str| std::fs::read_to_string(dir.join(p)).unwrap();
    [("a/Cargo.toml", FILES[1].1), ("b/Cargo.toml", FILES[2].1)]
        .iter()
        .filter(|(path, before)| {
            let now = at(path);
            assert!(now == *before || now == before.replace("1.2.3", "1.2.4"), "{path} is torn: {now}");
            now != *before
        })
        .count()
}

#[test]
fn a_dry_run_prints_what_git_applies_and_changes_nothing() {
    let dir = checkout();
    let out = bump(dir.path(), &["--dry-run"], None);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert_eq!(moved(dir.path()), 0);
    std::fs::write(dir.path().join("d.patch"), &out.stdout).unwrap();
    git(dir.path(), &["apply", "d.patch"]);
    assert_eq!(moved(dir.path()), 2);
}

#[test]
fn killed_anywhere_the_same_command_again_makes_it_whole() {
    let mut kills = 0;
    for point in 0.. {
        let dir = checkout();
        let first = bump(dir.path(), &["--no-hooks"], Some(point));
        if first.status.success() {
            break;
        }
        kills += 1;
        moved(dir.path());
        let second = bump(dir.path(), &["--no-hooks"], None);
        assert!(second.status.success(), "{}", String::from_utf8_lossy(&second.stderr));
        assert_eq!(moved(dir.path()), 2, "killed at {point}");
        let left =
            Command::new("git").arg("-C").arg(dir.path()).args(["status", "--porcelain", "-uall"]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&left.stdout), " M a/Cargo.toml\n M b/Cargo.toml\n", "killed at {point}");
        assert!(!dir.path().join(".git/lifeboat-bump").exists());
    }
    assert_eq!(kills, 6, "the record, two files beside, two renames, and before the record goes");
}

#[test]
fn a_file_edited_after_a_crash_is_not_overwritten() {
    let dir = checkout();
    bump(dir.path(), &["--no-hooks"], Some(4));
    std::fs::write(dir.path().join("b/Cargo.toml"), "mine").unwrap();
    let again = bump(dir.path(), &["--no-hooks"], None);
    assert_eq!(again.status.code(), Some(4), "{}", String::from_utf8_lossy(&again.stderr));
    assert_eq!(std::fs::read_to_string(dir.path().join("b/Cargo.toml")).unwrap(), "mine");
}

#[test]
fn hooks_see_the_bumped_tree_and_no_network_and_no_secrets() {
    let dir = checkout();
    let rules = "[version]\nafter = [{ run = 'grep -q 1.2.4 a/Cargo.toml && test -z \"$SECRET\" && ! ip route 2>/dev/null | grep . && touch hooked' }]\n";
    std::fs::write(dir.path().join("lifeboat.toml"), rules).unwrap();
    let out = bump(dir.path(), &[], None);
    let unshare = Command::new("unshare").args(["--user", "--map-root-user", "--net", "--", "true"]).status();
    if unshare.is_ok_and(|s| s.success()) {
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        assert!(dir.path().join("hooked").exists());
    } else {
        assert!(!out.status.success(), "a hook that cannot be isolated must not count as run");
    }
}
