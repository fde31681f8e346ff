//! `assemble`: makes one set of artifacts out of those of several builds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Build, Built, Bundle, Job, Kind, Phase, Read, StepId};
use crate::model::{BranchName, TargetName};

/// Runs a recipe that joins the artifacts of several builds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assemble {
    /// The line.
    pub branch: BranchName,
    /// The assembly's name.
    pub name: TargetName,
    /// The step that made the source archive.
    pub bundle: StepId,
    /// Where each build's artifacts are put, by step.
    pub from: BTreeMap<StepId, String>,
    /// What a runner does.
    pub job: Job,
}

impl Kind for Assemble {
    const NAME: &'static str = "assemble";
    type Outcome = Built;

    fn name(&self) -> StepId {
        StepId::of::<Self>(&[self.branch.as_str(), self.name.as_str()])
    }

    fn line(&self) -> Option<&BranchName> {
        Some(&self.branch)
    }

    fn reads(&self) -> Vec<Read<'_>> {
        let from = self.from.keys().map(|step| Read::of::<Build>(step, &self.branch));
        from.chain([Read::of::<Bundle>(&self.bundle, &self.branch)]).collect()
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
