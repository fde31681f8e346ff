//! A train of wasmtime's size: the configuration of `examples/wasmtime`, five lines, and a journal in which all is done.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use lifeboat::config::{Config, SeriesSource, TrainLine, TrainRequest, parse};
use lifeboat::effects::NoProgress;
use lifeboat::engine::{Train, TrainDir};
use lifeboat::formats::signed::SignedDocument as _;
use lifeboat::host::{HostClock, HostDisk};
use lifeboat::journal::Event;
use lifeboat::model::{BranchName, LineKind, Oid, Sha256};
use lifeboat::plan::{Graph, plan};
use lifeboat::signers::openpgp::generate;
use lifeboat::snapshot::{LineFacts, PatchFacts, Snapshot, TrustFacts};
use lifeboat::step::StepId;
use lifeboat::trust::{KeyRole, PeopleRole, Person, Roles, Root, RootChoice, load, pin};
use lifeboat::wiring;

use crate::made;

const LINES: [(&str, &str, &str); 5] = [
    ("release-24.0.0", "24.0.6", "24.0.7"),
    ("release-36.0.0", "36.0.6", "36.0.7"),
    ("release-46.0.0", "46.0.1", "46.0.2"),
    ("release-47.0.0", "47.0.2", "47.0.3"),
    ("release-48.0.0", "48.0.0", "48.0.1"),
];

fn text(dir: &Path) -> String {
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/wasmtime/lifeboat.toml")).unwrap();
    text.replace("file:///srv/releases/wasmtime", &format!("file://{}", dir.with_extension("store").display()))
}

/// What a plan of five lines is made from.
pub(crate) fn inputs(dir: &Path, root: Sha256, threshold: u32) -> (Config, Snapshot, TrainRequest) {
    let config = parse(&text(dir), &dir.join("lifeboat.toml"), &lifeboat::wiring::registries()).unwrap();
    let line = |(i, (branch, old, new)): (usize, &(&str, &str, &str))| LineFacts {
        branch: BranchName::new(*branch).unwrap(),
        base: Oid::from_sha1([i as u8; 20]),
        versions: Some((old.parse().unwrap(), new.parse().unwrap())),
        series: Sha256::of(branch.as_bytes()),
        deletes: Vec::new(),
        patches: (0..3)
            .map(|n| PatchFacts {
                origin: format!("000{n}-fix.patch"),
                subject: "Fix a miscompilation".to_owned(),
                author: "A <a@example.org>".parse().unwrap(),
                touches: vec!["cranelift/codegen/src/isa/x64/lower.isle".to_owned()],
            })
            .collect(),
        tag_taken: None,
        submodules: Vec::new(),
        missing_submodules: Vec::new(),
        missing_crates: Vec::new(),
        workflows: Default::default(),
        elsewhere: Default::default(),
        released_bytes: None,
    };
    let snapshot = Snapshot {
        repository: dir.join("wasmtime.git"),
        lines: LINES.iter().enumerate().map(line).collect(),
        trust: TrustFacts { root, threshold, hosts: None, recipients: None },
        unknown: Vec::new(),
        missing_inputs: Default::default(),
    };
    let wanted = |(branch, _, _): &(&str, &str, &str)| TrainLine {
        branch: BranchName::new(*branch).unwrap(),
        kind: LineKind::Release,
        to: None,
        series: SeriesSource::None,
    };
    let request = TrainRequest {
        name: "spring".parse().unwrap(),
        date: Timestamp::from_second(1_780_000_000).unwrap(),
        not_before: None,
        advisories: Vec::new(),
        advisory_texts: Vec::new(),
        lines: LINES.iter().map(wanted).collect(),
    };
    (config, snapshot, request)
}

/// What a plan of two lines with this many targets each is made from.
pub(crate) fn many(targets: usize) -> (Config, Snapshot, TrainRequest) {
    let mut text = "[project]\nname = \"wasmtime\"\nbranches = \"release-*\"\ncommitter = \"A <a@example.org>\"\n\
        [[store]]\nname = \"s\"\nurl = \"file:///srv/s\"\nrequired = true\n"
        .to_owned();
    for n in 0..targets {
        text.push_str(&format!(
            "[[target]]\nname = \"t{n}\"\ntriple = \"x86_64-unknown-linux-gnu\"\nrun = [\"sh build.sh\"]\n\
             artifacts = [\"dist/wasmtime-v{{version}}-t{n}.tar.gz\"]\n"
        ));
    }
    let (_, mut snapshot, mut request) = inputs(Path::new("/srv/wasmtime"), Sha256::of(b"root"), 1);
    snapshot.lines.truncate(2);
    request.lines.truncate(2);
    (
        parse(&text, Path::new("/srv/wasmtime/lifeboat.toml"), &lifeboat::wiring::registries()).unwrap(),
        snapshot,
        request,
    )
}

/// Every step done, in their order, one approval before the gate; `attempts` says how often a step was started before.
pub(crate) fn everything(graph: &Graph, now: Timestamp, attempts: impl Fn(&StepId) -> u32) -> Vec<Event> {
    let expires = now.checked_add(SignedDuration::from_hours(24 * 7)).unwrap();
    let mut out = Vec::new();
    for &i in graph.order() {
        let planned = graph.at(i);
        if planned.step.kind() == "gate" {
            out.push(Event::Approved { approval: Box::new(made::approval(graph.id(), 0, expires)) });
        }
        let (step, key) = (planned.id.clone(), planned.key);
        out.push(Event::Started { step: step.clone(), key, attempt: attempts(&step) + 1, runner: None });
        out.push(Event::Succeeded { step, key, outcome: made::outcome(&planned.step).into() });
    }
    out
}

/// The train's directory in the state below `dir`.
pub(crate) fn dir(dir: &Path) -> TrainDir {
    TrainDir::new(dir.join("state/wasmtime/trains/spring"))
}

/// Makes a finished train below `at`, with throwaway keys: `lifeboat.toml`, `keys/`, `state/`.
pub(crate) fn finished(at: &Path) {
    let (disk, clock, now) = (Arc::new(HostDisk), Arc::new(HostClock), Timestamp::now());
    std::fs::create_dir_all(at.join("keys")).unwrap();
    std::fs::create_dir_all(at.with_extension("store")).unwrap();
    std::fs::write(at.join("lifeboat.toml"), text(at)).unwrap();
    let key = |name: &str| generate(name, now).unwrap().fingerprint;
    let person: lifeboat::model::PersonId = "person0".parse().unwrap();
    let role = PeopleRole { people: BTreeSet::from([person.clone()]), threshold: 1 };
    let root = Root {
        kind: Root::TYPE.to_owned(),
        project: "wasmtime".parse().unwrap(),
        version: 1,
        format: 1,
        previous: None,
        expires: now.checked_add(SignedDuration::from_hours(24 * 365)).unwrap(),
        people: BTreeMap::from([(person, Person { certificates: BTreeSet::from([key("person0")]) })]),
        roles: Roles {
            approve: role.clone(),
            root: role,
            release: KeyRole { keys: BTreeSet::from([key("release")]) },
            freshness: KeyRole { keys: BTreeSet::from([key("freshness")]) },
        },
        hosts: BTreeSet::new(),
    };
    std::fs::write(at.join("keys/trust.json"), root.to_bytes().unwrap()).unwrap();
    let (config, mut snapshot, request) = inputs(at, Sha256::of(b"root"), 1);
    let trust = load(&*disk, &config.project.keys, None, RootChoice::Directory, now).unwrap();
    snapshot.trust.root = trust.digest;
    let project = at.join("state/wasmtime");
    pin(&*disk, &project, &trust.digest).unwrap();
    let plan = plan(&config, &snapshot, &request).unwrap();
    let effects =
        wiring::effects(&config, &project, &dir(at), disk, clock, Arc::new(NoProgress), wiring::Credentials::kept())
            .unwrap();
    let (train, _) = Train::adopt(&effects, Arc::new(trust), &dir(at), &plan).unwrap();
    for event in everything(train.graph(), now, |_| 0) {
        train.journal().append(event).unwrap();
    }
}
