//! `gate`: enough people, judged by the trust root once more, and time; and nothing foreseeable in the way of any line.

use super::stage::{digests_at, directory, same_or_conflict};
use super::{Acting, summed};
use crate::effects::{Area, Role};
use crate::engine::{branches, content};
use crate::error::{Error, Result};
use crate::step::{Gate, Outcome, Step};

pub(super) async fn gate(acting: &Acting<'_>, step: &Gate) -> Result<Outcome> {
    let opened = opened(acting, step).await;
    if opened.is_err() {
        // It is not on its way yet, so it keeps no other one from it; nor does what an interrupted look left.
        drop(branches::release(acting.effects, acting.train).await);
    }
    opened
}

async fn opened(acting: &Acting<'_>, step: &Gate) -> Result<Outcome> {
    let now = acting.effects.clock.now();
    if let Some(at) = step.not_before.filter(|at| *at > now) {
        return Err(Error::transient(format!("the embargo ends at {at}")));
    }
    let content = content::content(&acting.state, acting.train.objects(), step)?;
    let judgement = content::judge(&acting.state, acting.train, &content, now)?;
    let approved_by = judgement
        .require()
        .map_err(|e| e.hint("people approve with `lifeboat approve --as NAME`; `lifeboat status` shows who did"))?;
    keys_at_hand(acting)?;
    branches::hold(acting.effects, acting.train).await?;
    ways_clear(acting).await?;
    Ok(Outcome::GateOpened { content: content.digest()?, approved_by })
}

/// The keys that later steps sign with: one that is missing should stop the train here, not between the files of a release
/// and the index that points at them.
fn keys_at_hand(acting: &Acting<'_>) -> Result<()> {
    let plan = acting.train.plan();
    for (role, is) in [
        (Role::Release, (|s| matches!(s, Step::Seal(_))) as fn(&Step) -> bool),
        (Role::Freshness, |s| matches!(s, Step::Point(_))),
    ] {
        if plan.steps.iter().any(|s| is(&s.step)) {
            acting.effects.keys.signer(&role)?;
        }
    }
    Ok(())
}

/// All lines or none: what would stop one line of a required store is found before another line is public.
async fn ways_clear(acting: &Acting<'_>) -> Result<()> {
    let staging = Area::Staging(acting.staging()?);
    for planned in acting.train.plan().steps.iter().filter(|s| !s.deferrable) {
        if let Step::PushGit(to) = &planned.step {
            super::deliver::foreseeable(acting, to).await?;
        }
        if let Step::Point(to) = &planned.step {
            super::point::readable(acting, to).await?;
        }
        let Step::Promote(on) = &planned.step else { continue };
        let store = acting.store(&on.store)?;
        let dir = directory(&on.version);
        for artifact in summed(&acting.state, &on.checksum)?.files() {
            let path = format!("{dir}/{}", artifact.name);
            let there = digests_at(&*store, &Area::Public, &path).await?;
            if there.is_some() {
                same_or_conflict(&*store, &path, &artifact.digests, there)
                    .map_err(|e| e.detail(format!("it is in the way of `{}`", planned.id)))?;
                continue;
            }
            let staged = digests_at(&*store, &staging, &path).await?;
            if staged.is_none() {
                return Err(Error::fatal(format!("store `{}` has lost the staged `{path}`", on.store))
                    .hint("nothing is public yet; put it back, or give the train up with `lifeboat abandon`"));
            }
            same_or_conflict(&*store, &path, &artifact.digests, staged)?;
        }
    }
    Ok(())
}
