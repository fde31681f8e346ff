//! `status`: how trains stand, without taking their lock.

use std::process::ExitCode;

use serde::Serialize;

use super::project::{LocalProject, TrainStatus};
use super::{Global, Output};
use crate::error::Result;
use crate::journal::{Outage, Quarantined, RunnerDown, State, StepJob, StepStatus, SwitchedOff, TrainState};
use crate::model::{BranchName, PersonId, TrainName, escape};
use crate::step::StepId;
use crate::trust::Approval;

/// Show how the trains of this project stand
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// One train, with all its steps
    #[arg(value_name = "TRAIN")]
    train: Option<TrainName>,
}

#[derive(Serialize)]
struct TrainReport {
    train: TrainName,
    state: TrainState,
    abandoned: Option<String>,
    plan: String,
    lines: Vec<LineReport>,
    /// Whose approvals count.
    approved_by: Vec<PersonId>,
    /// Approvals that do not count, or that could not be judged, with the reasons.
    not_counted: Vec<NotCounted>,
    /// How often the plan was amended.
    amended: u32,
    /// Who approved a plan that was amended since, and not yet this one.
    lapsed: Vec<String>,
    steps: Vec<StepReport>,
    down: Vec<Outage>,
    /// Runners that did not answer when they were last given a job.
    runners_down: Vec<RunnerDown>,
    /// Runners that get no new jobs while another one fits.
    quarantined: Vec<Quarantined>,
    workflows_off: Vec<SwitchedOff>,
    /// The command by which a clone gets the released commits.
    fetch: Option<String>,
    next: String,
}

#[derive(Serialize)]
struct NotCounted {
    who: String,
    why: String,
}

#[derive(Serialize)]
struct LineReport {
    branch: BranchName,
    kind: crate::model::LineKind,
    old: Option<semver::Version>,
    new: Option<semver::Version>,
    done: usize,
    total: usize,
}

#[derive(Serialize)]
struct StepReport {
    id: StepId,
    status: &'static str,
    attempts: u32,
    since: Option<jiff::Timestamp>,
    detail: Option<String>,
    required: bool,
}

pub(super) fn run(global: &Global, args: &Args, out: &Output) -> Result<ExitCode> {
    let place = LocalProject::open(global)?;
    let seen = match &args.train {
        Some(name) => vec![place.see(name)?],
        None => place.see_all()?,
    };
    let reports: Vec<TrainReport> = seen.iter().map(|s| report(&place, s)).collect();
    if reports.is_empty() {
        return out
            .result(
                format!("no trains in `{}`: plan one with `lifeboat plan TRAIN.toml`", place.root().display()),
                &reports,
            )
            .map(|()| ExitCode::SUCCESS);
    }
    let text: Vec<String> = reports.iter().map(|r| text(r, args.train.is_some())).collect();
    out.result(text.join("\n\n"), &reports)?;
    Ok(ExitCode::SUCCESS)
}

fn report(place: &LocalProject, seen: &TrainStatus) -> TrainReport {
    let state = &seen.state;
    let (approved_by, not_counted) = approved_by(place, seen);
    let plan = state.graph().plan();
    let lines = plan.lines.iter().map(|line| {
        let of_line: Vec<usize> =
            (0..state.graph().len()).filter(|&i| state.graph().at(i).step.line() == Some(&line.branch)).collect();
        let done = of_line.iter().filter(|&&i| matches!(state.at(i).status, StepStatus::Succeeded(_))).count();
        LineReport {
            branch: line.branch.clone(),
            kind: line.kind,
            old: line.old.clone(),
            new: line.new.clone(),
            done,
            total: of_line.len(),
        }
    });
    TrainReport {
        train: plan.train.clone(),
        state: state.name(),
        abandoned: state.abandoned().map(str::to_owned),
        plan: state.graph().id().to_string(),
        lines: lines.collect(),
        amended: state.generation(),
        lapsed: lapsed(state),
        steps: (0..state.graph().len()).map(|i| step_report(state, i)).collect(),
        down: state.outages(),
        runners_down: state.runners_down(),
        quarantined: state.quarantined(),
        workflows_off: state.switched_off(),
        fetch: place.fetch(state),
        next: place.advice(state, &approved_by, seen.now),
        approved_by,
        not_counted,
    }
}

/// Who approved an earlier plan and must approve again.
fn lapsed(state: &State) -> Vec<String> {
    let of = |(approval, _): &(Approval, jiff::Timestamp)| approval.person.to_string();
    let again: Vec<String> = state.approvals().iter().map(of).collect();
    let people: std::collections::BTreeSet<String> = state.lapsed().iter().map(of).collect();
    people.into_iter().filter(|p| !again.contains(p)).collect()
}

/// Whose approvals count, by the same judge as the gate's; what the journal merely claims does not.
fn approved_by(place: &LocalProject, seen: &TrainStatus) -> (Vec<PersonId>, Vec<NotCounted>) {
    if seen.state.approvals().is_empty() {
        return Default::default();
    }
    match place.approvals(seen) {
        Ok(mut judged) => {
            // In the order of their first approvals.
            judged.counted.sort_by_key(|p| seen.state.approvals().iter().position(|(a, _)| a.person == *p));
            let refused = judged.refused.into_iter().map(|r| NotCounted { who: r.who, why: r.why });
            (judged.counted, refused.collect())
        }
        Err(e) => {
            let why = format!("not judged: {}", e.message());
            let people: std::collections::BTreeSet<&PersonId> =
                seen.state.approvals().iter().map(|(a, _)| &a.person).collect();
            (Vec::new(), people.into_iter().map(|p| NotCounted { who: p.to_string(), why: why.clone() }).collect())
        }
    }
}

fn step_report(state: &State, i: usize) -> StepReport {
    let (step, stands) = (state.graph().at(i), state.at(i));
    let (status, detail) = match &stands.status {
        StepStatus::Pending => ("pending", None),
        StepStatus::Started => ("started", None),
        StepStatus::Waiting(_) => ("waiting", Some(on_runners(&stands.jobs))),
        StepStatus::Succeeded(_) => ("succeeded", None),
        StepStatus::Failed { error, .. } => ("failed", Some(error.clone())),
        StepStatus::Deferred(reason) => ("deferred", Some(reason.clone())),
    };
    StepReport {
        id: step.id.clone(),
        status,
        attempts: stands.attempts,
        since: stands.since,
        detail,
        required: !step.deferrable,
    }
}

/// Where a step's jobs are: `runner a`, or `runner a, runner b`.
fn on_runners(jobs: &[StepJob]) -> String {
    let names: Vec<String> = jobs.iter().map(|job| format!("runner {}", job.runner)).collect();
    names.join(", ")
}

fn text(r: &TrainReport, every_step: bool) -> String {
    let mut out = format!("train {}: {}", r.train, r.state);
    if let Some(reason) = &r.abandoned {
        out.push_str(&format!(" ({reason})"));
    }
    for line in &r.lines {
        let versions = match (&line.old, &line.new) {
            (Some(old), Some(new)) => format!("{old} -> {new}"),
            _ => "carries the fix".to_owned(),
        };
        out.push_str(&format!("\n  {:24} {versions:24} {}/{} steps", line.branch.to_string(), line.done, line.total));
    }
    if !r.approved_by.is_empty() {
        let people: Vec<&str> = r.approved_by.iter().map(PersonId::as_str).collect();
        out.push_str(&format!("\n  approved by {}", people.join(", ")));
    }
    for refused in &r.not_counted {
        out.push_str(&format!("\n  approval of {} does not count: {}", escape(&refused.who), escape(&refused.why)));
    }
    if !r.lapsed.is_empty() {
        out.push_str(&format!("\n  approved before the plan was amended, not since: {}", r.lapsed.join(", ")));
    }
    for step in &r.steps {
        let shown = every_step || matches!(step.status, "failed" | "deferred" | "started" | "waiting");
        if shown {
            let since = step.since.map(|t| format!(" since {}", crate::model::utc(t))).unwrap_or_default();
            out.push_str(&format!("\n  {:10} {}{since}", step.status, step.id));
            for line in step.detail.iter().flat_map(|d| d.lines()) {
                out.push_str(&format!("\n             {line}"));
            }
        }
    }
    for outage in &r.down {
        let (name, part, since) = (outage.destination.name(), outage.part, crate::model::utc(outage.since));
        let (what, n) =
            if outage.waiting.len() == 1 { ("delivery waits", 1) } else { ("deliveries wait", outage.waiting.len()) };
        out.push_str(&format!("\n  down       {name} {part} since {since}: {n} {what}"));
    }
    for down in &r.runners_down {
        let (name, since) = (&down.runner, crate::model::utc(down.since));
        out.push_str(&format!("\n  down       runner {name} since {since}: its jobs go elsewhere"));
        out.push_str(&format!("\n             {}", escape(&down.reason)));
    }
    for bad in &r.quarantined {
        let (name, since) = (&bad.runner, crate::model::utc(bad.since));
        out.push_str(&format!("\n  quarantine runner {name} since {since}: no new jobs while another one fits"));
        for why in &bad.why {
            out.push_str(&format!("\n             {}", escape(why)));
        }
        out.push_str(&format!("\n             `lifeboat ship --train {}` lifts it", r.train));
    }
    for kept in &r.workflows_off {
        out.push_str(&format!("\n  off        {}\n             {}", off(kept), until(kept)));
    }
    if let Some(command) = &r.fetch {
        out.push_str(&format!("\n  its commits: `{command}`"));
    }
    out.push_str(&format!("\nnext: {}", r.next));
    out
}

/// Which workflows a train keeps off, and since when.
pub(super) fn off(off: &SwitchedOff) -> String {
    let files: Vec<&str> = off.files.iter().map(String::as_str).collect();
    let (files, since) = (files.join("`, `"), crate::model::utc(off.since));
    format!("workflow `{files}` of `{}` is disabled since {since}", off.forge)
}

/// What enables them again.
pub(super) fn until(off: &SwitchedOff) -> String {
    let waits: Vec<&str> = off.until.iter().map(StepId::as_str).collect();
    match &waits[..] {
        [] => "`lifeboat reconcile` enables it again now".to_owned(),
        waits => format!("`lifeboat reconcile` enables it again once these are done: `{}`", waits.join("`, `")),
    }
}
