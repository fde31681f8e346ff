//! The runners of a train, and which job each of them has: the plan fixes what is built, the schedule picks where.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;

use super::schedule::{Assigned, Durations, Estimates, Fitting, RunnerState, WaitingJob, assign};
use super::train::Train;
use crate::effects::{Effects, Outlives, Runner, replace_file};
use crate::error::Error;
use crate::journal::{State, StepStatus};
use crate::model::{BranchName, Label};
use crate::plan::Graph;
use crate::step::{Exposure, PlannedStep};

/// The runners that may see embargoed sources, each with the jobs that it has now.
pub(super) struct RunnerPool {
    runners: Vec<Arc<dyn Runner>>,
    durations: Durations,
    estimates: Estimates,
    /// How many durations the estimates do not know yet.
    newer: usize,
    /// The plan's jobs, longest first; equal ones in the order of the plan.
    jobs: Vec<PoolJob>,
    /// Which sets of runners fit jobs.
    kinds: Vec<Fitting>,
    running: BTreeMap<usize, Running>,
    /// Whether a job waits for a runner beside a free slot of another one.
    holds_back: bool,
}

/// A job of the plan.
struct PoolJob {
    /// The position of its step.
    at: usize,
    name: String,
    /// The runners that have its labels.
    fitting: usize,
    /// Those that it is put on now: the others, after one failed it.
    kind: usize,
    expected_ms: u64,
}

/// A step whose job is on a runner, or about to be.
struct Running {
    runner: usize,
    since: Timestamp,
    expected_ms: u64,
    /// An earlier process started it: when it ends here says nothing of how long it took.
    is_found_again: bool,
}

impl RunnerPool {
    /// The runners whose files and logs no stranger can read, and the jobs of a plan; no runner has any of them yet.
    pub(super) fn new(runners: &[Arc<dyn Runner>], graph: &Graph, durations: Durations) -> Self {
        let runners = runners.iter().filter(|r| r.exposure() != Exposure::Public).cloned().collect();
        let estimates = durations.estimates();
        let (jobs, kinds, running) = (Vec::new(), Vec::new(), BTreeMap::new());
        let mut pool = Self { runners, durations, estimates, newer: 0, jobs, kinds, running, holds_back: false };
        for &at in graph.order() {
            let step = &graph.at(at).step;
            if step.starts_jobs() {
                // A job that the step makes itself runs anywhere.
                let kind = pool.kind(pool.fitting(step.job().map_or(&[], |job| &job.labels)));
                pool.jobs.push(PoolJob { at, name: name(graph.at(at)), fitting: kind, kind, expected_ms: 0 });
            }
        }
        pool.estimate();
        pool
    }

    /// The runners that have all the labels.
    fn fitting(&self, labels: &[Label]) -> Fitting {
        let fits = |r: &Arc<dyn Runner>| labels.iter().all(|l| r.labels().contains(l));
        (0..self.runners.len()).filter(|&r| fits(&self.runners[r])).collect()
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

    /// Which of the steps that have jobs and could start do so now, each with its runner. A step without a runner is one that
    /// no runner fits: it starts, to fail.
    pub(super) fn start(
        &mut self,
        state: &State,
        ready: &BTreeSet<usize>,
        now: Timestamp,
    ) -> Vec<(usize, Option<Arc<dyn Runner>>)> {
        let (mut starts, mut waiting, mut narrowed) = (Vec::new(), Vec::new(), BTreeMap::new());
        for &PoolJob { at, kind, fitting, expected_ms, .. } in self.jobs.iter().filter(|job| ready.contains(&job.at)) {
            // A job that an earlier process left behind has its place already, even where none is free.
            let there = match &state.at(at).status {
                StepStatus::Waiting(handle) => self.runners.iter().position(|r| *r.name() == handle.runner),
                _ => None,
            };
            if let Some(runner) = there {
                let since = state.at(at).since.unwrap_or(now);
                self.running.insert(at, Running { runner, since, expected_ms, is_found_again: true });
                starts.push((at, Some(self.runners[runner].clone())));
            } else if self.kinds[kind].is_empty() {
                starts.push((at, None));
            } else {
                if kind != fitting {
                    narrowed.insert(at, fitting);
                }
                waiting.push(WaitingJob { id: at, kind, expected_ms });
            }
        }
        let states = self.states(now);
        let has_slot = |kind: usize| self.kinds[kind].iter().any(|&r| states[r].free() > 0);
        // Nothing is kept waiting for the runners that did not fail it.
        for job in &mut waiting {
            if let Some(&fitting) = narrowed.get(&job.id).filter(|_| !has_slot(job.kind)) {
                job.kind = fitting;
            }
        }
        let assigned = assign(&waiting, &self.kinds, &states);
        let mut free: Vec<usize> = states.iter().map(RunnerState::free).collect();
        for Assigned { id: at, runner } in assigned {
            let Some(found) = waiting.iter().position(|job| job.id == at) else { continue };
            let WaitingJob { expected_ms, .. } = waiting.remove(found);
            free[runner] = free[runner].saturating_sub(1);
            self.running.insert(at, Running { runner, since: now, expected_ms, is_found_again: false });
            starts.push((at, Some(self.runners[runner].clone())));
        }
        self.holds_back = waiting.iter().any(|job| self.kinds[job.kind].iter().any(|&r| free[r] > 0));
        starts
    }

    fn states(&self, now: Timestamp) -> Vec<RunnerState> {
        let state = |(at, runner): (usize, &Arc<dyn Runner>)| {
            let speed = self.estimates.speed(runner.name());
            let left = |running: &Running| {
                let takes = (running.expected_ms as f64 / speed) as u64;
                let so_far = since_ms(running.since, now);
                // One that is late is expected to take as long again as it is late.
                takes.abs_diff(so_far).max(1)
            };
            let busy_ms = self.running.values().filter(|running| running.runner == at).map(left).collect();
            RunnerState { slots: runner.slots().max(1), speed, busy_ms }
        };
        self.runners.iter().enumerate().map(state).collect()
    }

    /// A step ended, well or not: if it had a job, that one's place is free. A runner that failed it is not tried first again.
    pub(super) fn ended(&mut self, at: usize, well: bool, now: Timestamp) {
        let Some(Running { runner, since, is_found_again, .. }) = self.running.remove(&at) else { return };
        let Some(job) = self.jobs.iter().position(|job| job.at == at) else { return };
        if !well {
            let others = self.kinds[self.jobs[job].kind].iter().copied().filter(|&r| r != runner);
            let others: Fitting = others.collect();
            let kind = if others.is_empty() { self.jobs[job].fitting } else { self.kind(others) };
            self.jobs[job].kind = kind;
            return;
        }
        if is_found_again {
            return;
        }
        self.durations.record(&self.jobs[job].name, self.runners[runner].name(), since_ms(since, now));
        self.newer += 1;
        // Of many jobs, one more says little, and looking at all of them takes long.
        if self.newer * 64 >= self.durations.jobs() {
            self.estimate();
        }
    }

    /// Whether a job waits for a runner beside a free slot of another one: if that takes longer than expected, it should not.
    pub(super) fn holds_back(&self) -> bool {
        self.holds_back
    }

    /// How long jobs took, with those of this run.
    pub(super) fn durations(&self) -> &Durations {
        &self.durations
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

/// Where a project's durations are kept on this machine: for the next train too. They are a help and no more.
fn durations_file(train: &Train) -> Option<PathBuf> {
    Some(train.dir().path().parent()?.parent()?.join("durations.json"))
}

/// The durations that earlier runs kept; none if they cannot be read.
pub(super) fn kept_durations(effects: &Effects, train: &Train) -> Durations {
    let read = || effects.disk.read(&durations_file(train)?).ok()?;
    read().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

/// Keeps the durations for later runs, if the disk lets us.
pub(super) fn keep_durations(train: &Train, durations: &Durations) {
    if let (Some(path), Ok(bytes)) = (durations_file(train), serde_json::to_vec(durations)) {
        drop(replace_file(&path, &bytes, Outlives::Kill));
    }
}
