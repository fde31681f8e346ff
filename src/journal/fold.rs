//! The state of a train: a pure fold over its journal. Nothing else stores it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::event::{Event, FailureClass, Record, StepStatus, name, transition};
use super::jobs::{EndedJob, JobEnd, RunnerPasts, StepJob};
use super::plans::Plans;
use super::train_state::TrainState;
use crate::error::{Error, Part, Result};
use crate::model::{StoreName, TrainNonce};
use crate::plan::{Graph, PlanId, amend};
use crate::step::{Exposure, Gate, Member, OnStore, Outcome, Phase, Stage, StepId, StepKey, SuppressWorkflows};
use crate::trust::Approval;

/// How one step stands.
#[derive(Debug, Clone, PartialEq)]
pub struct StepState {
    /// Its status.
    pub status: StepStatus,
    /// How often it was started.
    pub attempts: u32,
    /// How often a runner lost its job, as when something killed what watched over it.
    pub lost: u32,
    /// Its jobs that go on: one, or two if the first takes too long.
    pub jobs: Vec<StepJob>,
    /// Its jobs that ended without success.
    pub ended: Vec<EndedJob>,
    /// So many of these were before an operator last started it again, and count no more.
    pub forgiven: usize,
    /// When its status last changed.
    pub since: Option<Timestamp>,
    /// Its deferrals in a row, up to now: when the first of them was recorded, and which part of the destination was down
    /// at the last. Trying again does not end the row; success and failure do.
    pub down: Option<(Timestamp, Option<Part>)>,
    /// How often the plan had been amended when this became a step of it as it is: what it puts into a place of its own is
    /// there, and nothing of an earlier plan.
    pub generation: u32,
}

/// How the error of a job that its runner lost is known.
pub const LOST: &str = "lost the job";

/// How a whole train stands.
#[derive(Debug, Clone)]
pub struct State {
    plans: Plans,
    graph: Arc<Graph>,
    generation: u32,
    nonce: Option<TrainNonce>,
    /// By position. A copy of the state shares them, and those that nothing happened to are one.
    steps: Vec<Arc<StepState>>,
    approvals: Vec<(Approval, Timestamp)>,
    /// Approvals of plans that were amended since.
    lapsed: Vec<(Approval, Timestamp)>,
    abandoned: Option<String>,
    /// Workflows that were found on when they had to be off, with when that was first, by the step that disables them.
    found_on: BTreeMap<StepId, BTreeMap<String, Timestamp>>,
    runners: RunnerPasts,
}

impl State {
    /// The state before the first record.
    #[must_use]
    pub fn new(plans: impl Into<Plans>) -> Self {
        let plans = plans.into();
        let graph = plans.first().clone();
        let steps = std::iter::repeat_n(Arc::new(Self::untouched(0)), graph.len()).collect();
        Self {
            plans,
            graph,
            generation: 0,
            nonce: None,
            steps,
            approvals: Vec::new(),
            lapsed: Vec::new(),
            abandoned: None,
            found_on: BTreeMap::new(),
            runners: RunnerPasts::default(),
        }
    }

    fn untouched(generation: u32) -> StepState {
        let (status, jobs, ended) = (StepStatus::Pending, Vec::new(), Vec::new());
        StepState { status, attempts: 0, lost: 0, jobs, ended, forgiven: 0, since: None, down: None, generation }
    }

    /// Folds records into a state.
    ///
    /// # Errors
    /// The first record that cannot follow those before it.
    pub fn fold<'a>(plans: impl Into<Plans>, records: impl IntoIterator<Item = &'a Record>) -> Result<Self> {
        let mut state = Self::new(plans);
        for record in records {
            state.apply(&record.what, record.at).map_err(|e| e.context(format!("journal line {}", record.seq + 1)))?;
        }
        Ok(state)
    }

    /// Whether an event may happen at `at`; changes nothing.
    pub fn admits(&self, event: &Event, at: Timestamp) -> Result<()> {
        let illegal = |why: String| Error::fatal(format!("illegal event: {why}"));
        if let Some(reason) = &self.abandoned {
            return Err(illegal(format!("`{}` after the train was abandoned ({reason})", name(event))));
        }
        match (event, &self.nonce) {
            (Event::PlanAdopted { plan, .. }, None) if *plan == self.graph.id() => return Ok(()),
            (Event::PlanAdopted { .. }, None) => return Err(illegal("another plan was adopted".to_owned())),
            (Event::PlanAdopted { .. }, Some(_)) => return Err(illegal("a plan was adopted before".to_owned())),
            (_, None) => return Err(illegal(format!("`{}` before a plan was adopted", name(event)))),
            (_, Some(_)) => {}
        }
        match event {
            Event::Started { step, key, attempt, .. } => {
                let i = self.known(step, *key).map_err(illegal)?;
                transition(&self.steps[i].status, event).map_err(|why| illegal(format!("{step}: {why}")))?;
                if *attempt != self.steps[i].attempts + 1 {
                    return Err(illegal(format!("{step}: attempt {attempt} after {}", self.steps[i].attempts)));
                }
                if let Some(n) = self.graph.missing(i, |n| self.succeeded(n)) {
                    return Err(illegal(format!("{step}: started before `{}` succeeded", self.graph.at(n).id)));
                }
                Ok(())
            }
            Event::JobEnded { step, key, attempt, runner, .. } => {
                let i = self.known(step, *key).map_err(illegal)?;
                transition(&self.steps[i].status, event).map_err(|why| illegal(format!("{step}: {why}")))?;
                match self.steps[i].jobs.iter().any(|job| job.attempt == *attempt && job.runner == *runner) {
                    true => Ok(()),
                    false => Err(illegal(format!("{step}: runner {runner} has no job of attempt {attempt}"))),
                }
            }
            Event::Waiting { step, key, .. }
            | Event::Succeeded { step, key, .. }
            | Event::Failed { step, key, .. }
            | Event::Deferred { step, key, .. } => {
                let i = self.known(step, *key).map_err(illegal)?;
                transition(&self.steps[i].status, event).map_err(|why| illegal(format!("{step}: {why}")))?;
                let awaits = |job: &StepJob| job.job.is_none();
                if let (StepStatus::Waiting(_), Event::Waiting { .. }) = (&self.steps[i].status, event)
                    && !self.steps[i].jobs.iter().any(awaits)
                {
                    return Err(illegal(format!("{step}: it waits for its job already")));
                }
                if matches!(event, Event::Deferred { .. }) && !self.graph.at(i).deferrable {
                    return Err(illegal(format!("{step}: a required step cannot be deferred")));
                }
                if let Event::Succeeded { outcome, .. } = event {
                    self.admits_outcome(i, outcome, at).map_err(|why| illegal(format!("{step}: {why}")))?;
                }
                Ok(())
            }
            Event::FoundOn { step, key, files } => {
                let i = self.known(step, *key).map_err(illegal)?;
                let Some(SuppressWorkflows(off)) = self.graph.at(i).step.as_a() else {
                    return Err(illegal(format!("{step}: it switches no workflows off")));
                };
                if self.steps[i].attempts == 0 {
                    return Err(illegal(format!("{step}: it found workflows on before it started")));
                }
                match files.iter().find(|f| !off.files.contains(*f)) {
                    Some(other) => Err(illegal(format!("{step}: `{other}` is none of its workflows"))),
                    None => Ok(()),
                }
            }
            Event::Approved { approval } if !self.all_is_made() => {
                Err(illegal(format!("{} approved before the sums of every line were written", approval.person)))
            }
            Event::Abandoned { .. } if self.anything_public() => {
                Err(illegal("a train with a public step can only go forward".to_owned()))
            }
            Event::Amended { plan, carried, .. } => self.admits_amendment(*plan, carried).map_err(illegal),
            _ => Ok(()),
        }
    }

    /// Takes one event in.
    ///
    /// # Errors
    /// As [`State::admits`]; the state is then unchanged.
    pub fn apply(&mut self, event: &Event, now: Timestamp) -> Result<()> {
        self.admits(event, now)?;
        match event {
            Event::PlanAdopted { nonce, .. } => {
                self.nonce = Some(nonce.clone());
            }
            Event::Started { step, .. }
            | Event::Waiting { step, .. }
            | Event::JobEnded { step, .. }
            | Event::Succeeded { step, .. }
            | Event::Failed { step, .. }
            | Event::Deferred { step, .. } => {
                if let Some(at) = self.graph.position(step) {
                    self.runners.take(event, Some(&self.steps[at]), now);
                    let state = Arc::make_mut(&mut self.steps[at]);
                    // A job that is found again is not started; nor is one that ended started again from there.
                    state.lost += u32::from(match (&state.status, event) {
                        (StepStatus::Waiting(_), Event::Started { runner: None, .. }) => true,
                        (_, Event::JobEnded { end: JobEnd::Lost, .. }) => true,
                        (StepStatus::Waiting(_), Event::Failed { error, .. }) => error.contains(LOST),
                        _ => false,
                    });
                    state.status = transition(&state.status, event).map_err(Error::fatal)?;
                    state.attempts += u32::from(matches!(event, Event::Started { .. }));
                    state.take_job(event, now);
                    state.since = Some(now);
                    state.down = match event {
                        Event::Deferred { part, .. } => Some((state.down.map_or(now, |(first, _)| first), *part)),
                        Event::Succeeded { .. } | Event::Failed { .. } => None,
                        _ => state.down,
                    };
                }
            }
            Event::FoundOn { step, files, .. } => {
                let found = self.found_on.entry(step.clone()).or_default();
                for file in files {
                    found.entry(file.clone()).or_insert(now);
                }
            }
            Event::Approved { approval } => self.approvals.push(((**approval).clone(), now)),
            Event::Resumed => {
                self.runners.take(event, None, now);
                for state in &mut self.steps {
                    if matches!(state.status, StepStatus::Failed { .. }) {
                        let state = Arc::make_mut(state);
                        (state.status, state.forgiven) = (StepStatus::Pending, state.ended.len());
                    }
                }
            }
            Event::Reconciling => {
                for state in &mut self.steps {
                    if matches!(state.status, StepStatus::Deferred(_)) {
                        Arc::make_mut(state).status = StepStatus::Pending;
                    }
                }
            }
            Event::Abandoned { reason } => self.abandoned = Some(reason.clone()),
            Event::Amended { plan, carried, .. } => self.amend(*plan, carried),
        }
        Ok(())
    }

    /// Whether the plan may be replaced by this child, with these outcomes kept.
    fn admits_amendment(&self, plan: PlanId, carried: &BTreeSet<StepId>) -> Result<(), String> {
        if self.anything_public() {
            return Err("a train with a public step can only go forward".to_owned());
        }
        let Some(child) = self.plans.get(plan).filter(|g| g.plan().parent == Some(self.graph.id())) else {
            return Err(format!("amended with plan {plan}, which is not a known child of plan {}", self.graph.id()));
        };
        let keepable = amend::keepable(&self.graph, child);
        match carried.iter().find(|id| !keepable.contains(*id) || self.outcome(id).is_none()) {
            Some(other) => Err(format!("`{other}` has made nothing that the child keeps")),
            None => Ok(()),
        }
    }

    fn amend(&mut self, plan: PlanId, carried: &BTreeSet<StepId>) {
        let Some(child) = self.plans.get(plan).cloned() else { return };
        self.generation += 1;
        let equal = amend::keepable(&self.graph, &child);
        let step = |i: usize| {
            let (id, new) = (&child.at(i).id, Self::untouched(self.generation));
            let before = self.graph.position(id).filter(|_| equal.contains(id)).map(|at| &self.steps[at]);
            let Some(before) = before else { return Arc::new(new) };
            match before.status {
                _ if carried.contains(id) => before.clone(),
                // Its job goes on; an attempt's number is never used twice.
                StepStatus::Waiting(_) => {
                    Arc::new(StepState { generation: self.generation, ..StepState::clone(before) })
                }
                _ => {
                    let (ended, forgiven) = (before.ended.clone(), before.ended.len());
                    Arc::new(StepState { attempts: before.attempts, ended, forgiven, ..new })
                }
            }
        };
        self.steps = (0..child.len()).map(step).collect();
        self.graph = child;
        self.lapsed.append(&mut self.approvals);
    }

    /// Whether a step may have made this by then: of its own kind, and the gate only after enough people and time.
    fn admits_outcome(&self, position: usize, outcome: &Outcome, at: Timestamp) -> Result<(), String> {
        let step = &self.graph.at(position).step;
        if !outcome.is_of(step) {
            return Err(format!("what it made is not what this `{}` step makes", step.kind()));
        }
        let Some(gate) = step.as_a::<Gate>() else { return Ok(()) };
        let people: BTreeSet<_> = self.approvals.iter().map(|(a, _)| &a.person).collect();
        if (people.len() as u64) < u64::from(gate.threshold) {
            return Err(format!("it opened after {} of {} approvals", people.len(), gate.threshold));
        }
        match gate.not_before {
            Some(end) if at < end => Err(format!("it opened at {at}, before the embargo's end at {end}")),
            _ => Ok(()),
        }
    }

    /// Whether everything that people approve is made: every gate's sums and carried commits.
    #[must_use]
    pub(crate) fn all_is_made(&self) -> bool {
        let mut gates = self.graph.plan().all::<Gate>();
        gates.all(|(_, gate)| gate.checksums.iter().chain(&gate.carries).all(|id| self.outcome(id).is_some()))
    }

    fn known(&self, step: &StepId, key: StepKey) -> Result<usize, String> {
        let at = self.graph.position(step).ok_or_else(|| format!("the plan has no step `{step}`"))?;
        if self.graph.at(at).key == key { Ok(at) } else { Err(format!("{step}: its key is not that of the plan")) }
    }

    /// Whether the step at a position succeeded.
    #[must_use]
    pub fn succeeded(&self, at: usize) -> bool {
        matches!(self.steps[at].status, StepStatus::Succeeded(_))
    }

    /// Makes the child of the last plan known; see [`Plans::learn`].
    ///
    /// # Errors
    /// A plan that cannot amend the last one.
    pub fn learn(&mut self, child: Arc<Graph>) -> Result<()> {
        self.plans.learn(child)
    }

    /// The steps that would keep what they made under a child of the plan.
    #[must_use]
    pub fn kept_by(&self, child: &Graph) -> BTreeSet<StepId> {
        let mut steps = amend::keepable(&self.graph, child);
        steps.retain(|id| self.outcome(id).is_some());
        steps
    }

    /// How often the plan was amended.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// The train's own directory in a store's staging area for the files of a line: random, so that even its name tells
    /// nothing. Files that a child plan makes anew have another one than those of its parent: both have the same names.
    #[must_use]
    pub fn staging(&self, on: &OnStore) -> Option<String> {
        let of = |Stage(s): &Stage| s.store == on.store && s.branch == on.branch;
        let at = (0..self.steps.len()).find(|&i| self.graph.at(i).step.as_a().is_some_and(of))?;
        Some(area(self.nonce()?, self.steps[at].generation))
    }

    /// The train's directories in the staging area of each store, for the lines as the plan has them now.
    #[must_use]
    pub(crate) fn staged_in(&self) -> BTreeSet<(StoreName, String)> {
        let stages = (0..self.steps.len()).filter_map(|i| self.graph.at(i).step.as_a::<Stage>());
        stages.filter_map(|Stage(on)| Some((on.store.clone(), self.staging(on)?))).collect()
    }

    /// Every directory that the train may have in a store's staging area.
    #[must_use]
    pub(crate) fn staging_areas(&self) -> Vec<String> {
        self.nonce.iter().flat_map(|nonce| (0..=self.generation).map(|n| area(nonce, n))).collect()
    }

    /// What happened to the runners.
    pub(super) fn runners(&self) -> &RunnerPasts {
        &self.runners
    }

    /// The graph of the plan that counts now.
    #[must_use]
    pub fn graph(&self) -> &Arc<Graph> {
        &self.graph
    }

    /// The train's nonce, once a plan is adopted.
    #[must_use]
    pub fn nonce(&self) -> Option<&TrainNonce> {
        self.nonce.as_ref()
    }

    /// How the step at a position of the graph stands.
    #[must_use]
    pub fn at(&self, position: usize) -> &StepState {
        &self.steps[position]
    }

    /// The same, to be kept while the state goes on.
    #[must_use]
    pub fn shared(&self, position: usize) -> Arc<StepState> {
        self.steps[position].clone()
    }

    /// How a step stands, by its id.
    #[must_use]
    pub fn step(&self, id: &StepId) -> Option<&StepState> {
        self.graph.position(id).map(|i| &*self.steps[i])
    }

    /// What a step produced, if it succeeded.
    #[must_use]
    pub fn outcome(&self, id: &StepId) -> Option<&Outcome> {
        match &self.step(id)?.status {
            StepStatus::Succeeded(outcome) => Some(outcome),
            _ => None,
        }
    }

    /// What a step produced, if it succeeded and that is of this kind.
    #[must_use]
    pub fn made<O: Member<Outcome>>(&self, id: &StepId) -> Option<&O> {
        self.outcome(id)?.as_a()
    }

    /// The approvals recorded so far, with the time of the record; a person's later one comes later.
    #[must_use]
    pub fn approvals(&self) -> &[(Approval, Timestamp)] {
        &self.approvals
    }

    /// Approvals of plans that were amended since: they count for nothing, but signatures over those bytes exist.
    #[must_use]
    pub(crate) fn lapsed(&self) -> &[(Approval, Timestamp)] {
        &self.lapsed
    }

    /// Workflows that were found on while the `suppress-workflows` step `id` wants them off, with when that was first.
    pub(crate) fn found_on(&self, id: &StepId) -> impl Iterator<Item = (&String, Timestamp)> {
        self.found_on.get(id).into_iter().flatten().map(|(file, at)| (file, *at))
    }

    /// Why the train was abandoned.
    #[must_use]
    pub fn abandoned(&self) -> Option<&str> {
        self.abandoned.as_deref()
    }

    /// Whether a public step ever started: from then on, only forward.
    #[must_use]
    pub fn anything_public(&self) -> bool {
        (0..self.steps.len()).any(|i| self.graph.at(i).exposure == Exposure::Public && self.steps[i].attempts > 0)
    }

    /// Whether a step failed in a way that nothing but the operator will change.
    #[must_use]
    pub(crate) fn has_failures(&self) -> bool {
        self.steps.iter().any(|s| matches!(s.status, StepStatus::Failed { .. }))
    }

    /// The failures that do not pass by themselves, with the reports.
    pub fn failures(&self) -> impl Iterator<Item = (&StepId, FailureClass, &str)> {
        self.steps.iter().enumerate().filter_map(|(i, s)| match &s.status {
            StepStatus::Failed { class, error, .. } => Some((&self.graph.at(i).id, *class, error.as_str())),
            _ => None,
        })
    }

    /// The steps that wait for their destinations, with the reasons.
    pub fn deferred(&self) -> impl Iterator<Item = (&StepId, &str, Option<Timestamp>)> {
        self.steps.iter().enumerate().filter_map(|(i, s)| match &s.status {
            StepStatus::Deferred(reason) => Some((&self.graph.at(i).id, reason.as_str(), s.since)),
            _ => None,
        })
    }

    /// The name of the state, derived from the steps.
    #[must_use]
    pub fn name(&self) -> TrainState {
        if self.abandoned.is_some() {
            return TrainState::Abandoned;
        }
        let all = |is: &dyn Fn(usize) -> bool| (0..self.steps.len()).filter(|&i| is(i)).all(|i| self.succeeded(i));
        let required = |i: usize| !self.graph.at(i).deferrable;
        let phase = |i: usize| self.graph.at(i).step.phase();
        let mut state = TrainState::Drafted;
        let ladder: [(TrainState, &dyn Fn(usize) -> bool); 7] = [
            (TrainState::Prepared, &|i| phase(i) == Phase::Preparation),
            (TrainState::Built, &|i| phase(i) == Phase::Building),
            (TrainState::Verified, &|i| phase(i) == Phase::Checking),
            (TrainState::Staged, &|i| required(i) && phase(i) == Phase::Staging),
            (TrainState::Approved, &|i| phase(i) == Phase::Gate),
            (TrainState::Released, &required),
            (TrainState::Reconciled, &|_| true),
        ];
        for (next, is) in ladder {
            if !all(is) {
                break;
            }
            state = next;
        }
        state
    }
}

/// The name of a staging directory.
fn area(nonce: &TrainNonce, generation: u32) -> String {
    match generation {
        0 => nonce.to_string(),
        later => format!("{nonce}-{later}"),
    }
}
