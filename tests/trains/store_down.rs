//! A store that may wait is down: the train goes on without it, and `status`, `doctor` and `reconcile` say so.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::sample_train::SampleTrain;

/// A sample with a second store that a train does not wait for; where it is.
fn with_a_second_store() -> (SampleTrain, PathBuf) {
    let train = SampleTrain::new();
    let second = train.root().join("second");
    train
        .configure(&format!("[[store]]\nname = \"second\"\nurl = \"file://{}\"\nrequired = false\n", second.display()));
    (train, second)
}

/// What `status` says is down in the second store: the steps that wait.
fn waiting(train: &SampleTrain) -> Vec<String> {
    let status: Value = serde_json::from_str(&train.run(&["--json", "status"]).ends_with(0).stdout).unwrap();
    let trains = status.as_array().cloned().unwrap_or_else(|| vec![status.clone()]);
    let down = trains.iter().flat_map(|t| t["down"].as_array().unwrap().clone());
    let second: Vec<Value> = down.filter(|d| d["kind"] == "store" && d["destination"] == "second").collect();
    let part = |d: &Value| assert_eq!(d["part"], "store", "{status}");
    second.iter().for_each(part);
    second.iter().flat_map(|d| d["waiting"].as_array().unwrap()).map(|s| s.as_str().unwrap().to_owned()).collect()
}

#[track_caller]
fn prints(train: &SampleTrain, args: &[&str], fragments: &[&str]) {
    let ran = train.run(args);
    assert!(fragments.iter().all(|f| ran.stdout.contains(f)), "{fragments:?} in {ran:?}");
}

/// Everything waits for the second store, and is delivered once it is there.
fn waits_and_is_delivered(train: &SampleTrain, second: &Path) {
    let waits = waiting(train);
    for step in ["promote/second/release-1.0.0", "promote/second/release-2.0.0", "point/second"] {
        assert!(waits.iter().any(|w| w == step), "{step}: {waits:?}");
    }
    prints(train, &["status"], &["down       second store since"]);
    prints(train, &["reconcile", "--list"], &["point/second"]);
    prints(train, &["doctor"], &["there is no directory", "drill: point/second"]);
    train.run(&["reconcile"]).ends_with(5);
    fs::create_dir_all(second).unwrap();
    prints(train, &["doctor"], &["answers again"]);
    let ran = train.run(&["reconcile"]);
    assert!(waiting(train).is_empty(), "{ran:?}");
    for path in ["releases/index.json", "releases/index.json.asc", "git/sample.git/info/refs"] {
        assert!(second.join(path).is_file(), "`{path}`: {ran:?}");
    }
    for release in fs::read_dir(train.store().join("releases")).unwrap().map(|e| e.unwrap().path()) {
        let name = release.file_name().unwrap();
        if let Ok(sums) = fs::read(release.join("SHA256SUMS")) {
            assert_eq!(fs::read(second.join("releases").join(name).join("SHA256SUMS")).unwrap(), sums, "{name:?}");
        }
    }
}

#[test]
fn a_store_that_was_never_there_keeps_nothing_from_being_released() {
    let (train, second) = with_a_second_store();
    train.to_the_gate();
    assert!(waiting(&train).iter().any(|w| w == "stage/second/release-1.0.0"), "{:?}", waiting(&train));
    train.release();
    waits_and_is_delivered(&train, &second);
}

#[test]
fn a_store_that_goes_away_after_it_was_staged_in_keeps_nothing_from_being_released() {
    let (train, second) = with_a_second_store();
    fs::create_dir(&second).unwrap();
    train.to_the_gate();
    fs::rename(&second, train.root().join("gone")).unwrap();
    let review = train.run(&["approve", "--as", "alice", "--yes"]).ends_with(0);
    assert!(review.stdout.contains("what is staged there was not read"), "{review:?}");
    train.release();
    waits_and_is_delivered(&train, &second);
}
