//! `verify-staged`: reads staged files back.

use semver::Version;
use serde::{Deserialize, Serialize};

use super::{Kind, Made, OnStore, Phase, Read, StepId};
use crate::model::{BranchName, Destination};

/// Reads the staged bytes back and compares them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VerifyStaged(pub OnStore);

/// What [`VerifyStaged`] read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StagedVerified {
    /// How many files were read back.
    pub files: u64,
}

impl Kind for VerifyStaged {
    const NAME: &'static str = "verify-staged";
    type Outcome = StagedVerified;

    fn name(&self) -> StepId {
        StepId::of::<Self>(&self.0.parts())
    }

    fn line(&self) -> Option<&BranchName> {
        Some(&self.0.branch)
    }

    fn version(&self) -> Option<&Version> {
        Some(&self.0.version)
    }

    fn reads(&self) -> Vec<Read<'_>> {
        self.0.reads()
    }

    fn phase(&self) -> Phase {
        Phase::Staging
    }

    fn destination(&self) -> Option<Destination> {
        Some(Destination::Store(self.0.store.clone()))
    }
}

impl Made for StagedVerified {}
