//! Nothing becomes public before it can be finished: what a required step after the gate needs is there before it opens.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking; clippy exempts test functions only")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::sample_train::{Ran, SampleTrain};

/// git in a directory, with the sample's surroundings; what it printed.
fn git(train: &SampleTrain, dir: &Path, args: &[&str]) -> String {
    let mut command = Command::new("git");
    train.surround(&mut command);
    command.current_dir(dir).args(["-c", "user.name=M", "-c", "user.email=m@example.org"]).args(args);
    Ran::of(&mut command).ends_with(0).stdout.trim().to_owned()
}

/// Puts two commits on a line, so that its history has a file that its head lacks; gives the id of that file.
fn with_history(train: &SampleTrain) -> String {
    let project = train.project();
    git(train, &project, &["checkout", "-q", "release-1.0.0"]);
    fs::write(project.join("notes.txt"), "what once was\n").unwrap();
    git(train, &project, &["add", "notes.txt"]);
    git(train, &project, &["commit", "-q", "-m", "Add notes"]);
    let blob = git(train, &project, &["rev-parse", "HEAD:notes.txt"]);
    fs::write(project.join("notes.txt"), "what is now\n").unwrap();
    git(train, &project, &["commit", "-q", "-a", "-m", "Change notes"]);
    git(train, &project, &["checkout", "-q", "release-2.0.0"]);
    blob
}

fn loose(train: &SampleTrain, object: &str) -> PathBuf {
    train.project().join(".git/objects").join(&object[..2]).join(&object[2..])
}

fn nothing_is_public(train: &SampleTrain) {
    for place in ["releases", "git", "keys"] {
        assert!(!train.store().join(place).exists(), "`{place}` is in the store");
    }
}

#[test]
fn a_lost_old_file_stops_the_train_before_the_gate_and_does_not_matter_after_it() {
    let train = SampleTrain::new();
    let lost = loose(&train, &with_history(&train));
    let kept = train.root().join("kept");
    fs::rename(&lost, &kept).unwrap();
    train.adopt().fails(2, &["1 objects of the history are not in the clone", "fetch --refetch", "missing: "]);
    nothing_is_public(&train);
    fs::rename(&kept, &lost).unwrap();
    train.ship().ends_with(3);
    // What was packed is kept with the train: the clone may lose it by now.
    fs::rename(&lost, &kept).unwrap();
    train.release();
    git(&train, train.root(), &["clone", "-q", &format!("{}/git/sample.git", train.store().display()), "reader"]);
    git(&train, &train.root().join("reader"), &["fsck", "--strict"]);
    let notes = git(&train, &train.root().join("reader"), &["show", "origin/release-1.0.0~3^:notes.txt"]);
    assert_eq!(notes, "what once was");
}

#[test]
fn a_base_that_is_pruned_after_the_approvals_stops_the_train_at_the_gate() {
    let train = SampleTrain::new();
    with_history(&train);
    train.to_the_gate();
    train.approve();
    let project = train.project();
    let base = git(&train, &project, &["rev-parse", "release-1.0.0"]);
    let bare = train.root().join("kept.git").display().to_string();
    git(&train, &project, &["clone", "-q", "--bare", ".", &bare]);
    git(&train, &project, &["branch", "-q", "-D", "release-1.0.0"]);
    git(&train, &project, &["tag", "-d", "v1.0.4"]);
    git(&train, &project, &["reflog", "expire", "--expire=now", "--all"]);
    git(&train, &project, &["gc", "-q", "--prune=now"]);
    let ran = train.ship();
    assert_ne!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.contains(&base[..12]) || ran.stderr.contains("history"), "{ran:?}");
    nothing_is_public(&train);
    git(&train, &project, &["fetch", "-q", &bare, "release-1.0.0:release-1.0.0"]);
    train.ship().ends_with(0);
}
