//! `log`: the journal, as a person reads it.

use std::process::ExitCode;

use serde::Serialize;

use super::place::Place;
use super::{Global, Output};
use crate::error::Result;
use crate::formats::openpgp::Certificate;
use crate::journal::{Event, Record, Signatures, check_signatures};
use crate::model::{Fingerprint, TrainName};

/// Print what happened to a train, from its journal
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The train [default: the one under way, or the last]
    #[arg(value_name = "TRAIN")]
    train: Option<TrainName>,
    /// Check every record's signature and say who held the train; without it only the last one's is checked, whose hash
    /// covers all before
    #[arg(long)]
    verify: bool,
}

/// What `--verify` found.
#[derive(Serialize)]
struct Verified {
    train: TrainName,
    records: usize,
    /// The present one last.
    holders: Vec<Holder>,
}

/// Who held the train, as the journal itself says.
#[derive(Serialize)]
struct Holder {
    fingerprint: Fingerprint,
    user_id: Option<String>,
}

pub(super) fn run(global: &Global, args: &Args, out: &Output) -> Result<ExitCode> {
    let place = Place::open(global)?;
    let name = place.choose(args.train.as_ref())?;
    let records = place.records(&name)?;
    if args.verify {
        return verify(name, &records, out);
    }
    let text: Vec<String> = records.iter().map(line).collect();
    out.result(text.join("\n"), &records)?;
    Ok(ExitCode::SUCCESS)
}

fn verify(train: TrainName, records: &[Record], out: &Output) -> Result<ExitCode> {
    let holders = check_signatures(records, Signatures::All).map_err(|e| e.context(format!("journal of `{train}`")))?;
    let holder = |c: &Certificate| Holder { fingerprint: c.fingerprint().clone(), user_id: c.user_id() };
    let found = Verified { train, records: records.len(), holders: holders.iter().map(holder).collect() };
    let mut text = format!("train {}: {} records, each signed by who held the train then", found.train, found.records);
    for holder in &found.holders {
        let who = holder.user_id.as_deref().unwrap_or("no user id");
        text.push_str(&format!("\n  held by {} ({who})", holder.fingerprint));
    }
    text.push_str("\nthe journal itself names these keys: compare the fingerprints with the people who ran this train");
    out.result(text, &found)?;
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
