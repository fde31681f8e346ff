//! The journal: what was recorded stays, and a record is there whole or not at all.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use lifeboat::effects::{Disk, Signer as _};
use lifeboat::error::Result;
use lifeboat::host::{HostClock, HostDisk};
use lifeboat::journal::{Event, Journal};
use lifeboat::plan::Graph;
use lifeboat::signers::openpgp::{SecretKey, generate};

use super::Case;
use crate::model::{configs, made};
use crate::support::counting::CountingDisk;
use crate::support::kill_points::{Action, KillPoints};

/// Three records, one after the other.
pub(super) const RECORDS: Case = Case {
    name: "journal",
    before: |_| {},
    act: |disk, root| record(disk, root),
    always: |root| assert!(recorded(root) <= 3),
    done: |root| recorded(root) == 3,
};

/// The same, when the disk takes the second record and yet reports an error: nothing of that record may be mixed into the
/// one that is written in its place.
pub(super) const LATE_ERROR: Case = Case {
    name: "journal, late error",
    before: |_| {},
    act: |disk, root| {
        // Append, write, sync and sync_dir of the first record, append, write and sync of the second.
        let sync = if recorded(root) == 0 { 7 } else { u64::MAX };
        let late: Arc<dyn Disk> = CountingDisk::new(disk.clone(), KillPoints::at(sync, Action::Late));
        record(late, root)
    },
    always: |root| assert!(recorded(root) <= 3),
    done: |root| recorded(root) == 3,
};

fn path(root: &Path) -> PathBuf {
    root.join("journal.jsonl")
}

fn graph() -> Arc<Graph> {
    static GRAPH: OnceLock<Arc<Graph>> = OnceLock::new();
    let make = || Arc::new(Graph::new(Arc::new(configs::Shape::of_everything().plan())).unwrap());
    GRAPH.get_or_init(make).clone()
}

fn signer() -> Arc<SecretKey> {
    static KEY: OnceLock<Arc<SecretKey>> = OnceLock::new();
    let make = || {
        let now = jiff::Timestamp::now();
        let made = generate("alice", now).unwrap();
        Arc::new(SecretKey::parse(made.secret_armored.expose().as_bytes(), "alice", None, now).unwrap())
    };
    KEY.get_or_init(make).clone()
}

/// How many records are there; panics if what is there is no journal.
fn recorded(root: &Path) -> usize {
    Journal::read(&HostDisk, &path(root), &graph()).unwrap().0.len()
}

/// Records what is missing, each event again once if the first time fails.
fn record(disk: Arc<dyn Disk>, root: &Path) -> Result<()> {
    let (graph, signer) = (graph(), signer());
    let mut journal = Journal::open(disk, Arc::new(HostClock), signer.clone(), path(root), graph.clone())?;
    let prepare = graph.plan().steps.iter().find(|s| s.step.kind() == "prepare").unwrap();
    let (step, key) = (prepare.id.clone(), prepare.key);
    let outcome = made::outcome(&prepare.step).into();
    let certificate = signer.certificate()?;
    let events = [
        Event::PlanAdopted { plan: graph.id(), nonce: made::nonce(), certificate },
        Event::Started { step: step.clone(), key, attempt: 1, runner: None },
        Event::Succeeded { step, key, outcome },
    ];
    for event in events.into_iter().skip(recorded(root)) {
        journal.append(event.clone()).or_else(|_| journal.append(event))?;
    }
    Ok(())
}
