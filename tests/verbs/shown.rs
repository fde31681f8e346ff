//! What people see, word by word: the files of `tests/snapshots`.

use std::fs;
use std::path::Path;

use crate::support::sample_train::{SampleTrain, verbs};
use crate::support::snapshots::{Session, same_as};

/// The help of each verb; the options of every verb stand under a heading of their own, below the others.
#[test]
fn help() {
    let train = SampleTrain::unpinned(crate::support::sample_train::REFUSING);
    let shown = |args: &[&str]| train.run(args).ends_with(0).stdout;
    let own =
        |text: &str| text.split_once("\nGlobal Options:\n").map(|(own, global)| (own.to_owned(), global.to_owned()));
    let top = shown(&["--help"]);
    same_as("help/lifeboat.txt", &top);
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
    session.shows("Before: is this machine ready?", &["doctor"], 0);
    session.shows("What would happen", &["plan", &file], 0);
    session.is("train/1-plan.txt");

    let mut session = Session::new(&train);
    session.shows("Before there is a train", &["status"], 0);
    session.shows("Adopt it", &["ship", &file], 3);
    session.shows("How it stands at its gate", &["status"], 0);
    session.shows("All its steps", &["status", "drill"], 0);
    session.is("train/2-gate.txt");

    let mut session = Session::new(&train);
    session.shows("The first person", &["approve", "--as", "alice", "--yes"], 0);
    session.shows("One of two has approved", &["status"], 0);
    session.shows("Going on too early", &["ship"], 3);
    session.shows("The second person", &["approve", "--as", "bob", "--yes"], 0);
    session.is("train/3-approval.txt");

    let mut session = Session::new(&train);
    session.shows("Release it; GitHub is down", &["ship"], 0);
    session.shows("What waits", &["status"], 0);
    session.shows("The same, in a list", &["reconcile", "--list"], 0);
    session.shows("Try again, while GitHub is still down", &["reconcile"], 5);
    session.shows("Ship again: nothing is left to do", &["ship"], 0);
    session.is("train/4-released.txt");

    let mut session = Session::new(&train);
    session.shows("A stranger's check", &["verify", "latest", "--line", "release-1.0.0", "../store"], 0);
    session.shows("Who wrote it down", &["log", "--verify"], 0);
    session.shows("The index is fresh", &["refresh"], 0);
    session.shows("People and roles", &["trust", "show"], 0);
    session.is("train/5-after.txt");
}
