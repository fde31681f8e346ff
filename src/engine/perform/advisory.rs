//! `draft-advisory` and `publish-advisory`: look, decide, act, and look again until the advisory is there and equal.

use std::sync::Arc;

use super::Acting;
use super::deeds::{Deeds, LOOKS, pause};
use crate::effects::{Advisories, Effects, Forge};
use crate::engine::advisory::{AdvisoryMove, Until, next_move};
use crate::error::{Error, ErrorKind, Part, Result};
use crate::step::{ForgeAdvisory, Outcome};

pub(super) async fn draft(acting: &Acting<'_>, step: &ForgeAdvisory) -> Result<Outcome> {
    deliver(acting, step, Until::Draft).await
}

pub(super) async fn publish(acting: &Acting<'_>, step: &ForgeAdvisory) -> Result<Outcome> {
    deliver(acting, step, Until::Published).await
}

/// Reads a published advisory back and compares it.
pub(super) async fn prove(effects: &Effects, step: &ForgeAdvisory) -> Result<()> {
    let forge = forge(effects, step)?;
    let mut looks = 0;
    loop {
        let there = advisories(&*forge)?.find(&step.advisory).await?;
        match next_move(&step.advisory, &there, Until::Published, true) {
            AdvisoryMove::Done(_) => return Ok(()),
            _ if looks < LOOKS => pause(&*effects.clock, 1 << looks).await,
            AdvisoryMove::Conflict(lines) => return Err(conflict(step, lines)),
            _ => return Err(conflict(step, vec!["it is not public any more".to_owned()])),
        }
        looks += 1;
    }
}

async fn deliver(acting: &Acting<'_>, step: &ForgeAdvisory, until: Until) -> Result<Outcome> {
    let forge = forge(acting.effects, step)?;
    acting.reach.reachable(step.forge.as_str()).await?;
    let port = advisories(&*forge)?;
    let clock = &*acting.effects.clock;
    // Publishing follows a draft step that asked.
    let mut asked = until == Until::Published;
    let mut deeds = Deeds::default();
    // One that was made twice stays: a forge does not remove advisories. So nothing is made again on one look alone.
    match until {
        Until::Published => deeds.took(CREATED),
        Until::Draft if acting.attempt > 1 => deeds.may_have(CREATED),
        Until::Draft => {}
    }
    let mut lost: Option<Error> = None;
    loop {
        let there = port.find(&step.advisory).await?;
        let next = next_move(&step.advisory, &there, until, asked);
        let names = names(&next);
        // Asks for something that was done, or shows trouble: the look itself may be old.
        let waits = matches!(next, AdvisoryMove::Conflict(_));
        if deeds.doubt(clock, &names, waits).await {
            continue;
        }
        if let Some(name) = deeds.enough(&names) {
            let what = format!("`{}` does not show {name} of advisory `{}`", step.forge, step.advisory.id);
            let error = Error::new(ErrorKind::Unreachable, what).of(Part::Api).hint("`lifeboat reconcile` tries again");
            return Err(lost.into_iter().fold(error, |e, l| e.detail(l.message().to_owned())));
        }
        let done = match &next {
            AdvisoryMove::Done(seen) => {
                let (id, location, cve) = (seen.id.clone(), seen.location.clone(), seen.cve.clone());
                return Ok(match until {
                    Until::Draft => Outcome::AdvisoryDrafted { id },
                    Until::Published => Outcome::AdvisoryPublished { id, location, cve },
                });
            }
            AdvisoryMove::Conflict(lines) => return Err(conflict(step, lines.clone())),
            AdvisoryMove::Create => port.draft(&step.advisory).await,
            AdvisoryMove::Update(id) => port.update(id, &step.advisory).await,
            // The number itself comes days later. Asking twice for one advisory is one request.
            AdvisoryMove::RequestCve(id) => port.request_cve(id).await.map(|()| asked = true),
            AdvisoryMove::Publish(id) => port.publish_advisory(id).await,
        };
        match done {
            Err(e) if e.kind() != ErrorKind::Transient => {
                return Err(e.context(format!("advisory `{}`", step.advisory.id)));
            }
            done => {
                deeds.did(names, done.is_ok());
                lost = done.err();
            }
        }
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

fn forge(effects: &Effects, step: &ForgeAdvisory) -> Result<Arc<dyn Forge>> {
    let found = effects.forges.get(&step.forge).cloned();
    found.ok_or_else(|| Error::input(format!("the configuration has no forge `{}`, which the plan needs", step.forge)))
}

fn advisories(forge: &dyn Forge) -> Result<&dyn Advisories> {
    forge.advisories().ok_or_else(|| {
        Error::input(format!("`{}` holds no security advisories", forge.name()))
            .hint("say `advisories = false` in its table, and plan the train again")
    })
}
