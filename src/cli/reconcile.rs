//! `reconcile`: retries deferred deliveries, and proves by reading back that all destinations are equal.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::sync::Arc;

use jiff::SignedDuration;
use semver::Version;
use serde::Serialize;

use super::project::{LocalProject, TrainStatus};
use super::{Global, Output};
use crate::effects::ProgressEvent;
use crate::engine::index::ReleaseHistory;
use crate::engine::reconcile::{Reconciled, reconcile};
use crate::engine::{Ended, Train};
use crate::error::{Error, ErrorKind, Result};
use crate::journal::{State, StepStatus, TrainState};
use crate::model::{BranchName, Destination, StoreName, TrainName, counted};
use crate::step::{RestoreWorkflows, StepId};

/// Retry deferred deliveries, and verify every destination by reading everything back
///
/// Trains go in version order on each line. A second run does nothing but read. What differs is shown and never overwritten.
/// What stops one train does not keep the others: with `--watch` they are tried until nothing waits that may pass by itself.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// One train [default: all released ones of the project]
    #[arg(value_name = "TRAIN")]
    train: Option<TrainName>,
    /// Only list what waits; ask no destination
    #[arg(long, conflicts_with = "watch")]
    list: bool,
    /// Try again until every delivery is done
    #[arg(long)]
    watch: bool,
    /// Rebuild a lost store from the trains of this machine; what the store has already is left as it is
    #[arg(long, value_name = "STORE", conflicts_with_all = ["train", "list", "watch"])]
    restore: Option<StoreName>,
    /// Seconds between two tries of `--watch`
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..))]
    every: u32,
}

/// How many tries in a row an answer that needs a person is doubted.
const DOUBTS: u32 = 3;

#[derive(Serialize)]
struct Waiting {
    train: TrainName,
    step: StepId,
    /// Where it delivers.
    #[serde(flatten)]
    destination: Option<Destination>,
    reason: String,
    since: Option<jiff::Timestamp>,
}

/// How one train stands after a try.
#[derive(Serialize)]
struct Report {
    train: TrainName,
    state: TrainState,
    equal: Vec<StepId>,
    differ: Vec<String>,
    waiting: Vec<Waiting>,
    failed: Vec<String>,
    /// Whether something of it may pass by itself.
    #[serde(skip)]
    again: bool,
}

pub(super) fn run(global: &Global, args: &Args, out: &Output) -> Result<ExitCode> {
    let place = LocalProject::open(global)?;
    if args.list {
        return list(&place, args, out);
    }
    if let Some(store) = &args.restore {
        return super::restore::run(&place, store, out);
    }
    let runtime = super::runtime()?;
    let mut doubted = 0;
    loop {
        let (reports, worst) = runtime.block_on(once(&place, args, out))?;
        let done = reports.iter().all(|r| r.waiting.is_empty());
        // In an outage forges also answer that a token is wrong, or that there is nothing: such an answer is believed when
        // it comes again and again. What fails at every try needs a person.
        let refused = worst.is_some_and(|code| code != ErrorKind::Verification.exit_code());
        doubted = if refused { doubted + 1 } else { 0 };
        let doubt = refused && doubted <= DOUBTS;
        if args.watch && doubt && !reports.iter().any(|r| r.again) {
            out.note(&format!(
                "what failed is tried again, {} times more at most: in an outage servers give wrong answers",
                DOUBTS + 1 - doubted
            ));
        } else if !args.watch || !reports.iter().any(|r| r.again) {
            out.result(text(&reports), &reports)?;
            let code = worst.unwrap_or(if done { 0 } else { ErrorKind::Unreachable.exit_code() });
            return Ok(ExitCode::from(code));
        }
        let waiting: usize = reports.iter().map(|r| r.waiting.len()).sum();
        out.text(format!(
            "{} {}; the next try is in {} s\n",
            counted(waiting, "delivery"),
            if waiting == 1 { "waits" } else { "wait" },
            args.every
        ))?;
        if let Ok(until) = place.clock.now().checked_add(SignedDuration::from_secs(i64::from(args.every))) {
            runtime.block_on(place.clock.sleep_until(until));
        }
    }
}

/// One try of every train that is meant; with the exit code of the worst that a person must see to.
async fn once(place: &LocalProject, args: &Args, out: &Output) -> Result<(Vec<Report>, Option<u8>)> {
    let mut errors = Vec::new();
    let reports = every_train(place, args, out, &mut errors).await;
    out.fail_all(&errors.iter().collect::<Vec<_>>());
    Ok((reports?, errors.first().map(|e| e.kind().exit_code())))
}

/// Whether trying again may help without anybody's doing.
fn passes(e: &Error) -> bool {
    matches!(e.kind(), ErrorKind::Unreachable | ErrorKind::Transient)
}

async fn every_train(place: &LocalProject, args: &Args, out: &Output, errors: &mut Vec<Error>) -> Result<Vec<Report>> {
    let mut seen = match &args.train {
        Some(name) => vec![place.see(name)?],
        None => readable(place, errors)?,
    };
    if args.train.is_none() {
        seen.retain(|s| s.state.name() >= TrainState::Released && s.state.abandoned().is_none());
    }
    let mut reports: Vec<Report> = Vec::new();
    // Read once: each train wants to know what all of them did.
    let past = place.past()?;
    let in_order = in_version_order(seen);
    for seen in &in_order {
        let before = reports.iter().find(|r| !r.waiting.is_empty() && shares_line(&in_order, &r.train, seen));
        if let Some(behind) = before.and_then(|before| behind(before, seen)) {
            reports.push(behind);
            continue;
        }
        reports.push(one((place, &past), seen, out, errors).await);
    }
    // What waited for a train that came later need not wait for the next try.
    for (seen, report) in in_order.iter().zip(&mut reports) {
        if !report.waiting.is_empty() && report.waiting.iter().all(|w| switches_on(seen, &w.step)) {
            *report = one((place, &past), seen, out, errors).await;
        }
    }
    Ok(reports)
}

/// Whether a step switches workflows on again, for which other trains may have to be delivered first.
fn switches_on(seen: &TrainStatus, step: &StepId) -> bool {
    let plan = seen.state.graph().plan();
    plan.step_of::<RestoreWorkflows>(step).is_some()
}

/// The trains that can be read; the others are reported and skipped.
pub(super) fn readable(place: &LocalProject, errors: &mut Vec<Error>) -> Result<Vec<TrainStatus>> {
    let mut out = Vec::new();
    for name in place.trains()? {
        match place.see(&name) {
            Ok(seen) => out.push(seen),
            Err(e) => errors.push(e.detail(format!("train: {name}"))),
        }
    }
    Ok(out)
}

/// How a train stands that waits for another one on a line; none if nothing of it is open.
fn behind(before: &Report, seen: &TrainStatus) -> Option<Report> {
    let (train, state) = (seen.name().clone(), seen.state.name());
    let why = format!("train `{}` comes first on a line that they share", before.train);
    let wait = |step| {
        let destination = delivers(&seen.state, &step);
        Waiting { train: train.clone(), destination, step, reason: why.clone(), since: None }
    };
    let waiting: Vec<Waiting> = open_steps(&seen.state).into_iter().map(wait).collect();
    let again = before.again;
    (!waiting.is_empty()).then(|| Report {
        train,
        state,
        equal: vec![],
        differ: vec![],
        waiting,
        failed: vec![],
        again,
    })
}

/// As [`retried`]; a train that cannot be opened is reported, and does not stop the others.
async fn one(
    (place, past): (&LocalProject, &ReleaseHistory),
    seen: &TrainStatus,
    out: &Output,
    errors: &mut Vec<Error>,
) -> Report {
    match retried((place, past), seen, out, errors).await {
        Ok(report) => report,
        Err(e) => {
            let train = seen.name().clone();
            let e = e.detail(format!("train: {train}"));
            let report = Report {
                train,
                state: seen.state.name(),
                equal: vec![],
                differ: vec![],
                waiting: waiting(&seen.state),
                failed: vec![e.message().to_owned()],
                again: passes(&e),
            };
            errors.push(e);
            report
        }
    }
}

/// Retries one train's deferred deliveries, and reads all of them back.
async fn retried(
    (place, past): (&LocalProject, &ReleaseHistory),
    seen: &TrainStatus,
    out: &Output,
    errors: &mut Vec<Error>,
) -> Result<Report> {
    let name = seen.name();
    let effects = place.effects(name, out.progress())?;
    let train = Train::open(&effects, place.trust()?, &place.dir(name))?.with_past(past.clone());
    let train = Arc::new(train);
    let done = reconcile(&effects, train.clone()).await;
    effects.progress.event(ProgressEvent::Ended);
    let Reconciled { ended, equal, differ } = done?;
    let state = train.state();
    // What could not be read is not a difference: it waits for its destination as a delivery does.
    let (unread, differ): (Vec<_>, Vec<_>) = differ.into_iter().partition(|(_, e)| passes(e));
    let unread: Vec<Waiting> = unread
        .into_iter()
        .map(|(step, e)| Waiting {
            train: name.clone(),
            destination: delivers(&state, &step),
            step,
            reason: format!("it is there, and could not be read back: {}", e.message()),
            since: None,
        })
        .collect();
    let again = !unread.is_empty() || state.deferred().next().is_some();
    let texts: Vec<String> = differ.iter().map(|(id, e)| format!("{id}: {e}")).collect();
    errors.extend(differ.into_iter().map(|(_, e)| e));
    if let Some(Ended::Stuck(stuck)) = ended {
        errors.extend(stuck.into_iter().map(|(_, e)| e));
    }
    Ok(Report {
        train: name.clone(),
        state: state.name(),
        equal,
        differ: texts,
        waiting: waiting(&state).into_iter().chain(unread).collect(),
        failed: state.failures().map(|(id, _, _)| id.to_string()).collect(),
        again,
    })
}

fn seen(place: &LocalProject, train: Option<&TrainName>) -> Result<Vec<TrainStatus>> {
    match train {
        Some(name) => Ok(vec![place.see(name)?]),
        None => place.see_all(),
    }
}

/// On each line the lower version first; trains that share no line keep their order.
fn in_version_order(seen: Vec<TrainStatus>) -> Vec<TrainStatus> {
    let mut of_line: BTreeMap<BranchName, Vec<(Version, usize)>> = BTreeMap::new();
    for (at, one) in seen.iter().enumerate() {
        for line in one.state.graph().plan().releases() {
            if let Some(version) = &line.new {
                of_line.entry(line.branch.clone()).or_default().push((version.clone(), at));
            }
        }
    }
    // What each waits for: the next lower version of each of its lines.
    let mut waits: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); seen.len()];
    let mut frees: Vec<Vec<usize>> = vec![Vec::new(); seen.len()];
    for versions in of_line.values_mut() {
        versions.sort();
        for pair in versions.windows(2).filter(|pair| pair[0].0 < pair[1].0) {
            waits[pair[1].1].insert(pair[0].1);
            frees[pair[0].1].push(pair[1].1);
        }
    }
    let mut ready: BTreeSet<usize> = (0..seen.len()).filter(|&at| waits[at].is_empty()).collect();
    let mut left: BTreeSet<usize> = (0..seen.len()).collect();
    let mut order = Vec::with_capacity(seen.len());
    // Two trains that each have the lower version on one line cannot both go first.
    while let Some(at) = ready.first().or(left.first()).copied() {
        ready.remove(&at);
        left.remove(&at);
        order.push(at);
        for &next in &frees[at] {
            if waits[next].remove(&at) && waits[next].is_empty() && left.contains(&next) {
                ready.insert(next);
            }
        }
    }
    let mut seen: Vec<Option<TrainStatus>> = seen.into_iter().map(Some).collect();
    order.into_iter().filter_map(|at| seen[at].take()).collect()
}

fn shares_line(all: &[TrainStatus], train: &TrainName, seen: &TrainStatus) -> bool {
    let has = |plan: &crate::plan::Plan, branch: &BranchName| plan.lines.iter().any(|l| l.branch == *branch);
    let ours = &seen.state.graph().plan().lines;
    let other = all.iter().find(|s| s.name() == train);
    other.is_some_and(|other| ours.iter().any(|line| has(other.state.graph().plan(), &line.branch)))
}

/// The deliveries that are not done: those that were deferred, and those that need them.
fn open_steps(state: &State) -> Vec<StepId> {
    let open =
        |i: &usize| matches!(state.at(*i).status, StepStatus::Deferred(_) | StepStatus::Pending | StepStatus::Started);
    (0..state.graph().len()).filter(open).map(|i| state.graph().at(i).id.clone()).collect()
}

/// Where a step delivers.
fn delivers(state: &State, step: &StepId) -> Option<Destination> {
    state.graph().plan().step(step)?.step.destination()
}

fn waiting(state: &State) -> Vec<Waiting> {
    let train = &state.graph().plan().train;
    let one = |step: StepId| {
        let found = state.deferred().find(|(id, _, _)| **id == step);
        let (reason, since) = match found {
            Some((_, reason, since)) => (reason.to_owned(), since),
            None => ("waits for a delivery before it".to_owned(), None),
        };
        Waiting { train: train.clone(), destination: delivers(state, &step), step, reason, since }
    };
    open_steps(state).into_iter().map(one).collect()
}

fn list(place: &LocalProject, args: &Args, out: &Output) -> Result<ExitCode> {
    let mut all = seen(place, args.train.as_ref())?;
    all.retain(|s| s.state.name() >= TrainState::Released && s.state.abandoned().is_none());
    let waiting: Vec<Waiting> = all.iter().flat_map(|s| waiting(&s.state)).collect();
    let mut text: Vec<String> = waiting.iter().map(line).collect();
    if text.is_empty() {
        text.push("nothing waits: every delivery is done".to_owned());
    }
    out.result(text.join("\n"), &waiting)?;
    Ok(ExitCode::SUCCESS)
}

fn line(w: &Waiting) -> String {
    let since = w.since.map(|t| format!("  since {}", crate::model::utc(t))).unwrap_or_default();
    format!("{}  {}{since}\n    {}", w.train, w.step, w.reason)
}

fn text(reports: &[Report]) -> String {
    let mut out = Vec::new();
    for r in reports {
        let mut text =
            format!("train {}: {}, {} read back and equal", r.train, r.state, counted(r.equal.len(), "delivery"));
        for differ in &r.differ {
            text.push_str(&format!("\n  differs  {differ}"));
        }
        for failed in &r.failed {
            text.push_str(&format!("\n  failed   {failed}"));
        }
        for w in &r.waiting {
            text.push_str(&format!("\n  waits    {}: {}", w.step, w.reason));
        }
        out.push(text);
    }
    if out.is_empty() {
        out.push("no released train: nothing to reconcile".to_owned());
    }
    out.join("\n")
}
