//! `verify-staged`: reads staged files back.

use std::collections::BTreeMap;

use semver::Version;
use serde::{Deserialize, Serialize};

use super::{Kind, Made, OnStore, Phase, Read, StepId};
use crate::model::{BranchName, Destination, Stat};

/// Reads the staged bytes back and compares them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VerifyStaged(pub OnStore);

/// What [`VerifyStaged`] read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StagedVerified {
    /// How many files were read back.
    pub files: u64,
    /// What the store said of each right before, by its path: one of which it says the same later need not be read again.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub seen: BTreeMap<String, Stat>,
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
