//! The loop: ask `next`, perform what is ready, record, until nothing can act.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use super::next::{Next, Question, next, short};
use super::perform::{perform, stage_again};
use super::placement::{StepJobs, There, ToStep};
use super::probes::Probes;
use super::retry::retry_at;
use super::runner_pool::{RunnerPool, Start};
use super::runner_watch::{News, RunnerWatch};
use super::train::Train;
use super::{content, kept_durations};
use crate::effects::{Effects, Handle, LEASE, ProgressEvent};
use crate::error::{Error, ErrorKind, Part, Result};
use crate::journal::{Event, FailureClass, JobEnd, State, StepState, StepStatus, TrainState};
use crate::model::{Destination, PersonId, RunnerName};
use crate::step::{Exposure, Outcome, PlannedStep, Quorum, StepId};

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

/// How often jobs are looked at that may take too long.
const LOOK_AT_JOBS: Duration = Duration::from_secs(1);

/// How often it is said how far all jobs are.
const SAY_AGAIN: SignedDuration = SignedDuration::from_secs(10);

/// Drives a train as far as it goes.
///
/// # Errors
/// Only when the journal itself cannot be written; failures of steps are in [`Ended::Stuck`].
pub async fn run(effects: &Effects, train: Arc<Train>) -> Result<Ended> {
    let mut flying = JoinSet::new();
    let kept = kept_durations::read(effects, &train);
    let (to_loop, from_jobs) = unbounded_channel();
    // A runner that strangers can read gets nothing.
    let private = effects.runners.iter().filter(|r| r.exposure() != Exposure::Public);
    let watches = private.map(|runner| {
        let lease = effects.leases.get(runner.name()).copied().unwrap_or(LEASE);
        RunnerWatch::new(runner.clone(), effects.clock.clone(), lease, to_loop.clone())
    });
    let runners = RunnerPool::new(watches.collect(), train.graph(), kept.clone());
    let mut watching = JoinSet::new();
    for watch in runners.watches() {
        watching.spawn(watch.clone().keep_looking());
    }
    let mut jobs = Jobs { runners, to_loop, from_jobs, to_steps: BTreeMap::new(), said: None };
    let ended = drive(effects, &train, &mut jobs, &mut flying).await;
    // Nothing is at work any more when this returns, also if the journal is full: a step that goes on while its runtime is
    // taken down ends in a panic, and the next run would meet it.
    flying.shutdown().await;
    watching.shutdown().await;
    jobs.end_left_behind(effects).await;
    if *jobs.runners.durations() != kept {
        kept_durations::keep(&train, jobs.runners.durations());
    }
    ended
}

/// The jobs of the steps under way, and where they run.
struct Jobs {
    runners: RunnerPool,
    to_loop: UnboundedSender<News>,
    from_jobs: UnboundedReceiver<News>,
    to_steps: BTreeMap<usize, ToStep>,
    /// When it was last said how far they are.
    said: Option<Timestamp>,
}

impl Jobs {
    fn watch(&self, name: &RunnerName) -> Option<&Arc<RunnerWatch>> {
        self.runners.watches().iter().find(|watch| watch.runner().name() == name)
    }

    /// Takes the jobs over that an earlier process left behind.
    fn adopt(&self, train: &Train) -> Result<()> {
        let state = train.state();
        for at in 0..state.graph().len() {
            for job in state.at(at).jobs.iter().filter(|job| self.watch(&job.runner).is_none()) {
                let step = state.graph().at(at);
                train.journal().append(Event::JobEnded {
                    step: step.id.clone(),
                    key: step.key,
                    attempt: job.attempt,
                    runner: job.runner.clone(),
                    job: job.job.clone(),
                    end: JobEnd::Lost,
                    why: Some("the configuration has no such runner now".to_owned()),
                    log: None,
                })?;
            }
        }
        for handle in state.left_behind() {
            if let Some(watch) = self.watch(&handle.runner) {
                watch.end_later(handle);
            }
        }
        Ok(())
    }

    /// Starts what a free slot is there for, late jobs a second time.
    fn start(
        &mut self,
        (effects, train, probes): (&Effects, &Arc<Train>, &Arc<Probes>),
        ready: &BTreeSet<usize>,
        in_flight: &mut BTreeSet<usize>,
        flying: &mut Flying,
    ) -> Result<()> {
        let now = effects.clock.now();
        for Start { at, jobs } in self.runners.start(&train.state(), ready, now) {
            in_flight.insert(at);
            let step = train.graph().at(at);
            let new = jobs.iter().find(|job| matches!(job.there, There::No));
            let runner = new.map(|job| job.watch.runner().name().clone());
            let (jobs, to_step) = StepJobs::new(at, jobs, self.to_loop.clone());
            self.to_steps.insert(at, to_step);
            let before = train.journal().state().shared(at);
            let attempt = match (before.jobs.is_empty(), runner) {
                // A job that a crash left behind is looked for; recording `Started` again would forget it.
                (false, None) => before.attempts,
                (_, runner) => record_start(train, step, before.attempts + 1, runner)?,
            };
            spawn(effects, train, probes, (at, before, attempt), Some(jobs), flying);
        }
        for (at, placement) in self.runners.seconds(&train.state(), now) {
            let (step, runner) = (train.graph().at(at), placement.watch.runner().name().clone());
            let Some(to_step) = self.to_steps.get(&at) else { continue };
            record_start(train, step, placement.attempt, Some(runner.clone()))?;
            let why = format!("it takes too long; runner `{runner}` starts it too, and whichever ends first counts");
            effects.progress.event(ProgressEvent::Moved(step.id.clone(), why));
            // A step that ends just now does not hear of it, and its end says what becomes of this.
            drop(to_step.more.send(placement));
        }
        self.tell(effects, train);
        Ok(())
    }

    /// Says how far the jobs are, now and then, and which runners get no more.
    fn tell(&mut self, effects: &Effects, train: &Train) {
        let (state, now) = (train.state(), effects.clock.now());
        for bad in self.runners.newly_quarantined(&state) {
            let text = format!(
                "runner    `{}` gets no new jobs while another one fits, until `lifeboat ship` is started again: {}",
                bad.runner,
                bad.why.join("; ")
            );
            effects.progress.event(ProgressEvent::Note(text));
        }
        if self.said.is_some_and(|at| now.duration_since(at) < SAY_AGAIN) {
            return;
        }
        let (running, waiting, left) = self.runners.expected(&state, now);
        self.said = Some(now);
        effects.progress.event(ProgressEvent::Jobs { running, waiting, left });
    }

    /// Whether a step that ended badly goes on at once: on another runner, or with a job that was just started.
    fn go_on(&self, effects: &Effects, train: &Train, at: usize, error: &Error) -> bool {
        let with_job = self.to_steps.get(&at).is_some_and(ToStep::ended_with_its_job);
        let state = train.state();
        let goes_on = with_job && (!state.at(at).jobs.is_empty() || self.runners.goes_elsewhere(&state, at));
        if goes_on {
            let last = state.at(at).ended.last();
            let on = last.map(|ended| format!(" on runner `{}`", ended.runner)).unwrap_or_default();
            // Its log is kept here, and no later attempt there ends what it left.
            if let Some((ended, job)) = last.and_then(|ended| Some((ended, ended.job.clone()?)))
                && let Some(watch) = self.watch(&ended.runner)
            {
                watch.end_later(Handle { runner: ended.runner.clone(), job });
            }
            let log = last.and_then(|ended| ended.log).map(|log| train.objects().path(&log));
            let log = log.map(|path| format!("; log: {}", path.display())).unwrap_or_default();
            let why = format!("{}{on}; it goes to another runner{log}", error.message());
            effects.progress.event(ProgressEvent::Moved(train.graph().at(at).id.clone(), why));
        }
        goes_on
    }

    /// Ends the jobs that nobody waits for, as far as their runners answer.
    async fn end_left_behind(&self, effects: &Effects) {
        for watch in self.runners.watches() {
            let still = watch.end_left_behind().await.len();
            if still > 0 {
                let name = watch.runner().name();
                let text = format!(
                    "warning   {} that nobody waits for may still run on runner `{name}`; the next `lifeboat ship` ends them",
                    crate::model::counted(still, "job")
                );
                effects.progress.event(ProgressEvent::Note(text));
            }
        }
    }
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

async fn drive(effects: &Effects, train: &Arc<Train>, jobs: &mut Jobs, flying: &mut Flying) -> Result<Ended> {
    let total = train.graph().len();
    let done = train.state();
    let done = (0..total).filter(|&i| matches!(done.at(i).status, StepStatus::Succeeded(_))).count();
    effects.progress.event(ProgressEvent::Planned { total, done });
    jobs.adopt(train)?;
    // Whoever starts it again has looked at what went wrong.
    let state = train.state();
    if state.has_failures() || !state.quarantined().is_empty() {
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
                    let step = train.graph().at(at);
                    let before = train.journal().state().shared(at);
                    let attempt = record_start(train, step, before.attempts + 1, None)?;
                    spawn(effects, train, &probes, (at, before, attempt), None, flying);
                    *busy += 1;
                }
            }
            // Jobs take no place on this machine but what their runners give them.
            let with_jobs = ready.iter().copied().filter(|at| has_job(at) && !in_flight.contains(at)).collect();
            jobs.start((effects, train, &probes), &with_jobs, &mut in_flight, flying)?;
        }
        let now = effects.clock.now();
        let again = jobs.runners.holds_back().then(|| now.saturating_add(LOOK_AGAIN).ok()).flatten();
        let retry = earliest_retry(train.journal().state(), now).into_iter().chain(again).min();
        let ended = tokio::select! {
            joined = flying.join_next() => joined,
            // A step that may pass when tried again does not wait for the others to end.
            () = wait_for(effects, retry), if !flying.is_empty() => continue,
            Some(news) = jobs.from_jobs.recv(), if !flying.is_empty() => {
                if let News::JobEnded(at, attempt) = news {
                    jobs.runners.job_ended(at, attempt);
                }
                continue;
            }
            () = tokio::time::sleep(LOOK_AT_JOBS), if !flying.is_empty() && jobs.runners.may_change() => continue,
        };
        if let Some(joined) = ended {
            let (at, result) = joined.map_err(|e| Error::fatal("a step ended in a panic").because(e))?;
            in_flight.remove(&at);
            jobs.runners.ended(at, result.as_ref().ok(), effects.clock.now());
            let goes_on = result.as_ref().is_err_and(|error| jobs.go_on(effects, train, at, error));
            jobs.to_steps.remove(&at);
            if goes_on {
                continue;
            }
            if let Some(error) = finish(effects, train, at, result)? {
                errors.push((at, error));
            }
            continue;
        }
        match decision {
            // Nothing is under way, and what waits has no other runner than one that does not answer.
            Next::Run(_) if jobs.runners.waits_for_one_down() => tokio::time::sleep(LOOK_AT_JOBS).await,
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

/// Records that a step is about to act; gives back which attempt of it that is.
fn record_start(train: &Train, step: &PlannedStep, attempt: u32, runner: Option<RunnerName>) -> Result<u32> {
    train.journal().append(Event::Started { step: step.id.clone(), key: step.key, attempt, runner })?;
    Ok(attempt)
}

/// Performs a step that was recorded as started; `before` is how it stood until then.
fn spawn(
    effects: &Effects,
    train: &Arc<Train>,
    probes: &Arc<Probes>,
    (at, before, attempt): (usize, Arc<StepState>, u32),
    jobs: Option<StepJobs>,
    flying: &mut Flying,
) {
    effects.progress.event(ProgressEvent::Started(train.graph().at(at).id.clone()));
    let (effects, train, probes) = (effects.clone(), train.clone(), probes.clone());
    flying.spawn(async move {
        let step = train.graph().at(at);
        let result = perform(&effects, &train, (jobs, &probes), step, &before, attempt).await;
        (at, result)
    });
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
    // Of a step with jobs, what counts is how often one runner was tried.
    let attempt = journal.state().at(at).tries().unwrap_or(journal.state().at(at).attempts);
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
