//! Git as people have it: every form of clone that git reads can be bumped and learned from.

use std::path::Path;
use std::process::{Command, Output};

use super::checkout::{checkout, git};

fn lifeboat(dir: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lifeboat"));
    command.current_dir(dir).args(arguments).envs(variables.iter().copied()).output().unwrap()
}

const PATCH: [&str; 6] = ["bump", "--to", "patch", "--date", "2026-05-21", "--no-hooks"];

fn bumps(dir: &Path) {
    let out = lifeboat(dir, &PATCH, &[]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    for path in ["a/Cargo.toml", "b/Cargo.toml"] {
        assert!(std::fs::read_to_string(dir.join(path)).unwrap().contains("1.2.4"), "{path}");
    }
}

#[test]
fn a_split_and_a_sparse_index_are_read() {
    let dir = checkout();
    git(dir.path(), &["update-index", "--split-index"]);
    git(dir.path(), &["config", "core.splitIndex", "true"]);
    bumps(dir.path());
    let dir = checkout();
    for path in ["x/y/1.txt", "x/z/2.txt"] {
        std::fs::create_dir_all(dir.path().join(path).parent().unwrap()).unwrap();
        std::fs::write(dir.path().join(path), "x").unwrap();
    }
    git(dir.path(), &["add", "-A"]);
    git(dir.path(), &["-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qm", "x"]);
    git(dir.path(), &["sparse-checkout", "set", "--cone", "--sparse-index", "a", "b"]);
    let raw = std::fs::read(dir.path().join(".git/index")).unwrap();
    assert!(raw.windows(4).any(|w| w == b"sdir"), "the index is sparse");
    bumps(dir.path());
}

#[test]
fn extensions_that_only_git_knows_are_no_hindrance() {
    let dir = checkout();
    git(dir.path(), &["tag", "v1.2.3"]);
    let bumped = |text: &str| text.replace("1.2.3", "1.2.4");
    for path in ["a/Cargo.toml", "b/Cargo.toml"] {
        let at = dir.path().join(path);
        std::fs::write(&at, bumped(&std::fs::read_to_string(&at).unwrap())).unwrap();
    }
    git(dir.path(), &["rm", "-q", "--cached", "lifeboat.toml"]);
    std::fs::remove_file(dir.path().join("lifeboat.toml")).unwrap();
    git(dir.path(), &["-c", "user.name=x", "-c", "user.email=x@x.example", "commit", "-qam", "1.2.4"]);
    git(dir.path(), &["tag", "v1.2.4"]);
    let forms: [&[&str]; 2] =
        [&["clone", "-q", "--ref-format=reftable"], &["clone", "-q", "--filter=blob:limit=1m", "--no-local"]];
    for form in forms {
        let to = tempfile::tempdir().unwrap();
        let at = to.path().join("clone");
        git(dir.path(), &["config", "uploadpack.allowFilter", "true"]);
        let paths = [dir.path().to_str().unwrap(), at.to_str().unwrap()];
        if form[2].contains("reftable") && !supports_reftable() {
            // Git before 2.45 has no reftable, so nobody on this machine can have such a clone.
            continue;
        }
        git(to.path(), &[form, &paths].concat());
        if form[2].contains("filter") {
            // As `git fetch --filter` leaves it.
            git(&at, &["config", "core.repositoryFormatVersion", "1"]);
            git(&at, &["config", "extensions.partialClone", "origin"]);
        }
        let out = lifeboat(&at, &["init"], &[]);
        assert!(out.status.success(), "{form:?}: {}", String::from_utf8_lossy(&out.stderr));
        let out = lifeboat(&at, &PATCH, &[]);
        assert!(out.status.success(), "{form:?}: {}", String::from_utf8_lossy(&out.stderr));
        assert!(std::fs::read_to_string(at.join("a/Cargo.toml")).unwrap().contains("1.2.5"));
    }
    // Without any old file there is nothing to learn from, and it is said how to get them.
    let to = tempfile::tempdir().unwrap();
    let at = to.path().join("clone");
    let paths = [dir.path().to_str().unwrap(), at.to_str().unwrap()];
    git(to.path(), &[&["clone", "-q", "--filter=blob:none", "--no-local"][..], &paths].concat());
    let out = lifeboat(&at, &["init"], &[]);
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.code() == Some(2) && said.contains("git fetch --refetch --no-filter"), "{said}");
}

fn supports_reftable() -> bool {
    let dir = tempfile::tempdir().unwrap();
    let init = Command::new("git").args(["init", "-q", "--ref-format=reftable"]).arg(dir.path()).output().unwrap();
    init.status.success()
}

/// A CI job says `safe.directory` in the environment, where its checkout belongs to another user.
#[test]
fn settings_in_the_environment_count() {
    // Only root can give a directory away.
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let dir = checkout();
    let done = Command::new("chown").args(["-R", "12345"]).arg(dir.path()).status().unwrap();
    assert!(done.success());
    let none = ("GIT_CONFIG_GLOBAL", "/dev/null");
    let out = lifeboat(dir.path(), &PATCH, &[none]);
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(
        out.status.code() == Some(2) && said.contains("another user owns it") && said.contains("safe.directory"),
        "{said}"
    );
    let pairs = [("GIT_CONFIG_COUNT", "1"), ("GIT_CONFIG_KEY_0", "safe.directory"), ("GIT_CONFIG_VALUE_0", "*")];
    let out = lifeboat(dir.path(), &PATCH, &[&[none][..], &pairs].concat());
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}
