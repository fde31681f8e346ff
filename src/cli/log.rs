//! `log`: the journal, as a person reads it.

use std::process::ExitCode;

use super::place::Place;
use super::{Global, Output};
use crate::error::Result;
use crate::journal::{Event, Record};
use crate::model::TrainName;

/// Print what happened to a train, from its journal
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The train [default: the one under way, or the last]
    #[arg(value_name = "TRAIN")]
    train: Option<TrainName>,
}

pub(super) fn run(global: &Global, args: &Args, out: &Output) -> Result<ExitCode> {
    let place = Place::open(global)?;
    let records = place.records(&place.choose(args.train.as_ref())?)?;
    let text: Vec<String> = records.iter().map(line).collect();
    out.result(text.join("\n"), &records)?;
    Ok(ExitCode::SUCCESS)
}

fn line(record: &Record) -> String {
    let what = match &record.what {
        Event::PlanAdopted { plan, .. } => format!("adopted plan {}", plan.0.short()),
        Event::Started { step, attempt, .. } if *attempt > 1 => format!("started   {step} (attempt {attempt})"),
        Event::Started { step, .. } => format!("started   {step}"),
        Event::Waiting { step, handle, .. } => format!("waiting   {step} on runner {}", handle.runner),
        Event::Succeeded { step, .. } => format!("succeeded {step}"),
        Event::Failed { step, error, .. } => format!("failed    {step}: {}", error.lines().next().unwrap_or_default()),
        Event::Deferred { step, reason, .. } => format!("deferred  {step}: {reason}"),
        Event::Approved { approval } => format!("approved  by {}", approval.person),
        Event::Resumed => "resumed".to_owned(),
        Event::Reconciling => "reconciling".to_owned(),
        Event::Abandoned { reason } => format!("abandoned: {reason}"),
        Event::Lease { holder, epoch, expires } => format!("lease of {holder}, epoch {epoch}, until {expires}"),
        Event::TakenOver { from, to, epoch, reason, .. } => {
            format!("{to} took over from {from}, epoch {epoch}: {reason}")
        }
    };
    let by = record.by.get(record.by.len().saturating_sub(16)..).unwrap_or(&record.by);
    format!("{:4} {} {by} {what}", record.seq, record.at.strftime("%F %T"))
}
