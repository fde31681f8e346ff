//! `draft-advisory`: writes the draft of an advisory on a forge.

use serde::{Deserialize, Serialize};

use super::{Audience, ForgeAdvisory, Kind, Made, Phase, Read, StepId};
use crate::model::Destination;

/// Makes or updates an advisory's draft on a forge, and asks for its CVE number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DraftAdvisory(pub ForgeAdvisory);

/// The draft that [`DraftAdvisory`] wrote.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AdvisoryDrafted {
    /// The forge's identifier.
    pub id: String,
}

impl Kind for DraftAdvisory {
    const NAME: &'static str = "draft-advisory";
    type Outcome = AdvisoryDrafted;

    fn name(&self) -> StepId {
        StepId::of::<Self>(&self.0.parts())
    }

    fn reads(&self) -> Vec<Read<'_>> {
        Vec::new()
    }

    fn phase(&self) -> Phase {
        match self.0.audience {
            Audience::Anyone => Phase::Beside,
            // A draft that only writers see is no more public than a private fork.
            Audience::Writers => Phase::Draft,
        }
    }

    fn destination(&self) -> Option<Destination> {
        Some(Destination::Forge(self.0.forge.clone()))
    }
}

impl Made for AdvisoryDrafted {}
