//! `gate`: enough people, judged by the trust root once more, and time; and nothing foreseeable in the way of any line.

use std::sync::Arc;

use jiff::Timestamp;

use super::stage::{again, digests_at, is_unchanged, same_or_conflict, staging};
use super::{Acting, Perform, at_hand};
use crate::effects::{Area, Role, Store};
use crate::engine::clock::{Witness, judge};
use crate::engine::needed_stores::NeededStores;
use crate::engine::release_files::{LineRelease, ReleaseFile, StagedFile};
use crate::engine::{branch_holds, content, truncated_journal};
use crate::error::{Error, ErrorKind, Part, Result};
use crate::journal::State;
use crate::model::{PersonId, StoreName};
use crate::step::{ForgeRelease, Gate, GateOpened, OnStore, Phase, Point, Promote, Seal, StepId};
use crate::trust::{prove_key, read_index};

impl Perform for Gate {
    async fn perform(&self, acting: &Acting<'_>) -> Result<GateOpened> {
        let opened = opened(acting, self).await;
        if opened.is_err() {
            // It is not on its way yet, so it keeps no other one from it; nor does what an interrupted look left.
            drop(branch_holds::release(acting.effects, acting.train).await);
        }
        opened
    }
}

async fn opened(acting: &Acting<'_>, step: &Gate) -> Result<GateOpened> {
    let now = acting.effects.clock.now();
    if let Some(at) = step.not_before.filter(|at| *at > now) {
        return Err(Error::transient(format!("the embargo ends at {at}")));
    }
    let content = content::content(&acting.state, acting.train.objects(), step)?;
    let counted = content::counted(&acting.view(), &content, now)
        .map_err(|e| e.hint("people approve with `lifeboat approve --as NAME`; `lifeboat status` shows who did"))?;
    let approved_by: Vec<PersonId> = counted.into_iter().map(|a| a.person).collect();
    truncated_journal::nothing_is_public_yet(acting.effects, &acting.state).await?;
    clock_is_right(acting, step, now).await?;
    keys_at_hand(acting)?;
    branch_holds::hold(acting.effects, acting.train).await?;
    ways_clear(acting, &approved_by).await?;
    at_hand::of_all_lines(acting).await?;
    Ok(GateOpened { content: content.digest()?, approved_by })
}

/// What is at hand of the time is held against this machine's clock: by it an embargo ends.
async fn clock_is_right(acting: &Acting<'_>, step: &Gate, now: Timestamp) -> Result<()> {
    let state = &acting.state;
    let mut happened: Vec<Witness> = Vec::new();
    for (approval, at) in state.approvals() {
        happened.push(Witness::new(format!("the approval of {} was recorded at", approval.person), *at));
    }
    let records = (0..state.graph().len()).filter_map(|i| state.at(i).since);
    happened.extend(records.max().map(|at| Witness::new("the journal's last record", at)));
    let mut needed = NeededStores::of(acting.train.plan());
    for name in needed.names() {
        let store = acting.store(&name).await;
        if let Ok(store) = &store
            && let Some(there) = read_index(&**store, acting.train.trust(), now).await.ok().flatten()
        {
            happened.push(Witness::new(format!("the index of store `{name}` was made at"), there.index.generated));
        }
        needed.came(&name, store.map(drop))?;
    }
    needed.enough()?;
    let others: Vec<Witness> =
        acting.effects.clock.elsewhere().await.into_iter().map(|(what, at)| Witness::new(what, at)).collect();
    judge(now, &happened, &others)?;
    if let Some(end) = step.not_before.filter(|_| others.is_empty()) {
        acting.warn(&[format!(
            "nothing but this machine's clock ({now}) says that the embargo has ended ({end}): no store or forge with a web \
             address could be asked for the time"
        )]);
    }
    Ok(())
}

/// The keys that later steps sign with: one that is missing, or that strangers would not believe, should stop the train
/// here, not between the files of a release and the index that points at them.
fn keys_at_hand(acting: &Acting<'_>) -> Result<()> {
    let plan = acting.train.plan();
    let needed = [(Role::Release, plan.all::<Seal>().count() > 0), (Role::Freshness, plan.all::<Point>().count() > 0)];
    for (role, needed) in needed {
        if needed {
            let known = &acting.train.trust().root.roles;
            let keys =
                if role == Role::Release { ("release", &known.release) } else { ("freshness", &known.freshness) };
            let signer = acting.effects.keys.signer(&role)?;
            prove_key(acting.train.trust(), keys, &*signer, acting.effects.clock.now())?;
        }
    }
    Ok(())
}

/// All lines or none: what would stop one line in a store that the train needs is found before another line is public.
async fn ways_clear(acting: &Acting<'_>, approved_by: &[PersonId]) -> Result<()> {
    for planned in acting.train.plan().steps.iter().filter(|s| !s.deferrable) {
        if let Some(to) = planned.step.as_a() {
            super::push_git::foreseeable(acting, to).await?;
        }
        if let Some(to) = planned.step.as_a::<ForgeRelease>() {
            // A token that is not taken, or a repository that is not there, should not be found half-way.
            let forge = acting.effects.forge(&to.forge)?;
            let tag = super::push_git::tag(acting, &to.seal)?;
            forge.observe(tag).await.map_err(|e| e.context(format!("forge `{}`, which the train needs", to.forge)))?;
        }
    }
    let mut needed = NeededStores::of(acting.train.plan());
    for name in needed.names() {
        needed.came(&name, store_is_clear(acting, &name, approved_by).await)?;
    }
    needed.enough()
}

/// Whether everything of the train can become public in one store.
async fn store_is_clear(acting: &Acting<'_>, name: &StoreName, approved_by: &[PersonId]) -> Result<()> {
    let plan = acting.train.plan();
    let store = acting.store(name).await?;
    for (_, to) in plan.all::<Point>().filter(|(_, to)| to.store == *name) {
        super::point::readable(acting, to).await?;
    }
    for (planned, Promote(on)) in plan.all().filter(|(_, Promote(on))| on.store == *name) {
        super::promote::page_can_be_made(acting, on, approved_by)?;
        if !planned.needs.iter().all(|need| is_there(acting, need)) {
            return Err(Error::new(
                ErrorKind::Unreachable,
                format!("store `{name}` does not have the staged files yet"),
            )
            .of(Part::Store));
        }
        line_is_clear(acting, &store, (&planned.id, on)).await?;
    }
    Ok(())
}

/// Whether what a promotion needs of its own store was made; what only the gate opens the way to comes later.
fn is_there(acting: &Acting<'_>, need: &StepId) -> bool {
    let before = acting.train.plan().step(need).is_none_or(|step| step.step.phase() < Phase::Gate);
    !before || acting.state.outcome(need).is_some()
}

/// Whether nothing is in the way of a line's files, and all of them are staged.
async fn line_is_clear(acting: &Acting<'_>, store: &Arc<dyn Store>, (id, on): (&StepId, &OnStore)) -> Result<()> {
    let release = LineRelease::staged(&acting.state, on)?;
    let (id, on) = (Arc::new(id.clone()), Arc::new(on.clone()));
    let look = |(staged, file): (StagedFile, ReleaseFile)| {
        let (store, state, id, on) = (store.clone(), acting.state.clone(), id.clone(), on.clone());
        let path = release.path(&file);
        async move {
            let is_there = is_clear((&*store, &on), &state, (&id, &path), (&staged, &file)).await?;
            Ok((!is_there).then_some(staged))
        }
    };
    let lost = store.transfers().each(release.staged_files()?, |_| 0, look).await?;
    let staging = Area::Staging(acting.staging(&on)?);
    for staged in lost.into_iter().flatten() {
        again((acting.effects, acting.train), (&**store, &on), &staged).await?;
        let found = digests_at(&**store, &staging, &staged.path).await?;
        same_or_conflict((&**store, &staging), &staged.path, &staged.digests, found)?;
    }
    Ok(())
}

/// Whether a file is public already, or staged; nothing else may be in either place.
async fn is_clear(
    (store, on): (&dyn Store, &OnStore),
    state: &State,
    (id, path): (&StepId, &str),
    (staged, file): (&StagedFile, &ReleaseFile),
) -> Result<bool> {
    let there = digests_at(store, &Area::Public, path).await?;
    if there.is_some() {
        let same = same_or_conflict((store, &Area::Public), path, &file.digests, there);
        return same.map(|()| true).map_err(|e| e.detail(format!("it is in the way of `{id}`")));
    }
    let StagedFile { path, digests } = staged;
    if is_unchanged(state, (store, on), path).await? {
        return Ok(true);
    }
    let staging = Area::Staging(staging(state, on)?);
    match digests_at(store, &staging, path).await? {
        None => Ok(false),
        found => same_or_conflict((store, &staging), path, digests, found).map(|()| true),
    }
}
