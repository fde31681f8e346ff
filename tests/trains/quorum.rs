//! `[release] stores = "2 of 3"`: a train is released when enough stores have it, and the others get it later.

use std::fs;
use std::path::PathBuf;

use crate::support::sample_train::SampleTrain;

/// A sample of three stores, two of which must have a train; the sample's own, and two whose directories are not there yet.
struct Three {
    train: SampleTrain,
    second: PathBuf,
    third: PathBuf,
}

/// The sample, whose store says nothing of `required`.
fn sample() -> SampleTrain {
    let train = SampleTrain::new();
    train.edit(&train.config(), "required = true\n", "");
    train
}

fn file(train: &SampleTrain) -> String {
    train.train_file().display().to_string()
}

impl Three {
    fn new() -> Self {
        let train = sample();
        let (second, third) = (train.root().join("second"), train.root().join("third"));
        let store = |name: &str, at: &PathBuf| format!("[[store]]\nname = \"{name}\"\nurl = \"{}\"\n", at.display());
        let tables = [store("second", &second), store("third", &third)].concat();
        train.configure(&format!("{tables}[release]\nstores = \"2 of 3\"\n"));
        Self { train, second, third }
    }

    /// Whether a store shows the release: its index, or nothing of it.
    fn shows(&self, store: &std::path::Path) -> bool {
        let index = store.join("releases/index.json").is_file();
        let files = store.join("releases/1.0.5/SHA256SUMS").is_file();
        assert!(files || !index, "an index without files in `{}`", store.display());
        index
    }

    fn status(&self) -> String {
        self.train.run(&["status"]).stdout
    }
}

#[test]
fn two_of_three_are_enough_and_the_third_gets_it_later() {
    let three = Three::new();
    fs::create_dir(&three.second).unwrap();
    let plan = three.train.run(&["plan", &file(&three.train)]);
    assert!(plan.stdout.contains("released when 2 of 3 stores have the train: "), "{plan:?}");
    three.train.to_the_gate();
    three.train.release();
    assert!(three.status().contains("released"), "{}", three.status());
    assert!(three.status().contains("third store since"), "{}", three.status());
    assert!(three.shows(&three.second) && three.shows(&three.train.store()));
    let doctor = three.train.run(&["doctor"]).ends_with(0);
    assert!(doctor.stdout.contains("2 of 3 stores are ready, and a train needs 2"), "{doctor:?}");
    fs::create_dir(&three.third).unwrap();
    three.train.run(&["reconcile"]);
    assert!(three.shows(&three.third));
    assert!(!three.status().contains("third store since"), "{}", three.status());
}

#[test]
fn one_of_three_is_not_enough_and_ship_goes_on_when_another_is_up() {
    let three = Three::new();
    let ran = three.train.run(&["ship", &file(&three.train)]).ends_with(5);
    assert!(ran.stderr.contains("1 of 3 stores have the staged files, and the train needs 2"), "{ran:?}");
    for store in ["second", "third"] {
        assert!(ran.stderr.contains(&format!("store `{store}`: ")), "{ran:?}");
    }
    assert!(ran.stdout.contains("`lifeboat ship` goes on when enough stores are up"), "{ran:?}");
    let doctor = three.train.run(&["doctor"]).ends_with(1);
    assert!(doctor.stdout.contains("1 of 3 stores are ready, and a train needs 2"), "{doctor:?}");
    fs::create_dir(&three.third).unwrap();
    three.train.to_the_gate();
    three.train.release();
    assert!(three.shows(&three.third) && !three.second.exists());
}

#[test]
fn the_gate_stays_shut_while_too_few_stores_are_up() {
    let three = Three::new();
    fs::create_dir(&three.second).unwrap();
    three.train.to_the_gate();
    for person in ["alice", "bob"] {
        three.train.run(&["approve", "--as", person, "--yes"]).ends_with(0);
    }
    fs::rename(&three.second, three.train.root().join("gone")).unwrap();
    let ran = three.train.run(&["ship"]).ends_with(5);
    assert!(ran.stderr.contains("1 of 3 stores are up, and the train needs 2"), "{ran:?}");
    assert!(!three.shows(&three.train.store()), "nothing is public");
    assert!(!three.train.store().join("releases/1.0.5").exists(), "nothing is public");
    // The third has nothing staged: it does not count before it does, though it is up.
    fs::create_dir(&three.third).unwrap();
    let ran = three.train.run(&["ship"]).ends_with(5);
    assert!(ran.stderr.contains("store `third`: store `third` does not have the staged files yet"), "{ran:?}");
    // The branches that were held in the third are given back, although the second, asked before it, is down.
    let held = fs::read_dir(three.third.join(".staging/.held")).unwrap().map(|e| e.unwrap().file_name());
    let held: Vec<_> = held.filter(|name| name.to_string_lossy().starts_with("branch-")).collect();
    assert!(held.is_empty(), "{held:?}");
    fs::rename(three.train.root().join("gone"), &three.second).unwrap();
    three.train.run(&["ship"]);
    assert!(three.shows(&three.second), "{}", three.status());
    three.train.run(&["reconcile"]);
    assert!(three.shows(&three.third));
}

#[test]
fn a_number_that_cannot_be_meant_is_refused() {
    let train = sample();
    train.configure("[release]\nstores = \"2 of 3\"\n");
    let ran = train.run(&["plan", &file(&train)]).ends_with(2);
    assert!(ran.stderr.contains("`2 of 3` speaks of 3 stores, and 1 count"), "{ran:?}");
}
