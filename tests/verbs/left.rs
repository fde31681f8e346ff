//! An approver who leaves the trust root after the gate of a train opened.

use std::collections::BTreeSet;
use std::fs;

use lifeboat::effects::Signer as _;
use lifeboat::model::{PersonId, Sha256};
use lifeboat::signers::openpgp::SecretKey;
use lifeboat::trust::Root;

use crate::support::sample_train::SampleTrain;
use crate::trust::revoked_by_itself;

/// A new trust root in which Bob may not approve any more, signed by Alice and by himself.
fn bob_leaves(train: &SampleTrain) {
    let keys = train.project().join("keys");
    let old = fs::read(keys.join("trust.json")).unwrap();
    let mut root = Root::from_bytes(&old, "trust.json").unwrap();
    let bob: PersonId = "bob".parse().unwrap();
    root.version = 2;
    root.previous = Some(Sha256::of(&old));
    root.roles.approve.people.remove(&bob);
    root.roles.root.people.remove(&bob);
    let certificates = root.people.remove(&bob).unwrap().certificates;
    let new = root.to_bytes().unwrap();
    fs::write(keys.join("trust.1.json"), &old).unwrap();
    fs::write(keys.join("trust.json"), &new).unwrap();
    for person in ["alice", "bob"] {
        let secret = SecretKey::parse(&fs::read(train.key(person)).unwrap(), person, None, jiff::Timestamp::now());
        let signature = secret.unwrap().sign(&mut &new[..]).unwrap();
        fs::write(keys.join(format!("trust.json.{person}.asc")), signature).unwrap();
    }
    assert_eq!(certificates.len(), 1);
}

/// The journal as it was before this step succeeded, or before it was begun.
fn cut(train: &SampleTrain, event: &str, step: &str) {
    let path = train.train_dir("drill").join("journal.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    let (event, step) = (format!("\"event\":\"{event}\""), format!("\"{step}\""));
    let at = text
        .lines()
        .position(|l| (l.contains(&event) || l.contains(&event.replace("\"event\":", ""))) && l.contains(&step));
    let at = at.unwrap_or_else(|| panic!("no {event} of {step}"));
    fs::write(&path, text.lines().take(at).map(|l| format!("{l}\n")).collect::<String>()).unwrap();
}

#[test]
fn what_is_public_goes_on_under_the_root_of_its_gate() {
    let train = SampleTrain::new();
    train.to_the_gate();
    train.release();
    cut(&train, "succeeded", "point/mirror");
    bob_leaves(&train);
    let ran = train.ship().ends_with(0);
    assert!(ran.stdout.contains("released"), "{ran:?}");
    let people: BTreeSet<_> = train.run(&["status"]).ends_with(0).stdout.lines().map(str::to_owned).collect();
    assert!(people.iter().any(|l| l.contains("approved by alice, bob")), "{people:?}");
    // Deliveries to the forge still wait, and are not refused.
    let ran = train.run(&["reconcile", "drill"]).ends_with(5);
    assert!(!ran.stderr.contains("does not count") && !ran.stdout.contains("does not count"), "{ran:?}");
    // Under the root that counts now strangers take the word of nobody who left.
    let url = train.store().display().to_string();
    let ran = train.run(&["verify", "1.0.5", &url]).ends_with(6);
    assert!(ran.stdout.contains("bob: does not count"), "{}", ran.stdout);
}

#[test]
fn what_is_not_public_needs_those_who_count_now() {
    let train = SampleTrain::new();
    train.to_the_gate();
    train.approve();
    bob_leaves(&train);
    let ran = train.ship().ends_with(3);
    assert!(ran.stdout.contains("an approval does not count: bob: "), "{}", ran.stdout);
    assert!(!train.store().join("releases").exists(), "it is public");
    train.run(&["approve", "--as", "carol", "--yes"]).ends_with(0);
    let ran = train.ship().ends_with(0);
    assert!(ran.stdout.contains("released"), "{ran:?}");
    let url = train.store().display().to_string();
    train.run(&["verify", "1.0.5", &url]).ends_with(0);
}

/// A key that was revoked for good never was its owner's alone: nothing goes on by its word.
#[test]
fn a_key_that_was_revoked_for_good_counts_for_nothing_even_after_the_gate() {
    let train = SampleTrain::new();
    train.to_the_gate();
    train.release();
    cut(&train, "succeeded", "point/mirror");
    bob_leaves(&train);
    let secret = fs::read_to_string(train.key("bob")).unwrap();
    let revoked = revoked_by_itself(&secret, jiff::Timestamp::now() - jiff::SignedDuration::from_secs(1));
    let key = SecretKey::parse(secret.as_bytes(), "bob", None, jiff::Timestamp::now()).unwrap();
    let keys = train.project().join("keys");
    let fingerprint = key.fingerprint();
    let file = keys.join(format!("{fingerprint}.asc"));
    assert!(file.exists(), "{fingerprint}");
    fs::write(file, revoked).unwrap();
    train.ship().fails(6, &["bob", "revoked"]);
}
