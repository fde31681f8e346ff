//! `ship --dry-run`: the same engine, with scratch state, throwaway keys, and public effects recorded instead of done.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use serde::Serialize;

use super::Output;
use super::place::Place;
use crate::drill::recording::{
    LeapingClock, Recorded, Recording, RecordingForge, RecordingRemote, RecordingStore, Throwaway, throwaway,
};
use crate::effects::{Clock, Effects, Lock, Objects, ProgressEvent, files};
use crate::engine::approve::{approve, clear, review};
use crate::engine::{Ended, Train, TrainDir, run as engine_run};
use crate::error::{Context as _, Error, Result};
use crate::gather::gather;
use crate::journal::{Journal, State};
use crate::model::{Secret, Sha256, TrainName, TrainNonce};
use crate::plan::Graph;

#[derive(Serialize)]
struct Report {
    train: TrainName,
    plan: String,
    state: crate::journal::TrainState,
    public: Vec<Recorded>,
    deferred: Vec<String>,
}

pub(super) fn run(place: &Place, file: Option<&Path>, reviewed: Option<Sha256>, out: &Output) -> Result<ExitCode> {
    let file = file.ok_or_else(|| Error::input("a dry run needs the train file"))?;
    let gathered = gather(&place.config, file, place.root(), &place.destinations()?, &*place.disk, &*place.clock)?;
    let plan = crate::plan::plan(&place.config, &gathered.snapshot, &gathered.request)?;
    super::plan::same_plan(&plan.id()?, reviewed)?;
    let real = place.trust()?;
    let clock = Arc::new(LeapingClock::new(place.clock.clone()));
    let (keys, trust) = throwaway(&real, clock.clone())?;
    let home = TrainDir::new(place.root().join("rehearsals").join(plan.train.as_str()));
    // Beside what is removed, and held to the end: two dry runs of one train would clear each other's state and staging.
    let _alone = alone(place, &home)?;
    let dir = TrainDir::new(home.path().join("scratch"));
    let scratch = dir.path().to_owned();
    let runtime = super::runtime()?;
    runtime.block_on(clear_killed(place, &dir))?;
    let recording = Recording::default();
    let mut effects = place.effects_in(&dir, out.progress())?;
    record(&mut effects, keys, clock.clone(), &recording);
    let objects = Objects::new(effects.disk.clone(), dir.objects());
    for series in &gathered.series {
        objects.put(series)?;
    }
    let (train, _) = Train::adopt(&effects, Arc::new(trust), &dir, &plan)?;
    let train = Arc::new(train.with_past(place.past()?));
    let ended = runtime.block_on(drive(place, &effects, &train, &clock, &Throwaway::people(&real)));
    effects.progress.event(ProgressEvent::Ended);
    let state = train.state();
    for store in place.effects_in(&dir, Arc::new(crate::effects::Quiet))?.stores.values() {
        if let Some(nonce) = state.nonce() {
            runtime.block_on(store.clear_staging(nonce.as_str()))?;
        }
    }
    if let Ended::Stuck(errors) = ended? {
        let (id, error) = errors.into_iter().next().ok_or_else(|| Error::fatal("the dry run stopped"))?;
        return Err(error.context(format!("dry run, `{id}`")).detail(format!("scratch state: {}", scratch.display())));
    }
    place.disk.remove_dir_all(&scratch).context(format!("cannot remove `{}`", scratch.display()))?;
    let report = Report {
        train: plan.train.clone(),
        plan: plan.id()?.to_string(),
        state: state.name(),
        public: recording.all(),
        deferred: state.deferred().map(|(id, why, _)| format!("{id}: {why}")).collect(),
    };
    out.result(text(&report), &report)?;
    Ok(ExitCode::SUCCESS)
}

/// The only dry run of a train, until dropped.
fn alone(place: &Place, home: &TrainDir) -> Result<Box<dyn Lock>> {
    files::create_dir_all(&*place.disk, home.path(), 0o700)?;
    let path = home.lock();
    let held = place.disk.try_lock(&path).context(format!("cannot lock `{}`", path.display()))?;
    held.ok_or_else(|| {
        Error::transient("another dry run of this train is under way")
            .detail(format!("lock: {}", path.display()))
            .hint("wait for it to end, or find it with `ps`")
    })
}

/// Clears what a dry run that was killed left: first its bytes in every store's staging area, which only its own journal
/// can name, then the scratch directory with that journal.
async fn clear_killed(place: &Place, dir: &TrainDir) -> Result<()> {
    if let Some(nonce) = killed(place, dir).map_err(|e| {
        e.context("cannot tell what the last dry run left in staging").hint(format!(
            "clear the stores' staging areas of dry runs by hand, then remove `{}`",
            dir.path().display()
        ))
    })? {
        for store in place.destinations()?.stores.values() {
            store.clear_staging(nonce.as_str()).await?;
        }
    }
    place.disk.remove_dir_all(dir.path()).context(format!("cannot clear `{}`", dir.path().display()))
}

/// The nonce of the dry run whose scratch state is still there, if it came far enough to have one.
fn killed(place: &Place, dir: &TrainDir) -> Result<Option<TrainNonce>> {
    let path = dir.plan();
    if place.disk.entry(&path).context(format!("cannot look at `{}`", path.display()))?.is_none() {
        return Ok(None);
    }
    let graph = Arc::new(Graph::new(Arc::new(dir.load_plan(&*place.disk)?))?);
    let (records, _) = Journal::read(&*place.disk, &dir.journal(), &graph)?;
    Ok(State::fold(graph, &records)?.nonce().cloned())
}

/// Puts recording effects in place of public ones, throwaway keys in place of everybody's, and a placeholder in place of
/// every secret.
fn record(effects: &mut Effects, keys: Throwaway, clock: Arc<LeapingClock>, recording: &Recording) {
    for store in effects.stores.values_mut() {
        *store = Arc::new(RecordingStore::new(store.clone(), effects.disk.clone(), recording.clone()));
    }
    for remote in effects.remotes.values_mut() {
        *remote = Arc::new(RecordingRemote::new(remote.clone(), recording.clone()));
    }
    for forge in effects.forges.values_mut() {
        *forge = Arc::new(RecordingForge::new(forge.clone(), recording.clone()));
    }
    // Nobody has adopted this plan yet: its recipes are given no secret.
    effects.secrets = Arc::new(|_| Ok(Secret::new("no-secret-in-a-dry-run")));
    effects.keys = Arc::new(keys);
    effects.clock = clock;
}

/// Runs to the end: approvals are made with the throwaway keys, and the embargo's end is not waited for.
async fn drive(
    place: &Place,
    effects: &Effects,
    train: &Arc<Train>,
    clock: &LeapingClock,
    people: &[crate::model::PersonId],
) -> Result<Ended> {
    let mut waits = 0;
    loop {
        match engine_run(effects, train.clone()).await? {
            Ended::Asks(crate::engine::Question::Approve { have, need }) if (have.len() as u64) < u64::from(need) => {
                if let Some(at) = train.plan().not_before.filter(|at| *at > clock.now()) {
                    clock.leap_to(at);
                }
                let reviewed = review(effects, train, &place.config.project.repository).await?;
                for person in people.iter().filter(|p| !have.contains(p)).take(need as usize - have.len()) {
                    approve(effects, train, &reviewed, person)?;
                }
            }
            Ended::Waits(at, _) if waits < 10 => {
                waits += 1;
                clock.leap_to(at);
            }
            ended => {
                if !matches!(ended, Ended::Done(_)) {
                    clear(effects, train).await?;
                }
                return Ok(ended);
            }
        }
    }
}

fn text(report: &Report) -> String {
    let mut out =
        format!("dry run of train {}: {}; nothing public was done\nplan {}\n", report.train, report.state, report.plan);
    out.push_str(&format!("\n{} public effects would follow, in this order:\n", report.public.len()));
    for p in &report.public {
        let size = p.size.map(|s| format!(" {s} bytes")).unwrap_or_default();
        let digest = p.digest.as_deref().unwrap_or_default();
        out.push_str(&format!("  {:8} {}: {}{size} {digest}\n", p.verb, p.destination, p.what));
    }
    for deferred in &report.deferred {
        out.push_str(&format!("  would wait: {deferred}\n"));
    }
    out.trim_end().to_owned()
}
