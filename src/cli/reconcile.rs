//! `reconcile`: what waits for its destination.

use std::process::ExitCode;

use serde::Serialize;

use super::place::Place;
use super::{Global, Output};
use crate::error::Result;
use crate::model::TrainName;
use crate::step::StepId;

/// List the deliveries that wait for their destinations
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// One train [default: all of the project]
    #[arg(value_name = "TRAIN")]
    train: Option<TrainName>,
}

#[derive(Serialize)]
struct Waiting {
    train: TrainName,
    step: StepId,
    reason: String,
    since: Option<jiff::Timestamp>,
}

pub(super) fn run(global: &Global, args: &Args, out: &Output) -> Result<ExitCode> {
    let place = Place::open(global)?;
    let seen = match &args.train {
        Some(name) => vec![place.see(name)?],
        None => place.see_all()?,
    };
    let mut waiting = Vec::new();
    for seen in &seen {
        for (step, reason, since) in seen.state.deferred() {
            let train = seen.state.graph().plan().train.clone();
            waiting.push(Waiting { train, step: step.clone(), reason: reason.to_owned(), since });
        }
    }
    let mut text: Vec<String> = waiting
        .iter()
        .map(|w| {
            let since = w.since.map(|t| t.strftime("%F %T").to_string()).unwrap_or_default();
            format!("{}  {}  since {since}\n    {}", w.train, w.step, w.reason)
        })
        .collect();
    if text.is_empty() {
        text.push("nothing waits: every delivery is home".to_owned());
    }
    out.result(text.join("\n"), &waiting)?;
    Ok(ExitCode::SUCCESS)
}
