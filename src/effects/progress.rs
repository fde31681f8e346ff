//! The port to whoever watches.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::Transfers;
use crate::model::{RunnerName, StoreName};
use crate::step::StepId;

/// Something worth telling a person who waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProgressEvent {
    /// The train's steps were counted.
    Planned {
        /// All of them.
        total: usize,
        /// Those that succeeded before this run.
        done: usize,
    },
    /// A step began.
    Started(StepId),
    /// A step's job runs on a runner.
    Working {
        /// The step.
        step: StepId,
        /// What it prints is in this file, as far as it is here.
        log: Option<PathBuf>,
        /// Where it runs.
        runner: RunnerName,
        /// How long it is expected to take there, if something is known of that.
        expected: Option<Duration>,
    },
    /// A step's job ended badly, or takes too long, for this reason; another runner has it now, or gets it next.
    Moved(StepId, String),
    /// How far the jobs of the whole train are.
    Jobs {
        /// Those that are on a runner.
        running: usize,
        /// Those that are not, yet.
        waiting: usize,
        /// How long all of them should still take, if something is known of that.
        left: Option<Duration>,
    },
    /// A step succeeded.
    Succeeded(StepId),
    /// A step was deferred, for this reason.
    Deferred(StepId, String),
    /// A step failed, for this reason.
    Failed(StepId, String),
    /// A line for the person.
    Note(String),
    /// The run is over.
    Ended,
}

/// Receives progress.
pub trait Progress: Send + Sync {
    /// Takes one event; never fails, never blocks for long.
    fn event(&self, event: ProgressEvent);

    /// The transfers of a store, which may move something from now on.
    fn transfers(&self, _store: &StoreName, _transfers: &Arc<Transfers>) {}

    /// How long each step took that ended while this watched, in the order in which they ended.
    fn times(&self) -> Vec<(StepId, Duration)> {
        Vec::new()
    }
}

/// Reports nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn event(&self, _: ProgressEvent) {}
}
