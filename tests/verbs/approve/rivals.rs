//! A train that another machine has staged in the same store is named, and no rival is made or helped.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::approve::homes::{Approver, Operator, two};

/// The operator's train file on Bob's machine.
fn same_train(operator: &Operator, bob: &Approver) -> String {
    let from = operator.0.train_file();
    let to = bob.project().parent().unwrap().join("train.toml");
    let patches = bob.project().parent().unwrap().join("patches");
    let copied = Command::new("cp").arg("-a").arg(from.parent().unwrap().join("patches")).arg(&patches).status();
    assert!(copied.unwrap().success());
    fs::copy(from, &to).unwrap();
    to.display().to_string()
}

fn note(operator: &Operator) -> PathBuf {
    let staging = operator.0.store().join(".staging");
    let dirs = fs::read_dir(staging).unwrap().map(|e| e.unwrap().path().join("train.json"));
    dirs.into_iter().find(|p| p.exists()).unwrap()
}

#[test]
fn a_second_machine_is_told_and_makes_no_rival() {
    let (operator, bob) = two();
    bob.run(&["approve", "--as", "bob"]).fails(2, &["there is no train", "lifeboat approve --bundle FILE --as bob"]);
    operator.0.to_the_gate();
    let file = same_train(&operator, &bob);
    let how = "ask its operator for a bundle (there: `lifeboat export drill --to FILE`)";
    let there = "another machine has train `drill` (plan ";
    let planned = bob.run(&["plan", &file]).ends_with(0);
    assert!(planned.stderr.contains(there) && planned.stderr.contains(how), "{}", planned.stderr);
    let ran = bob.run(&["ship", &file]).fails(4, &[there, "it is this very plan; nothing was adopted here", how]);
    assert!(ran.stderr.contains("lifeboat approve --bundle FILE --as NAME --out APPROVAL"), "{}", ran.stderr);
    assert!(!bob.state().join("trains").exists() && !bob.state().join("claims").exists(), "a rival was begun");
    for args in [&["approve", "--as", "bob"][..], &["approve", "drill", "--as", "bob"]] {
        let ran = bob.run(args).fails(2, &[there, how, "--as bob --out APPROVAL"]);
        assert!(!ran.stderr.contains("lifeboat ship"), "it leads to a rival train:\n{}", ran.stderr);
    }
    // A rehearsal is nobody's rival, and has none.
    bob.run(&["ship", &file, "--dry-run"]);
    operator.run(&["abandon", "--reason", "over"]).ends_with(0);
    bob.run(&["ship", &file]).ends_with(3);
}

#[test]
fn giving_a_rival_up_retires_nothing_that_another_machine_releases() {
    let (operator, bob) = two();
    operator.0.to_the_gate();
    let file = same_train(&operator, &bob);
    // As if both had begun at once.
    let (note, away) = (note(&operator), operator.0.root().join("note"));
    fs::rename(&note, &away).unwrap();
    let config = bob.project().join("lifeboat.toml");
    let secret = operator.0.root().join("sample/secret");
    let text = fs::read_to_string(&config).unwrap().replace("../secret", &secret.display().to_string());
    fs::write(&config, text).unwrap();
    bob.run(&["ship", &file]).ends_with(3);
    bob.run(&["approve", "--as", "carol", "--yes"]).ends_with(0);
    fs::rename(&away, &note).unwrap();
    let ran = bob.run(&["abandon", "--reason", "a rival"]).ends_with(0);
    assert!(
        ran.stdout.contains("not retired, for it is to be released: another machine has train `drill`"),
        "{}",
        ran.stdout
    );
    bob.run(&["refresh"]).ends_with(0);
    operator.run(&["approve", "--as", "alice", "--yes"]).ends_with(0);
    operator.run(&["approve", "--as", "carol", "--yes"]).ends_with(0);
    let ran = operator.0.ship().ends_with(0);
    assert!(ran.stdout.contains("released"), "{}", ran.stdout);
    bob.run(&["refresh"]).ends_with(0);
}
