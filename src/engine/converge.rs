//! Brings a destination to what a train wants there: read, decide, act, and read again until it is so.
//!
//! What a destination shows may be some seconds older than what was done there (eventual consistency). A delivery remembers
//! its own writes and reads again, for [`SETTLED`] in all, before it repeats a write or reports a conflict. Every round
//! begins with a read, so a crash, a lost answer and a second run are one case.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::other_trains::WorkflowLock;
use crate::effects::{Clock, Store};
use crate::error::{Error, ErrorKind, Part, Result};
use crate::journal::{StepState, StepStatus};
use crate::model::Sha256;

/// How often a read that may be stale is repeated, after 1, 2, 4 … seconds.
const LOOKS: u32 = 4;

/// How long all these looks take together.
const SETTLED: SignedDuration = SignedDuration::from_secs((1 << LOOKS) - 1);

/// How often one write is tried, if no answer ever says that it was taken.
const TIMES: u32 = 5;

/// How often a public file is computed anew when another writer was faster.
const RACES: u32 = 10;

/// What one read of a destination means.
#[derive(Debug)]
pub(super) enum Assessment<A, T> {
    /// It is as it should be.
    Done(T),
    /// This is to be done next.
    Lacks(A),
    /// Nothing can be done about it from here; the read itself may be stale.
    Stops(Error),
}

/// Something that is to be brought about at a destination.
#[async_trait::async_trait]
pub(super) trait Wanted: Send + Sync {
    /// What can be done for it.
    type Act: Send + Sync;
    /// What is known once it is there.
    type Done: Send;

    /// Reads, and decides by that read alone.
    async fn look(&mut self) -> Result<Assessment<Self::Act, Self::Done>>;

    /// The writes of an act, by names that mean the same thing in every read.
    fn names(&self, act: &Self::Act) -> Vec<String>;

    /// Sees to it that nothing else happens meanwhile: held until the act has ended.
    async fn hold(&mut self, _act: &Self::Act) -> Result<Vec<WorkflowLock>> {
        Ok(Vec::new())
    }

    /// Does it. [`ErrorKind::Transient`] means that it may have happened all the same.
    async fn act(&mut self, act: Self::Act, writes: &mut Writes) -> Result<()>;

    /// What it is, for what stands before a refusal.
    fn what(&self) -> String;

    /// The part of the destination that shows it.
    fn part(&self) -> Part {
        Part::Api
    }

    /// Says that the write of this name is not seen there.
    fn missing(&self, name: &str) -> String;

    /// Says that it was there, and now needs these writes.
    fn changed(&self, names: &[String]) -> Error {
        Error::conflict(format!("{}: it needs {}", self.what(), names.join(", ")))
    }
}

/// Looks and acts until it is as it should be.
///
/// # Errors
/// What a read shows that nothing can be done about; a refusal; [`ErrorKind::Unreachable`] if a write is never seen.
pub(super) async fn converge<W: Wanted>(clock: &dyn Clock, mut writes: Writes, wanted: &mut W) -> Result<W::Done> {
    let mut lost: Option<Error> = None;
    loop {
        let (act, names) = match wanted.look().await? {
            Assessment::Done(done) => return Ok(done),
            Assessment::Stops(_) if writes.doubt(clock, &[], true).await => continue,
            Assessment::Stops(error) => return Err(error),
            Assessment::Lacks(act) => {
                let names = wanted.names(&act);
                (act, names)
            }
        };
        // Asks for something that was done: the read itself may be stale.
        if writes.doubt(clock, &names, false).await {
            continue;
        }
        if let Some(name) = writes.enough(&names) {
            return Err(unseen(wanted.part(), wanted.missing(name), lost));
        }
        let held = wanted.hold(&act).await?;
        let done = wanted.act(act, &mut writes).await;
        drop(held);
        match done {
            Err(e) if e.kind() != ErrorKind::Transient => return Err(e.context(wanted.what())),
            done => {
                writes.did(names, done.is_ok());
                lost = done.err();
            }
        }
    }
}

/// Looks, and does nothing: whether it is still as it should be.
pub(super) async fn prove<W: Wanted>(clock: &dyn Clock, wanted: &mut W) -> Result<W::Done> {
    let mut writes = Writes::default();
    loop {
        let error = match wanted.look().await? {
            Assessment::Done(done) => return Ok(done),
            Assessment::Stops(error) => error,
            Assessment::Lacks(act) => wanted.changed(&wanted.names(&act)),
        };
        if !writes.doubt(clock, &[], true).await {
            return Err(error);
        }
    }
}

fn unseen(part: Part, what: String, lost: Option<Error>) -> Error {
    let part = lost.as_ref().and_then(Error::part).unwrap_or(part);
    let error = Error::new(ErrorKind::Unreachable, what).of(part).hint("`lifeboat reconcile` tries again");
    match lost {
        Some(e) => error.detail(e.message().to_owned()),
        None => error.detail("it was accepted there, and is not shown yet"),
    }
}

/// One write.
#[derive(Debug, Default)]
struct Write {
    /// How often it was made in all.
    times: u32,
    /// Whether what it made was removed since: it is needed once more.
    undone: bool,
    /// Whether the destination said that it did it; otherwise the answer was lost.
    taken: bool,
}

/// What one delivery wrote, or may have written, by what it is called.
#[derive(Debug, Default)]
pub(super) struct Writes {
    writes: BTreeMap<String, Write>,
    looks: u32,
    /// An earlier attempt may have acted so lately that the first read does not show it.
    recent: bool,
}

impl Writes {
    /// None yet. `recent`: an earlier attempt may have acted so lately that a read does not show it.
    pub(super) fn after(recent: bool) -> Self {
        Self { recent, ..Self::default() }
    }

    /// Something that may have been done before this delivery began, or along with another thing.
    pub(super) fn may_have(&mut self, name: &str) {
        self.writes.entry(name.to_owned()).or_default();
    }

    /// Something that the destination took before this delivery began.
    pub(super) fn took(&mut self, name: &str) {
        self.writes.entry(name.to_owned()).or_default().taken = true;
    }

    /// These are needed once more: what they made is removed.
    pub(super) fn forget(&mut self, undone: impl Fn(&str) -> bool) {
        for (_, write) in self.writes.iter_mut().filter(|(name, _)| undone(name)) {
            (write.taken, write.undone) = (false, true);
        }
    }

    /// What was done, whether the destination said so or its answer was lost.
    fn did(&mut self, names: Vec<String>, taken: bool) {
        for name in names {
            let write = self.writes.entry(name).or_default();
            write.times += 1;
            (write.taken, write.undone) = (taken, false);
        }
    }

    /// Whether a read that asks for these things, or for trouble, is to be repeated; waits before it says so.
    async fn doubt(&mut self, clock: &dyn Clock, names: &[String], trouble: bool) -> bool {
        let known = names.iter().any(|name| self.writes.get(name).is_some_and(|write| !write.undone));
        let doubted = (known || trouble || self.recent) && self.looks < LOOKS;
        if doubted {
            clock.pause(1 << self.looks).await;
            self.looks += 1;
        } else {
            (self.looks, self.recent) = (0, false);
        }
        doubted
    }

    /// The first of these writes that is not repeated: the destination took it, or never does.
    fn enough<'a>(&self, names: &'a [String]) -> Option<&'a String> {
        let enough = |write: &Write| write.taken || write.times >= TIMES;
        names.iter().find(|name| self.writes.get(*name).is_some_and(enough))
    }
}

/// Whether an attempt before this one may have done something that a read of now does not show; `before` is how the step
/// stood when this one began. Of one that was killed nobody knows when it acted last.
pub(super) fn recent(before: &StepState, now: Timestamp) -> bool {
    let ended = match before.status {
        StepStatus::Started => None,
        _ => before.since,
    };
    before.attempts > 0 && ended.is_none_or(|at| now.duration_since(at) < SETTLED)
}

/// Replaces a public file that other writers move too. `attempt` reads everything, computes the file anew from that, and
/// replaces just that; it gives nothing if another writer was faster, and is made again.
///
/// # Errors
/// Those of an attempt; [`ErrorKind::Transient`] if another writer is faster again and again.
pub(crate) async fn until_ours<T, F: Future<Output = Result<Option<T>>>>(
    store: &dyn Store,
    what: &str,
    mut attempt: impl FnMut() -> F,
) -> Result<T> {
    for _ in 0..RACES {
        if let Some(done) = attempt().await? {
            return Ok(done);
        }
    }
    Err(Error::transient(format!("another writer keeps changing {what} of store `{}`", store.name())))
}

/// Brings a public object, which was seen to be `there`, to these bytes; says whether it is so, or another writer was faster.
pub(crate) async fn replaced(store: &dyn Store, path: &str, there: Option<&[u8]>, bytes: &[u8]) -> Result<bool> {
    Ok(there == Some(bytes) || store.replace_if(path, there.map(Sha256::of).as_ref(), bytes).await?)
}
