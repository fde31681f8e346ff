//! Which runner takes which job: pure, on whatever clock its caller has.
//!
//! Jobs differ in length and in the runners that fit them; runners differ in slots and speed. What is best to do now follows
//! from where all work could go, so each decision looks at all of it: first how much work of each kind of job every runner
//! should get, so that all end at about the same time (`quota`); then which job starts where, longest first (`assign`). What
//! went wrong with a job or a runner narrows where jobs may go, and a job that takes too long is started twice (`moves`).
//! Nothing is kept from one decision to the next: what happened meanwhile (a job that took longer, a runner that lost one) is in
//! what the next one is given.

mod assign;
mod durations;
mod moves;
mod quota;

pub use assign::{Assigned, assign, ends_ms};
pub use durations::{Durations, Estimates};
pub use moves::{
    AfterFailure, JobFailure, JobFailures, LateJob, RunnerStanding, candidates, is_late, late_after_ms, seconds,
    verdict,
};

/// A job that waits for a runner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitingJob {
    /// Whatever the caller knows it by.
    pub id: usize,
    /// Which runners fit it: an index into the list of [`Fitting`]s.
    pub kind: usize,
    /// How long it is expected to take at speed 1, in milliseconds.
    pub expected_ms: u64,
}

/// The runners that have all labels of one kind of job, as indexes into the list of runners, in ascending order.
pub type Fitting = Vec<usize>;

/// A runner as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct RunnerState {
    /// How many jobs it takes at a time.
    pub slots: usize,
    /// How fast it is: 2 takes half as long as 1. More than 0.
    pub speed: f64,
    /// Of each job that it has, how much longer that is expected to take there, in milliseconds; 0 for one that is overdue.
    pub busy_ms: Vec<u64>,
}

impl RunnerState {
    /// How long a job is expected to take there, in milliseconds.
    #[must_use]
    pub fn duration_ms(&self, expected_ms: u64) -> f64 {
        expected_ms as f64 / self.speed
    }

    /// How many jobs it can take now.
    #[must_use]
    pub fn free(&self) -> usize {
        self.slots.saturating_sub(self.busy_ms.len())
    }
}
