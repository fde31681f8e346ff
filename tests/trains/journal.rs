//! The journal's file: it survives being written down, and a history that somebody else wrote is refused.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use lifeboat::effects::Signer;
use lifeboat::error::{Error, ErrorKind};
use lifeboat::formats::canonical;
use lifeboat::host::{HostClock, HostDisk};
use lifeboat::journal::{Event, Journal, Plans, Record, Signatures, State, TrainState, check_signatures};
use lifeboat::model::Sha256;
use lifeboat::plan::{Graph, Plan};
use lifeboat::signers::openpgp::{SecretKey, generate};
use lifeboat::step::{Outcome, StepId};

use crate::model::{configs, made};

fn key(name: &str) -> Arc<SecretKey> {
    let now = jiff::Timestamp::now();
    let made = generate(name, now).unwrap();
    Arc::new(SecretKey::parse(made.secret_armored.expose().as_bytes(), name, None, now).unwrap())
}

fn graph() -> Arc<Graph> {
    Arc::new(Graph::new(Arc::new(configs::Shape::of_everything().plan())).unwrap())
}

struct World {
    _dir: tempfile::TempDir,
    path: PathBuf,
    graph: Arc<Graph>,
    alice: Arc<SecretKey>,
}

impl World {
    /// A journal of three records by Alice: adopted, and one step done.
    fn new() -> Self {
        let dir = crate::support::scratch();
        let path = dir.path().join("journal.jsonl");
        let world = Self { _dir: dir, path, graph: graph(), alice: key("alice") };
        let mut journal = world.open(&world.alice).unwrap();
        let certificate = world.alice.certificate().unwrap();
        journal.append(Event::PlanAdopted { plan: world.graph.id(), nonce: made::nonce(), certificate }).unwrap();
        let planned = world.graph.plan().step(&prepare()).unwrap();
        journal.append(Event::Started { step: prepare(), key: planned.key, attempt: 1, runner: None }).unwrap();
        let outcome = made::outcome(&planned.step).into();
        journal.append(Event::Succeeded { step: prepare(), key: planned.key, outcome }).unwrap();
        world
    }

    fn open(&self, signer: &Arc<SecretKey>) -> Result<Journal, Error> {
        Journal::open(Arc::new(HostDisk), Arc::new(HostClock), signer.clone(), self.path.clone(), self.graph.clone())
    }

    fn read(&self) -> Result<Vec<Record>, Error> {
        Journal::read(&HostDisk, &self.path, &self.graph).map(|(records, _)| records)
    }

    fn write(&self, records: &[Record]) {
        let mut bytes = Vec::new();
        for record in records {
            bytes.extend(canonical::to_bytes(record).unwrap());
            bytes.push(b'\n');
        }
        fs::write(&self.path, bytes).unwrap();
    }

    /// Reading and opening are refused, as a matter of verification and with these words.
    fn refused(&self, words: &str) {
        for e in [self.read().map(drop).unwrap_err(), self.open(&self.alice).map(drop).unwrap_err()] {
            assert!(e.report().contains(words), "{}", e.report());
            assert_eq!(e.kind(), ErrorKind::Verification, "{}", e.report());
        }
    }
}

fn prepare() -> StepId {
    made::id("prepare/release-1.0.0")
}

/// Hundreds of steps may look at the state while thousands of outcomes are in it.
#[test]
fn a_snapshot_stays_and_shares_what_does_not_change() {
    let world = World::new();
    let mut journal = world.open(&world.alice).unwrap();
    let before = journal.snapshot();
    let (done, next) = (world.graph.position(&prepare()).unwrap(), made::id("prepare/release-2.0.0"));
    let at = world.graph.position(&next).unwrap();
    let started = Event::Started { step: next, key: world.graph.at(at).key, attempt: 1, runner: None };
    journal.append(started).unwrap();
    let after = journal.snapshot();
    assert_eq!((before.at(at).attempts, after.at(at).attempts), (0, 1));
    assert!(Arc::ptr_eq(&before.shared(done), &after.shared(done)), "outcomes are copied for each snapshot");
    assert!(Arc::ptr_eq(&after, &journal.snapshot()), "a state is copied for each who reads it");
}

/// What somebody would write who wants another commit released: the outcome of `prepare` names theirs.
fn falsify(records: &mut [Record]) {
    for record in records.iter_mut() {
        if let Event::Succeeded { outcome, .. } = &mut record.what
            && let Outcome::Prepared(prepared) = std::sync::Arc::make_mut(outcome)
        {
            prepared.head = lifeboat::model::Oid::from_sha1([0xee; 20]);
        }
    }
}

/// Makes the chain whole again: every number and hash is what it should be.
fn chain(records: &mut [Record], plan: Sha256) {
    let mut prev = plan;
    for (i, record) in records.iter_mut().enumerate() {
        record.seq = i as u64;
        record.prev = prev;
        record.hash = Record::hash_of(record.seq, prev, record.at, &record.by, &record.what).unwrap();
        prev = record.hash;
    }
}

fn sign(record: &mut Record, key: &SecretKey) {
    record.signature = key.sign(&mut &Record::signed_bytes(&record.hash)[..]).unwrap();
}

#[test]
fn what_was_recorded_is_read_again() {
    let world = World::new();
    let records = world.read().unwrap();
    assert_eq!(records.len(), 3);
    let journal = world.open(&world.alice).unwrap();
    assert_eq!(journal.state().step(&prepare()).unwrap().attempts, 1);
    assert_eq!(journal.head(), records[2].hash);
    assert_eq!(journal.state().name(), TrainState::Drafted);
    let folded = State::fold(world.graph.clone(), &records).unwrap();
    assert_eq!(folded.outcome(&prepare()), journal.state().outcome(&prepare()));
    assert_eq!(check_signatures(&records, Signatures::All).unwrap().len(), 1);
}

#[test]
fn a_history_rewritten_without_the_key_is_refused() {
    let world = World::new();
    let mut records = world.read().unwrap();
    falsify(&mut records);
    // Hashes as they were: not even the record is whole.
    world.write(&records);
    world.refused("its hash is not that of its contents");
    // All hashes made anew, as anybody can: the last signature is over another hash.
    chain(&mut records, world.graph.id().0);
    world.write(&records);
    world.refused("it is not signed by");
    // Signed, but with another key.
    let mallory = key("mallory");
    for record in &mut records {
        sign(record, &mallory);
    }
    world.write(&records);
    world.refused("it is not signed by");
    // With another key that says so.
    for record in &mut records[1..] {
        record.by = mallory.fingerprint();
    }
    chain(&mut records, world.graph.id().0);
    for record in &mut records {
        sign(record, &mallory);
    }
    world.write(&records);
    world.refused("holds the train");
}

#[test]
fn a_whole_history_by_somebody_else_is_not_ours() {
    let world = World::new();
    let mallory = key("mallory");
    let mut records = world.read().unwrap();
    falsify(&mut records);
    for record in &mut records {
        record.by = mallory.fingerprint();
        if let Event::PlanAdopted { certificate, .. } = &mut record.what {
            *certificate = mallory.certificate().unwrap();
        }
    }
    chain(&mut records, world.graph.id().0);
    for record in &mut records {
        sign(record, &mallory);
    }
    world.write(&records);
    // It is consistent in itself, so it can be looked at; but nothing goes on from it.
    assert_eq!(world.read().unwrap().len(), 3);
    let e = world.open(&world.alice).map(drop).unwrap_err();
    assert!(e.message().contains("the train is held by") && e.kind() == ErrorKind::Verification, "{}", e.report());
    assert!(world.open(&mallory).is_ok());
}

#[test]
fn each_signature_is_checked_when_that_is_asked_for() {
    let world = World::new();
    let mut records = world.read().unwrap();
    records[1].signature = records[0].signature.clone();
    world.write(&records);
    // The last one covers what all of them say.
    assert!(world.open(&world.alice).is_ok());
    let e = check_signatures(&records, Signatures::All).unwrap_err();
    assert!(e.message().contains("line 2: it is not signed by"), "{e}");
    let last = records.len() - 1;
    records[last].signature = records[0].signature.clone();
    world.write(&records);
    world.refused("it is not signed by");
}

#[test]
fn each_record_has_the_oldest_format_that_knows_its_event() {
    let world = World::new();
    let mut journal = world.open(&world.alice).unwrap();
    let mut child = world.graph.plan().as_ref().clone();
    child.parent = Some(world.graph.id());
    let object = Sha256::of(&child.to_bytes().unwrap());
    let child = Arc::new(Graph::new(Arc::new(child)).unwrap());
    let stranger = Arc::new(Graph::new(Arc::new(Plan { parent: None, ..child.plan().as_ref().clone() })).unwrap());
    assert!(journal.amend(stranger, object, None).is_err(), "amended with a plan that is not a child");
    journal.amend(child.clone(), object, Some("the recipe was wrong".to_owned())).unwrap();
    assert_eq!(journal.state().graph().id(), child.id());
    drop(journal);
    let records = world.read().unwrap();
    assert_eq!(records.iter().map(|r| r.format).collect::<Vec<_>>(), [1, 1, 1, 2]);
    // Whoever reads it must know the child: the journal names it, and another file has its bytes.
    let e = world.open(&world.alice).map(drop).unwrap_err();
    assert!(e.report().contains("not a known child"), "{}", e.report());
    let mut plans = Plans::from(world.graph.clone());
    plans.learn(child.clone()).unwrap();
    let state = State::fold(plans, &records).unwrap();
    assert_eq!((state.graph().id(), state.generation()), (child.id(), 1));
    // A format that is not the event's own was written by nobody.
    let text = fs::read_to_string(&world.path).unwrap();
    fs::write(&world.path, text.replacen("\"format\":1", "\"format\":2", 1)).unwrap();
    world.refused("was changed");
}

#[test]
fn what_is_torn_newer_unknown_or_out_of_order() {
    let world = World::new();
    let whole = fs::read_to_string(&world.path).unwrap();
    // A torn tail never happened.
    fs::write(&world.path, format!("{whole}{}", &whole[..40])).unwrap();
    assert_eq!(world.read().unwrap().len(), 3);
    drop(world.open(&world.alice).unwrap());
    assert_eq!(fs::read_to_string(&world.path).unwrap(), whole);
    let lines: Vec<&str> = whole.lines().collect();
    let with = |lines: &[&str]| fs::write(&world.path, format!("{}\n", lines.join("\n"))).unwrap();
    with(&[lines[0], lines[2]]);
    world.refused("does not follow");
    with(&[lines[0], lines[2], lines[1]]);
    world.refused("does not follow");
    with(&[lines[1], lines[2]]);
    world.refused("does not follow");
    with(&[lines[0], &lines[1].replace("\"format\":1", "\"format\":4"), lines[2]]);
    let e = world.read().unwrap_err();
    assert!(e.message().contains("journal format 4, this version knows 3"), "{e}");
    with(&[lines[0], &lines[1].replace("\"format\":1", "\"format\":1,\"surprise\":1")]);
    assert!(world.read().is_err());
    with(&[lines[0], &lines[1].replace("\"attempt\":1", "\"attempt\":1,\"surprise\":1")]);
    assert!(world.read().unwrap_err().message().contains("says more"), "what the hash does not cover was let pass");
}

fn lifeboat(dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lifeboat"));
    command.args(args).current_dir(dir).env_clear().env("HOME", dir).env("PATH", std::env::var_os("PATH").unwrap());
    command.output().unwrap()
}

#[test]
fn no_command_goes_on_from_a_rewritten_journal() {
    let dir = crate::support::scratch();
    let drilled = lifeboat(dir.path(), &["drill"]);
    assert!(drilled.status.success(), "{}", String::from_utf8_lossy(&drilled.stderr));
    let drill = dir.path().join("lifeboat-drill");
    let (config, state) = (drill.join("project/lifeboat.toml"), drill.join("state"));
    let common = ["--config", config.to_str().unwrap(), "--state", state.to_str().unwrap()];
    let run = |verb: &[&str]| lifeboat(dir.path(), &[verb, &common].concat());
    for verb in [&["log", "--verify"][..], &["status"], &["ship"]] {
        let out = run(verb);
        assert!(out.status.success(), "{verb:?}: {}", String::from_utf8_lossy(&out.stderr));
    }
    let journal = state.join("sample/trains/drill/journal.jsonl");
    let text = fs::read_to_string(&journal).unwrap();
    let mut records: Vec<Record> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let plan = records[0].prev;
    falsify(&mut records);
    chain(&mut records, plan);
    let lines: Vec<Vec<u8>> = records.iter().map(|r| canonical::to_bytes(r).unwrap()).collect();
    fs::write(&journal, [lines.join(&b'\n'), b"\n".to_vec()].concat()).unwrap();
    for verb in [&["log", "--verify"][..], &["log"], &["status"], &["ship"], &["approve", "--as", "alice"]] {
        let out = run(verb);
        let error = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(6), "{verb:?}: {error}");
        assert!(error.contains("not signed by"), "{verb:?}: {error}");
    }
}

#[test]
fn a_journal_that_is_not_the_one_that_was_opened_gets_no_record() {
    let record = || {
        let world = World::new();
        let journal = world.open(&world.alice).unwrap();
        (world, journal)
    };
    type Replace = fn(&World);
    let ways: [(&str, Replace); 4] = [
        ("moved away", |w| fs::rename(&w.path, w.path.with_extension("away")).unwrap()),
        ("a copy in its place", |w| {
            let bytes = fs::read(&w.path).unwrap();
            fs::rename(&w.path, w.path.with_extension("away")).unwrap();
            fs::write(&w.path, bytes).unwrap();
        }),
        ("written by another process", |w| w.open(&w.alice).unwrap().append(next_of(w)).unwrap()),
        ("cut", |w| fs::OpenOptions::new().write(true).open(&w.path).unwrap().set_len(10).unwrap()),
    ];
    for (way, replace) in ways {
        let (world, mut journal) = record();
        replace(&world);
        let before = fs::read(&world.path).ok();
        let e = journal.append(next_of(&world)).unwrap_err();
        assert!(e.report().contains("is not the file that this process has opened"), "{way}: {}", e.report());
        assert_eq!(fs::read(&world.path).ok(), before, "{way}: something was written");
    }
    // What nobody touched goes on.
    let (world, mut journal) = record();
    journal.append(next_of(&world)).unwrap();
    assert_eq!(world.read().unwrap().len(), 4);
}

/// A step that may start in the world's journal.
fn next_of(world: &World) -> Event {
    let planned =
        world.graph.plan().steps.iter().find(|s| s.id != prepare() && s.needs.iter().all(|n| *n == prepare())).unwrap();
    Event::Started { step: planned.id.clone(), key: planned.key, attempt: 1, runner: None }
}
