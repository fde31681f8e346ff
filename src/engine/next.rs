//! What to do next: pure.

use jiff::Timestamp;

use crate::journal::{State, StepStatus};
use crate::model::PersonId;
use crate::step::{Gate, Quorum, Step};

/// What a train needs now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// These steps can act now, most urgent first, by their positions in the plan.
    Run(Vec<usize>),
    /// Nothing can act before this time, for this reason.
    WaitUntil(Timestamp, String),
    /// A person must act.
    Ask(Question),
    /// Every step has succeeded, or waits for a destination that may be down.
    Done,
    /// Steps failed and nothing else can act: something must be fixed first.
    Stuck(Vec<usize>),
    /// Too many stores are down: these quorums, as positions, cannot be reached now.
    Short(Vec<usize>),
}

/// The quorums, as positions, for which nothing is missing but stores that are down.
#[must_use]
pub(super) fn short(state: &State) -> Vec<usize> {
    let graph = state.graph();
    let waits = |&i: &usize| {
        let ready = || graph.all_of(i).iter().all(|&n| state.succeeded(n));
        !state.succeeded(i) && graph.at(i).step.is_a::<Quorum>() && ready()
    };
    (0..graph.len()).filter(waits).collect()
}

/// What a person is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// More people must approve.
    Approve {
        /// Who did.
        have: Vec<PersonId>,
        /// How many must.
        need: u32,
    },
}

/// Decides what a train needs, from its state, those whose approvals count (see [`super::approvals`]) and the time alone.
#[must_use]
pub fn next(state: &State, approved: &[PersonId], now: Timestamp) -> Next {
    if state.abandoned().is_some() {
        return Next::Done;
    }
    let graph = state.graph();
    let mut run = Vec::new();
    let mut wait: Option<(Timestamp, String)> = None;
    let mut ask = None;
    let mut failed = Vec::new();
    let mut required_failed = false;
    for &i in graph.order() {
        let step = graph.at(i);
        let ready = graph.missing(i, |n| state.succeeded(n)).is_none();
        match &state.at(i).status {
            StepStatus::Succeeded(_) | StepStatus::Deferred(_) => {}
            StepStatus::Failed { retry_at: None, .. } => {
                required_failed |= !step.deferrable;
                failed.push(i);
            }
            StepStatus::Failed { retry_at: Some(at), .. } if *at > now => {
                sooner(&mut wait, *at, format!("`{}` is tried again", step.id));
            }
            StepStatus::Pending | StepStatus::Started | StepStatus::Waiting(_) | StepStatus::Failed { .. } if ready => {
                match gate(approved, &step.step, now) {
                    GateStands::Open => run.push(i),
                    GateStands::Asks(question) => ask = ask.or(Some(question)),
                    GateStands::Until(at) => sooner(&mut wait, at, "the embargo ends".to_owned()),
                }
            }
            _ => {}
        }
    }
    if !run.is_empty() {
        return Next::Run(run);
    }
    // What the train can be released without must not hide what it waits for.
    if required_failed {
        return Next::Stuck(failed);
    }
    match (ask, wait) {
        (Some(question), _) => Next::Ask(question),
        (None, Some((at, why))) => Next::WaitUntil(at, why),
        (None, None) if failed.is_empty() => match short(state) {
            short if short.is_empty() => Next::Done,
            short => Next::Short(short),
        },
        (None, None) => Next::Stuck(failed),
    }
}

fn sooner(wait: &mut Option<(Timestamp, String)>, at: Timestamp, why: String) {
    if wait.as_ref().is_none_or(|(t, _)| at < *t) {
        *wait = Some((at, why));
    }
}

enum GateStands {
    Open,
    Asks(Question),
    Until(Timestamp),
}

/// Every step but the gate is open.
fn gate(approved: &[PersonId], step: &Step, now: Timestamp) -> GateStands {
    let Some(gate) = step.as_a::<Gate>() else { return GateStands::Open };
    if (approved.len() as u64) < u64::from(gate.threshold) {
        return GateStands::Asks(Question::Approve { have: approved.to_vec(), need: gate.threshold });
    }
    match gate.not_before {
        Some(at) if at > now => GateStands::Until(at),
        _ => GateStands::Open,
    }
}
