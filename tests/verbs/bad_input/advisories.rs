//! Advisory texts: shown before anybody decides, and pinned.

use std::fs;

use crate::support::sample_train::SampleTrain;

const TEXT: &str = r#"
[[advisory]]
id = "SAMPLE-2026-0001"
summary = "Arguments above eight overflow"
description = """
The canary sings
before the gate."""
severity = "high"
affected = [{ package = "sample", versions = "< 1.0.5", patched = "1.0.5" }]
"#;

#[test]
fn a_text_is_shown_by_plan_and_approve_and_cannot_change_after_adoption() {
    let train = SampleTrain::new();
    let file = train.train_file();
    // Tables come before arrays of tables: at the end of the file is right for both.
    let good = fs::read_to_string(&file).unwrap() + TEXT;
    fs::write(&file, &good).unwrap();
    let wanted =
        ["Arguments above eight overflow", "| The canary sings", "fixed in 1.0.5", "github after the gate", "high"];
    let plan = train.run(&["plan", &file.display().to_string()]).ends_with(0);
    for words in wanted {
        assert!(plan.stdout.contains(words), "plan does not show `{words}`:\n{}", plan.stdout);
    }
    train.adopt().ends_with(3);
    let review = train.run(&["approve", "--as", "alice", "--yes"]).ends_with(0);
    for words in wanted {
        assert!(review.stdout.contains(words), "approve does not show `{words}`:\n{}", review.stdout);
    }
    fs::write(&file, good.replace("The canary sings", "The canary is silent")).unwrap();
    train.adopt().fails(4, &["advisory SAMPLE-2026-0001: its text is not the one that the plan pinned"]);
    fs::write(&file, good).unwrap();
    train.adopt().ends_with(3);
}

#[test]
fn two_texts_of_one_advisory() {
    let train = SampleTrain::new();
    let file = train.train_file();
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{text}{TEXT}{TEXT}")).unwrap();
    train.adopt().fails(2, &["advisory `SAMPLE-2026-0001` has two texts", "train.toml"]);
}

#[test]
fn a_finished_train_that_cannot_be_read_stops_no_other() {
    let train = SampleTrain::new();
    train.to_the_gate();
    let other = train.state().join("sample/trains/old");
    fs::create_dir_all(&other).unwrap();
    fs::write(other.join("plan.json"), "{}").unwrap();
    let name = "drill";
    train.run(&["ship", "--train", name]).ends_with(3);
    train.run(&["reconcile", "--train", name]);
}
