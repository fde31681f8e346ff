//! `ship`: adopt a plan and run it, or go on with the one adopted: the same command.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use serde::Serialize;

use super::import_approvals::ImportedFile;
use super::project::{LocalProject, TrainStatus};
use super::rehearse::Took;
use super::{Global, Output};
use crate::config::{self, Config};
use crate::effects::{Effects, Progress, ProgressEvent};
use crate::engine::{Ended, PlanInputs, Question, Train, TrainDir, run as engine_run};
use crate::error::{Error, ErrorKind, Part, Result};
use crate::gather::{self, Gathered};
use crate::journal::TrainState;
use crate::model::{Sha256, Staging, TrainName, counted, escape, shell_path};
use crate::plan::Plan;

/// Adopt a train and drive it as far as it goes, or go on with it after a stop
///
/// The same command again is always safe: finished steps are kept, interrupted ones are looked at before they are repeated.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The train file of a new train; none to go on with the train under way
    #[arg(value_name = "TRAIN.toml")]
    file: Option<PathBuf>,
    /// Which train to go on with
    #[arg(long, value_name = "NAME", conflicts_with = "file")]
    train: Option<TrainName>,
    /// Adopt only the plan with this digest, as `lifeboat plan` printed it
    #[arg(long, value_name = "SHA256", requires = "file")]
    plan: Option<Sha256>,
    /// Record this approval, which `lifeboat approve --bundle` made on another machine, then go on; may be given several times
    #[arg(long = "approval", value_name = "FILE", conflicts_with = "dry_run")]
    approvals: Vec<PathBuf>,
    /// Rehearse: build, stage and seal with throwaway keys in a scratch state; record every public effect, do none
    #[arg(long, requires = "file")]
    dry_run: bool,
}

/// How many failed steps are reported whole.
const FULL_REPORTS: usize = 3;

#[derive(Serialize)]
struct Report {
    train: TrainName,
    state: TrainState,
    plan: String,
    locations: Vec<String>,
    deferred: Vec<String>,
    failed: Vec<String>,
    /// The command by which a clone gets the released commits.
    #[serde(skip_serializing_if = "Option::is_none")]
    fetch: Option<String>,
    steps: Vec<Took>,
    /// Approvals that were imported, and what became of each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    approvals: Vec<ImportedFile>,
    /// Approvals that do not count, with the reasons, where more are needed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_counted: Vec<String>,
    next: String,
}

pub(super) fn run(global: &Global, args: &Args, out: &Output) -> Result<ExitCode> {
    if args.dry_run {
        return super::rehearse::run(global, args.file.as_deref(), args.plan, out);
    }
    let place = LocalProject::open(global)?;
    if args.file.is_none() && args.train.is_none() && args.approvals.is_empty() {
        let seen = place.see_all()?;
        if seen.len() > 1 && !seen.iter().any(TrainStatus::under_way) {
            warn_of_lost(&place, out);
            return finished(&place, &seen, out);
        }
    }
    let progress = out.progress();
    let imported = super::import_approvals::read(&place, &args.approvals)?;
    let adopted = match &args.file {
        Some(file) => adopted_before(&place, file, args, out)?,
        None if args.train.is_none() && !imported.is_empty() => {
            Some(super::import_approvals::train(&place, &imported)?)
        }
        None => Some(place.choose(args.train.as_ref())?),
    };
    let (effects, train) = match (&args.file, adopted) {
        (_, Some(name)) => {
            let effects = place.effects(&name, progress)?;
            let train = Train::open(&effects, place.trust()?, &place.dir(&name))?;
            train.under_way()?;
            place.note_drift(&train, out);
            // An earlier run may have been killed before it took them.
            place.provide_inputs(&train)?;
            (effects, train)
        }
        (Some(file), None) => {
            super::config_check::check(&place)?;
            super::config_check::warn_of_embargoed(&place, file, out);
            let (effects, train) = adopt_file(&place, file, args, progress)?;
            super::plan::of_lines(train.plan()).for_each(|note| out.note(&format!("note: {note}")));
            (effects, train)
        }
        (None, None) => return Err(Error::input("no train file given, and no train is under way")),
    };
    let approvals = super::import_approvals::record(&train, &imported, effects.clock.now())?;
    let train = train.with_past(place.past()?);
    if train.state().name() >= TrainState::Released {
        warn_of_lost(&place, out);
    }
    drive(&place, &effects, train, approvals, out)
}

/// Says which stores have lost what was released; whoever cannot be asked is not lost.
fn warn_of_lost(place: &LocalProject, out: &Output) {
    for text in super::restore::lost(place).unwrap_or_default() {
        out.note(&text);
    }
}

/// A train that needs no `ship`.
#[derive(Serialize)]
struct Finished {
    train: TrainName,
    state: TrainState,
    next: String,
}

/// Says how trains stand of which none is under way.
fn finished(place: &LocalProject, seen: &[TrainStatus], out: &Output) -> Result<ExitCode> {
    let one = |s: &TrainStatus| {
        let next = place.advice(&s.state, &[], s.now);
        Finished { train: s.name().clone(), state: s.state.name(), next }
    };
    let trains: Vec<Finished> = seen.iter().map(one).collect();
    let mut text = "no train is under way".to_owned();
    for t in &trains {
        text.push_str(&format!("\ntrain {}: {}\nnext: {}", t.train, t.state, t.next));
    }
    out.result(text, &trains)?;
    Ok(ExitCode::SUCCESS)
}

/// The train of a train file, if it was adopted before: then the same command goes on with it.
fn adopted_before(place: &LocalProject, file: &Path, args: &Args, out: &Output) -> Result<Option<TrainName>> {
    let request = config::load_train(file, &*place.disk)?;
    let name = request.name.clone();
    if !place.trains()?.contains(&name) {
        return Ok(None);
    }
    if place.see(&name)?.state.abandoned().is_some() {
        // Whoever opens it says so; nothing goes on.
        return Ok(Some(name));
    }
    let plan = place.dir(&name).load_plan(&*place.disk)?;
    let adopted = plan.id()?;
    if let Some(wanted) = args.plan.filter(|w| *w != adopted.0) {
        return Err(Error::conflict(format!("train `{name}` was adopted with plan {adopted}, not {wanted}"))
            .hint("an adopted plan never changes: go on with it, or give it up with `lifeboat abandon`"));
    }
    // Whoever gives the file may mean what it says now; the adopted plan would ship what it said then.
    let bases = plan.lines.iter().map(|l| (l.branch.clone(), l.base.clone())).collect();
    let series = gather::series_now(&place.config, &request, &bases, place.root(), &*place.disk)?;
    let differences = crate::plan::differences(&plan, &request, &series);
    if !differences.is_empty() {
        let error = Error::conflict(format!("`{}` is not what train `{name}` was adopted from", file.display()));
        let error = differences.into_iter().fold(error, Error::detail);
        let go_on = format!("an adopted plan never changes by itself: go on with it by `lifeboat ship --train {name}`");
        let lines = crate::plan::line_differences(&plan, &request, &series);
        return Err(if lines.is_empty() {
            error.hint(format!(
                "{go_on}, or take over what the file says now with `lifeboat amend {}`",
                shell_path(file)
            ))
        } else {
            error.hint(format!(
                "{go_on}, or give it up with `lifeboat abandon {name} --reason …` and give the new train another name"
            ))
        });
    }
    out.note(&format!("train `{name}` was adopted before: going on with plan {}", adopted.0.short()));
    Ok(Some(name))
}

/// Plans the train of a train file and adopts the plan.
fn adopt_file(place: &LocalProject, file: &Path, args: &Args, progress: Arc<dyn Progress>) -> Result<(Effects, Train)> {
    let to = place.destinations()?;
    let gathered = gather::gather(&place.config, file, place.root(), &to, &*place.disk, &*place.clock)?;
    let plan = crate::plan::plan(&place.config, &gathered.snapshot, &gathered.request)?;
    // What is only a warning is said again when it is staged.
    hidden(&place.config, &to)?;
    super::runners_seen::look(place, &plan)?;
    super::plan::same_plan(&plan.id()?, args.plan)?;
    let effects = place.effects(&plan.train, progress)?;
    let train = adopt(place, &effects, &place.dir(&plan.train), &plan, &gathered)?;
    Ok((effects, train))
}

/// Whether every store keeps what is staged from strangers, and can do what a release needs; one that cannot be asked is asked
/// again before it is used. Gives what a person should know of the stores.
pub(super) fn hidden(config: &Config, to: &gather::Destinations) -> Result<Vec<String>> {
    let runtime = super::runtime()?;
    let mut warnings = Vec::new();
    for store in to.stores.values() {
        let table = config.stores.iter().find(|s| s.name == *store.name());
        let staging = table.map_or_else(Staging::default, |s| s.staging);
        match runtime.block_on(crate::engine::hidden_from_strangers(&**store, staging)) {
            Ok(seen) => warnings.extend(seen),
            Err(e) if e.kind() == ErrorKind::Fatal && e.message().starts_with("strangers can read") => return Err(e),
            _ => {}
        }
        if !store.differs() {
            continue;
        }
        let can = match runtime.block_on(store.check()) {
            Ok(can) => can,
            Err(e) if is_verdict(&e) => return Err(e),
            Err(_) => continue,
        };
        let known = crate::engine::can_release(store.name(), &can)?;
        warnings.extend(known.iter().map(|text| format!("store `{}`: {text}", store.name())));
    }
    Ok(warnings)
}

/// Whether a store answered, and what it does is wrong: not that it is down, or that this machine has no key for it.
fn is_verdict(e: &Error) -> bool {
    match e.kind() {
        ErrorKind::Transient | ErrorKind::Unreachable => false,
        ErrorKind::Input => e.part() == Some(Part::Store),
        _ => true,
    }
}

/// Claims the versions, pins the series, adopts the plan.
pub(super) fn adopt(
    place: &LocalProject,
    effects: &Effects,
    dir: &TrainDir,
    plan: &Plan,
    gathered: &Gathered,
) -> Result<Train> {
    // Until the plan is there a claim looks like one that was left behind. Under this lock nobody else adopts the train, so
    // one that is not there yet is held by nobody.
    let _adopting = place.lock_claims()?;
    Train::adoptable(&*effects.disk, dir, plan)?;
    super::remote_trains::refuse(place, plan)?;
    if place.trains()?.contains(&plan.train) {
        // One that was abandoned must not take its claims again; one that another process holds is busy.
        let train = Train::open(effects, place.trust()?, dir)?;
        train.under_way()?;
        place.provide_inputs(&train)?;
        return Ok(train);
    }
    place.take_claims(plan)?;
    let objects = crate::effects::Objects::new(effects.disk.clone(), dir.objects());
    for series in &gathered.series {
        objects.put(series)?;
    }
    PlanInputs::of(&gathered.file, gathered.snapshot.clone())?.write(&*effects.disk, dir)?;
    let (train, _) = Train::adopt(effects, place.trust()?, dir, plan)?;
    place.provide_inputs(&train)?;
    Ok(train)
}

/// Runs a train as far as it goes and says how it stands, and what became of the approvals that were imported.
fn drive(
    place: &LocalProject,
    effects: &Effects,
    train: Train,
    approvals: Vec<ImportedFile>,
    out: &Output,
) -> Result<ExitCode> {
    let train = Arc::new(train);
    let ended = super::runtime()?.block_on(engine_run(effects, train.clone()));
    effects.progress.event(ProgressEvent::Ended);
    let ended = ended?;
    let state = train.state();
    let now = effects.clock.now();
    // What the journal's approvals are worth is said even if this run had nothing to do with them.
    let judged = crate::engine::approvals(&train.view(), now).unwrap_or_default();
    let refused: Vec<String> =
        judged.refused.iter().map(|r| format!("{}: {}", escape(&r.who), escape(&r.why))).collect();
    let report = Report {
        train: train.plan().train.clone(),
        state: state.name(),
        plan: train.graph().id().to_string(),
        locations: locations(&train),
        deferred: state.deferred().map(|(id, why, _)| format!("{id}: {why}")).collect(),
        failed: state.failures().map(|(id, _, _)| id.to_string()).collect(),
        fetch: place.fetch(&state),
        steps: Took::all(effects),
        next: place.advice(&state, &judged.counted, now),
        approvals,
        not_counted: if matches!(ended, Ended::Asks(_)) { refused } else { Vec::new() },
    };
    if let Ended::Stuck(errors) = &ended {
        // One cause often stops the same target on every line: a few reports in full, then where the others stand.
        let whole = if out.json() { errors.len() } else { errors.len().min(FULL_REPORTS) };
        out.fail_all(&errors[..whole].iter().map(|(_, error)| error).collect::<Vec<_>>());
        if errors.len() > whole {
            let more = errors.len() - whole;
            out.note(&format!("and {} failed: `lifeboat status` says why", counted(more, "more step")));
        }
    }
    let mut text = format!("train {}: {}", report.train, report.state);
    for approval in &report.approvals {
        text.push_str(&format!("\n  {}", approval.text()));
    }
    for location in &report.locations {
        text.push_str(&format!("\n  public at {location}"));
    }
    if let Some(command) = &report.fetch {
        text.push_str(&format!("\n  its commits: `{command}`"));
    }
    for deferred in &report.deferred {
        text.push_str(&format!("\n  deferred  {deferred}"));
    }
    for failed in &report.failed {
        text.push_str(&format!("\n  failed    {failed}"));
    }
    for refused in &report.not_counted {
        text.push_str(&format!("\n  an approval does not count: {refused}"));
    }
    text.push_str(&format!("\nnext: {}", report.next));
    out.result(text, &report)?;
    Ok(code(&ended))
}

fn locations(train: &Train) -> Vec<String> {
    let state = train.state();
    let outcomes = train.plan().steps.iter().filter_map(|s| state.outcome(&s.id));
    outcomes.filter_map(|made| made.release_location().map(str::to_owned)).collect()
}

/// The documented exit code of how a run ended.
fn code(ended: &Ended) -> ExitCode {
    match ended {
        Ended::Done(_) => ExitCode::SUCCESS,
        Ended::Asks(Question::Approve { .. }) | Ended::Waits(..) => ExitCode::from(3),
        Ended::Stuck(errors) => ExitCode::from(errors.first().map_or(ErrorKind::Fatal, |(_, e)| e.kind()).exit_code()),
    }
}
