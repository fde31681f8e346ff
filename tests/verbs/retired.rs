//! A version over which signatures exist is never released by anybody once its train was abandoned; and an index that an
//! earlier freshness key signed is gone forward from.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking; clippy exempts test functions only")]

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use crate::support::sample_train::{Ran, SampleTrain};
use lifeboat::effects::Signer as _;
use lifeboat::formats::index::Index;
use lifeboat::model::Sha256;
use lifeboat::signers::openpgp::{SecretKey, generate};
use lifeboat::trust::Root;

fn index(train: &SampleTrain) -> Index {
    Index::from_bytes(&fs::read(train.store().join("releases/index.json")).unwrap()).unwrap()
}

fn retired(train: &SampleTrain) -> Vec<String> {
    index(train).retired.iter().map(ToString::to_string).collect()
}

/// `plan` as another maintainer's machine makes it: nothing of this one's state is there.
fn planned_elsewhere(train: &SampleTrain) -> Ran {
    let state = train.root().join("elsewhere").display().to_string();
    let root = fs::read(train.project().join("keys/trust.json")).unwrap();
    train.run(&["trust", "pin", &Sha256::of(&root).hex(), "--state", &state]).ends_with(0);
    train.run(&["plan", &train.train_file().display().to_string(), "--state", &state])
}

/// The same lines again under another name, at these steps; without the patches once the branches have them.
pub(crate) fn again(train: &SampleTrain, name: &str, to: &str) {
    let text = fs::read_to_string(train.train_file()).unwrap();
    let there = to == "patch";
    let dropped = |l: &&str| l.starts_with("to = ") || (there && l.starts_with("patches"));
    let kept = text.lines().filter(|l| !dropped(l)).map(|l| match l {
        _ if l.starts_with("name") => format!("name = \"{name}\""),
        _ if l.starts_with("branch") => format!("{l}\nto = \"{to}\""),
        _ => l.to_owned(),
    });
    fs::write(train.train_file(), kept.collect::<Vec<_>>().join("\n")).unwrap();
}

#[test]
fn a_retired_version_is_refused_on_every_machine() {
    let train = SampleTrain::new();
    train.to_the_gate();
    planned_elsewhere(&train).ends_with(0);
    train.run(&["approve", "--as", "alice", "--yes"]).ends_with(0);
    let ran = train.run(&["abandon", "--reason", "the fix is wrong"]).ends_with(0);
    assert!(
        ran.stdout
            .contains("signatures over 1.0.5, 2.0.2 exist, so these versions are retired: they will never be released"),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("the index of store `mirror` says so"), "{}", ran.stdout);
    assert_eq!(retired(&train), ["1.0.5", "2.0.2"]);
    let first = index(&train).counter;
    train.run(&["abandon", "drill", "--reason", "once more"]).ends_with(0);
    assert_eq!(index(&train).counter, first, "nothing new to say");
    planned_elsewhere(&train)
        .fails(4, &["store `mirror` has this version already", "retired", "choose the next version"]);
    // The next version ships, and the index keeps saying so.
    again(&train, "drill-2", "minor");
    train.to_the_gate();
    train.release();
    assert_eq!(retired(&train), ["1.0.5", "2.0.2"]);
    let listed: Vec<String> = index(&train).releases.keys().map(ToString::to_string).collect();
    assert_eq!(listed, ["1.1.0", "2.1.0"]);
}

#[test]
fn a_version_that_people_elsewhere_may_have_signed_is_retired() {
    let train = SampleTrain::new();
    train.to_the_gate();
    let bundle = train.root().join("bundle.tar").display().to_string();
    train.run(&["export", "--to", &bundle]).ends_with(0);
    let ran = train.run(&["abandon", "--reason", "the fix is wrong"]).ends_with(0);
    let said = "its review bundle was written, and whoever has it may have signed 1.0.5, 2.0.2";
    assert!(ran.stdout.contains(said), "{}", ran.stdout);
    assert_eq!(retired(&train), ["1.0.5", "2.0.2"]);
    planned_elsewhere(&train).fails(4, &["retired", "choose the next version"]);
}

#[test]
fn a_version_that_nobody_approved_is_not_retired() {
    let train = SampleTrain::new();
    train.to_the_gate();
    let ran = train.run(&["abandon", "--reason", "no"]).ends_with(0);
    assert!(ran.stdout.contains("its versions are free again"), "{}", ran.stdout);
    assert!(!train.store().join("releases").exists());
    planned_elsewhere(&train).ends_with(0);
}

/// A store whose index cannot be written when a train is abandoned is updated later.
#[test]
fn an_index_that_could_not_be_written_is_told_by_refresh_or_the_next_train() {
    for by_refresh in [true, false] {
        let train = SampleTrain::new();
        train.to_the_gate();
        train.approve();
        let (key, away) = (train.key("freshness"), train.root().join("away"));
        fs::rename(&key, &away).unwrap();
        let ran = train.run(&["abandon", "--reason", "no"]).ends_with(5);
        let said = "the index of store `mirror` does not say so yet: ";
        assert!(ran.stdout.contains(said) && ran.stdout.contains("`lifeboat refresh`"), "{}", ran.stdout);
        assert!(!train.store().join("releases/index.json").exists());
        fs::rename(&away, &key).unwrap();
        if by_refresh {
            let ran = train.run(&["refresh"]).ends_with(0);
            assert!(ran.stdout.contains("now with 1.0.5, 2.0.2 as retired"), "{}", ran.stdout);
            let ran = train.run(&["refresh"]).ends_with(0);
            assert!(ran.stdout.contains("mirror: fresh"), "{ran:?}");
        } else {
            again(&train, "drill-2", "minor");
            train.to_the_gate();
            train.release();
        }
        assert_eq!(retired(&train), ["1.0.5", "2.0.2"], "by refresh: {by_refresh}");
    }
}

/// A store that is down keeps no train from being abandoned: the same command clears it later.
#[test]
fn a_store_that_is_down_is_cleared_later() {
    let train = SampleTrain::new();
    train.to_the_gate();
    train.approve();
    let (store, away) = (train.store(), train.root().join("away"));
    fs::rename(&store, &away).unwrap();
    fs::write(&store, "not a directory").unwrap();
    let ran = train.run(&["abandon", "--reason", "no"]);
    assert_ne!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains("staged files are still in store `mirror`"), "{ran:?}");
    fs::remove_file(&store).unwrap();
    fs::rename(&away, &store).unwrap();
    train.run(&["abandon", "drill", "--reason", "no"]).ends_with(0);
    assert_eq!(retired(&train), ["1.0.5", "2.0.2"]);
}

/// Puts a new freshness key into a new trust root that Alice and Bob sign; the key file stays where it was.
pub(crate) fn rotate_freshness(train: &SampleTrain) {
    let keys = train.project().join("keys");
    let old = fs::read(keys.join("trust.json")).unwrap();
    let mut root = Root::from_bytes(&old, "trust.json").unwrap();
    let now = jiff::Timestamp::now() - jiff::SignedDuration::from_mins(1);
    let key = generate("the next freshness key", now).unwrap();
    fs::write(train.key("freshness"), key.secret_armored.expose()).unwrap();
    fs::write(keys.join(format!("{}.asc", key.fingerprint)), &key.certificate_armored).unwrap();
    root.version = 2;
    root.previous = Some(Sha256::of(&old));
    root.roles.freshness.keys = BTreeSet::from([key.fingerprint]);
    let new = root.to_bytes().unwrap();
    fs::write(keys.join("trust.1.json"), &old).unwrap();
    fs::write(keys.join("trust.json"), &new).unwrap();
    for person in ["alice", "bob"] {
        let secret = SecretKey::parse(&fs::read(train.key(person)).unwrap(), person, None, jiff::Timestamp::now());
        let signature = secret.unwrap().sign(&mut &new[..]).unwrap();
        fs::write(keys.join(format!("trust.json.{person}.asc")), signature).unwrap();
    }
}

/// Brings the user's branches to what the store serves.
fn pull(train: &SampleTrain) {
    let served = train.store().join("git/sample.git");
    for branch in ["release-1.0.0", "release-2.0.0"] {
        let mut git = Command::new("git");
        git.args(["fetch", "--quiet", "--update-head-ok"]).arg(&served).arg(format!("{branch}:{branch}"));
        train.surround(&mut git);
        Ran::of(&mut git).ends_with(0);
    }
}

#[test]
fn after_a_new_freshness_key_everybody_goes_forward() {
    for by_refresh in [true, false] {
        let train = SampleTrain::new();
        let store = train.store().display().to_string();
        let verify = |version: &str| train.run(&["verify", version, &store]);
        train.to_the_gate();
        train.release();
        verify("1.0.5").ends_with(0);
        rotate_freshness(&train);
        // Readers take the new key's word alone …
        let ran = verify("1.0.5").ends_with(6);
        assert!(ran.stdout.contains("no key of role freshness"), "{}", ran.stdout);
        // … and what the old one signed is the base of what the new one signs.
        if by_refresh {
            assert!(train.run(&["refresh"]).ends_with(0).stdout.contains("mirror: signed again"));
            let ran = train.run(&["refresh"]).ends_with(0);
            assert!(ran.stdout.contains("mirror: fresh"), "{ran:?}");
        } else {
            pull(&train);
            again(&train, "drill-2", "patch");
            train.to_the_gate();
            train.release();
            verify("1.0.6").ends_with(0);
        }
        verify("1.0.5").ends_with(0);
    }
}

/// Under a root that does not follow from the one that a train was planned under it cannot go on; it can be abandoned, and
/// what it retired is published all the same.
#[test]
fn a_train_of_another_trust_root_can_be_given_up() {
    let train = SampleTrain::new();
    train.to_the_gate();
    train.run(&["approve", "--as", "alice", "--yes"]).ends_with(0);
    let path = train.project().join("keys/trust.json");
    let mut root = Root::from_bytes(&fs::read(&path).unwrap(), "trust.json").unwrap();
    root.hosts.insert("example.org".to_owned());
    fs::write(&path, root.to_bytes().unwrap()).unwrap();
    train.pin();
    for args in [&["ship"][..], &["approve", "--as", "bob", "--yes"]] {
        train.run(args).fails(6, &["was planned under another trust root", "abandon the train"]);
    }
    let ran = train.run(&["abandon", "--reason", "another root"]).ends_with(0);
    assert!(ran.stdout.contains("signatures over 1.0.5, 2.0.2 exist"), "{}", ran.stdout);
    assert_eq!(retired(&train), ["1.0.5", "2.0.2"]);
    again(&train, "drill-2", "minor");
    train.to_the_gate();
    train.release();
}

/// An index that somebody put back, or hid, hides what this machine released: nobody signs it on as if it were the newest.
#[test]
fn an_older_index_that_was_put_back_is_never_signed_on() {
    let train = SampleTrain::new();
    let releases = train.store().join("releases");
    let files = ["index.json", "index.json.asc"].map(|name| releases.join(name));
    let read = || files.clone().map(|file| fs::read(file).unwrap());
    let write = |bytes: &[Vec<u8>; 2]| files.iter().zip(bytes).for_each(|(file, b)| fs::write(file, b).unwrap());
    // An index with retired versions alone, then one that lists releases.
    train.to_the_gate();
    train.approve();
    train.run(&["abandon", "--reason", "the fix is wrong"]).ends_with(0);
    let older = read();
    again(&train, "drill-2", "minor");
    train.to_the_gate();
    train.release();
    let newest = read();
    pull(&train);
    again(&train, "drill-3", "patch");
    // A rehearsal says so too.
    write(&older);
    let why = "it does not list 1.1.0, which train `drill-2` released there";
    let file = train.train_file().display().to_string();
    train.run(&["ship", &file, "--dry-run"]).fails(6, &[why, "dry run"]);
    write(&newest);
    train.to_the_gate();
    train.approve();
    // The third train at its gate, and the one that was abandoned saying what it retired, find the older one there.
    write(&older);
    let said = [&format!("index of store `mirror`: {why}"), "somebody put an older index back", "step: gate"];
    train.ship().fails(6, &said);
    fs::remove_file(&files[0]).unwrap();
    train.ship().fails(6, &[said[0], "`lifeboat reconcile --restore mirror`", said[2]]);
    write(&older);
    assert!(!releases.join("1.1.1").exists(), "the third train is public");
    let ran = train.run(&["abandon", "drill-3", "--reason", "the store is not right"]).ends_with(5);
    assert!(ran.stdout.contains(&format!("the index of store `mirror` does not say so yet: {why}")), "{}", ran.stdout);
    train.run(&["refresh", "--now"]).fails(6, &said[..2]);
    assert_eq!(read(), older, "nothing was signed");
    // Once the newest is back it goes on.
    write(&newest);
    let ran = train.run(&["abandon", "drill-3", "--reason", "once more"]).ends_with(0);
    assert!(ran.stdout.contains("the index of store `mirror` says so"), "{}", ran.stdout);
    assert_eq!(retired(&train), ["1.0.5", "1.1.1", "2.0.2", "2.1.1"]);
}

/// What an interrupted look at the gate left held is given back when the train finds that it cannot go on.
#[test]
fn a_train_that_cannot_pass_its_gate_holds_no_branch() {
    let train = SampleTrain::new();
    train.to_the_gate();
    train.approve();
    let nonce = train.records("drill")[0]["what"]["nonce"].as_str().unwrap().to_owned();
    let branch = "release-1.0.0";
    let held = train.store().join(".staging/.held");
    let file = held.join(format!("branch-{}", &Sha256::of(branch.as_bytes()).hex()[..16]));
    fs::create_dir(&held).unwrap();
    fs::write(&file, format!("{{\"branch\":\"{branch}\",\"train\":\"drill\",\"nonce\":\"{nonce}\"}}")).unwrap();
    let (key, away) = (train.key("release"), train.root().join("away"));
    fs::rename(&key, &away).unwrap();
    train.ship().fails(2, &["there is no key file"]);
    assert!(!file.exists(), "it keeps other trains from their way");
    // Another train's is left, and reported.
    fs::write(&file, format!("{{\"branch\":\"{branch}\",\"train\":\"other\",\"nonce\":\"{nonce}\"}}")).unwrap();
    fs::rename(&away, &key).unwrap();
    train.ship().fails(4, &["train `other` is bringing `release-1.0.0` to the public", "lifeboat abandon other"]);
    assert!(file.exists());
    assert_eq!(fs::read_dir(&held).unwrap().count(), 1, "the other line's is given back");
    fs::remove_file(&file).unwrap();
    train.ship().ends_with(0);
    assert_eq!(fs::read_dir(&held).unwrap().count(), 0);
}

#[test]
fn reconcile_reads_our_own_storage_too() {
    let train = SampleTrain::new();
    train.to_the_gate();
    train.release();
    let releases = train.store().join("releases");
    let git = train.store().join("git/sample.git");
    train.run(&["reconcile"]).ends_with(5);
    let spoil = |file: &std::path::Path, why: &str| {
        let before = fs::read(file).unwrap();
        let other = [&before[..], b"x"].concat();
        fs::remove_file(file).unwrap();
        fs::write(file, other).unwrap();
        train.run(&["reconcile"]).says(why);
        fs::write(file, before).unwrap();
    };
    spoil(&releases.join("1.0.5/SHA256SUMS"), "store `mirror` has other bytes at `releases/1.0.5/SHA256SUMS`");
    spoil(&releases.join("2.0.2/manifest.json"), "store `mirror` has other bytes at `releases/2.0.2/manifest.json`");
    let tag = fs::read(git.join("refs/tags/v2.0.2")).unwrap();
    let own = fs::read(git.join("refs/tags/v1.0.5")).unwrap();
    fs::write(git.join("refs/tags/v1.0.5"), &tag).unwrap();
    train.run(&["reconcile"]).says("store `mirror` serves `refs/tags/v1.0.5` at");
    fs::write(git.join("refs/tags/v1.0.5"), own).unwrap();
    fs::remove_file(releases.join("1.0.5/notes.md")).unwrap();
    train.run(&["reconcile"]).says("store `mirror` has lost `releases/1.0.5/notes.md`");
}

/// Approvals that are made too long before the train's date do not count: a wrong year is refused at once.
#[test]
fn a_date_too_far_ahead_stops_the_plan() {
    let train = SampleTrain::new();
    let text = fs::read_to_string(train.train_file()).unwrap();
    let date = text.lines().find(|l| l.starts_with("date = ")).unwrap().to_owned();
    train.edit(&train.train_file(), &date, "date = 2099-01-01T00:00:00Z");
    train.adopt().fails(2, &["the train's `date` is 2099-01-01", "more than 30 days ahead"]);
}

#[test]
fn a_new_freshness_key_forgets_what_a_stolen_one_signed() {
    let train = SampleTrain::new();
    train.to_the_gate();
    train.release();
    let verify = || train.run(&["verify", "1.0.5", &train.store().display().to_string()]);
    verify().ends_with(0);
    let stolen = fs::read(train.key("freshness")).unwrap();
    let thief = SecretKey::parse(&stolen, "stolen", None, jiff::Timestamp::now()).unwrap();
    let mut forged = index(&train);
    forged.counter = lifeboat::formats::index::MOST;
    forged.retired.insert("1.0.6".parse().unwrap());
    let bytes = forged.to_bytes().unwrap();
    let releases = train.store().join("releases");
    fs::write(releases.join("index.json"), &bytes).unwrap();
    fs::write(releases.join("index.json.asc"), thief.sign(&mut &bytes[..]).unwrap()).unwrap();
    // Who saw the number before does not follow, and nobody can go on from the last one.
    let ran = verify().ends_with(6);
    assert!(ran.stdout.contains("its number leapt"), "{}", ran.stdout);
    train.run(&["refresh", "--now"]).fails(6, &["more than any project reaches"]);
    rotate_freshness(&train);
    train.run(&["refresh"]).ends_with(0);
    let now = index(&train);
    assert_eq!((now.counter, now.retired.len()), (1, 0));
    assert_eq!(now.releases, forged.releases);
    verify().ends_with(0);
}
