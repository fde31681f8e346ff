//! Which job starts where.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::quota::Quota;
use super::{Fitting, RunnerState, WaitingJob};

/// A job that starts on a runner now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assigned {
    /// The job.
    pub id: usize,
    /// The runner, as its index.
    pub runner: usize,
}

/// Ways to keep to the shares, of which the one that ends earliest is taken: which part of a job must be left in a runner's share
/// of its kind (the last one asks for none), and by which factor a job may end later than all would if work could be cut.
const WAYS: [(f64, f64); 9] = [
    (0.5, 1.0),
    (0.5, 1.02),
    (0.5, 1.05),
    (0.9, 1.0),
    (0.9, 1.03),
    (0.2, 1.0),
    (0.2, 1.03),
    (0.0, 1.0),
    (f64::MIN, 1.0),
];

/// With more jobs than this, one way is as good as any other, and looking at all of them takes too long.
const MANY: usize = 1500;

/// Which of the waiting jobs start now, and where. A job may be left waiting beside a free place: for a runner that is so much
/// faster that the job ends earlier there, although it starts later.
///
/// `waiting` must be sorted by expected duration, longest first. Indexes must be in range.
#[must_use]
pub fn assign(waiting: &[WaitingJob], fitting: &[Fitting], runners: &[RunnerState]) -> Vec<Assigned> {
    let free: usize = runners.iter().map(RunnerState::free).sum();
    if free == 0 || waiting.is_empty() {
        return Vec::new();
    }
    let quota = Quota::of(waiting, fitting, runners);
    let way = |way| Way::go(way, waiting, fitting, runners, quota.clone());
    if waiting.len() > MANY {
        return way((WAYS[0], Some(free))).assigned;
    }
    let ways = WAYS.iter().map(|&w| way((w, None)));
    ways.min_by_key(|way| way.ends).map(|way| way.assigned).unwrap_or_default()
}

/// When all jobs have ended, in milliseconds from now, if each takes as long as it is expected to.
#[must_use]
pub fn ends_ms(waiting: &[WaitingJob], fitting: &[Fitting], runners: &[RunnerState]) -> u64 {
    let busy = runners.iter().flat_map(|r| r.busy_ms.iter().copied()).max().unwrap_or_default();
    if waiting.is_empty() {
        return busy;
    }
    Way::go((WAYS[0], None), waiting, fitting, runners, Quota::of(waiting, fitting, runners)).ends.max(busy)
}

/// What comes of one way to cut the shares.
struct Way {
    /// What starts now.
    assigned: Vec<Assigned>,
    /// When the last job ends, and so on downwards: in milliseconds from now.
    ends: u64,
}

impl Way {
    /// Places all jobs, longest first, or as many as it takes until so many start now.
    fn go(
        ((share, late), enough): ((f64, f64), Option<usize>),
        waiting: &[WaitingJob],
        fitting: &[Fitting],
        runners: &[RunnerState],
        mut quota: Quota,
    ) -> Self {
        let mut places: Vec<Places> = runners.iter().map(Places::of).collect();
        let mut way = Self { assigned: Vec::new(), ends: 0 };
        let latest = quota.end_ms * late;
        for job in waiting {
            let Some((at, runner)) = best(job, fitting, runners, &places, (&mut quota, share, latest)) else {
                continue;
            };
            *quota.left(job.kind, at) -= job.expected_ms as f64;
            let (from, to) = places[runner].take(runners[runner].duration_ms(job.expected_ms));
            way.ends = way.ends.max(to);
            if from == 0 {
                way.assigned.push(Assigned { id: job.id, runner });
                if Some(way.assigned.len()) == enough {
                    break;
                }
            }
        }
        way
    }
}

/// The runner on which a job should go, with its position among those that fit.
fn best(
    job: &WaitingJob,
    fitting: &[Fitting],
    runners: &[RunnerState],
    places: &[Places],
    (quota, share, latest): (&mut Quota, f64, f64),
) -> Option<(usize, usize)> {
    let (mut best, mut within) = (None::<(f64, usize, usize)>, None::<(f64, usize, usize)>);
    for (at, &runner) in fitting[job.kind].iter().enumerate() {
        let Some(from) = places[runner].first() else { continue };
        let ends = from as f64 + runners[runner].duration_ms(job.expected_ms);
        if best.is_none_or(|(end, ..)| ends < end) {
            best = Some((ends, at, runner));
        }
        // A runner whose share of this kind is used up is left to the kinds that have no other.
        let has_share = *quota.left(job.kind, at) >= job.expected_ms as f64 * share;
        if has_share && within.is_none_or(|(end, ..)| ends < end) {
            within = Some((ends, at, runner));
        }
    }
    let chosen = match (within, best) {
        // Shares are cut as if jobs could be: one that would end too late there goes where it ends first.
        (Some(within), Some(best)) if within.0 > latest && best.0 < within.0 => Some(best),
        (within, best) => within.or(best),
    };
    chosen.map(|(_, at, runner)| (at, runner))
}

/// When each place of a runner becomes free, in milliseconds from now.
struct Places(BinaryHeap<Reverse<u64>>);

impl Places {
    fn of(runner: &RunnerState) -> Self {
        // One that is overdue frees its place soon, and not now.
        let busy = runner.busy_ms.iter().map(|&ms| Reverse(ms.max(1)));
        Self(busy.chain((0..runner.free()).map(|_| Reverse(0))).collect())
    }

    fn first(&self) -> Option<u64> {
        self.0.peek().map(|Reverse(at)| *at)
    }

    /// Fills the first place for so long; says from when to when.
    fn take(&mut self, for_ms: f64) -> (u64, u64) {
        let Some(mut first) = self.0.peek_mut() else { return (u64::MAX, u64::MAX) };
        let Reverse(from) = *first;
        let to = from + (for_ms.ceil() as u64).max(1);
        *first = Reverse(to);
        (from, to)
    }
}
