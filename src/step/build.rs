//! `build`: runs a target's recipe on a runner.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Bundle, Job, Kind, Made, Phase, Read, StepId};
use crate::model::{Artifact, BranchName, Sha256, TargetName};

/// Runs the recipe of a target on a runner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Build {
    /// The line.
    pub branch: BranchName,
    /// The target.
    pub target: TargetName,
    /// The step that made the source archive.
    pub bundle: StepId,
    /// What a runner does.
    pub job: Job,
}

/// The artifacts that [`Build`] or [`super::Assemble`] made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Built {
    /// Which runner did it.
    pub runner: String,
    /// What it left.
    pub artifacts: Vec<Artifact>,
    /// Its log, an object of the train.
    pub log: Sha256,
}

impl Built {
    /// Whether these are the artifacts that the job must leave.
    pub(super) fn is_of(&self, job: &Job) -> bool {
        let wanted: BTreeSet<_> = job.artifacts.iter().map(|a| &a.name).collect();
        self.artifacts.len() == wanted.len() && self.artifacts.iter().all(|a| wanted.contains(&a.name))
    }
}

impl Kind for Build {
    const NAME: &'static str = "build";
    type Outcome = Built;

    fn name(&self) -> StepId {
        StepId::of::<Self>(&[self.branch.as_str(), self.target.as_str()])
    }

    fn line(&self) -> Option<&BranchName> {
        Some(&self.branch)
    }

    fn reads(&self) -> Vec<Read<'_>> {
        vec![Read::of::<Bundle>(&self.bundle, &self.branch)]
    }

    fn phase(&self) -> Phase {
        Phase::Building
    }

    fn job(&self) -> Option<&Job> {
        Some(&self.job)
    }

    fn could_make(&self, outcome: &Built) -> bool {
        outcome.is_of(&self.job)
    }
}

impl Made for Built {
    fn runner(&self) -> Option<&str> {
        Some(&self.runner)
    }

    fn artifacts(&self) -> Option<Vec<&Artifact>> {
        Some(self.artifacts.iter().collect())
    }
}
