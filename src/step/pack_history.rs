//! `pack-history`: packs what a store's git repository lacks of the project's history.

use std::collections::BTreeMap;

use semver::Version;
use serde::{Deserialize, Serialize};

use super::{Exposure, Kind, Made, Phase, Read, StepId};
use crate::model::{BranchName, Destination, Digests, Oid, ProjectName, StoreName};

/// Packs the history that a store's repository lacks, and keeps the pack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackHistory {
    /// The project.
    pub project: ProjectName,
    /// The store.
    pub store: StoreName,
    /// What each line stands on.
    pub bases: BTreeMap<BranchName, Oid>,
}

/// What [`PackHistory`] packed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HistoryPacked {
    /// The pack, as objects of the train; none if the store serves all of it.
    pub pack: Option<KeptPack>,
    /// What the store served then, which the pack leaves out.
    pub without: Vec<Oid>,
}

/// A pack that is kept among the train's objects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeptPack {
    /// What git names it by: its content.
    pub name: Oid,
    /// The pack, an object of the train.
    pub pack: Digests,
    /// Its index, an object of the train.
    pub idx: Digests,
}

impl Kind for PackHistory {
    const NAME: &'static str = "pack-history";
    type Outcome = HistoryPacked;

    fn name(&self) -> StepId {
        StepId::of::<Self>(&[self.store.as_str()])
    }

    fn lines(&self) -> Vec<(&BranchName, Option<&Version>)> {
        self.bases.keys().map(|line| (line, None)).collect()
    }

    fn reads(&self) -> Vec<Read<'_>> {
        Vec::new()
    }

    fn phase(&self) -> Phase {
        Phase::Staging
    }

    fn exposure(&self) -> Exposure {
        // It looks at the store and leaves nothing there.
        Exposure::Local
    }

    fn destination(&self) -> Option<Destination> {
        Some(Destination::Store(self.store.clone()))
    }
}

impl Made for HistoryPacked {}
