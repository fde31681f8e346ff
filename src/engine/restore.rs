//! A store that was lost, made again from what the trains of this machine keep.

use std::sync::Arc;

use super::perform::restore as restore_step;
use super::probes::Probes;
use super::train::Train;
use crate::effects::Effects;
use crate::error::Result;
use crate::journal::State;
use crate::model::{Destination, StoreName};
use crate::step::{Phase, Point, Pointed, StepId};

/// The steps that put something of a train into a store, files first, as far as they succeeded.
#[must_use]
pub(crate) fn made_in(state: &State, store: &StoreName) -> Vec<StepId> {
    let graph = state.graph();
    let to = Some(Destination::Store(store.clone()));
    let of = |phase: Phase| {
        let steps = graph.order().iter().map(|&i| graph.at(i)).filter(move |s| s.step.phase() == phase);
        steps.filter(|s| s.step.destination() == to)
    };
    of(Phase::Files)
        .chain(of(Phase::Pointers))
        .filter(|s| state.outcome(&s.id).is_some())
        .map(|s| s.id.clone())
        .collect()
}

/// The number that an index which is made anew begins after, so that readers of the lost one go on from it: the highest
/// that this train recorded, and one for each minute since, in which others may have signed it again.
#[must_use]
pub(crate) fn floor(state: &State, store: &StoreName, now: jiff::Timestamp) -> u64 {
    let graph = state.graph();
    let of_store = |i: &usize| graph.at(*i).step.as_a().is_some_and(|point: &Point| point.store == *store);
    let numbers = (0..graph.len()).filter(of_store).map(|i| {
        let Some(Pointed { counter, .. }) = state.made(&graph.at(i).id) else { return 0 };
        let counter = counter.unwrap_or_default();
        let minutes = state.at(i).since.map_or(0, |at| now.as_second().saturating_sub(at.as_second()) / 60);
        counter.saturating_add(u64::try_from(minutes).unwrap_or_default())
    });
    numbers.max().unwrap_or_default()
}

/// Puts what a train made in a store there again: the same bytes, only where there are none; pointers last.
///
/// # Errors
/// Other bytes there, an object that is missing here, the store's.
pub async fn restore(effects: &Effects, train: &Arc<Train>, store: &StoreName) -> Result<Vec<StepId>> {
    let state = train.state();
    let reach = Probes::nobody();
    let made = made_in(&state, store);
    for id in &made {
        if let Some(step) = train.plan().step(id) {
            restore_step(effects, train, &reach, step).await.map_err(|e| e.detail(format!("step: {id}")))?;
        }
    }
    Ok(made)
}
