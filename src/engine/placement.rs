//! Where the jobs of one step go: what the loop tells the step that it drives.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::runner_watch::{News, RunnerWatch, ToLoop};
use crate::step::Handle;

/// What is known of a job on its runner.
#[derive(Debug, Clone)]
pub(super) enum There {
    /// It was never handed over.
    No,
    /// An earlier process was about to hand it over.
    Perhaps,
    /// The runner took it.
    Yes(Handle),
}

/// A job of a step, on a runner.
#[derive(Clone)]
pub(super) struct Placement {
    /// Which attempt of the step it is; recorded as started.
    pub(super) attempt: u32,
    /// Where.
    pub(super) watch: Arc<RunnerWatch>,
    /// Whether it is there already.
    pub(super) there: There,
    /// How long it is expected to take there, in milliseconds; none if nothing is known.
    pub(super) expected_ms: Option<u64>,
}

/// The jobs of a step that is under way.
pub(super) struct StepJobs {
    at: usize,
    first: Mutex<Vec<Placement>>,
    /// Jobs that are started beside the first.
    pub(super) more: tokio::sync::Mutex<UnboundedReceiver<Placement>>,
    to_loop: ToLoop,
    /// Whether the step ends because its last job did, which is recorded.
    pub(super) ended: Arc<AtomicBool>,
}

/// The loop's end of [`StepJobs`].
pub(super) struct ToStep {
    pub(super) more: UnboundedSender<Placement>,
    ended: Arc<AtomicBool>,
}

impl StepJobs {
    pub(super) fn new(at: usize, first: Vec<Placement>, to_loop: ToLoop) -> (Self, ToStep) {
        let (sender, more) = unbounded_channel();
        let ended = Arc::new(AtomicBool::new(false));
        let jobs =
            Self { at, first: Mutex::new(first), more: tokio::sync::Mutex::new(more), to_loop, ended: ended.clone() };
        (jobs, ToStep { more: sender, ended })
    }

    /// The jobs with which the step begins, once.
    pub(super) fn first(&self) -> Vec<Placement> {
        std::mem::take(&mut *self.first.lock())
    }

    /// Tells the loop that a job ended, and that its runner has a slot more.
    pub(super) fn job_ended(&self, attempt: u32) {
        // Without a loop nobody needs to know.
        drop(self.to_loop.send(News::JobEnded(self.at, attempt)));
    }
}

impl ToStep {
    /// Whether the step ended because its last job did.
    pub(super) fn ended_with_its_job(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }
}
