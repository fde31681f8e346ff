//! `reconcile --restore`: a store that was lost, made again.

use std::process::ExitCode;
use std::sync::Arc;

use serde::Serialize;

use super::Output;
use super::project::{LocalProject, TrainStatus};
use super::reconcile::readable;
use crate::effects::{ProgressEvent, read_public};
use crate::engine::{Train, restore};
use crate::error::{Error, Result};
use crate::formats::layout;
use crate::model::{StoreName, TrainName, shell_word};
use crate::step::{Point, StepId};

#[derive(Serialize)]
struct Report {
    store: StoreName,
    trains: Vec<Restored>,
}

#[derive(Serialize)]
struct Restored {
    train: TrainName,
    steps: Vec<StepId>,
}

pub(super) fn run(place: &LocalProject, store: &StoreName, out: &Output) -> Result<ExitCode> {
    if place.config.stores.iter().all(|s| s.name != *store) {
        let known: Vec<&str> = place.config.stores.iter().map(|s| s.name.as_str()).collect();
        return Err(Error::input(format!("the configuration has no store `{store}`"))
            .hint(format!("expected one of: {}", known.join(", "))));
    }
    let mut unread = Vec::new();
    let mut seen: Vec<TrainStatus> = readable(place, &mut unread)?;
    if let Some(e) = unread.into_iter().next() {
        return Err(e.context("a train cannot be read, so what the store had is not known"));
    }
    seen.retain(|s| !restore::made_in(&s.state, store).is_empty());
    // As they were released: each index and each ref goes on from the one before.
    seen.sort_by_key(|s| pointed_at(s, store));
    let now = place.clock.now();
    let floor = seen.iter().map(|s| restore::floor(&s.state, store, now)).max().unwrap_or_default();
    let past = place.past()?.without_store(store, floor);
    let trust = place.trust()?;
    let runtime = super::runtime()?;
    let mut report = Report { store: store.clone(), trains: Vec::new() };
    for one in &seen {
        let name = one.name();
        let effects = place.effects(name, out.progress())?;
        let train = Arc::new(Train::open(&effects, trust.clone(), &place.dir(name))?.with_past(past.clone()));
        let steps = runtime.block_on(restore::restore(&effects, &train, store));
        effects.progress.event(ProgressEvent::Ended);
        report
            .trains
            .push(Restored { train: name.clone(), steps: steps.map_err(|e| e.detail(format!("train: {name}")))? });
    }
    let mut text = format!("store {store}: {} trains restored", report.trains.len());
    if report.trains.is_empty() {
        text = format!("store {store}: no train of this machine released anything there");
    }
    for r in &report.trains {
        text.push_str(&format!("\n  {}: {} steps", r.train, r.steps.len()));
    }
    text.push_str("\nreleases of other machines are theirs to restore; `lifeboat reconcile` reads everything back");
    out.result(text, &report)?;
    Ok(ExitCode::SUCCESS)
}

/// When a train's pointers in a store were moved.
fn pointed_at(seen: &TrainStatus, store: &StoreName) -> Option<jiff::Timestamp> {
    let graph = seen.state.graph();
    let point = (0..graph.len()).find(|&i| graph.at(i).step.as_a().is_some_and(|p: &Point| p.store == *store));
    point.and_then(|i| seen.state.at(i).since)
}

/// The stores in which trains of this machine released something, and that show no index: what to run, for each.
pub(super) fn lost(place: &LocalProject) -> Result<Vec<String>> {
    let past = place.past()?;
    let to = place.destinations()?;
    let runtime = super::runtime()?;
    let mut out = Vec::new();
    for (name, store) in &to.stores {
        let released = past.released.iter().any(|r| r.store == *name);
        // One that cannot be asked is not lost.
        if released && matches!(runtime.block_on(read_public(&**store, layout::INDEX)), Ok(None)) {
            out.push(hint(name));
        }
    }
    Ok(out)
}

/// What to run for a store that was lost.
fn hint(store: &StoreName) -> String {
    format!(
        "store `{store}` has lost its releases: `lifeboat reconcile --restore {}` makes them again",
        shell_word(store.as_str())
    )
}
