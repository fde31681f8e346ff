//! Journals that somebody wrote with the operator's key: well-chained, and not true.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use lifeboat::host::{HostClock, HostDisk};
use lifeboat::journal::{Event, Journal};
use lifeboat::model::Sha256;
use lifeboat::plan::{Graph, Plan};
use lifeboat::signers::openpgp::SecretKey;
use lifeboat::step::{GateOpened, Outcome, Sealed, Step};
use lifeboat::trust::Approval;

use crate::support::sample_train::SampleTrain;

/// The journal of a train, open for whoever has the operator's key.
fn journal(train: &SampleTrain) -> (Journal, Arc<Graph>) {
    let dir = train.train_dir("drill");
    let plan = Plan::from_bytes(&fs::read(dir.join("plan.json")).unwrap()).unwrap();
    let graph = Arc::new(Graph::new(Arc::new(plan)).unwrap());
    let key: PathBuf = train.state().join("sample/operator-key.asc");
    let bytes = fs::read(&key).unwrap();
    let key = SecretKey::parse(&bytes, "operator", None, jiff::Timestamp::now()).unwrap();
    let path = dir.join("journal.jsonl");
    let journal = Journal::open(Arc::new(HostDisk), Arc::new(HostClock), Arc::new(key), path, graph.clone()).unwrap();
    (journal, graph)
}

fn unsigned(person: &str) -> Event {
    let approval = Approval {
        person: person.parse().unwrap(),
        statement: "{}".to_owned(),
        signature: "none".to_owned(),
        sums: std::collections::BTreeMap::new(),
    };
    Event::Approved { approval: Box::new(approval) }
}

/// Says that the gate opened and that every seal was made, with these files.
fn open_the_gate(journal: &mut Journal, graph: &Graph, files: impl Fn(&Step) -> Vec<lifeboat::step::SealedFile>) {
    for &i in graph.order() {
        let step = graph.at(i);
        let outcome: Outcome = match &step.step {
            Step::Gate(_) => GateOpened { content: Sha256::of(b"content"), approved_by: Vec::new() }.into(),
            Step::Seal(s) => Sealed {
                tag: s.tag.clone(),
                tag_id: "a".repeat(40).parse().unwrap(),
                tag_object: Sha256::of(b"tag"),
                files: files(&step.step),
            }
            .into(),
            _ => continue,
        };
        let (id, key) = (step.id.clone(), step.key);
        let attempt = journal.state().step(&id).unwrap().attempts + 1;
        journal.append(Event::Started { step: id.clone(), key, attempt, runner: None }).unwrap();
        journal.append(Event::Succeeded { step: id, key, outcome: outcome.into() }).unwrap();
    }
}

fn nothing_is_public(train: &SampleTrain) {
    for place in ["releases", "git", "keys"] {
        assert!(!train.store().join(place).exists(), "`{place}` is public");
    }
}

#[test]
fn forged_approvals_open_nothing_and_are_named() {
    let train = SampleTrain::new();
    train.to_the_gate();
    train.run(&["approve", "--as", "alice", "--yes"]).ends_with(0);
    journal(&train).0.append(unsigned("bob")).unwrap();
    let status = train.run(&["status"]).ends_with(0);
    for said in ["approved by alice\n", "approval of bob does not count: ", "next: 1 of 2 people have approved"] {
        assert!(status.stdout.contains(said), "no `{said}` in:\n{}", status.stdout);
    }
    let ran = train.ship().ends_with(3);
    assert!(ran.stdout.contains("an approval does not count: bob: "), "{}", ran.stdout);
    nothing_is_public(&train);
    train.run(&["approve", "--as", "carol", "--yes"]).ends_with(0);
    train.ship().ends_with(0);
}

#[test]
fn a_forged_gate_with_empty_seals_makes_nothing_public() {
    let train = SampleTrain::new();
    train.to_the_gate();
    {
        let (mut journal, graph) = journal(&train);
        journal.append(unsigned("alice")).unwrap();
        journal.append(unsigned("bob")).unwrap();
        open_the_gate(&mut journal, &graph, |_| Vec::new());
    }
    let status = train.run(&["status"]).ends_with(0);
    assert!(!status.stdout.contains("approved by"), "{}", status.stdout);
    let said = ["is not done: approvals of train", "0 of 2 people count", "alice: does not count", "log --verify"];
    train.ship().fails(6, &said);
    nothing_is_public(&train);
}

#[test]
fn seals_that_lack_what_was_approved_make_nothing_public() {
    let train = SampleTrain::new();
    train.to_the_gate();
    train.approve();
    {
        let (mut journal, graph) = journal(&train);
        open_the_gate(&mut journal, &graph, |_| Vec::new());
    }
    train.ship().fails(6, &["the seal does not hold `approvals/content.json` as it was approved"]);
    nothing_is_public(&train);
}
