//! The runners of a train, and which job each of them has: the plan fixes what is built, the schedule picks where.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::placement::{Placement, There};
use super::runner_watch::RunnerWatch;
use super::schedule::{
    AfterFailure, Assigned, Durations, Estimates, Fitting, JobFailure, LateJob, RunnerStanding, RunnerState,
    WaitingJob, assign, candidates, ends_ms, is_late, seconds, verdict,
};
use crate::effects::Runner;
use crate::error::Error;
use crate::journal::{Quarantined, State, StepJob, StepStatus};
use crate::model::{BranchName, Label, RunnerName};
use crate::plan::Graph;
use crate::step::{Outcome, PlannedStep};

/// The runners that may see embargoed sources, each with the jobs that it has now.
pub(super) struct RunnerPool {
    watches: Vec<Arc<RunnerWatch>>,
    durations: Durations,
    estimates: Estimates,
    /// How many durations the estimates do not know yet.
    newer: usize,
    /// The plan's jobs, longest first; equal ones in the order of the plan.
    jobs: Vec<PoolJob>,
    /// Which sets of runners fit jobs.
    kinds: Vec<Fitting>,
    /// By the position of the step, and the attempt.
    running: BTreeMap<(usize, u32), Running>,
    /// Whether a job waits for a runner beside a free slot of another one.
    holds_back: bool,
    /// Whether a job waits for a runner that does not answer, and has no other.
    waits_for_one_down: bool,
    /// In quarantine as far as was said.
    told: BTreeSet<RunnerName>,
}

/// A job of the plan.
struct PoolJob {
    /// The position of its step.
    at: usize,
    name: String,
    /// The runners that have its labels, as an index into `kinds`.
    fitting: usize,
    expected_ms: u64,
}

/// A job that is on a runner, or about to be.
struct Running {
    runner: usize,
    since: Timestamp,
    expected_ms: u64,
    /// As in [`PoolJob`].
    fitting: usize,
    /// An earlier process started it: when it ends here says nothing of how long it took.
    is_found_again: bool,
}

/// A step that starts now, with where its jobs are. One without any is one that no runner fits: it starts, to fail.
pub(super) struct Start {
    pub(super) at: usize,
    pub(super) jobs: Vec<Placement>,
}

impl RunnerPool {
    /// Runners whose files and logs no stranger can read, and the jobs of a plan; no runner has any of them yet.
    pub(super) fn new(watches: Vec<Arc<RunnerWatch>>, graph: &Graph, durations: Durations) -> Self {
        let (estimates, running) = (durations.estimates(), BTreeMap::new());
        let (jobs, kinds, told) = (Vec::new(), Vec::new(), BTreeSet::new());
        let (holds_back, waits_for_one_down) = (false, false);
        let mut pool = Self {
            watches,
            durations,
            estimates,
            newer: 0,
            jobs,
            kinds,
            running,
            holds_back,
            waits_for_one_down,
            told,
        };
        for &at in graph.order() {
            let step = &graph.at(at).step;
            if step.starts_jobs() {
                // A job that the step makes itself runs anywhere.
                let fitting = pool.with_labels(step.job().map_or(&[], |job| &job.labels));
                let fitting = pool.kind(fitting);
                pool.jobs.push(PoolJob { at, name: name(graph.at(at)), fitting, expected_ms: 0 });
            }
        }
        pool.estimate();
        pool
    }

    fn with_labels(&self, labels: &[Label]) -> Fitting {
        let fits = |r: &dyn Runner| labels.iter().all(|l| r.labels().contains(l));
        (0..self.watches.len()).filter(|&r| fits(self.watches[r].runner())).collect()
    }

    fn kind(&mut self, fitting: Fitting) -> usize {
        self.kinds.iter().position(|k| *k == fitting).unwrap_or_else(|| {
            self.kinds.push(fitting);
            self.kinds.len() - 1
        })
    }

    fn estimate(&mut self) {
        (self.estimates, self.newer) = (self.durations.estimates(), 0);
        for job in &mut self.jobs {
            job.expected_ms = self.estimates.expected_ms(&job.name);
        }
        self.jobs.sort_by_key(|job| std::cmp::Reverse(job.expected_ms));
    }

    /// The runners that have a job's labels, but for those whose files strangers were found to read.
    fn fitting(&self, kind: usize) -> Fitting {
        self.kinds[kind].iter().copied().filter(|&r| !self.watches[r].is_public()).collect()
    }

    fn position(&self, name: &RunnerName) -> Option<usize> {
        self.watches.iter().position(|w| w.runner().name() == name)
    }

    /// Where a step's jobs failed.
    fn failures(&self, state: &State, at: usize) -> Vec<(usize, JobFailure)> {
        let ends = state.at(at).ends().iter().filter(|ended| !ended.end.is_superseded());
        let failure = |recipe| if recipe { JobFailure::Recipe } else { JobFailure::Runner };
        ends.filter_map(|e| Some((self.position(&e.runner)?, failure(e.end.is_of_recipe())))).collect()
    }

    fn standing(&self, state: &State) -> Vec<RunnerStanding> {
        let bad: Vec<RunnerName> = state.quarantined().into_iter().map(|q| q.runner).collect();
        let of =
            |w: &Arc<RunnerWatch>| RunnerStanding { down: w.is_down(), quarantined: bad.contains(w.runner().name()) };
        self.watches.iter().map(of).collect()
    }

    fn placement(&self, runner: usize, attempt: u32, expected_ms: u64, there: There) -> Placement {
        let watch = self.watches[runner].clone();
        let speed = self.estimates.speed(watch.runner().name());
        let expected_ms = (self.durations.jobs() > 0).then_some((expected_ms as f64 / speed) as u64);
        Placement { attempt, watch, there, expected_ms }
    }

    /// Which of the steps that have jobs and could start do so now, each with its runner.
    pub(super) fn start(&mut self, state: &State, ready: &BTreeSet<usize>, now: Timestamp) -> Vec<Start> {
        let standing = self.standing(state);
        self.waits_for_one_down = false;
        let mut starts = Vec::new();
        let (mut waiting, mut wider, mut fitting_of) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        // What is against runners is the same for all jobs that have none of it behind them.
        let mut usual: BTreeMap<usize, usize> = BTreeMap::new();
        let ready: Vec<(usize, usize, u64)> =
            self.jobs.iter().filter(|j| ready.contains(&j.at)).map(|j| (j.at, j.fitting, j.expected_ms)).collect();
        for (at, fitting, expected_ms) in ready {
            let jobs = self.there_already(&state.at(at).jobs, (at, fitting), expected_ms);
            if !jobs.is_empty() {
                starts.push(Start { at, jobs });
                continue;
            }
            let all = self.fitting(fitting);
            if all.is_empty() {
                starts.push(Start { at, jobs });
                continue;
            }
            if all.iter().all(|&r| standing[r].down) && all.iter().any(|&r| self.watches[r].may_come_back()) {
                self.waits_for_one_down = true;
                continue;
            }
            let failures = self.failures(state, at);
            let kind = if failures.is_empty() {
                match usual.get(&fitting) {
                    Some(&kind) => kind,
                    None => {
                        let kind = self.kind(candidates(&all, &failures, &standing));
                        usual.insert(fitting, kind);
                        kind
                    }
                }
            } else {
                let of_recipe: Vec<_> = failures.iter().copied().filter(|(_, f)| *f == JobFailure::Recipe).collect();
                wider.insert(at, self.kind(candidates(&all, &of_recipe, &standing)));
                self.kind(candidates(&all, &failures, &standing))
            };
            waiting.push(WaitingJob { id: at, kind, expected_ms });
            fitting_of.insert(at, fitting);
        }
        let states = self.states(now);
        let has_slot = |kind: usize| self.kinds[kind].iter().any(|&r| states[r].free() > 0);
        // Nothing is kept waiting for the runners that did not lose it.
        for job in &mut waiting {
            if let Some(&kind) = wider.get(&job.id).filter(|_| !has_slot(job.kind)) {
                job.kind = kind;
            }
        }
        let assigned = assign(&waiting, &self.kinds, &states);
        let mut free: Vec<usize> = states.iter().map(RunnerState::free).collect();
        for Assigned { id: at, runner } in assigned {
            let Some(found) = waiting.iter().position(|job| job.id == at) else { continue };
            let WaitingJob { expected_ms, .. } = waiting.remove(found);
            free[runner] = free[runner].saturating_sub(1);
            let attempt = state.at(at).attempts + 1;
            let fitting = fitting_of.get(&at).copied().unwrap_or_default();
            let running = Running { runner, since: now, expected_ms, fitting, is_found_again: false };
            self.running.insert((at, attempt), running);
            starts.push(Start { at, jobs: vec![self.placement(runner, attempt, expected_ms, There::No)] });
        }
        self.holds_back = waiting.iter().any(|job| self.kinds[job.kind].iter().any(|&r| free[r] > 0));
        starts
    }

    /// The jobs that an earlier process left behind: they have their places already, even where none is free.
    fn there_already(&mut self, jobs: &[StepJob], (at, fitting): (usize, usize), expected_ms: u64) -> Vec<Placement> {
        let mut found = Vec::new();
        for job in jobs {
            let Some(runner) = self.position(&job.runner) else { continue };
            let there = job.handle().map_or(There::Perhaps, There::Yes);
            let running = Running { runner, since: job.since, expected_ms, fitting, is_found_again: true };
            self.running.insert((at, job.attempt), running);
            found.push(self.placement(runner, job.attempt, expected_ms, there));
        }
        found
    }

    /// Jobs that take too long where they are, and now start on another runner too.
    pub(super) fn seconds(&mut self, state: &State, now: Timestamp) -> Vec<(usize, Placement)> {
        let standing = self.standing(state);
        let mut late = Vec::new();
        for (&(at, attempt), first) in &self.running {
            let speed = self.estimates.speed(self.watches[first.runner].runner().name());
            let takes = (first.expected_ms as f64 / speed) as u64;
            let alone = self.running.range((at, 0)..=(at, u32::MAX)).all(|((_, other), _)| *other == attempt);
            let waits = matches!(state.at(at).status, StepStatus::Waiting(_));
            if !alone || !waits || !is_late(takes, since_ms(first.since, now)) {
                continue;
            }
            let failures = self.failures(state, at);
            let fits = |&r: &usize| {
                let tried = failures.iter().any(|(on, _)| *on == r);
                r != first.runner && !tried && standing[r] == RunnerStanding::default()
            };
            let candidates: Fitting = self.fitting(first.fitting).into_iter().filter(fits).collect();
            late.push((LateJob { id: at, expected_ms: first.expected_ms, candidates }, first.fitting));
        }
        let (late, fitting_of): (Vec<LateJob>, Vec<usize>) = late.into_iter().unzip();
        let mut starts = Vec::new();
        for Assigned { id: at, runner } in seconds(&late, &self.states(now)) {
            let attempt = state.at(at).attempts + 1;
            let Some(found) = late.iter().position(|job| job.id == at) else { continue };
            let (expected_ms, fitting) = (late[found].expected_ms, fitting_of[found]);
            let running = Running { runner, since: now, expected_ms, fitting, is_found_again: false };
            self.running.insert((at, attempt), running);
            starts.push((at, self.placement(runner, attempt, expected_ms, There::No)));
        }
        starts
    }

    fn states(&self, now: Timestamp) -> Vec<RunnerState> {
        let state = |(at, watch): (usize, &Arc<RunnerWatch>)| {
            let speed = self.estimates.speed(watch.runner().name());
            let left = |running: &Running| {
                let takes = (running.expected_ms as f64 / speed) as u64;
                let so_far = since_ms(running.since, now);
                // One that is late is expected to take as long again as it is late.
                takes.abs_diff(so_far).max(1)
            };
            let busy_ms = self.running.values().filter(|running| running.runner == at).map(left).collect();
            RunnerState { slots: watch.runner().slots().max(1), speed, busy_ms }
        };
        self.watches.iter().enumerate().map(state).collect()
    }

    /// A step ended, with this outcome if it succeeded: the places of its jobs are free.
    pub(super) fn ended(&mut self, at: usize, outcome: Option<&Outcome>, now: Timestamp) {
        let mut gone: Vec<Running> = Vec::new();
        while let Some((&key, _)) = self.running.range((at, 0)..=(at, u32::MAX)).next() {
            gone.extend(self.running.remove(&key));
        }
        let Some(outcome) = outcome else { return };
        let is_it = |r: &&Running| {
            outcome.runner().map_or(gone.len() == 1, |name| self.watches[r.runner].runner().name().as_str() == name)
        };
        let Some(Running { runner, since, is_found_again: false, .. }) = gone.iter().find(is_it) else { return };
        let Some(job) = self.jobs.iter().position(|job| job.at == at) else { return };
        self.durations.record(&self.jobs[job].name, self.watches[*runner].runner().name(), since_ms(*since, now));
        self.newer += 1;
        // Of many jobs, one more says little, and looking at all of them takes long.
        if self.newer * 64 >= self.durations.jobs() {
            self.estimate();
        }
    }

    /// One job of a step that goes on has ended: its place is free.
    pub(super) fn job_ended(&mut self, at: usize, attempt: u32) {
        self.running.remove(&(at, attempt));
    }

    /// Whether a step whose last job failed is tried on another runner at once.
    pub(super) fn goes_elsewhere(&self, state: &State, at: usize) -> bool {
        let Some(job) = self.jobs.iter().find(|job| job.at == at) else { return false };
        verdict(&self.fitting(job.fitting), &self.failures(state, at)) == AfterFailure::Elsewhere
    }

    /// The runners that came into quarantine since this was last asked.
    pub(super) fn newly_quarantined(&mut self, state: &State) -> Vec<Quarantined> {
        let mut now = state.quarantined();
        now.retain(|q| self.told.insert(q.runner.clone()));
        now
    }

    /// How many jobs of the plan run and wait, and how long all should still take, if anything is known of that.
    pub(super) fn expected(&self, state: &State, now: Timestamp) -> (usize, usize, Option<Duration>) {
        let open = |job: &&PoolJob| {
            let runs = self.running.range((job.at, 0)..=(job.at, u32::MAX)).next().is_some();
            !runs && !state.succeeded(job.at) && !self.kinds[job.fitting].is_empty()
        };
        let waiting = |job: &PoolJob| WaitingJob { id: job.at, kind: job.fitting, expected_ms: job.expected_ms };
        let waiting: Vec<WaitingJob> = self.jobs.iter().filter(open).map(waiting).collect();
        let is_known = self.durations.jobs() > 0 && (!waiting.is_empty() || !self.running.is_empty());
        let left = is_known.then(|| Duration::from_millis(ends_ms(&waiting, &self.kinds, &self.states(now))));
        (self.running.len(), waiting.len(), left)
    }

    /// Whether time alone may start something: a job that is late and runs beside other runners, or one that waits for a runner.
    pub(super) fn may_change(&self) -> bool {
        self.waits_for_one_down || (self.watches.len() > 1 && !self.running.is_empty())
    }

    /// Whether a job waits for a runner that does not answer, and has no other.
    pub(super) fn waits_for_one_down(&self) -> bool {
        self.waits_for_one_down
    }

    /// Whether a job waits for a runner beside a free slot of another one: if that takes longer than expected, it should not.
    pub(super) fn holds_back(&self) -> bool {
        self.holds_back
    }

    /// How long jobs took, with those of this run.
    pub(super) fn durations(&self) -> &Durations {
        &self.durations
    }

    /// The runners.
    pub(super) fn watches(&self) -> &[Arc<RunnerWatch>] {
        &self.watches
    }
}

fn since_ms(since: Timestamp, now: Timestamp) -> u64 {
    u64::try_from(now.as_millisecond() - since.as_millisecond()).unwrap_or_default()
}

/// What a step's job is called whatever its line.
fn name(step: &PlannedStep) -> String {
    let of_line = |line: &BranchName| step.id.as_str().replacen(&format!("/{line}"), "", 1);
    step.step.line().map_or_else(|| step.id.to_string(), of_line)
}

/// The error of a job whose labels no runner has.
pub(super) fn no_runner(labels: &[Label]) -> Error {
    if labels.is_empty() {
        return Error::input("no runner may see what is embargoed: strangers read the files of each")
            .hint("add a `[[runner]]` of kind `local` to the configuration, then `lifeboat doctor` looks again");
    }
    let wanted: Vec<&str> = labels.iter().map(Label::as_str).collect();
    Error::input(format!("no private runner has the labels `{}`", wanted.join("`, `")))
        .hint("add them to a `[[runner]]` of the configuration, or run `lifeboat doctor` to see what each has")
}
