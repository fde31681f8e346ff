//! `stage`: puts a release's files where only the team can read them.

use semver::Version;
use serde::{Deserialize, Serialize};

use super::{Kind, Made, OnStore, Phase, Read, StepId};
use crate::model::{BranchName, Destination};

/// Puts a line's bytes where only the team can read them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Stage(pub OnStore);

/// What [`Stage`] put there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Staged {
    /// How many files.
    pub files: u64,
    /// How many bytes.
    pub bytes: u64,
}

impl Kind for Stage {
    const NAME: &'static str = "stage";
    type Outcome = Staged;

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

impl Made for Staged {}
