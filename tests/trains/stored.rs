//! A train that an earlier revision wrote is still read: same plans, same keys, same records.
//!
//! `tests/fixtures/stored` has a plan, the child that amended it, and the journal of that train up to `reconciled`, with
//! every kind of step and every outcome, all optional fields set. They were written by the revision before kinds of steps
//! had files of their own, and are never written again.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use lifeboat::host::HostDisk;
use lifeboat::journal::{Event, Journal, Plans, Signatures, State, TrainState, check_signatures};
use lifeboat::plan::{Graph, Plan, check};

const PLAN: &str = "8adc2d2cbbd71d3a8b68aa99a0f1b82adfd448f8340eca32b8c5347a4c15da1b";
const CHILD: &str = "cfbd7a5de6180175bd338f2c2a603ddf9b9ec8edb74600e9da176b913d6eb5c5";
const HEAD: &str = "41d1887a24f67a8f999208969a55cc870da37312b4252c7c6689a9be8e45add5";

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/stored").join(name)
}

fn graph(name: &str, id: &str) -> Arc<Graph> {
    let bytes = std::fs::read(file(name)).unwrap();
    let plan = Plan::from_bytes(&bytes).unwrap();
    // The promises include that each step's name and key follow from its data.
    check(&plan).unwrap();
    assert_eq!(String::from_utf8(plan.to_bytes().unwrap()).unwrap(), String::from_utf8(bytes).unwrap(), "{name}");
    let graph = Arc::new(Graph::new(Arc::new(plan)).unwrap());
    assert_eq!(graph.id().to_string(), id, "{name}");
    graph
}

#[test]
fn a_train_of_the_revision_before_is_read_as_it_was_written() {
    let (parent, child) = (graph("plan.json", PLAN), graph("child.json", CHILD));
    // Each line is compared byte for byte with what this version would write.
    let (records, _) = Journal::read(&HostDisk, &file("journal.jsonl"), &parent).unwrap();
    check_signatures(&records, Signatures::All).unwrap();
    assert_eq!(records.last().unwrap().hash.to_string(), HEAD);
    let mut plans = Plans::from(parent);
    plans.learn(child.clone()).unwrap();
    let state = State::fold(plans, &records).unwrap();
    assert_eq!(state.name(), TrainState::Reconciled);
    assert!((0..child.len()).all(|i| state.outcome(&child.at(i).id).is_some()));
    for step in &child.plan().steps {
        // The tag in stored plans, the name in code and the beginning of the id are one.
        assert_eq!(serde_json::to_value(&step.step).unwrap()["do"], step.step.kind());
        assert_eq!(step.id.as_str().split('/').next(), Some(step.step.kind()));
        assert_eq!(step.exposure, step.step.exposure(), "{}", step.id);
    }
    let kinds: std::collections::BTreeSet<_> = child.plan().steps.iter().map(|s| s.step.kind()).collect();
    assert_eq!(kinds.len(), 22, "{kinds:?}");
    let amended = records.iter().filter(|r| matches!(r.what, Event::Amended { .. })).count();
    assert_eq!((records.len() > 50, amended), (true, 1));
}
