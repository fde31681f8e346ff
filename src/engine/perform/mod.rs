//! One step: observe, apply if absent, confirm. The only way in which an effect happens.
//!
//! What performs a kind of step is the file of its name.

mod advisory;
mod approved;
mod assemble;
mod at_hand;
mod await_runs;
mod build;
mod bundle;
pub(in crate::engine) mod checksum;
mod draft_advisory;
mod encrypt;
mod forge_release;
mod gate;
pub(in crate::engine) mod hooks;
mod inputs;
mod job;
mod merge_back;
mod pack_history;
mod point;
pub(in crate::engine) mod prepare;
mod promote;
mod publish_advisory;
mod push_git;
mod quorum;
mod restore_workflows;
mod seal;
mod see_workflows;
mod stage;
mod suppress_workflows;
mod test;
mod verify_staged;
mod workflows;

pub use hooks::NOTE;
pub use stage::{can_release, hidden_from_strangers};
pub(crate) use stage::{digests_at, same_or_conflict};

use std::sync::Arc;

use super::converge;
use super::placement::StepJobs;
use super::probes::Probes;
use super::train::Train;
use super::view::TrainView;
use crate::effects::{Effects, Forge, PrivateRepo, ProgressEvent, Remote, Store, blocking};
use crate::error::{Error, Result};
use crate::journal::{State, StepState};
use crate::model::{Destination, RemoteName, StoreName};
use crate::step::{
    Encrypted, Exposure, Kind, OnStore, Outcome, PlannedStep, Prepared, Sealed, StepId, Summed, VerifyStaged, with_kind,
};

/// What a step acts with.
pub(super) struct Acting<'a> {
    pub(super) effects: &'a Effects,
    pub(super) train: &'a Train,
    /// Where its jobs run, if it has any.
    pub(super) jobs: Option<StepJobs>,
    pub(super) reach: &'a Probes,
    /// The state when the step started: it has the outcomes of all that the step needs.
    pub(super) state: Arc<State>,
    pub(super) step: &'a PlannedStep,
    pub(super) attempt: u32,
    /// An earlier attempt may have acted so lately that a forge does not show it everywhere.
    pub(super) recent: bool,
}

/// How a kind of step acts, and what it can do again later.
trait Perform: Kind {
    /// Acts, after it has read what is there already, and confirms the effect.
    async fn perform(&self, acting: &Acting<'_>) -> Result<Self::Outcome>;

    /// Puts what it made in a store there again.
    async fn restore(&self, _acting: &Acting<'_>) -> Result<()> {
        Ok(())
    }

    /// Reads what it delivered back and compares it; `None` for kinds that deliver nothing.
    async fn prove(&self, _effects: &Effects, _train: &Train) -> Option<Result<()>> {
        None
    }
}

/// Performs a step that was recorded as started.
pub(super) async fn perform(
    effects: &Effects,
    train: &Train,
    (jobs, reach): (Option<StepJobs>, &Probes),
    step: &PlannedStep,
    before: &StepState,
    attempt: u32,
) -> Result<Outcome> {
    let recent = converge::recent(before, effects.clock.now());
    let acting = Acting { effects, train, jobs, reach, state: train.state(), step, attempt, recent };
    if step.exposure == Exposure::Public {
        blocking(|| approved::require(&acting))?;
    }
    with_kind!(&step.step, kind => kind.perform(&acting).await.map(Outcome::from))
}

/// Reads every staged file of a line in one store back and compares it; says how many there are.
pub(super) async fn read_staged(effects: &Effects, state: &State, on: &OnStore) -> Result<usize> {
    verify_staged::read_staged(effects, state, on).await
}

/// Reads every staged file of a line in one store where they are encrypted, and decrypts it; says how many there are.
pub(super) async fn read_encrypted(effects: &Effects, state: &State, on: &OnStore) -> Result<usize> {
    verify_staged::read_encrypted(effects, state, on).await
}

/// Stages again what the required stores have lost of a train that waits for approvals. One that cannot be asked is asked
/// again at the gate.
pub(super) async fn stage_again(effects: &Effects, train: &Train) {
    let state = train.state();
    for (step, VerifyStaged(on)) in train.plan().all() {
        if state.outcome(&step.id).is_some()
            && let Err(e) = stage::all_again(effects, train, on).await
        {
            let text = format!("warning   store `{}`: {}", on.store, e.message());
            effects.progress.event(ProgressEvent::Note(text));
        }
    }
}

/// Puts what a finished step made in a store there again, from the train's objects: absent files alone, pointers last.
pub(super) async fn restore(effects: &Effects, train: &Train, reach: &Probes, step: &PlannedStep) -> Result<()> {
    let (jobs, state) = (None, train.state());
    let acting = Acting { effects, train, jobs, reach, state, step, attempt: 1, recent: false };
    blocking(|| approved::require(&acting))?;
    with_kind!(&step.step, kind => kind.restore(&acting).await)
}

/// Reads a line's staged files among a train's own objects; how many there are, or `None` if one is not there.
pub(super) fn read_objects(train: &TrainView, on: &OnStore) -> Result<Option<usize>> {
    verify_staged::read_objects(train, on)
}

/// Reads a release on the project's own storage back, where strangers find it; `None` for other steps, and for a store that
/// these effects do not have. (That of an adopted train is in the configuration, or no command goes on with it.)
pub(super) async fn prove_stored(effects: &Effects, train: &Train, step: &PlannedStep) -> Option<Result<()>> {
    match step.step.destination()? {
        Destination::Store(store) if effects.stores.contains_key(&store) => proved(effects, train, step).await,
        _ => None,
    }
}

/// Reads a delivery back and compares it with what it should be; `None` for steps that deliver nowhere else.
pub(super) async fn prove(effects: &Effects, train: &Train, step: &PlannedStep) -> Option<Result<()>> {
    match step.step.destination()? {
        Destination::Store(_) => None,
        Destination::Remote(_) | Destination::Forge(_) => proved(effects, train, step).await,
    }
}

async fn proved(effects: &Effects, train: &Train, step: &PlannedStep) -> Option<Result<()>> {
    with_kind!(&step.step, kind => kind.prove(effects, train).await)
}

fn wrong(id: &StepId, what: &str) -> Error {
    Error::fatal(format!("step `{id}` did not record {what}"))
}

/// What the `prepare` step `id` made.
pub(super) fn prepared<'a>(state: &'a State, id: &StepId) -> Result<&'a Prepared> {
    state.made(id).ok_or_else(|| wrong(id, "commits"))
}

/// What the `checksum` step `id` made.
pub(super) fn summed<'a>(state: &'a State, id: &StepId) -> Result<&'a Summed> {
    state.made(id).ok_or_else(|| wrong(id, "sums"))
}

/// What the `encrypt` step `id` made.
pub(super) fn encrypted<'a>(state: &'a State, id: &StepId) -> Result<&'a Encrypted> {
    state.made(id).ok_or_else(|| wrong(id, "encrypted files"))
}

/// What the `seal` step `id` made.
pub(super) fn sealed<'a>(state: &'a State, id: &StepId) -> Result<&'a Sealed> {
    state.made(id).ok_or_else(|| wrong(id, "a seal"))
}

impl Acting<'_> {
    /// A forge to act on, if it answers.
    pub(super) async fn forge(&self, name: &RemoteName) -> Result<Arc<dyn Forge>> {
        let forge = self.effects.forge(name)?;
        self.reach.reachable(self.effects, &Destination::Forge(name.clone())).await?;
        Ok(forge)
    }

    /// A git remote to act on, if it answers.
    pub(super) async fn remote(&self, name: &RemoteName) -> Result<Arc<dyn Remote>> {
        let remote = self.effects.remote(name)?;
        self.reach.reachable(self.effects, &Destination::Remote(name.clone())).await?;
        Ok(remote)
    }

    /// A store to act on, if it is there.
    pub(super) async fn store(&self, name: &StoreName) -> Result<Arc<dyn Store>> {
        self.reach.reachable(self.effects, &Destination::Store(name.clone())).await?;
        self.effects.store(name)
    }

    /// The train as it was when the step started, to be read.
    pub(super) fn view(&self) -> TrainView {
        TrainView::new(self.state.clone(), self.train.objects().clone(), self.train.trust_shared())
    }

    /// Warns the operator of what does not stop the step.
    fn warn(&self, warnings: &[String]) {
        for text in warnings {
            let (word, text) = match text.strip_prefix(hooks::NOTE) {
                Some(text) => ("note", text),
                None => ("warning", text.as_str()),
            };
            let text = format!("{word:<9} {}: {}", self.step.id, crate::model::escape(text));
            self.effects.progress.event(ProgressEvent::Note(text));
        }
    }

    /// The private repository, holding what `prepare` made.
    pub(super) fn repository_with(&self, prepare: &StepId) -> Result<&PrivateRepo> {
        repository_with(self.effects, self.train, &self.state, prepare)
    }
}

/// The private repository, holding what `prepare` made: it is a cache, so it is filled again if it was lost.
fn repository_with<'a>(
    effects: &Effects,
    train: &'a Train,
    state: &State,
    prepare: &StepId,
) -> Result<&'a PrivateRepo> {
    let made = prepared(state, prepare)?;
    let repo = train.repository();
    let _one_at_a_time = train.repository_lock();
    effects.git.ensure(repo)?;
    if !effects.git.has_commit(repo, &made.head)? {
        effects.git.import_pack(repo, &train.objects().get(&made.pack)?)?;
    }
    Ok(repo)
}
