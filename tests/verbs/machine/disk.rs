//! A disk that is full, and what every verb of a train says of it.

use std::fs;

use crate::support::namespaces::Namespaces;
use crate::support::sample_train::{REFUSING, Ran, SampleTrain};

#[test]
fn a_full_disk_is_named_by_ship_approve_and_abandon() {
    let train = SampleTrain::unpinned(REFUSING);
    let state = train.state();
    fs::create_dir(&state).unwrap();
    let shown = state.display().to_string();
    let space = Namespaces::mounts();
    let run = |args: &[&str]| Ran::of(&mut space.inside(&train.command(args)));
    space.shell(&format!("mount -t tmpfs -o size=24m none '{shown}'"));
    let root = fs::read(train.project().join("keys/trust.json")).unwrap();
    run(&["trust", "pin", &lifeboat::model::Sha256::of(&root).hex()]).ends_with(0);
    let file = train.train_file().display().to_string();
    run(&["ship", &file]).ends_with(3);
    // Somebody else fills it, to the last byte.
    space.shell(&format!("head -c 40000000 /dev/zero > '{shown}/filler' 2>/dev/null || :"));
    let said =
        ["no space left on the disk of `", &shown, "`: 0 bytes free, at least ", " needed", "hint: free some space"];
    for verb in [&["approve", "--as", "alice", "--yes"][..], &["plan", &file], &["amend", &file, "--yes"]] {
        run(verb).fails(5, &said);
    }
    // Reading needs no room.
    run(&["status"]).ends_with(0);
    run(&["log"]).ends_with(0);
    // Giving up needs a record, and the jobs' files make room for it.
    let ran = run(&["abandon", "--reason", "the disk is full"]);
    if ran.code != Some(0) {
        let ran = ran.fails(5, &said);
        assert!(ran.stderr.contains("cannot append to journal"), "{}", ran.stderr);
    }
    space.shell(&format!("rm '{shown}/filler'"));
    let ran = run(&["abandon", "drill", "--reason", "the disk is full"]).ends_with(0);
    assert!(ran.stdout.contains("train `drill` is abandoned"), "{}", ran.stdout);
}

#[test]
fn a_train_goes_on_after_a_disk_was_full_at_its_gate() {
    let train = SampleTrain::unpinned(REFUSING);
    let state = train.state();
    fs::create_dir(&state).unwrap();
    let shown = state.display().to_string();
    let space = Namespaces::mounts();
    let run = |args: &[&str]| Ran::of(&mut space.inside(&train.command(args)));
    space.shell(&format!("mount -t tmpfs -o size=24m none '{shown}'"));
    let root = fs::read(train.project().join("keys/trust.json")).unwrap();
    run(&["trust", "pin", &lifeboat::model::Sha256::of(&root).hex()]).ends_with(0);
    run(&["ship", &train.train_file().display().to_string()]).ends_with(3);
    for person in ["alice", "bob"] {
        run(&["approve", "--as", person, "--yes"]).ends_with(0);
    }
    space.shell(&format!("head -c 40000000 /dev/zero > '{shown}/filler' 2>/dev/null || :"));
    run(&["ship"]).fails(5, &["no space left on the disk of `", &shown, "bytes free", "hint: free some space"]);
    assert!(!train.store().join("releases").exists(), "something is public");
    space.shell(&format!("rm '{shown}/filler'"));
    let ran = run(&["ship"]).ends_with(0);
    assert!(ran.stdout.contains("released"), "{}", ran.stdout);
}
