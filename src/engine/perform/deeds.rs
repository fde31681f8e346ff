//! What a delivery did on a forge so far: how it tells a look that is older than its own acts from one to act on.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::effects::Clock;
use crate::journal::{StepState, StepStatus};

/// How often a look that may be old is repeated, after 1, 2, 4 … seconds: what a forge shows may be older than what it did.
pub(super) const LOOKS: u32 = 4;

/// How long all these looks take together.
const SETTLED: SignedDuration = SignedDuration::from_secs((1 << LOOKS) - 1);

/// How often one thing is done, if no answer ever says that it was.
const TIMES: u32 = 5;

/// One thing that was done.
#[derive(Debug, Default)]
struct Deed {
    /// How often in all.
    times: u32,
    /// Whether what it made was removed since: it is needed once more.
    undone: bool,
    /// Whether the forge said that it did it; otherwise the answer was lost.
    taken: bool,
}

/// Things that one delivery did or may have done, by what they are called.
#[derive(Debug, Default)]
pub(super) struct Deeds {
    deeds: BTreeMap<String, Deed>,
    looks: u32,
}

impl Deeds {
    /// Something that may have been done before this delivery began, or along with another thing.
    pub(super) fn may_have(&mut self, name: &str) {
        self.deeds.entry(name.to_owned()).or_default();
    }

    /// Something that the forge took before this delivery began.
    pub(super) fn took(&mut self, name: &str) {
        self.deeds.entry(name.to_owned()).or_default().taken = true;
    }

    /// What was done, whether the forge said so or its answer was lost.
    pub(super) fn did(&mut self, names: Vec<String>, taken: bool) {
        for name in names {
            let deed = self.deeds.entry(name).or_default();
            deed.times += 1;
            (deed.taken, deed.undone) = (taken, false);
        }
    }

    /// These are needed once more: what they made was removed.
    pub(super) fn forget(&mut self, undone: impl Fn(&str) -> bool) {
        for (_, deed) in self.deeds.iter_mut().filter(|(name, _)| undone(name)) {
            (deed.taken, deed.undone) = (false, true);
        }
    }

    /// Whether a look that asks for these things, or for trouble, is to be repeated; waits before it says so.
    pub(super) async fn doubt(&mut self, clock: &dyn Clock, names: &[String], trouble: bool) -> bool {
        let known = trouble || names.iter().any(|name| self.deeds.get(name).is_some_and(|deed| !deed.undone));
        let doubted = known && self.looks < LOOKS;
        if doubted {
            pause(clock, 1 << self.looks).await;
            self.looks += 1;
        } else {
            self.looks = 0;
        }
        doubted
    }

    /// The first of these things that is not done again: the forge took it and does not show it, or takes it never.
    pub(super) fn enough<'a>(&self, names: &'a [String]) -> Option<&'a String> {
        let enough = |deed: &Deed| deed.taken || deed.times >= TIMES;
        names.iter().find(|name| self.deeds.get(*name).is_some_and(enough))
    }
}

/// Whether an attempt before this one may have done something that a look of now does not show; `before` is how the step
/// stood when this one began. Of one that was killed nobody knows when it acted last.
pub(super) fn recent(before: &StepState, now: Timestamp) -> bool {
    let ended = match before.status {
        StepStatus::Started => None,
        _ => before.since,
    };
    before.attempts > 0 && ended.is_none_or(|at| now.duration_since(at) < SETTLED)
}

/// Waits this many seconds.
pub(super) async fn pause(clock: &dyn Clock, seconds: i64) {
    if let Ok(until) = clock.now().checked_add(SignedDuration::from_secs(seconds)) {
        clock.sleep_until(until).await;
    }
}
