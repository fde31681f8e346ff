//! `refresh`: an index is signed again in time, and never one that somebody else wrote or put back.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking; clippy exempts test functions only")]

use std::fs;
use std::path::PathBuf;

use crate::support::sample_train::{Ran, SampleTrain};
use lifeboat::effects::Signer as _;
use lifeboat::formats::index::Index;
use lifeboat::formats::layout;
use lifeboat::signers::openpgp::SecretKey;

fn index(train: &SampleTrain) -> PathBuf {
    train.store().join("releases/index.json")
}

fn counter(train: &SampleTrain) -> u64 {
    let value: serde_json::Value = serde_json::from_slice(&fs::read(index(train)).unwrap()).unwrap();
    value["counter"].as_u64().unwrap()
}

fn verify(train: &SampleTrain) -> Ran {
    train.run(&["verify", "1.0.5", &train.store().display().to_string()])
}

#[test]
fn an_index_is_signed_again_and_only_a_good_one() {
    let train = SampleTrain::new();
    assert!(train.run(&["refresh"]).ends_with(0).stdout.contains("mirror: no release yet"));
    train.to_the_gate();
    train.release();
    let (first, signature) = (fs::read(index(&train)).unwrap(), train.store().join("releases/index.json.asc"));
    let first_signature = fs::read(&signature).unwrap();
    let before = counter(&train);

    // Fresh enough: nothing is signed, and the key is not even needed.
    let key = train.key("freshness");
    fs::rename(&key, train.root().join("away")).unwrap();
    assert!(train.run(&["refresh"]).ends_with(0).stdout.contains("mirror: fresh"));
    assert_eq!(fs::read(index(&train)).unwrap(), first);
    train.run(&["refresh", "--now"]).fails(2, &["cannot use the freshness key"]);
    fs::rename(train.root().join("away"), &key).unwrap();

    assert!(train.run(&["refresh", "--now"]).ends_with(0).stdout.contains("mirror: signed again"));
    assert_eq!(counter(&train), before + 1);
    verify(&train).ends_with(0);

    // A refresh that was killed between the index and its signature: readers find the other one, and the next one repairs it.
    let newest = fs::read(&signature).unwrap();
    fs::write(&signature, &first_signature).unwrap();
    verify(&train).ends_with(0);
    train.run(&["refresh"]).ends_with(0);
    assert_eq!(fs::read(&signature).unwrap(), newest);
    verify(&train).ends_with(0);

    // Nobody's index but ours is signed.
    let good = fs::read_to_string(index(&train)).unwrap();
    fs::write(index(&train), good.replace("\"retired\"", "\"retired\" ")).unwrap();
    train.run(&["refresh", "--now"]).fails(6, &["index of store `mirror`"]);
    let shortened = good.replace("1.0.5", "1.0.6");
    assert_ne!(shortened, good);
    fs::write(index(&train), &shortened).unwrap();
    train.run(&["refresh", "--now"]).fails(6, &["index of store `mirror`", "it was not signed again"]);
    assert_eq!(fs::read_to_string(index(&train)).unwrap(), shortened);
    fs::remove_file(index(&train)).unwrap();
    train.run(&["refresh", "--now"]).fails(6, &["does not list 1.0.5", "`lifeboat reconcile --restore mirror`"]);
}

/// A train that was killed after it moved the index, and goes on when that one is stale: what it points at is fresh.
#[test]
fn a_train_that_goes_on_after_its_index_expired_signs_it_again() {
    let train = SampleTrain::new();
    train.to_the_gate();
    train.release();
    // The journal as it was before the store was recorded to be pointed at, and the index as it would be a week later.
    let path = train.train_dir("drill").join("journal.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    let at = text.lines().position(|l| l.contains("\"succeeded\"") && l.contains("\"point/mirror\"")).unwrap();
    fs::write(&path, text.lines().take(at).map(|l| format!("{l}\n")).collect::<String>()).unwrap();
    let now = jiff::Timestamp::now();
    let mut expired = Index::from_bytes(&fs::read(index(&train)).unwrap()).unwrap();
    (expired.generated, expired.expires) =
        (now - jiff::SignedDuration::from_hours(24 * 8), now - jiff::SignedDuration::from_hours(24));
    let bytes = expired.to_bytes().unwrap();
    let key = SecretKey::parse(&fs::read(train.key("freshness")).unwrap(), "freshness", None, now).unwrap();
    let signature = key.sign(&mut &bytes[..]).unwrap();
    fs::write(index(&train), &bytes).unwrap();
    for name in [layout::index_signature(&bytes), layout::INDEX_SIGNATURE.to_owned()] {
        fs::write(train.store().join(name), &signature).unwrap();
    }
    train.ship().ends_with(0);
    assert_eq!(counter(&train), expired.counter + 1);
    assert!(Index::from_bytes(&fs::read(index(&train)).unwrap()).unwrap().expires > now);
    verify(&train).ends_with(0);
}
