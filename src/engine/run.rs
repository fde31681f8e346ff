//! The loop: ask `next`, perform what is ready, record, until nothing can act.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinSet;

use super::content;
use super::next::{Next, Question, next, short};
use super::perform::{perform, stage_again};
use super::probes::Probes;
use super::retry::retry_at;
use super::runner_pool::{RunnerPool, keep_durations, kept_durations};
use super::train::Train;
use crate::effects::{Effects, ProgressEvent, Runner};
use crate::error::{Error, ErrorKind, Part, Result};
use crate::journal::{Event, FailureClass, State, StepStatus, TrainState};
use crate::model::{Destination, PersonId};
use crate::step::{Outcome, PlannedStep, Quorum, StepId};

/// How a run ended.
#[derive(Debug)]
pub enum Ended {
    /// Nothing is left to do but deliveries that wait for their destinations.
    Done(TrainState),
    /// People must act.
    Asks(Question),
    /// Nothing can act before this time.
    Waits(jiff::Timestamp, String),
    /// Steps failed; the errors, by step.
    Stuck(Vec<(StepId, Error)>),
}

/// Waits longer than this end the run instead: a person has better things to do than to watch.
const PATIENCE_S: i64 = 60;

/// How long a job waits at a time for a runner that should soon be free, beside a free slot of a slower one.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(20);

/// Drives a train as far as it goes.
///
/// # Errors
/// Only when the journal itself cannot be written; failures of steps are in [`Ended::Stuck`].
pub async fn run(effects: &Effects, train: Arc<Train>) -> Result<Ended> {
    let mut flying = JoinSet::new();
    let kept = kept_durations(effects, &train);
    let mut runners = RunnerPool::new(&effects.runners, train.graph(), kept.clone());
    let ended = drive(effects, &train, &mut runners, &mut flying).await;
    // Nothing is at work any more when this returns, also if the journal is full: a step that goes on while its runtime is
    // taken down ends in a panic, and the next run would meet it.
    flying.shutdown().await;
    if *runners.durations() != kept {
        keep_durations(&train, runners.durations());
    }
    ended
}

/// How many steps act at one destination at a time, at least: all lines of a usual train, so that they become public together.
const AT_A_DESTINATION: usize = 8;

/// What steps that act at once wait for.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Here,
    At(Destination),
}

impl Place {
    fn of(step: &PlannedStep) -> Self {
        step.step.destination().map_or(Self::Here, Self::At)
    }
}

/// Steps under way, each with its result.
type Flying = JoinSet<(usize, Result<Outcome>)>;

async fn drive(effects: &Effects, train: &Arc<Train>, runners: &mut RunnerPool, flying: &mut Flying) -> Result<Ended> {
    let total = train.graph().len();
    let done = train.state();
    let done = (0..total).filter(|&i| matches!(done.at(i).status, StepStatus::Succeeded(_))).count();
    effects.progress.event(ProgressEvent::Planned { total, done });
    if train.journal().state().has_failures() {
        train.journal().append(Event::Resumed)?;
    }
    // What a quorum lacks is tried again by whoever ships; the others wait for `reconcile`.
    if !short(&train.state()).is_empty() && train.state().deferred().next().is_some() {
        train.journal().append(Event::Reconciling)?;
    }
    let probes = Arc::new(Probes::probe(effects, &train.state()));
    let slots = std::thread::available_parallelism().map_or(2, usize::from).max(2) * 2;
    let steps_at_once = |place: &Place| if matches!(place, Place::At(_)) { slots.max(AT_A_DESTINATION) } else { slots };
    let mut in_flight: BTreeSet<usize> = BTreeSet::new();
    let mut errors: Vec<(usize, Error)> = Vec::new();
    loop {
        let approved = approved(train, effects.clock.now())?;
        let decision = next(train.journal().state(), &approved, effects.clock.now());
        if let Next::Run(ready) = &decision {
            // Each destination has places of its own: one that does not answer takes none that another needs.
            let place = |at: usize| Place::of(train.graph().at(at));
            let has_job = |at: &usize| train.graph().at(*at).step.starts_jobs();
            let mut busy: BTreeMap<Place, usize> = BTreeMap::new();
            for &at in in_flight.iter().filter(|at| !has_job(at)) {
                *busy.entry(place(at)).or_default() += 1;
            }
            for &at in ready.iter().filter(|at| !has_job(at)) {
                let place = place(at);
                let limit = steps_at_once(&place);
                let busy = busy.entry(place).or_default();
                if *busy < limit && in_flight.insert(at) {
                    start(effects, train, &probes, (at, None), flying)?;
                    *busy += 1;
                }
            }
            // Jobs take no place on this machine but what their runners give them.
            let jobs = ready.iter().copied().filter(|at| has_job(at) && !in_flight.contains(at)).collect();
            for (at, runner) in runners.start(&train.state(), &jobs, effects.clock.now()) {
                in_flight.insert(at);
                start(effects, train, &probes, (at, runner), flying)?;
            }
        }
        let now = effects.clock.now();
        let again = runners.holds_back().then(|| now.saturating_add(LOOK_AGAIN).ok()).flatten();
        let retry = earliest_retry(train.journal().state(), now).into_iter().chain(again).min();
        let ended = tokio::select! {
            joined = flying.join_next() => joined,
            // A step that may pass when tried again does not wait for the others to end.
            () = wait_for(effects, retry), if !flying.is_empty() => continue,
        };
        if let Some(joined) = ended {
            let (at, result) = joined.map_err(|e| Error::fatal("a step ended in a panic").because(e))?;
            in_flight.remove(&at);
            runners.ended(at, result.is_ok(), effects.clock.now());
            if let Some(error) = finish(effects, train, at, result)? {
                errors.push((at, error));
            }
            continue;
        }
        match decision {
            Next::Run(_) => {}
            Next::Done => return Ok(Ended::Done(train.journal().state().name())),
            Next::Ask(question) => {
                if matches!(question, Question::Approve { .. }) {
                    stage_again(effects, train).await;
                }
                return Ok(Ended::Asks(question));
            }
            Next::Stuck(failed) => {
                let stuck = errors.into_iter().filter(|(at, _)| failed.contains(at));
                let named = |(at, error): (usize, Error)| (train.graph().at(at).id.clone(), error);
                return Ok(Ended::Stuck(stuck.map(named).collect()));
            }
            Next::Short(quorums) => {
                let state = train.state();
                let short = quorums.into_iter().filter_map(|at| missing_stores(&state, at));
                return Ok(Ended::Stuck(short.collect()));
            }
            Next::WaitUntil(at, why) => {
                if at.as_second() - effects.clock.now().as_second() > PATIENCE_S {
                    return Ok(Ended::Waits(at, why));
                }
                effects.clock.sleep_until(at).await;
            }
        }
    }
}

/// What a quorum that cannot be reached now lacks, for people.
fn missing_stores(state: &State, at: usize) -> Option<(StepId, Error)> {
    let step = state.graph().at(at);
    let quorum = step.step.as_a::<Quorum>()?;
    let have = state.graph().have(at, |n| state.succeeded(n));
    let (have_it, of) = (have.len(), quorum.of.len());
    let (needed, about) = (quorum.at_least, quorum.has.about());
    let message = format!("{have_it} of {of} stores have {about}, and the train needs {needed}");
    let mut error = Error::new(ErrorKind::Unreachable, message).of(Part::Store);
    for (store, steps) in quorum.of.iter().filter(|(store, _)| !have.contains(store)) {
        let why = state.deferred().find(|(id, ..)| steps.contains(id)).or_else(|| {
            let to = Some(Destination::Store(store.clone()));
            state.deferred().find(|(id, ..)| state.graph().plan().step(id).is_some_and(|s| s.step.destination() == to))
        });
        error =
            error.detail(format!("store `{store}`: {}", why.map_or("it does not have them yet", |(_, why, _)| why)));
    }
    let hint = format!("when one more of them is up: `lifeboat ship --train {}`", state.graph().plan().train);
    Some((step.id.clone(), error.hint(hint)))
}

/// Whose approvals count, as far as a gate waits for them.
fn approved(train: &Train, now: Timestamp) -> Result<Vec<PersonId>> {
    {
        let journal = train.journal();
        let state = journal.state();
        if !state.all_is_made() || state.approvals().is_empty() || content::opened(state).is_some() {
            return Ok(Vec::new());
        }
    }
    Ok(content::approvals(&train.view(), now)?.counted)
}

/// When the first of the failed steps is tried again; one whose time has come waits for a place, not for the clock.
fn earliest_retry(state: &State, now: Timestamp) -> Option<Timestamp> {
    let retries = (0..state.graph().len()).filter_map(|i| match &state.at(i).status {
        StepStatus::Failed { retry_at, .. } => retry_at.filter(|at| *at > now),
        _ => None,
    });
    retries.min()
}

async fn wait_for(effects: &Effects, when: Option<Timestamp>) {
    match when {
        Some(when) => effects.clock.sleep_until(when).await,
        None => std::future::pending().await,
    }
}

fn start(
    effects: &Effects,
    train: &Arc<Train>,
    probes: &Arc<Probes>,
    (at, runner): (usize, Option<Arc<dyn Runner>>),
    flying: &mut Flying,
) -> Result<()> {
    let step = train.graph().at(at);
    let before = train.journal().state().shared(at);
    // A job that a crash left behind is looked for by its handle; recording `Started` again would forget it.
    let attempt = {
        let attempts = before.attempts;
        if matches!(before.status, StepStatus::Waiting(_)) {
            attempts
        } else {
            let started = Event::Started { step: step.id.clone(), key: step.key, attempt: attempts + 1 };
            train.journal().append(started)?;
            attempts + 1
        }
    };
    effects.progress.event(ProgressEvent::Started(step.id.clone()));
    let (effects, train, probes) = (effects.clone(), train.clone(), probes.clone());
    flying.spawn(async move {
        let step = train.graph().at(at);
        let result = perform(&effects, &train, (runner, &probes), step, &before, attempt).await;
        (at, result)
    });
    Ok(())
}

/// Whether a destination that may be down is left alone for now. One that fails in passing, again and again, is down.
fn given_up(attempt: u32, kind: ErrorKind, now: Timestamp) -> bool {
    match kind {
        ErrorKind::Unreachable => true,
        ErrorKind::Transient => retry_at(FailureClass::Transient, attempt, now).is_none(),
        _ => false,
    }
}

/// Records how a step ended; gives its error back if it failed for good.
fn finish(effects: &Effects, train: &Train, at: usize, result: Result<Outcome>) -> Result<Option<Error>> {
    let step = train.graph().at(at);
    let mut journal = train.journal();
    let attempt = journal.state().at(at).attempts;
    let (id, step_id, key) = (&step.id, step.id.clone(), step.key);
    match result {
        Ok(outcome) => {
            let before = journal.state().name();
            journal.append(Event::Succeeded { step: step_id, key, outcome: Arc::new(outcome) })?;
            effects.progress.event(ProgressEvent::Succeeded(id.clone()));
            if before < TrainState::Released && journal.state().name() == TrainState::Released {
                // What is left may take as long as a destination that does not answer.
                let text = "released  every required destination has the train; the others may take a while";
                effects.progress.event(ProgressEvent::Note(text.to_owned()));
            }
            Ok(None)
        }
        Err(error) if step.deferrable && given_up(attempt, error.kind(), effects.clock.now()) => {
            let reason = error.message().to_owned();
            let deferred = Event::Deferred { step: step_id, key, reason: reason.clone(), part: error.part() };
            journal.append(deferred)?;
            effects.progress.event(ProgressEvent::Deferred(id.clone(), reason));
            Ok(None)
        }
        Err(error) => {
            let class = FailureClass::from(error.kind());
            let retry_at = retry_at(class, attempt, effects.clock.now());
            // Runners name the step themselves.
            let named = error.details().contains(&format!("step: {id}"));
            let error = error.detail(if named {
                format!("attempt: {attempt}")
            } else {
                format!("step: {id}, attempt {attempt}")
            });
            journal.append(Event::Failed { step: step_id, key, class, error: error.report(), retry_at })?;
            let again = retry_at.map(|at| format!("; tried again at {}", crate::model::utc(at)));
            let message = format!("{}{}", error.message(), again.unwrap_or_default());
            effects.progress.event(ProgressEvent::Failed(id.clone(), message));
            Ok(retry_at.is_none().then_some(error))
        }
    }
}
