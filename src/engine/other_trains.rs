//! The other trains of the project on this machine: what their journals say of forges, and whose turn it is there.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::train::{Train, TrainDir};
use crate::effects::{Disk, Effects, LockGuard, PathKind, locks};
use crate::error::{Context as _, Error, ErrorKind, Result};
use crate::journal::{State, StepStatus};
use crate::model::{RemoteName, TrainName};
use crate::step::SuppressWorkflows;

/// How often a forge that another process acts on is asked for: five seconds in all.
const TRIES: u32 = 25;

/// The time between two tries, real time: another process does not follow this one's clock.
const BETWEEN: Duration = Duration::from_millis(200);

/// A forge whose workflows no other delivery of this machine starts or enables meanwhile.
pub(super) struct WorkflowLock {
    _process: Box<dyn LockGuard>,
    _delivery: tokio::sync::OwnedMutexGuard<()>,
}

/// Waits until no other delivery, of this process or another one, acts on a forge's workflows.
///
/// # Errors
/// [`ErrorKind::Unreachable`] if another process takes long; the file system's.
pub(super) async fn lock_workflows(effects: &Effects, train: &Train, forge: &RemoteName) -> Result<WorkflowLock> {
    // A process cannot wait for a lock file that it holds itself.
    let delivery = train.forge_turn(forge).lock_owned().await;
    let Some(trains) = train.dir().path().parent() else {
        return Err(Error::fatal(format!("`{}` is in no directory", train.dir().path().display())));
    };
    let path = trains.join(format!("forge-{forge}.lock"));
    for _ in 0..TRIES {
        let held = effects.disk.try_lock(&path).context(format!("cannot lock `{}`", path.display()))?;
        if let Some(process) = held {
            return Ok(WorkflowLock { _process: process, _delivery: delivery });
        }
        tokio::time::sleep(BETWEEN).await;
    }
    let by = locks::holder(&*effects.disk, &path).map_or_else(locks::unknown, locks::with);
    let what = format!("another lifeboat process acts on `{forge}`: {by}");
    Err(Error::new(ErrorKind::Unreachable, what).hint("`lifeboat reconcile` goes on once it has ended"))
}

/// The workflow files of a forge that other trains need off, each with one of those trains. They began to disable them,
/// and a delivery that would start them is not done, or was not done yet at `settled`.
///
/// # Errors
/// A train that cannot be read: it may need any of them off.
pub(super) fn keep_off(
    disk: &dyn Disk,
    own: &TrainDir,
    forge: &RemoteName,
    settled: Timestamp,
) -> Result<BTreeMap<String, TrainName>> {
    let mut out = BTreeMap::new();
    for state in others(disk, own)? {
        let graph = state.graph();
        let done = |i: usize| {
            let stands = state.at(i);
            matches!(stands.status, StepStatus::Succeeded(_)) && stands.since.is_some_and(|at| at <= settled)
        };
        for i in 0..graph.len() {
            let Some(SuppressWorkflows(off)) = graph.at(i).step.as_a() else { continue };
            let delivers = off.starters.iter().filter_map(|id| graph.position(id)).any(|n| !done(n));
            if off.forge == *forge && state.at(i).attempts > 0 && delivers {
                out.extend(off.files.iter().map(|file| (file.clone(), graph.plan().train.clone())));
            }
        }
    }
    Ok(out)
}

/// The trains beside one.
fn others(disk: &dyn Disk, own: &TrainDir) -> Result<Vec<State>> {
    let Some(all) = own.path().parent() else { return Ok(Vec::new()) };
    let entries = disk.list(all).context(format!("cannot list `{}`", all.display()))?;
    let dirs = entries.into_iter().filter(|e| e.kind == PathKind::Dir).map(|e| TrainDir::new(all.join(e.name)));
    let read = |dir: TrainDir| {
        state(disk, &dir).map_err(|e| {
            let what = format!("what the train in `{}` needs is not known: {}", dir.path().display(), e.message());
            Error::new(ErrorKind::Unreachable, what)
                .hint("repair that train's files, or move its directory away, then `lifeboat reconcile`")
        })
    };
    dirs.filter(|dir| dir.path() != own.path()).filter_map(|dir| read(dir).transpose()).collect()
}

/// How a train stands; none where nothing was adopted yet.
fn state(disk: &dyn Disk, dir: &TrainDir) -> Result<Option<State>> {
    if disk.entry(&dir.plan()).context("cannot look at a plan")?.is_none() {
        return dir.plan_is_not_lost(disk).map(|()| None);
    }
    dir.read(disk)?.state().map(Some)
}
