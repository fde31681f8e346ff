//! How jobs ended that brought their steps nowhere, and what that says of the runners that had them: pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::event::{Event, StepStatus};
use super::fold::{State, StepState};
use crate::model::{ArtifactName, RunnerName, Sha256};
use crate::step::{Handle, StepId};

/// So many losses in a row, and a runner is in quarantine.
const LOSSES: usize = 2;

/// How a job ended without success. Serialized names are append-only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "how")]
pub enum JobEnd {
    /// The recipe ended with this code; with 0 if it did not leave what it should.
    RecipeFailed {
        /// Its exit code.
        code: i32,
    },
    /// It ran longer than it may, and was killed.
    TimedOut,
    /// The runner knows nothing of it any more.
    Lost,
    /// The runner gave no answer until the lease was over. The job may still run.
    Silent,
    /// The runner did not answer when it should take the job.
    Unreachable,
    /// The runner answered, and could not take the job.
    NotTaken,
    /// The same step's job on another runner ended first.
    Superseded,
    /// So it did, and this job ended too, with other bytes.
    Differed {
        /// The artifacts that differ.
        artifacts: Vec<ArtifactName>,
    },
}

impl JobEnd {
    /// Whether it is the recipe's own failure, as far as one runner can tell.
    #[must_use]
    pub fn is_of_recipe(&self) -> bool {
        matches!(self, Self::RecipeFailed { .. } | Self::TimedOut)
    }

    /// Whether another job of the step was faster.
    #[must_use]
    pub fn is_superseded(&self) -> bool {
        matches!(self, Self::Superseded | Self::Differed { .. })
    }

    /// Whether the job may go on running there.
    fn leaves_a_job(&self) -> bool {
        self.is_superseded() || matches!(self, Self::Silent)
    }

    /// Whether it counts against the runner at once.
    fn is_a_loss(&self) -> bool {
        matches!(self, Self::Lost | Self::Silent | Self::NotTaken)
    }

    /// What it means, after the name of the step.
    #[must_use]
    pub fn about(&self) -> String {
        match self {
            Self::RecipeFailed { code: 0 } => "the recipe did not leave what it should".to_owned(),
            Self::RecipeFailed { code } => format!("the recipe ended with exit code {code}"),
            Self::TimedOut => "the recipe ran too long".to_owned(),
            Self::Lost => "the job was lost".to_owned(),
            Self::Silent => "no answer for the time of the lease".to_owned(),
            Self::Unreachable => "the runner was unreachable".to_owned(),
            Self::NotTaken => "the job was not taken".to_owned(),
            Self::Superseded => "the same job on another runner ended first".to_owned(),
            Self::Differed { artifacts } => {
                let names: Vec<&str> = artifacts.iter().map(ArtifactName::as_str).collect();
                format!("it made other bytes than the runner that was faster: {}", names.join(", "))
            }
        }
    }
}

/// A job of a step that has not ended as far as the journal says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepJob {
    /// Which attempt of the step.
    pub attempt: u32,
    /// Where.
    pub runner: RunnerName,
    /// The runner's name for it, once that was recorded.
    pub job: Option<String>,
    /// When that was, or when it was about to be handed over.
    pub since: Timestamp,
}

impl StepJob {
    /// Finds the job, if its name was recorded.
    #[must_use]
    pub fn handle(&self) -> Option<Handle> {
        Some(Handle { runner: self.runner.clone(), job: self.job.clone()? })
    }
}

/// A job that ended without success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedJob {
    /// Which attempt of the step.
    pub attempt: u32,
    /// Where.
    pub runner: RunnerName,
    /// The runner's name for it, if it took it.
    pub job: Option<String>,
    /// How.
    pub end: JobEnd,
    /// What else was known.
    pub why: Option<String>,
    /// Its log, an object of the train.
    pub log: Option<Sha256>,
}

impl StepState {
    /// The ends that count: of the jobs since an operator last started the failed step again.
    #[must_use]
    pub fn ends(&self) -> &[EndedJob] {
        self.ended.get(self.forgiven..).unwrap_or_default()
    }

    /// Takes in what an event says of its jobs; the status is already the one after it.
    pub(super) fn take_job(&mut self, event: &Event, at: Timestamp) {
        match event {
            Event::Started { runner: None, .. } => self.jobs.clear(),
            Event::Started { runner: Some(runner), attempt, .. } => {
                self.jobs.push(StepJob { attempt: *attempt, runner: runner.clone(), job: None, since: at });
            }
            Event::Waiting { handle, .. } => {
                let job = Some(handle.job.clone());
                match self.jobs.iter_mut().find(|j| j.job.is_none() && j.runner == handle.runner) {
                    Some(there) => (there.job, there.since) = (job, at),
                    // Formats before 3 do not say where a job is about to go.
                    None => {
                        let (attempt, runner) = (self.attempts, handle.runner.clone());
                        self.jobs = vec![StepJob { attempt, runner, job, since: at }];
                    }
                }
            }
            Event::JobEnded { attempt, runner, job, end, why, log, .. } => {
                self.jobs.retain(|j| j.attempt != *attempt);
                self.ended.push(EndedJob {
                    attempt: *attempt,
                    runner: runner.clone(),
                    job: job.clone(),
                    end: end.clone(),
                    why: why.clone(),
                    log: *log,
                });
                if let Some(handle) = self.jobs.iter().find_map(StepJob::handle) {
                    self.status = StepStatus::Waiting(handle);
                }
            }
            _ => self.jobs.clear(),
        }
    }

    /// How often it was tried on the runner that had it most often, since an operator last started it again.
    #[must_use]
    pub(crate) fn tries(&self) -> Option<u32> {
        let mut of: BTreeMap<&RunnerName, u32> = BTreeMap::new();
        for ended in self.ends() {
            *of.entry(&ended.runner).or_default() += 1;
        }
        of.into_values().max()
    }
}

/// What the journal says against a runner.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct RunnerPast {
    /// The losses since a job succeeded there, and since `ship` was last started again: of which step, how, when.
    losses: Vec<(StepId, String, Timestamp)>,
    /// Since when it does not answer, and why.
    down: Option<(Timestamp, String)>,
}

/// A runner that gets no new jobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Quarantined {
    /// Which.
    pub runner: RunnerName,
    /// Since when.
    pub since: Timestamp,
    /// The losses that brought it there.
    pub why: Vec<String>,
}

/// A runner that did not answer when it was last given a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunnerDown {
    /// Which.
    pub runner: RunnerName,
    /// Since when.
    pub since: Timestamp,
    /// What was said.
    pub reason: String,
}

/// The runners of a train, as its journal shows them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct RunnerPasts(BTreeMap<RunnerName, RunnerPast>);

impl RunnerPasts {
    /// Takes in what an event says of runners; `before` is how its step stood.
    pub(super) fn take(&mut self, event: &Event, before: Option<&StepState>, at: Timestamp) {
        match event {
            Event::Waiting { handle, .. } => self.0.entry(handle.runner.clone()).or_default().down = None,
            Event::JobEnded { step, runner, end, why, .. } => {
                let past = self.0.entry(runner.clone()).or_default();
                if matches!(end, JobEnd::Unreachable | JobEnd::Silent) {
                    let reason = why.clone().unwrap_or_else(|| end.about());
                    past.down.get_or_insert((at, reason));
                }
                if end.is_a_loss() {
                    past.losses.push((step.clone(), end.about(), at));
                }
            }
            Event::Succeeded { step, outcome, .. } => {
                let Some(good) = outcome.runner() else { return };
                for past in self.0.iter_mut().filter(|(name, _)| name.as_str() == good).map(|(_, past)| past) {
                    *past = RunnerPast::default();
                }
                // What a recipe could not do there, it did elsewhere.
                for ended in before.iter().flat_map(|step| step.ends()) {
                    if ended.end.is_of_recipe() && ended.runner.as_str() != good {
                        let why = format!("{}, and not on runner {good}", ended.end.about());
                        let past = self.0.entry(ended.runner.clone()).or_default();
                        past.losses.push((step.clone(), why, at));
                    }
                }
            }
            Event::Resumed => self.0.values_mut().for_each(|past| past.losses.clear()),
            _ => {}
        }
    }
}

impl State {
    /// The runners that get no new jobs while another one fits, until `ship` is started again.
    #[must_use]
    pub fn quarantined(&self) -> Vec<Quarantined> {
        let of = |(runner, past): (&RunnerName, &RunnerPast)| {
            let (.., since) = past.losses.get(LOSSES - 1)?;
            let why = past.losses.iter().map(|(step, why, _)| format!("{step}: {why}")).collect();
            Some(Quarantined { runner: runner.clone(), since: *since, why })
        };
        self.runners().0.iter().filter_map(of).collect()
    }

    /// The runners that did not answer when they were last given a job.
    #[must_use]
    pub fn runners_down(&self) -> Vec<RunnerDown> {
        let of = |(runner, past): (&RunnerName, &RunnerPast)| {
            let (since, reason) = past.down.clone()?;
            Some(RunnerDown { runner: runner.clone(), since, reason })
        };
        self.runners().0.iter().filter_map(of).collect()
    }

    /// Jobs that may still run although nobody waits for them.
    #[must_use]
    pub(crate) fn left_behind(&self) -> Vec<Handle> {
        let ended = (0..self.graph().len()).flat_map(|i| &self.at(i).ended);
        let left = ended.filter(|e| e.end.leaves_a_job());
        left.filter_map(|e| Some(Handle { runner: e.runner.clone(), job: e.job.clone()? })).collect()
    }
}
