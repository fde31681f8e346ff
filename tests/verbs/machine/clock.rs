//! A machine whose clock moves while a train waits.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::support::sample_train::{Ran, SampleTrain};

/// A library that moves the time of day for whoever loads it first, made once.
fn moved_clock() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("clock-{}.so", std::process::id()));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/clock.c");
        let made =
            Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).arg("-ldl").status();
        assert!(made.expect("no `cc`: apt-get install build-essential").success());
        library
    })
}

/// Runs the program on a machine whose clock is so many days ahead.
fn days_ahead(train: &SampleTrain, days: u32, args: &[&str]) -> Ran {
    let mut command = train.command(args);
    command.env("LD_PRELOAD", moved_clock()).env("LIFEBOAT_TEST_AHEAD", (days * 24 * 60 * 60).to_string());
    Ran::of(&mut command)
}

#[test]
fn approvals_that_lapsed_are_named_and_made_again() {
    let train = SampleTrain::new();
    train.to_the_gate();
    train.approve();
    // On the last day they count.
    let status = days_ahead(&train, 6, &["status"]).ends_with(0);
    assert!(!status.stdout.contains("does not count"), "{}", status.stdout);
    let ran = days_ahead(&train, 8, &["ship"]).ends_with(3);
    for person in ["alice", "bob"] {
        let said = format!("an approval does not count: {person}: ");
        let line = ran.stdout.lines().find(|l| l.contains(&said));
        assert!(line.is_some_and(|l| l.contains("expired on ")), "{}", ran.stdout);
    }
    assert!(ran.stdout.contains("0 of 2 people have approved"), "{}", ran.stdout);
    assert!(!train.store().join("releases").exists(), "it is public without approvals that count");
    let status = days_ahead(&train, 8, &["status"]).ends_with(0);
    assert!(status.stdout.contains("expired on "), "{}", status.stdout);
    // The same people approve again, and it goes on.
    days_ahead(&train, 8, &["approve", "--as", "alice", "--yes"]).ends_with(0);
    let ran = days_ahead(&train, 8, &["ship"]).ends_with(3);
    assert!(ran.stdout.contains("1 of 2 people have approved"), "{}", ran.stdout);
    days_ahead(&train, 8, &["approve", "--as", "bob", "--yes"]).ends_with(0);
    let ran = days_ahead(&train, 8, &["ship"]).ends_with(0);
    assert!(ran.stdout.contains("released"), "{}", ran.stdout);
}
