//! `await-runs`: waits for the workflows that a delivery starts.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Kind, Made, Phase, Prepare, Read, StepId};
use crate::model::{BranchName, Destination, Oid, RemoteName};

/// Waits for the workflows that a delivery starts, and sees that they end well on our commit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AwaitRuns {
    /// The forge.
    pub forge: RemoteName,
    /// The line.
    pub branch: BranchName,
    /// The step that made the commit on which they run.
    pub prepare: StepId,
    /// The runs, sorted.
    pub runs: BTreeSet<WantedRun>,
}

/// A run of a workflow that a delivery starts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WantedRun {
    /// The workflow file's name.
    pub file: String,
    /// The event that starts it.
    pub event: String,
    /// The branch or tag on which it runs.
    pub on: String,
}

/// The runs for which [`AwaitRuns`] waited.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunsPassed {
    /// The runs, in the order of the step.
    pub runs: Vec<PassedRun>,
}

/// A run that ended well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PassedRun {
    /// Which run was wanted.
    pub run: WantedRun,
    /// The forge's number.
    pub id: u64,
    /// The commit on which it ran: ours.
    pub commit: Oid,
    /// Where people see it.
    pub location: String,
}

impl AwaitRuns {
    /// The name of the step that waits for the runs of a line on a forge.
    #[must_use]
    pub fn id(forge: &RemoteName, line: &BranchName) -> StepId {
        StepId::of::<Self>(&[forge.as_str(), line.as_str()])
    }
}

impl Kind for AwaitRuns {
    const NAME: &'static str = "await-runs";
    type Outcome = RunsPassed;

    fn name(&self) -> StepId {
        Self::id(&self.forge, &self.branch)
    }

    fn line(&self) -> Option<&BranchName> {
        Some(&self.branch)
    }

    fn reads(&self) -> Vec<Read<'_>> {
        vec![Read::of::<Prepare>(&self.prepare, &self.branch)]
    }

    fn phase(&self) -> Phase {
        Phase::Beside
    }

    fn destination(&self) -> Option<Destination> {
        Some(Destination::Forge(self.forge.clone()))
    }
}

impl Made for RunsPassed {}
