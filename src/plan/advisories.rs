//! The steps of the train's security advisories on forges.

use super::Plan;
use super::builder::Sketch;
use crate::config::{Config, DraftAudience, ForgeConfig, TrainRequest};
use crate::error::Result;
use crate::model::Advisory;
use crate::step::{Audience, DraftAdvisory, ForgeAdvisory, Importance, Kind as _, PublishAdvisory, StepId};

fn audience(forge: &ForgeConfig) -> Audience {
    match forge.draft_audience {
        DraftAudience::Anyone => Audience::Anyone,
        DraftAudience::Writers => Audience::Writers,
    }
}

fn data(forge: &ForgeConfig, advisory: &Advisory) -> ForgeAdvisory {
    ForgeAdvisory { forge: forge.name.clone(), advisory: advisory.clone(), audience: audience(forge) }
}

impl Plan {
    /// Every publication of an advisory, by forge and advisory.
    pub fn published_advisories(&self) -> impl Iterator<Item = &ForgeAdvisory> {
        self.all::<PublishAdvisory>().map(|(_, publish)| &publish.0)
    }
}

/// Drafts that only people of the embargo see, before the gate: a CVE number takes days.
pub(super) fn plan_private_drafts(config: &Config, request: &TrainRequest, sketch: &mut Sketch) -> Result<()> {
    let private = |f: &&ForgeConfig| f.advisories && audience(f) == Audience::Writers;
    for forge in config.forges.iter().filter(private) {
        for advisory in &request.advisory_texts {
            sketch.add(DraftAdvisory(data(forge, advisory)), Vec::new(), Importance::Deferrable)?;
        }
    }
    Ok(())
}

/// The other drafts, and all publications, once every required store has the release.
pub(super) fn plan_advisories(
    config: &Config,
    request: &TrainRequest,
    shown: &[StepId],
    sketch: &mut Sketch,
) -> Result<()> {
    for forge in config.forges.iter().filter(|f| f.advisories) {
        for advisory in &request.advisory_texts {
            let draft = DraftAdvisory(data(forge, advisory));
            let mut needs = shown.to_vec();
            needs.push(draft.name());
            if audience(forge) == Audience::Anyone {
                sketch.add(draft, shown.to_vec(), Importance::Deferrable)?;
            }
            sketch.add(PublishAdvisory(data(forge, advisory)), needs, Importance::Deferrable)?;
        }
    }
    Ok(())
}
