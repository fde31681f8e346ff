//! What `draft-advisory` and `publish-advisory` do: a security advisory on a forge, there and equal.

use std::sync::Arc;

use super::Acting;
use crate::effects::{Advisories, Effects, Forge, SeenAdvisory};
use crate::engine::advisory::{AdvisoryMove, Until, next_move};
use crate::engine::converge::{self, Assessment, Wanted, Writes, converge};
use crate::error::{Error, Result};
use crate::step::ForgeAdvisory;

/// Reads a published advisory back and compares it.
pub(super) async fn prove(effects: &Effects, step: &ForgeAdvisory) -> Result<()> {
    let forge = effects.forge(&step.forge)?;
    let mut advisory = OnForge { forge, step, until: Until::Published, asked: true };
    converge::prove(&*effects.clock, &mut advisory).await.map(drop)
}

/// Brings an advisory to where it should be; what is there then.
pub(super) async fn deliver(acting: &Acting<'_>, step: &ForgeAdvisory, until: Until) -> Result<SeenAdvisory> {
    let forge = acting.forge(&step.forge).await?;
    let mut writes = Writes::default();
    // One that was made twice stays: a forge does not remove advisories. So nothing is made again after one read alone.
    match until {
        Until::Published => writes.took(CREATED),
        Until::Draft if acting.attempt > 1 => writes.may_have(CREATED),
        Until::Draft => {}
    }
    // Publishing follows a draft step that asked.
    let mut advisory = OnForge { forge, step, until, asked: until == Until::Published };
    converge(&*acting.effects.clock, writes, &mut advisory).await
}

/// An advisory on its way to a forge.
struct OnForge<'a> {
    forge: Arc<dyn Forge>,
    step: &'a ForgeAdvisory,
    until: Until,
    /// Whether a CVE number was asked for: the number itself comes days later. Asking twice for one is one request.
    asked: bool,
}

#[async_trait::async_trait]
impl Wanted for OnForge<'_> {
    type Act = AdvisoryMove;
    type Done = SeenAdvisory;

    async fn look(&mut self) -> Result<Assessment<AdvisoryMove, SeenAdvisory>> {
        let there = advisories(&*self.forge)?.find(&self.step.advisory).await?;
        Ok(match next_move(&self.step.advisory, &there, self.until, self.asked) {
            AdvisoryMove::Done(seen) => Assessment::Done(*seen),
            AdvisoryMove::Conflict(lines) => Assessment::Stops(conflict(self.step, lines)),
            lacks => Assessment::Lacks(lacks),
        })
    }

    fn names(&self, act: &AdvisoryMove) -> Vec<String> {
        names(act)
    }

    async fn act(&mut self, act: AdvisoryMove, _writes: &mut Writes) -> Result<()> {
        let port = advisories(&*self.forge)?;
        match act {
            AdvisoryMove::Create => port.draft(&self.step.advisory).await,
            AdvisoryMove::Update(id) => port.update(&id, &self.step.advisory).await,
            AdvisoryMove::RequestCve(id) => port.request_cve(&id).await.map(|()| self.asked = true),
            AdvisoryMove::Publish(id) => port.publish_advisory(&id).await,
            AdvisoryMove::Done(_) | AdvisoryMove::Conflict(_) => Ok(()),
        }
    }

    fn what(&self) -> String {
        format!("advisory `{}`", self.step.advisory.id)
    }

    fn missing(&self, name: &str) -> String {
        format!("`{}` does not show {name} of advisory `{}`", self.step.forge, self.step.advisory.id)
    }

    fn changed(&self, _names: &[String]) -> Error {
        conflict(self.step, vec!["it is not public any more".to_owned()])
    }
}

/// What making an advisory is called.
const CREATED: &str = "the draft";

/// What a move does, by name.
fn names(next: &AdvisoryMove) -> Vec<String> {
    match next {
        AdvisoryMove::Done(_) | AdvisoryMove::Conflict(_) => vec![],
        AdvisoryMove::Create => vec![CREATED.to_owned()],
        AdvisoryMove::Update(id) => vec![format!("the text of `{id}`")],
        AdvisoryMove::RequestCve(id) => vec![format!("the request for a CVE number of `{id}`")],
        AdvisoryMove::Publish(id) => vec![format!("the publication of `{id}`")],
    }
}

fn conflict(step: &ForgeAdvisory, lines: Vec<String>) -> Error {
    let what = format!("`{}` has something else for advisory `{}`", step.forge, step.advisory.id);
    let error =
        Error::conflict(what).hint("nothing was overwritten; fix it there if it is wrong, then `lifeboat reconcile`");
    lines.into_iter().fold(error, Error::detail)
}

fn advisories(forge: &dyn Forge) -> Result<&dyn Advisories> {
    forge.advisories().ok_or_else(|| {
        Error::input(format!("`{}` holds no security advisories", forge.name()))
            .hint("say `advisories = false` in its table, and plan the train again")
    })
}
