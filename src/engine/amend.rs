//! Amending a train: jobs of steps that change are ended, then the child plan counts.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::train::Train;
use crate::effects::Effects;
use crate::error::Result;
use crate::journal::{State, StepJob, StepStatus};
use crate::model::{Destination, PersonId, Pin};
use crate::plan::{Graph, amend::keepable, amend::moved};
use crate::step::{Handle, Stage, StepId};

/// What amending a train keeps and what it costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cost {
    /// The finished steps that keep what they made.
    pub kept: BTreeSet<StepId>,
    /// The finished steps that are done again, or are no longer there.
    pub lost: BTreeSet<StepId>,
    /// Whose approvals lapse.
    pub lapsing: BTreeSet<PersonId>,
    /// What stays where nothing of this train looks any more, for people to remove.
    pub left: Vec<String>,
}

/// What a child plan keeps of a train, and what it costs.
#[must_use]
pub fn cost(state: &State, child: &Graph) -> Cost {
    let kept = state.kept_by(child);
    let finished = state.graph().plan().steps.iter().filter(|s| state.outcome(&s.id).is_some());
    let lost = finished.map(|s| s.id.clone()).filter(|id| !kept.contains(id)).collect();
    let lapsing = state.approvals().iter().map(|(a, _)| a.person.clone()).collect();
    Cost { kept, lost, lapsing, left: left(state, child) }
}

/// The staged files in stores that are elsewhere now.
fn left(state: &State, child: &Graph) -> Vec<String> {
    let plan = state.graph().plan();
    let moved = moved(plan, child.plan());
    let mut out = BTreeSet::new();
    for (i, step) in plan.steps.iter().enumerate() {
        let Some(Stage(on)) = step.step.as_a() else { continue };
        let name = Destination::Store(on.store.clone());
        if state.at(i).attempts > 0 && moved.contains(&Pin::destination(name.clone())) {
            let at = plan.place_of(name.clone()).unwrap_or("its place");
            let areas = state.staging_areas().join("`, `");
            out.insert(format!(
                "the staged files of this train in {name} at {at}: remove `{areas}` from its `.staging/`"
            ));
        }
    }
    out.into_iter().collect()
}

/// Ends the jobs of steps that change, then records that the child plan counts. Killed in between, the train is as before
/// but for the jobs, which are started again.
///
/// # Errors
/// A runner that cannot end a job, a child that cannot amend the plan, the file system's.
pub async fn amend(effects: &Effects, train: &Train, child: Arc<Graph>, reason: Option<String>) -> Result<()> {
    let state = train.state();
    let (handles, unknown) = changing_jobs(&state, &child);
    for runner in &effects.runners {
        if unknown {
            // It may have been dispatched right before a kill, so that nobody knows its handle.
            runner.sweep(&train.nonce()?).await?;
        }
        for handle in handles.iter().filter(|h| h.runner == *runner.name()) {
            runner.cancel(handle).await?;
        }
    }
    train.amend(child, reason)
}

/// The jobs that may run for steps which the child does not have as they are, and whether there are any without a handle.
fn changing_jobs(state: &State, child: &Graph) -> (Vec<Handle>, bool) {
    let equal = keepable(state.graph(), child);
    let mut handles = Vec::new();
    let mut unknown = false;
    for i in 0..state.graph().len() {
        let step = state.graph().at(i);
        match &state.at(i).status {
            _ if equal.contains(&step.id) => {}
            StepStatus::Waiting(_) => {
                let jobs = &state.at(i).jobs;
                handles.extend(jobs.iter().filter_map(StepJob::handle));
                unknown |= jobs.iter().any(|job| job.job.is_none());
            }
            StepStatus::Started => unknown |= step.step.starts_jobs(),
            _ => {}
        }
    }
    (handles, unknown)
}
