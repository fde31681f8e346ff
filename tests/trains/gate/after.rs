//! What stands in a store after the release: it can be made again, and its page names the right keys.

use std::fs;

use lifeboat::signers::openpgp::generate;
use lifeboat::trust::Root;

use super::{files_of, git, to_the_end, without_forge};
use crate::support::sample_train::{REFUSING, SampleTrain};

#[test]
fn a_store_that_was_lost_after_the_release_is_made_again() {
    let train = SampleTrain::new();
    without_forge(&train);
    train.to_the_gate();
    to_the_end(&train);
    let store = train.store();
    let verify = || train.run(&["verify", "1.0.5", &store.display().to_string()]);
    verify().ends_with(0);
    let before = files_of(&store.join("releases/1.0.5"));
    let kept = train.root().join("kept-store");
    fs::rename(&store, &kept).unwrap();
    fs::create_dir(&store).unwrap();
    let hint = "`lifeboat reconcile --restore mirror`";
    train.run(&["reconcile"]).fails(4, &[hint]);
    train.run(&["refresh"]).fails(6, &[hint]);
    let ran = train.ship().ends_with(0);
    assert!(ran.stderr.contains(hint) || ran.stdout.contains(hint), "{ran:?}");
    train.run(&["reconcile", "--restore", "elsewhere"]).fails(2, &["expected one of: mirror"]);
    train.run(&["reconcile", "--restore", "mirror"]).ends_with(0);
    assert_eq!(files_of(&store.join("releases/1.0.5")), before, "the same bytes");
    // Who saw the lost index goes on from it, and the whole is as before.
    verify().ends_with(0);
    train.run(&["reconcile"]).ends_with(0);
    git(&train, train.root(), &["clone", "-q", &format!("{}/git/sample.git", store.display()), "reader"]);
    git(&train, &train.root().join("reader"), &["fsck", "--strict"]);
    // A file that somebody changed is not overwritten.
    let notes = store.join("releases/1.0.5/notes.md");
    fs::remove_file(&notes).unwrap();
    fs::write(&notes, "other").unwrap();
    train.run(&["reconcile", "--restore", "mirror"]).fails(4, &["has other bytes"]);
    fs::remove_file(&notes).unwrap();
    // The page's data names the trust root and the keys of the release's day: they may be others by now.
    let page = store.join("releases/1.0.5/lifeboat-page.json");
    let text = fs::read_to_string(&page).unwrap();
    let root = serde_json::from_str::<serde_json::Value>(&text).unwrap()["root"].as_str().unwrap().to_owned();
    fs::remove_file(&page).unwrap();
    fs::write(&page, text.replace(&root, &"0".repeat(64))).unwrap();
    train.run(&["reconcile", "--restore", "mirror"]).ends_with(0);
    assert!(notes.exists());
    verify().ends_with(0);
}

#[test]
fn the_page_names_the_key_that_signed() {
    let train = SampleTrain::unpinned(REFUSING);
    without_forge(&train);
    let keys = train.project().join("keys");
    let file = keys.join("trust.json");
    let mut root = Root::from_bytes(&fs::read(&file).unwrap(), "trust.json").unwrap();
    let signs = root.roles.release.keys.first().unwrap().clone();
    // Another key of the same role, which comes first in every order.
    let made = || generate("Release, another (throwaway) <r@example.org>", jiff::Timestamp::now()).unwrap();
    let other = std::iter::repeat_with(made).find(|k| k.fingerprint < signs).unwrap();
    root.roles.release.keys.insert(other.fingerprint.clone());
    fs::write(&file, root.to_bytes().unwrap()).unwrap();
    fs::write(keys.join(format!("{}.asc", other.fingerprint)), &other.certificate_armored).unwrap();
    train.pin();
    train.to_the_gate();
    to_the_end(&train);
    let page = fs::read(train.store().join("releases/1.0.5/lifeboat-page.json")).unwrap();
    let page: serde_json::Value = serde_json::from_slice(&page).unwrap();
    assert_eq!(page["release_key"], signs.as_str());
    assert_eq!(page["release_certificate"], format!("../../keys/{signs}.asc"));
}
