//! `promote`: makes a release's files public in a store.

use semver::Version;
use serde::{Deserialize, Serialize};

use super::{Kind, Made, OnStore, Phase, Read, StepId};
use crate::model::{BranchName, Destination};

/// Makes a line's staged bytes public.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Promote(pub OnStore);

/// Where [`Promote`] made it public.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Promoted {
    /// Where a stranger finds it.
    pub location: String,
}

impl Kind for Promote {
    const NAME: &'static str = "promote";
    type Outcome = Promoted;

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
        Phase::Files
    }

    fn destination(&self) -> Option<Destination> {
        Some(Destination::Store(self.0.store.clone()))
    }
}

impl Made for Promoted {
    fn release_location(&self) -> Option<&str> {
        Some(&self.location)
    }
}
