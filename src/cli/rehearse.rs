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
use crate::effects::{Clock, Effects, Objects, ProgressEvent};
use crate::engine::approve::{approve, clear, review};
use crate::engine::{Ended, Train, TrainDir, run as engine_run};
use crate::error::{Context as _, Error, Result};
use crate::gather::gather;
use crate::model::TrainName;

#[derive(Serialize)]
struct Report {
    train: TrainName,
    plan: String,
    state: crate::journal::TrainState,
    public: Vec<Recorded>,
    deferred: Vec<String>,
}

pub(super) fn run(place: &Place, file: Option<&Path>, out: &Output) -> Result<ExitCode> {
    let file = file.ok_or_else(|| Error::input("a dry run needs the train file"))?;
    let gathered = gather(&place.config, file, place.root(), &place.destinations()?, &*place.disk, &*place.clock)?;
    let plan = crate::plan::plan(&place.config, &gathered.snapshot, &gathered.request)?;
    let real = place.trust()?;
    let clock = Arc::new(LeapingClock::new(place.clock.clone()));
    let (keys, trust) = throwaway(&real, clock.clone())?;
    let scratch = place.root().join("rehearsals").join(plan.train.as_str());
    place.disk.remove_dir_all(&scratch).context(format!("cannot clear `{}`", scratch.display()))?;
    let dir = TrainDir::new(scratch.clone());
    let recording = Recording::default();
    let mut effects = place.effects_in(&dir, out.progress())?;
    record(&mut effects, keys, clock.clone(), &recording);
    let objects = Objects::new(effects.disk.clone(), dir.objects());
    for series in &gathered.series {
        objects.put(series)?;
    }
    let (train, _) = Train::adopt(&effects, Arc::new(trust), &dir, &plan)?;
    let train = Arc::new(train);
    let runtime = super::runtime()?;
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

/// Puts recording effects in place of public ones, and throwaway keys in place of everybody's.
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
