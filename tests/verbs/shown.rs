//! What people see, word by word: the files of `tests/snapshots`.

use std::fs;
use std::path::Path;

use crate::support::sample_train::{SampleTrain, verbs};
use crate::support::snapshots::{Session, redacted, same_as};

/// The help of each verb; the options of every verb stand under a heading of their own, below the others.
#[test]
fn help() {
    let train = SampleTrain::unpinned(crate::support::sample_train::REFUSING);
    let shown = |args: &[&str]| train.run(args).ends_with(0).stdout;
    let own =
        |text: &str| text.split_once("\nGlobal Options:\n").map(|(own, global)| (own.to_owned(), global.to_owned()));
    let top = shown(&["--help"]);
    same_as("help/lifeboat.txt", &redacted(&top, train.root()));
    let (_, global) = own(&top).expect("global options have a heading");
    let (global, _) = global.split_once("\nExit codes:\n").unwrap();
    let mut names = vec!["lifeboat".to_owned()];
    for verb in verbs().iter().filter(|v| *v != "help") {
        let text = shown(&[verb, "--help"]);
        let (text, same) = own(&text).unwrap_or_else(|| panic!("`{verb} --help` has no `Global Options`:\n{text}"));
        assert_eq!(same.trim_end(), global.trim_end(), "{verb}");
        same_as(&format!("help/{verb}.txt"), &text);
        names.push(verb.clone());
    }
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots/help")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(names.iter().any(|n| format!("{n}.txt") == name), "no command is called `{name}`: remove the snapshot");
    }
}

#[test]
fn a_train_from_its_plan_to_its_release() {
    let train = SampleTrain::new();
    let file = train.train_file();
    let file = file.strip_prefix(train.root().join("sample")).unwrap();
    let file = format!("../{}", file.display());
    let mut session = Session::new(&train);
    session.shows("Before: is this machine ready?", &["doctor"]);
    session.shows("What would happen", &["plan", &file]);
    session.is("train/1-plan.txt");

    let mut session = Session::new(&train);
    session.shows("Before there is a train", &["status"]);
    session.shows("Adopt it", &["ship", &file]);
    session.shows("How it stands at its gate", &["status"]);
    session.shows("All its steps", &["status", "drill"]);
    session.is("train/2-gate.txt");

    let mut session = Session::new(&train);
    session.shows("The first person", &["approve", "--as", "alice", "--yes"]);
    session.shows("One of two has approved", &["status"]);
    session.shows("Going on too early", &["ship"]);
    session.shows("The second person", &["approve", "--as", "bob", "--yes"]);
    session.is("train/3-approval.txt");

    let mut session = Session::new(&train);
    session.shows("Release it; GitHub is down", &["ship"]);
    session.shows("What waits", &["status"]);
    session.shows("The same, in a list", &["reconcile", "--list"]);
    session.shows("Try again, while GitHub is still down", &["reconcile"]);
    session.shows("Ship again: nothing is left to do", &["ship"]);
    session.is("train/4-released.txt");

    let mut session = Session::new(&train);
    session.shows("A stranger's check", &["verify", "latest", "--line", "release-1.0.0", "../store"]);
    session.shows("Who wrote it down", &["log", "--verify"]);
    session.shows("The index is fresh", &["refresh"]);
    session.shows("People and roles", &["trust", "show"]);
    session.is("train/5-after.txt");
}

#[test]
fn refusals() {
    let train = SampleTrain::unpinned(crate::support::sample_train::REFUSING);
    let file = "../train.toml";
    let good = fs::read_to_string(train.config()).unwrap();
    let mut session = Session::new(&train);
    session.shows("No command", &[]);
    session.shows("A command that does not exist", &["shp"]);
    session.shows("A train file that does not exist", &["plan", "nowhere.toml"]);
    session.shows("Nothing to go on with", &["ship"]);
    session.shows("Nothing to approve", &["approve", "--as", "alice"]);
    session.shows("A train that does not exist", &["status", "other"]);
    session.shows("No trust root is pinned", &["ship", file]);
    session.shows("The wrong digest", &["trust", "pin", &"0".repeat(64)]);
    session.is("refusals/commands.txt");

    let mut session = Session::new(&train);
    let with = |from: &str, to: &str| {
        fs::write(train.config(), &good).unwrap();
        train.edit(&train.config(), from, to);
    };
    with("[project]", "[project]\nbranch = \"release-*\"");
    session.shows("A key that does not exist", &["plan", file]);
    with("[signing]", "[singing]");
    session.shows("A table that does not exist", &["plan", file]);
    with("name = \"mirror\"", "name = \"../mirror\"");
    session.shows("A name that is not valid", &["plan", file]);
    with(crate::support::sample_train::TOKEN, "token = \"ghp_0123456789abcdefghijklmnopqrstuvwxyz\"");
    session.shows("A secret in the file", &["plan", file]);
    with("[project]", "[project");
    session.shows("Not TOML", &["plan", file]);
    fs::write(train.config(), "").unwrap();
    session.shows("An empty file", &["plan", file]);
    fs::remove_file(train.config()).unwrap();
    session.shows("No configuration", &["plan", file]);
    session.is("refusals/configuration.txt");
    fs::write(train.config(), &good).unwrap();

    train.pin();
    let mut session = Session::new(&train);
    let plan = fs::read_to_string(train.train_file()).unwrap();
    for (why, from, to) in [
        ("A branch that does not exist", "\"release-2.0.0\"", "\"release-3.0.0\""),
        ("A key that does not exist", "[[line]]", "[[line]]\nbranches = 1"),
        ("A line twice", "\"release-2.0.0\"", "\"release-1.0.0\""),
    ] {
        fs::write(train.train_file(), &plan).unwrap();
        train.edit(&train.train_file(), from, to);
        session.shows(why, &["plan", file]);
    }
    session.is("refusals/train.txt");
}

#[test]
fn a_train_that_is_amended_and_abandoned() {
    let train = SampleTrain::new();
    train.to_the_gate();
    let file = "../train.toml";
    let mut session = Session::new(&train);
    session.shows("Nothing to amend", &["amend", file, "--yes", "--reason", "why not"]);
    train.edit(&train.config(), "test = [\"sh test.sh {name}\"]", "test = [\"sh test.sh {name}\", \"true\"]");
    session.shows("Show what would change; nobody answers", &["amend", file, "--reason", "one more test"]);
    session.shows("Amend", &["amend", file, "--yes", "--reason", "one more test"]);
    session.shows("How it stands", &["status"]);
    session.shows("Go on", &["ship"]);
    session.shows("A person approves", &["approve", "--as", "alice", "--yes"]);
    session.shows("Abandon it", &["abandon", "--reason", "the fix is wrong"]);
    session.shows("How it stands", &["status"]);
    session.shows("Go on with it", &["ship"]);
    session.shows("The versions that were approved are retired", &["plan", file]);
    session.is("train/6-amended-and-abandoned.txt");
}
