//! A train as anybody may read it: no lock is taken, and no key is needed.

use std::sync::Arc;

use super::recorded::TrainRecord;
use super::train::TrainDir;
use crate::effects::{Disk, Objects};
use crate::error::Result;
use crate::journal::State;
use crate::plan::Plan;
use crate::trust::TrustedRoot;

/// What was recorded of a train up to now, with the objects that it names and the trust root by which approvals count.
#[derive(Clone)]
pub struct TrainView {
    state: Arc<State>,
    objects: Objects,
    trust: Arc<TrustedRoot>,
}

impl TrainView {
    /// Of parts that belong together.
    #[must_use]
    pub fn new(state: impl Into<Arc<State>>, objects: Objects, trust: Arc<TrustedRoot>) -> Self {
        Self { state: state.into(), objects, trust }
    }

    /// Reads a train's directory, while another process may be at work on it; with the records that it was folded from.
    ///
    /// # Errors
    /// No train there; a broken plan or journal.
    pub fn open(disk: &Arc<dyn Disk>, trust: Arc<TrustedRoot>, dir: &TrainDir) -> Result<(Self, TrainRecord)> {
        let recorded = dir.read(&**disk)?;
        if recorded.records.is_empty() {
            dir.journal_is_not_lost(disk, recorded.plans.first().plan())?;
        }
        let state = recorded.state()?;
        super::train::same_root(&trust, state.graph().plan())?;
        Ok((Self { state: Arc::new(state), objects: Objects::new(disk.clone(), dir.objects()), trust }, recorded))
    }

    /// What was recorded.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The adopted plan.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        self.state.graph().plan()
    }

    /// The objects.
    #[must_use]
    pub fn objects(&self) -> &Objects {
        &self.objects
    }

    /// The trust root by which approvals count.
    #[must_use]
    pub fn trust(&self) -> &TrustedRoot {
        &self.trust
    }
}
