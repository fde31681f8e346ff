//! `quorum`: enough of the stores that count have what the train goes on with.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Kind, Made, Phase, Point, Promote, Read, StepId, VerifyStaged};
use crate::model::StoreName;

/// Waits until enough stores have something of the train. The others get it when they can.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quorum {
    /// What they must have.
    pub has: Has,
    /// How many stores must have it.
    pub at_least: u32,
    /// The stores that count, each with the steps after which it has it.
    pub of: BTreeMap<StoreName, Vec<StepId>>,
}

/// What of a train a store has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Has {
    /// The staged files, read back.
    Staged,
    /// The public files.
    Files,
    /// The indexes and `latest` pointers.
    Pointers,
}

impl Has {
    /// Everything of which there is a quorum, in order.
    pub const ALL: [Self; 3] = [Self::Staged, Self::Files, Self::Pointers];

    /// The kind of step after which a store has it.
    #[must_use]
    pub fn after(self) -> &'static str {
        match self {
            Self::Staged => VerifyStaged::NAME,
            Self::Files => Promote::NAME,
            Self::Pointers => Point::NAME,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Staged => "staged",
            Self::Files => "files",
            Self::Pointers => "pointers",
        }
    }

    /// For people.
    #[must_use]
    pub fn about(self) -> &'static str {
        match self {
            Self::Staged => "the staged files",
            Self::Files => "the public files",
            Self::Pointers => "the new indexes",
        }
    }
}

/// Which stores had it when [`Quorum`] was reached.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QuorumReached {
    /// The stores, sorted.
    pub stores: Vec<StoreName>,
}

impl Kind for Quorum {
    const NAME: &'static str = "quorum";
    type Outcome = QuorumReached;

    fn name(&self) -> StepId {
        StepId::of::<Self>(&[self.has.as_str()])
    }

    fn reads(&self) -> Vec<Read<'_>> {
        Vec::new()
    }

    fn phase(&self) -> Phase {
        match self.has {
            Has::Staged => Phase::Staging,
            Has::Files => Phase::Files,
            Has::Pointers => Phase::Pointers,
        }
    }

    fn could_make(&self, outcome: &QuorumReached) -> bool {
        let stores = &outcome.stores;
        stores.len() as u64 >= u64::from(self.at_least)
            && stores.windows(2).all(|w| w[0] < w[1])
            && stores.iter().all(|store| self.of.contains_key(store))
    }
}

impl Made for QuorumReached {}
