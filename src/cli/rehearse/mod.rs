//! `ship --dry-run`: the same engine, with scratch state, throwaway keys, and public effects recorded instead of done; and
//! at the end one line that says whether a train could ship, or what has rotted.

mod cancel;
mod fitness;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

use self::fitness::{Finding, Fitness};
use super::project::LocalProject;
use super::{Global, Output, progress};
use crate::config::{self, Config, SeriesSource};
use crate::drill::recording::{
    LeapingClock, RecordedEffect, Recording, RecordingForge, RecordingRemote, RecordingStore, Throwaway, throwaway,
};
use crate::effects::{Clock, Effects, LockGuard, Objects, ProgressEvent, files, locks};
use crate::engine::approve::{approve, clear, review};
use crate::engine::{Ended, Train, TrainDir, run as engine_run};
use crate::error::{Error, Result};
use crate::gather::{Gathered, gather};
use crate::journal::TrainState;
use crate::model::{PersonId, Secret, Sha256, TrainName, counted};
use crate::plan::Plan;
use crate::step::StepId;

/// How many failed steps are reported whole.
const FULL_REPORTS: usize = 3;

/// What a dry run found, as `--json` prints it.
#[derive(Serialize, Default)]
struct Report {
    #[serde(skip_serializing_if = "Option::is_none")]
    train: Option<TrainName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<TrainState>,
    public: Vec<RecordedEffect>,
    deferred: Vec<String>,
    /// What went on here and would stop `ship`.
    lenient: Vec<String>,
    steps: Vec<Took>,
    #[serde(flatten)]
    fitness: Fitness,
}

/// How long a step took.
#[derive(Serialize)]
pub(super) struct Took {
    step: StepId,
    seconds: f64,
}

impl Took {
    /// The steps that ended while this watched.
    pub(super) fn all(effects: &Effects) -> Vec<Self> {
        let times = effects.progress.times().into_iter();
        times.map(|(step, took)| Self { step, seconds: (took.as_secs_f64() * 1000.0).round() / 1000.0 }).collect()
    }
}

/// Why a dry run did not come to its end.
enum Broken {
    /// Something failed.
    Failed(Vec<(Finding, Error)>),
    /// A signal ended it.
    Cancelled(i32),
}

/// An error of one part of the rehearsal.
fn at(area: &'static str) -> impl Fn(Error) -> Broken {
    move |error| Broken::Failed(vec![(Finding::new(area, error.message()), error)])
}

pub(super) fn run(global: &Global, file: Option<&Path>, reviewed: Option<Sha256>, out: &Output) -> Result<ExitCode> {
    let file = file.ok_or_else(|| Error::input("a dry run needs the train file"))?;
    let start = Instant::now();
    let mut report = Report::default();
    let ended = LocalProject::open(global)
        .map_err(at("configuration"))
        .and_then(|place| rehearse(&place, file, reviewed, out, &mut report));
    let (broken, code) = match ended {
        Ok(()) => (Vec::new(), None),
        Err(Broken::Cancelled(signal)) => {
            fitness::publish("rehearsal: cancelled, nothing was judged", out);
            out.note("cancelled: the jobs of this dry run are ended, and its files are removed");
            return Ok(ExitCode::from(128u8.saturating_add(u8::try_from(signal).unwrap_or(0))));
        }
        Err(Broken::Failed(broken)) => {
            let errors: Vec<&Error> = broken.iter().map(|(_, e)| e).collect();
            let code = errors.first().map(|e| ExitCode::from(e.kind().exit_code()));
            out.fail_all(&errors[..if out.json() { errors.len() } else { errors.len().min(FULL_REPORTS) }]);
            (broken, code)
        }
    };
    let (effects, steps) = (report.public.len(), report.steps.len());
    let (effects, steps) = (counted(effects, "public effect"), counted(steps, "step"));
    let did = format!("{steps} in {}, {effects} recorded", progress::spent(start.elapsed()));
    let left = std::mem::take(&mut report.fitness.not_checked);
    report.fitness = fitness::judge(broken, &fitness::look(global), &did);
    report.fitness.not_checked.extend(left);
    let summary = report.fitness.summary.clone();
    out.result(text(&report), &report)?;
    fitness::publish(&summary, out);
    Ok(code.unwrap_or(if report.fitness.fit { ExitCode::SUCCESS } else { ExitCode::FAILURE }))
}

/// Sees the facts and plans, as `ship` does. Where no line has a patch, as right after a release, a changelog need not have
/// a section for the next version.
fn see(place: &LocalProject, file: &Path, report: &mut Report) -> Result<(Gathered, Plan)> {
    let mut to = place.destinations()?;
    let recording = Recording::default();
    for remote in to.remotes.values_mut() {
        *remote = Arc::new(RecordingRemote::new(remote.clone(), recording.clone()));
    }
    let by = |config: &Config| {
        let gathered = gather(config, file, place.root(), &to, &*place.disk, &*place.clock)?;
        let plan = crate::plan::plan(config, &gathered.snapshot, &gathered.request)?;
        Ok((gathered, plan))
    };
    let strict: Result<_> = by(&place.config);
    report.fitness.not_checked = recording.left();
    let Err(e) = strict else { return strict };
    let bare = config::load_train(file, &*place.disk)
        .is_ok_and(|train| train.lines.iter().all(|l| matches!(l.series, SeriesSource::None)));
    let mut config = place.config.clone();
    match &mut config.version.changelog {
        Some(changelog) if bare => changelog.missing = crate::bump::OnFailure::Warn,
        _ => return Err(e),
    }
    let Ok(seen) = by(&config) else { return Err(e) };
    report.lenient.push(format!(
        "no line has patches, so the changelog stays as it is where it lacks a section; `ship` would refuse: {}",
        e.message()
    ));
    Ok(seen)
}

fn rehearse(
    place: &LocalProject,
    file: &Path,
    reviewed: Option<Sha256>,
    out: &Output,
    report: &mut Report,
) -> Result<(), Broken> {
    let real = place.trust().map_err(at("trust"))?;
    super::config_check::check(place).map_err(at("configuration"))?;
    super::config_check::warn_of_embargoed(place, file, out);
    let (gathered, plan) = see(place, file, report).map_err(at("inputs"))?;
    report.lenient.iter().for_each(|line| out.note(&format!("note: {line}")));
    report.train = Some(plan.train.clone());
    let id = plan.id().map_err(at("plan"))?;
    super::plan::same_plan(&id, reviewed).map_err(at("plan"))?;
    report.plan = Some(id.to_string());
    let home = TrainDir::new(place.root().join("rehearsals").join(plan.train.as_str()));
    // Beside what is removed, and held to the end: two dry runs of one train would clear each other's state and staging.
    let _alone = alone(place, &home).map_err(at("rehearsal"))?;
    let dir = TrainDir::new(home.path().join("scratch"));
    super::runtime().and_then(|r| r.block_on(cancel::clear_killed(place, &dir))).map_err(at("rehearsal"))?;
    let rehearsal = Rehearsal::prepare(place, &dir, (&real, &plan, &gathered), out).map_err(at("rehearsal"))?;
    let people = Throwaway::people(&real);
    // Its end waits for whatever is still at work, so that nothing is when a cancelled run is cleared.
    let ended = {
        let runtime = super::runtime().map_err(at("rehearsal"))?;
        runtime.block_on(async {
            tokio::select! {
                ended = drive(place, &rehearsal, &people) => Ok(ended),
                signal = cancel::asked() => Err(Broken::Cancelled(signal)),
            }
        })
    };
    rehearsal.effects.progress.event(ProgressEvent::Ended);
    report.public = rehearsal.recording.all();
    report.fitness.not_checked.extend(rehearsal.recording.left());
    report.steps = Took::all(&rehearsal.effects);
    let state = rehearsal.train.state();
    let plan = Arc::clone(rehearsal.train.graph().plan());
    report.state = Some(state.name());
    report.deferred = state.deferred().map(|(id, why, _)| format!("{id}: {why}")).collect();
    drop(rehearsal);
    if let Err(cancelled) = ended {
        super::runtime().and_then(|r| r.block_on(cancel::clear_killed(place, &dir))).map_err(at("rehearsal"))?;
        return Err(cancelled);
    }
    let cleared = super::runtime().and_then(|r| r.block_on(cancel::clear_staging(place, state.nonce())));
    let stuck = match ended? {
        Ok(Ended::Stuck(errors)) => errors,
        Ok(_) => Vec::new(),
        Err(e) => return Err(at("rehearsal")(e)),
    };
    if !stuck.is_empty() {
        let failed = stuck.into_iter().map(|(id, error)| {
            let area = plan.step(&id).map_or("step", |planned| fitness::area_of(&planned.step));
            let finding = Finding::new(area, &format!("{id}: {}", error.message()));
            (finding, of_dry_run(error, &id).detail(format!("scratch state: {}", dir.path().display())))
        });
        return Err(Broken::Failed(failed.collect()));
    }
    cleared.map_err(at("store"))?;
    cancel::remove(place, dir.path()).map_err(at("rehearsal"))
}

/// A step's error, without advice that is of use for an adopted train only: a dry run begins anew.
fn of_dry_run(error: Error, id: &StepId) -> Error {
    let of_trains =
        |hint: &String| ["`lifeboat ship", "`lifeboat amend", "`lifeboat abandon"].iter().any(|c| hint.contains(c));
    let error = error.context(format!("dry run, `{id}`"));
    let advised = error.hints().iter().any(of_trains);
    let error = error.without_hints(of_trains);
    if advised {
        error.hint("fix it and run the same command again: a dry run starts from the beginning")
    } else {
        error
    }
}

/// A train that was adopted in scratch state, and what it may do.
struct Rehearsal {
    effects: Effects,
    train: Arc<Train>,
    clock: Arc<LeapingClock>,
    recording: Recording,
}

impl Rehearsal {
    fn prepare(
        place: &LocalProject,
        dir: &TrainDir,
        (real, plan, gathered): (&crate::trust::TrustedRoot, &Plan, &Gathered),
        out: &Output,
    ) -> Result<Self> {
        let clock = Arc::new(LeapingClock::new(place.clock.clone()));
        let (keys, trust) = throwaway(real, clock.clone())?;
        let recording = Recording::default();
        let mut effects = place.effects_in(dir, out.progress())?;
        record(&mut effects, keys, clock.clone(), &recording);
        let objects = Objects::new(effects.disk.clone(), dir.objects());
        for series in &gathered.series {
            objects.put(series)?;
        }
        let (train, _) = Train::adopt(&effects, Arc::new(trust), dir, plan)?;
        place.provide_inputs(&train)?;
        let train = Arc::new(train.with_past(place.past()?));
        Ok(Self { effects, train, clock, recording })
    }
}

/// The only dry run of a train, until dropped.
fn alone(place: &LocalProject, home: &TrainDir) -> Result<Box<dyn LockGuard>> {
    files::create_dir_all(&*place.disk, home.path(), 0o700)?;
    locks::take(&*place.disk, &home.lock(), "another dry run of this train is under way")
}

/// Puts recording effects in place of public ones, throwaway keys in place of everybody's, and a placeholder in place of
/// every secret.
fn record(effects: &mut Effects, keys: Throwaway, clock: Arc<LeapingClock>, recording: &Recording) {
    for store in effects.stores.values_mut() {
        *store = Arc::new(RecordingStore::new(store.clone(), effects.disk.clone(), recording.clone()));
    }
    for remote in effects.remotes.values_mut() {
        *remote = Arc::new(RecordingRemote::new(remote.clone(), recording.clone()));
    }
    for forge in effects.forges.values_mut() {
        *forge = Arc::new(RecordingForge::new(forge.clone(), recording.clone()));
    }
    // Nobody has adopted this plan yet: its recipes are given no secret.
    effects.secrets = Arc::new(|_| Ok(Secret::new("no-secret-in-a-dry-run")));
    effects.keys = Arc::new(keys);
    effects.clock = clock;
}

/// Runs to the end: approvals are made with the throwaway keys, and the embargo's end is not waited for.
async fn drive(place: &LocalProject, rehearsal: &Rehearsal, people: &[PersonId]) -> Result<Ended> {
    let Rehearsal { effects, train, clock, .. } = rehearsal;
    let mut waits = 0;
    loop {
        match engine_run(effects, train.clone()).await? {
            Ended::Asks(crate::engine::Question::Approve { have, need }) if (have.len() as u64) < u64::from(need) => {
                if let Some(at) = train.plan().not_before.filter(|at| *at > clock.now()) {
                    clock.leap_to(at);
                }
                let reviewed = review(effects, train, &place.config.project.repository).await?;
                for person in people.iter().filter(|p| !have.contains(p)).take(need as usize - have.len()) {
                    approve(effects, train, &reviewed, person)?;
                }
            }
            Ended::Waits(at, _) if waits < 10 => {
                waits += 1;
                clock.leap_to(at);
            }
            ended => {
                if !matches!(ended, Ended::Done(_)) {
                    clear(effects, train).await?;
                }
                return Ok(ended);
            }
        }
    }
}

fn text(report: &Report) -> String {
    let mut out = String::new();
    if let (Some(train), Some(plan), Some(state)) = (&report.train, &report.plan, report.state) {
        out.push_str(&format!("dry run of train {train}: {state}; nothing public was done\nplan {plan}\n"));
        out.push_str(&format!("\n{} public effects would follow, in this order:\n", report.public.len()));
        for p in &report.public {
            let size = p.size.map(|s| format!(" {s} bytes")).unwrap_or_default();
            let digest = p.digest.as_deref().unwrap_or_default();
            out.push_str(&format!("  {:8} {}: {}{size} {digest}\n", p.verb, p.destination, p.what));
        }
    }
    for deferred in &report.deferred {
        out.push_str(&format!("  would wait: {deferred}\n"));
    }
    for finding in &report.fitness.rotten {
        out.push_str(&format!("  rotten   {}: {}\n", finding.area, finding.found));
    }
    for left in &report.fitness.not_checked {
        out.push_str(&format!("  not checked  {left}\n"));
    }
    out + &report.fitness.summary
}
