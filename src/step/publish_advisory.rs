//! `publish-advisory`: publishes an advisory on a forge.

use serde::{Deserialize, Serialize};

use super::{ForgeAdvisory, Kind, Made, Phase, Read, StepId};
use crate::model::Destination;

/// Publishes an advisory on a forge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PublishAdvisory(pub ForgeAdvisory);

/// The advisory that [`PublishAdvisory`] published.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AdvisoryPublished {
    /// The forge's identifier.
    pub id: String,
    /// Where a stranger finds it.
    pub location: String,
    /// Its CVE number, if it had one by then.
    pub cve: Option<String>,
}

impl Kind for PublishAdvisory {
    const NAME: &'static str = "publish-advisory";
    type Outcome = AdvisoryPublished;

    fn name(&self) -> StepId {
        StepId::of::<Self>(&self.0.parts())
    }

    fn reads(&self) -> Vec<Read<'_>> {
        Vec::new()
    }

    fn phase(&self) -> Phase {
        Phase::Delivery
    }

    fn destination(&self) -> Option<Destination> {
        Some(Destination::Forge(self.0.forge.clone()))
    }
}

impl Made for AdvisoryPublished {}
