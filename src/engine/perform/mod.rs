//! One step: observe, apply if absent, confirm. The only way in which an effect happens.

mod advisory;
mod approved;
mod bundle;
pub(in crate::engine) mod commits;
mod deliver;
mod forge;
mod gate;
mod history;
pub(in crate::engine) mod hooks;
mod inputs;
mod job;
mod merge_back;
mod point;
mod promote;
mod runs;
mod seal;
mod stage;
pub(in crate::engine) mod sum;
mod workflows;

pub use hooks::NOTE;
pub use stage::hidden_from_strangers;

use std::sync::Arc;

use super::converge;
use super::pools::Pools;
use super::reach::Reach;
use super::train::Train;
use super::view::View;
use crate::effects::{Effects, Forge, PrivateRepo, ProgressEvent, Remote, Store, blocking};
use crate::error::{Error, Result};
use crate::journal::{State, StepState};
use crate::model::{Destination, Oid, RemoteName, StoreName};
use crate::step::{Exposure, OnStore, Outcome, PlannedStep, Sealed, Step, StepId};

/// What a step acts with.
pub(super) struct Acting<'a> {
    pub(super) effects: &'a Effects,
    pub(super) train: &'a Train,
    pub(super) pools: &'a Pools,
    pub(super) reach: &'a Reach,
    /// The state when the step started: it has the outcomes of all that the step needs.
    pub(super) state: State,
    pub(super) step: &'a PlannedStep,
    pub(super) attempt: u32,
    /// An earlier attempt may have acted so lately that a forge does not show it everywhere.
    pub(super) recent: bool,
}

/// Performs a step that was recorded as started.
pub(super) async fn perform(
    effects: &Effects,
    train: &Train,
    (pools, reach): (&Pools, &Reach),
    step: &PlannedStep,
    before: &StepState,
    attempt: u32,
) -> Result<Outcome> {
    let recent = converge::recent(before, effects.clock.now());
    let acting = Acting { effects, train, pools, reach, state: train.state(), step, attempt, recent };
    let before = &before.status;
    if step.exposure == Exposure::Public {
        blocking(|| approved::require(&acting))?;
    }
    match &step.step {
        Step::Prepare(s) => commits::prepare(&acting, s, before).await,
        Step::Bundle(s) => bundle::bundle(&acting, s, before).await,
        Step::Build(s) => job::build(&acting, s, before).await,
        Step::Assemble(s) => job::assemble(&acting, s, before).await,
        Step::Test(s) => job::test(&acting, s, before).await,
        Step::Checksum(s) => sum::checksum(&acting, s),
        Step::PackHistory(s) => history::pack(&acting, s).await,
        Step::Stage(s) => stage::stage(&acting, s).await,
        Step::VerifyStaged(s) => stage::verify_staged(&acting, s).await,
        Step::Gate(s) => gate::gate(&acting, s).await,
        Step::Seal(s) => seal::seal(&acting, s),
        Step::Promote(s) => promote::promote(&acting, s).await,
        Step::PushGit(s) => deliver::push_git(&acting, s).await,
        Step::ForgeRelease(s) => forge::forge_release(&acting, s).await,
        Step::SeeWorkflows(s) => workflows::see(&acting, s).await,
        Step::SuppressWorkflows(s) => workflows::suppress(&acting, s).await,
        Step::RestoreWorkflows(s) => workflows::restore(&acting, s).await,
        Step::AwaitRuns(s) => runs::await_runs(&acting, s).await,
        Step::MergeBack(s) => merge_back::merge_back(&acting, s).await,
        Step::DraftAdvisory(s) => advisory::draft(&acting, s).await,
        Step::PublishAdvisory(s) => advisory::publish(&acting, s).await,
        Step::Point(s) => point::point(&acting, s).await,
    }
}

/// Reads every staged file of a line in one store back and compares it; says how many there are.
pub(super) async fn read_staged(effects: &Effects, state: &State, on: &OnStore) -> Result<usize> {
    stage::read_staged(effects, state, on).await
}

/// Stages again what the required stores have lost of a train that waits for approvals. One that cannot be asked is asked
/// again at the gate.
pub(super) async fn stage_again(effects: &Effects, train: &Train) {
    let state = train.state();
    for step in &train.plan().steps {
        if let Step::VerifyStaged(on) = &step.step
            && state.outcome(&step.id).is_some()
            && let Err(e) = stage::all_again(effects, train, on).await
        {
            let text = format!("warning   store `{}`: {}", on.store, e.message());
            effects.progress.event(ProgressEvent::Note(text));
        }
    }
}

/// Puts what a finished step made in a store there again, from the train's objects: absent files alone, pointers last.
pub(super) async fn restore(
    effects: &Effects,
    train: &Train,
    (pools, reach): (&Pools, &Reach),
    step: &PlannedStep,
) -> Result<()> {
    let acting = Acting { effects, train, pools, reach, state: train.state(), step, attempt: 1, recent: false };
    blocking(|| approved::require(&acting))?;
    match &step.step {
        Step::Promote(s) => promote::promote(&acting, s).await.map(drop),
        Step::Point(s) => point::point(&acting, s).await.map(drop),
        _ => Ok(()),
    }
}

/// Reads a line's staged files among a train's own objects; how many there are, or `None` if one is not there.
pub(super) fn read_objects(train: &View, on: &OnStore) -> Result<Option<usize>> {
    stage::read_objects(train, on)
}

/// Reads a release on the project's own storage back, where strangers find it; `None` for other steps, and for a store that
/// these effects do not have. (That of an adopted train is in the configuration, or no command goes on with it.)
pub(super) async fn prove_stored(effects: &Effects, train: &Train, step: &PlannedStep) -> Option<Result<()>> {
    let known = |store| effects.stores.contains_key(store);
    match &step.step {
        Step::Promote(s) if known(&s.store) => Some(promote::prove(effects, train, s).await),
        Step::Point(s) if known(&s.store) => Some(point::prove(effects, train, s).await),
        _ => None,
    }
}

/// Reads a delivery back and compares it with what it should be; `None` for steps that deliver nowhere else.
pub(super) async fn prove(effects: &Effects, train: &Train, step: &PlannedStep) -> Option<Result<()>> {
    match &step.step {
        Step::PushGit(s) => Some(deliver::prove(effects, train, s).await),
        Step::ForgeRelease(s) => Some(forge::prove(effects, train, s).await),
        Step::AwaitRuns(s) => Some(runs::prove(effects, &train.state(), s).await),
        Step::PublishAdvisory(s) => Some(advisory::prove(effects, s).await),
        Step::MergeBack(s) => Some(merge_back::prove(effects, train, s).await),
        _ => None,
    }
}

/// What `prepare` made of a line.
pub(super) struct Prepared<'a> {
    pub(super) head: &'a Oid,
    pub(super) pack: crate::model::Sha256,
    pub(super) notes: Option<crate::model::Sha256>,
}

/// What `checksum` made of a line.
pub(super) struct Summed<'a> {
    pub(super) manifest: &'a crate::model::Artifact,
    pub(super) sha256sums: &'a crate::model::Artifact,
    pub(super) sha512sums: &'a crate::model::Artifact,
    pub(super) artifacts: &'a [crate::model::Artifact],
}

impl Summed<'_> {
    /// All that is staged of a line: the listed files, the manifest and the sums.
    pub(super) fn files(&self) -> impl Iterator<Item = &crate::model::Artifact> {
        self.artifacts.iter().chain([self.manifest, self.sha256sums, self.sha512sums])
    }
}

fn wrong(id: &StepId, what: &str) -> Error {
    Error::fatal(format!("step `{id}` did not record {what}"))
}

/// What the `prepare` step `id` made.
pub(super) fn prepared<'a>(state: &'a State, id: &StepId) -> Result<Prepared<'a>> {
    match state.outcome(id) {
        Some(Outcome::Prepared { head, pack, notes, .. }) => Ok(Prepared { head, pack: *pack, notes: *notes }),
        _ => Err(wrong(id, "commits")),
    }
}

/// What the `checksum` step `id` made.
pub(super) fn summed<'a>(state: &'a State, id: &StepId) -> Result<Summed<'a>> {
    match state.outcome(id) {
        Some(Outcome::Summed { manifest, sha256sums, sha512sums, artifacts }) => {
            Ok(Summed { manifest, sha256sums, sha512sums, artifacts })
        }
        _ => Err(wrong(id, "sums")),
    }
}

/// What the `seal` step `id` made.
pub(super) fn sealed<'a>(state: &'a State, id: &StepId) -> Result<&'a Sealed> {
    match state.outcome(id) {
        Some(Outcome::Sealed(sealed)) => Ok(sealed),
        _ => Err(wrong(id, "a seal")),
    }
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
    pub(super) fn view(&self) -> View {
        View::new(self.state.clone(), self.train.objects().clone(), self.train.trust_shared())
    }

    /// Tells the operator what does not stop the step.
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
    if !effects.git.has_commit(repo, made.head)? {
        effects.git.import_pack(repo, &train.objects().get(&made.pack)?)?;
    }
    Ok(repo)
}
