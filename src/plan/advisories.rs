//! The steps of the train's security advisories on forges.

use super::Plan;
use super::sketch::{Delivery, Sketch};
use crate::config::{Config, DraftAudience, ForgeConfig, TrainRequest};
use crate::error::Result;
use crate::model::Advisory;
use crate::step::{Audience, Exposure, ForgeAdvisory, Step, StepId};

fn audience(forge: &ForgeConfig) -> Audience {
    match forge.draft_audience {
        DraftAudience::Anyone => Audience::Anyone,
        DraftAudience::Writers => Audience::Writers,
    }
}

fn named(kind: &str, forge: &ForgeConfig, advisory: &Advisory) -> StepId {
    StepId::new(kind, &[forge.name.as_str(), advisory.id.as_str()])
}

fn data(forge: &ForgeConfig, advisory: &Advisory) -> ForgeAdvisory {
    ForgeAdvisory { forge: forge.name.clone(), advisory: advisory.clone(), audience: audience(forge) }
}

impl Plan {
    /// Every publication of an advisory, by forge and advisory.
    pub fn published_advisories(&self) -> impl Iterator<Item = &ForgeAdvisory> {
        self.steps.iter().filter_map(|s| match &s.step {
            Step::PublishAdvisory(a) => Some(a),
            _ => None,
        })
    }
}

/// Drafts that only people of the embargo see, before the gate: a CVE number takes days.
pub(super) fn plan_private_drafts(config: &Config, request: &TrainRequest, sketch: &mut Sketch) -> Result<()> {
    let private = |f: &&ForgeConfig| f.advisories && audience(f) == Audience::Writers;
    for forge in config.forges.iter().filter(private) {
        for advisory in &request.advisory_texts {
            let step = Step::DraftAdvisory(data(forge, advisory));
            let id = named("draft-advisory", forge, advisory);
            sketch.add(id, Vec::new(), Exposure::Private, Delivery::Deferrable, step)?;
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
            let draft = named("draft-advisory", forge, advisory);
            if audience(forge) == Audience::Anyone {
                let step = Step::DraftAdvisory(data(forge, advisory));
                sketch.add(draft.clone(), shown.to_vec(), Exposure::Public, Delivery::Deferrable, step)?;
            }
            let mut needs = shown.to_vec();
            needs.push(draft);
            let step = Step::PublishAdvisory(data(forge, advisory));
            let id = named("publish-advisory", forge, advisory);
            sketch.add(id, needs, Exposure::Public, Delivery::Deferrable, step)?;
        }
    }
    Ok(())
}
