//! `log`: the journal, as a person reads it.

use std::process::ExitCode;
use std::sync::Arc;

use serde::Serialize;

use super::project::LocalProject;
use super::{Global, Output};
use crate::effects::{NoProgress, Role};
use crate::error::{Error, Result};
use crate::journal::{Event, Record, Signatures, check_signatures};
use crate::model::{Fingerprint, TrainName, counted};

/// Print what happened to a train, from its journal
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The train [default: the one under way, or the last]
    #[arg(value_name = "TRAIN")]
    train: Option<TrainName>,
    /// Check the signature of every record, and that this machine's operator or a person of the trust root wrote it
    #[arg(long)]
    verify: bool,
}

/// Who wrote a journal, or a part of it.
#[derive(Serialize)]
struct Holder {
    certificate: Fingerprint,
    who: String,
}

pub(super) fn run(global: &Global, args: &Args, out: &Output) -> Result<ExitCode> {
    let place = LocalProject::open(global)?;
    let name = place.choose(args.train.as_ref())?;
    let (records, torn) = place.records(&name)?;
    if torn {
        out.note(
            "the journal ends with an unfinished record, which counts for nothing: the next `lifeboat ship` drops it",
        );
    }
    if args.verify {
        let holders = holders(&place, &name, &records)?;
        let mut text = format!("{}, each signed by who held the train then", counted(records.len(), "record"));
        for holder in &holders {
            text.push_str(&format!("\n  {} {}", holder.certificate, holder.who));
        }
        out.result(text, &holders)?;
        return Ok(ExitCode::SUCCESS);
    }
    let text: Vec<String> = records.iter().map(line).collect();
    out.result(text.join("\n"), &records)?;
    Ok(ExitCode::SUCCESS)
}

/// Checks every signature, and that each holder is known here.
fn holders(place: &LocalProject, name: &TrainName, records: &[Record]) -> Result<Vec<Holder>> {
    let trust = place.trust()?;
    let mut out = Vec::new();
    let checked = check_signatures(records, Signatures::All).map_err(|e| e.context(format!("journal of `{name}`")))?;
    for certificate in checked {
        let fingerprint = certificate.fingerprint().clone();
        let person = trust.root.people.iter().find(|(_, p)| p.certificates.contains(&fingerprint));
        let who = match person {
            Some((person, _)) => format!("{person}, a person of the trust root"),
            // The key may want a passphrase, so it is asked for only where it decides.
            None => {
                let ours = place.effects(name, Arc::new(NoProgress))?.keys.signer(&Role::Operator)?.fingerprint();
                if !ours.parse().is_ok_and(|key| certificate.has_key(&key)) {
                    return Err(Error::verification(format!("nobody known here wrote this journal: {fingerprint}"))
                        .detail(format!("this machine's operator key is {ours}"))
                        .hint("ask the other maintainers whose key that is; until you know, believe none of these records"));
                }
                "this machine's operator".to_owned()
            }
        };
        out.push(Holder { certificate: fingerprint, who });
    }
    Ok(out)
}

fn line(record: &Record) -> String {
    let what = match &record.what {
        Event::PlanAdopted { plan, .. } => format!("adopted plan {}", plan.0.short()),
        Event::Started { step, attempt, runner: Some(runner), .. } if *attempt > 1 => {
            format!("started   {step} (attempt {attempt}, for runner {runner})")
        }
        Event::Started { step, attempt, .. } if *attempt > 1 => format!("started   {step} (attempt {attempt})"),
        Event::Started { step, .. } => format!("started   {step}"),
        Event::Waiting { step, handle, .. } => format!("waiting   {step} on runner {}", handle.runner),
        Event::JobEnded { step, runner, end, .. } => format!("job ended {step} on runner {runner}: {}", end.about()),
        Event::Succeeded { step, .. } => format!("succeeded {step}"),
        Event::Failed { step, error, .. } => format!("failed    {step}: {}", error.lines().next().unwrap_or_default()),
        Event::Deferred { step, reason, .. } => format!("deferred  {step}: {reason}"),
        Event::FoundOn { step, files, .. } => {
            let files: Vec<&str> = files.iter().map(String::as_str).collect();
            format!("found on  {}, for {step}", files.join(", "))
        }
        Event::Approved { approval } => format!("approved  by {}", approval.person),
        Event::Resumed => "resumed".to_owned(),
        Event::Reconciling => "reconciling".to_owned(),
        Event::Abandoned { reason } => format!("abandoned: {reason}"),
        Event::Amended { plan, carried, reason, .. } => {
            let why = reason.as_ref().map(|r| format!(": {r}")).unwrap_or_default();
            format!("amended   plan {}, which keeps {} finished steps{why}", plan.0.short(), carried.len())
        }
    };
    let by = record.by.get(record.by.len().saturating_sub(16)..).unwrap_or(&record.by);
    format!("{:4} {} {by} {what}", record.seq, crate::model::utc(record.at))
}
