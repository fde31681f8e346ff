//! `test`: tests what was built for a target, without network.

use serde::{Deserialize, Serialize};

use super::{Assemble, Build, Bundle, Job, Kind, Made, Phase, Read, StepId};
use crate::model::{BranchName, Sha256, TargetName};

/// Runs the tests of a target on what was built, without network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Test {
    /// The line.
    pub branch: BranchName,
    /// The target or assembly whose artifacts are tested.
    pub target: TargetName,
    /// The step that made the source archive.
    pub bundle: StepId,
    /// The step that made the artifacts, put into `dist/`.
    pub of: StepId,
    /// What a runner does.
    pub job: Job,
}

/// A run of [`Test`] that passed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tested {
    /// Which runner did it.
    pub runner: String,
    /// Its log, an object of the train.
    pub log: Sha256,
}

impl Kind for Test {
    const NAME: &'static str = "test";
    type Outcome = Tested;

    fn name(&self) -> StepId {
        StepId::of::<Self>(&[self.branch.as_str(), self.target.as_str()])
    }

    fn line(&self) -> Option<&BranchName> {
        Some(&self.branch)
    }

    fn reads(&self) -> Vec<Read<'_>> {
        let of = Read::one_of(&[Build::NAME, Assemble::NAME], &self.of, &self.branch);
        vec![Read::of::<Bundle>(&self.bundle, &self.branch), of]
    }

    fn phase(&self) -> Phase {
        Phase::Checking
    }

    fn job(&self) -> Option<&Job> {
        Some(&self.job)
    }
}

impl Made for Tested {
    fn runner(&self) -> Option<&str> {
        Some(&self.runner)
    }
}
