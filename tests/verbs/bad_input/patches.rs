//! Patches that are not what they seem, and trees that people have.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use super::*;

const BRANCH: &str = "release-2.0.0";

/// Commits what `change` makes of the checkout of the sample's second line.
fn commit(train: &SampleTrain, message: &str, change: impl FnOnce(&Path)) {
    change(&train.project());
    git(train, &["add", "-A", "--", ".", ":!lifeboat.toml", ":!keys"]).ends_with(0);
    let who = ["-c", "user.name=M", "-c", "user.email=m@example.org"];
    git(train, &[&who[..], &["commit", "-q", "-m", message]].concat()).ends_with(0);
}

/// Makes what `change` does a patch of the second line, after those that it has.
fn patch(train: &SampleTrain, message: &str, change: impl FnOnce(&Path)) {
    let dir = train.train_file().parent().unwrap().join("patches").join(BRANCH);
    commit(train, message, change);
    let to = dir.display().to_string();
    git(train, &["format-patch", "-q", "--binary", "--start-number", "9", "-1", "-o", &to]).ends_with(0);
    git(train, &["reset", "-q", "--hard", "HEAD~1"]).ends_with(0);
}

fn replaced(file: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(file, text.replace(from, to)).unwrap();
}

#[test]
fn a_fix_that_moves_the_version_itself() {
    let train = SampleTrain::new();
    patch(&train, "Fix, and release 2.0.2", |dir| {
        for file in ["Cargo.toml", "Cargo.lock"] {
            replaced(&dir.join(file), "version = \"2.0.1\"", "version = \"2.0.2\"");
        }
        replaced(&dir.join("include/sample.h"), "2.0.1", "2.0.2");
        replaced(&dir.join("include/sample.h"), "PATCH 1", "PATCH 2");
    });
    let file = train.train_file().display().to_string();
    let said = ["the patches themselves move the version, from 2.0.1 to 2.0.2", "out of the series", "to = \"X.Y.Z\""];
    train.run(&["plan", &file]).fails(2, &said);
    train.adopt().fails(2, &said);
    // What it says helps: the plan and the commits that are made agree.
    let line = format!("branch = \"{BRANCH}\"");
    train.edit(&train.train_file(), &line, &format!("{line}\nto = \"2.0.3\""));
    let plan = train.run(&["plan", &file]).ends_with(0);
    assert!(plan.stdout.contains("2.0.2 -> 2.0.3"), "{}", plan.stdout);
    train.to_the_gate();
}

#[test]
fn a_patch_that_deletes_files_is_said_loudly() {
    let train = SampleTrain::new();
    patch(&train, "Remove what is not used", |dir| {
        fs::remove_file(dir.join("src/lib.rs")).unwrap();
        fs::write(dir.join("src/main.rs"), "fn main() {}\n").unwrap();
    });
    let plan = train.run(&["plan", &train.train_file().display().to_string()]).ends_with(0);
    let said = "! **deletes 1 file** (by their old names those that are renamed): src/lib.rs";
    assert_eq!(plan.stdout.matches(said).count(), 1, "{}", plan.stdout);
    train.to_the_gate();
    let review = train.run(&["approve", "--as", "alice", "--yes"]).ends_with(0);
    assert_eq!(review.stdout.matches(said).count(), 1, "{}", review.stdout);
    train.run(&["status"]).ends_with(0);
}

#[test]
fn a_file_with_a_name_in_an_old_encoding() {
    let train = SampleTrain::new();
    commit(&train, "An old name", |dir| fs::write(dir.join(OsStr::from_bytes(b"na\xefve.txt")), "x\n").unwrap());
    // And the fix touches it.
    patch(&train, "Touch it", |dir| fs::write(dir.join(OsStr::from_bytes(b"na\xefve.txt")), "y\n").unwrap());
    train.to_the_gate();
    train.release();
    let served = train.store().join("git/sample.git").display().to_string();
    let list = git(&train, &["-c", "safe.directory=*", "--git-dir", &served, "ls-tree", BRANCH]).ends_with(0);
    assert!(list.stdout.contains("na\\357ve.txt"), "{}", list.stdout);
}

#[test]
fn a_command_that_changes_a_file_with_such_a_name() {
    let train = SampleTrain::new();
    commit(&train, "An old name", |dir| {
        fs::write(dir.join(OsStr::from_bytes(b"na\xefve.txt")), "x\n").unwrap();
        let script = dir.join("version.sh");
        let text = fs::read_to_string(&script).unwrap();
        fs::write(script, format!("{text}\nfor f in na*ve.txt; do echo y > \"$f\"; done\n")).unwrap();
    });
    train.adopt().fails(1, &["whose name is not UTF-8", "step: prepare/"]);
}

#[test]
fn pointers_of_git_lfs_are_told() {
    let train = SampleTrain::new();
    commit(&train, "Large files", |dir| {
        fs::write(dir.join(".gitattributes"), "*.bin filter=lfs diff=lfs merge=lfs -text\n").unwrap();
        let pointer =
            format!("version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 12345\n", "5".repeat(64));
        fs::write(dir.join("data.bin"), pointer).unwrap();
    });
    let said = "file `data.bin` is kept in Git LFS: the source archive, and what builds from it, get the pointers";
    let plan = train.run(&["plan", &train.train_file().display().to_string()]).ends_with(0);
    assert!(plan.stdout.contains(said), "{}", plan.stdout);
    train.to_the_gate();
    let review = train.run(&["approve", "--as", "alice", "--yes"]).ends_with(0);
    assert!(review.stdout.contains(said), "{}", review.stdout);
}

#[test]
fn half_of_a_mail_is_no_patch() {
    let train = SampleTrain::new();
    patch(&train, "Two files", |dir| {
        for (file, text) in [("a.txt", "a\n"), ("b.txt", "b\n")] {
            fs::write(dir.join(file), text).unwrap();
        }
    });
    let dir = train.train_file().parent().unwrap().join("patches").join(BRANCH);
    let mail = dir.join("0009-Two-files.patch");
    let text = fs::read_to_string(&mail).unwrap();
    let second = text.rfind("diff --git ").unwrap();
    let file = train.train_file().display().to_string();
    for (cut, said) in [
        (text[..second].to_owned(), "its diffstat counts 2 files, and its change is of 1"),
        (format!("{}diff --gi", &text[..second]), "diff --gi"),
        (
            text.replacen("\n---\n", &format!("\n\n{}\n---\n", &text[text.find("diff --git ").unwrap()..second]), 1),
            "text stands between the changes of two files",
        ),
    ] {
        fs::write(&mail, cut).unwrap();
        train.run(&["plan", &file]).fails(2, &["`0009-Two-files.patch`", said, "line `release-2.0.0`", "hint: "]);
        train.adopt().ends_with(2);
    }
    assert!(!train.train_dir("drill").exists());
    // A whole mail that says that there is another one.
    fs::write(&mail, text.replacen("Subject: [PATCH] ", "Subject: [PATCH 2/3] ", 1)).unwrap();
    let plan = train.run(&["plan", &file]).ends_with(0);
    assert!(plan.stdout.contains("line `release-2.0.0`: the series has no mail 1/3, 3/3"), "{}", plan.stdout);
}
