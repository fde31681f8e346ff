//! Retries deferred deliveries, and proves by reading back that they are equal.

use std::sync::Arc;

use super::perform::{prove, prove_stored};
use super::run::{Ended, run};
use super::train::Train;
use crate::effects::Effects;
use crate::error::{Error, Result};
use crate::journal::{Event, StepStatus};
use crate::step::StepId;

/// How reconciling one train ended.
#[derive(Debug)]
pub struct Reconciled {
    /// How the run ended; none if nothing waited.
    pub ended: Option<Ended>,
    /// Deliveries that were read back and are equal.
    pub equal: Vec<StepId>,
    /// Deliveries that were read back and differ, or could not be read.
    pub differ: Vec<(StepId, Error)>,
}

/// Retries the deferred deliveries of a released train, then reads every delivery back. With none deferred it only reads.
///
/// # Errors
/// A train that is not released yet, or a journal that cannot be written.
pub async fn reconcile(effects: &Effects, train: Arc<Train>) -> Result<Reconciled> {
    let state = train.state();
    if state.name() < crate::journal::TrainState::Released || state.abandoned().is_some() {
        return Err(Error::input(format!("train `{}` is {}, not released", train.plan().train, state.name()))
            .hint("`lifeboat ship` goes on with it"));
    }
    let open = |i: usize| !matches!(state.at(i).status, StepStatus::Succeeded(_));
    let mut ended = None;
    if (0..train.graph().len()).any(open) {
        if state.deferred().next().is_some() {
            train.journal().append(Event::Reconciling)?;
        }
        ended = Some(run(effects, train.clone()).await?);
    }
    let (mut equal, mut differ) = (Vec::new(), Vec::new());
    let state = train.state();
    for step in &train.plan().steps {
        if state.outcome(&step.id).is_none() {
            continue;
        }
        let found = match prove_stored(effects, &train, step).await {
            // What is as it should be on our own storage is not a delivery; what is not is reported.
            None | Some(Ok(())) => prove(effects, &train, step).await,
            failed => failed,
        };
        match found {
            None => {}
            Some(Ok(())) => equal.push(step.id.clone()),
            Some(Err(e)) => differ.push((step.id.clone(), e.detail(format!("step: {}", step.id)))),
        }
    }
    Ok(Reconciled { ended, equal, differ })
}
