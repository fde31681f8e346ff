//! Random events, wrong ones among them: what a journal accepts never reaches an illegal state.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lifeboat::effects::Handle;
use lifeboat::journal::{Event, FailureClass, JobEnd, Plans, Record, State, StepStatus, TrainState};
use lifeboat::model::Sha256;
use lifeboat::plan::{Graph, PlanId};
use lifeboat::step::{Exposure, Outcome, PlannedStep, Step, StepId, StepKey, SuppressWorkflows};
use proptest::prelude::*;

use crate::model::configs::{EMBARGO, Shape, at, shapes};
use crate::model::made::{self, next};

/// One draw: what happens, to which step, and how it is wrong.
type Draw = (u8, u16, u8);

fn handle() -> Handle {
    Handle { runner: "local".parse().unwrap(), job: "1".to_owned() }
}

/// A plan that amends another: its tests, and what follows from them, are others.
fn child(parent: &Graph) -> Arc<Graph> {
    let is_test = |s: &PlannedStep| matches!(s.step, Step::Test(_));
    let after = parent.dominated_by(is_test);
    let mut plan = parent.plan().as_ref().clone();
    for (i, step) in plan.steps.iter_mut().enumerate() {
        if after[i] || is_test(step) {
            step.key = StepKey(Sha256::of(step.key.0.hex().as_bytes()));
        }
    }
    plan.parent = Some(parent.id());
    Arc::new(Graph::new(Arc::new(plan)).unwrap())
}

/// An event from a draw: half of the time one that fits the state, else anything.
fn event(state: &State, (what, which, how): Draw) -> Event {
    let graph = state.graph();
    let ready: Vec<usize> = (0..graph.len())
        .filter(|&i| {
            graph.needs(i).iter().all(|&n| matches!(state.at(n).status, StepStatus::Succeeded(_)))
                && !matches!(state.at(i).status, StepStatus::Succeeded(_))
        })
        .collect();
    let fits = what < 200;
    let i = match ready.len() {
        n if fits && n > 0 => ready[usize::from(which) % n],
        _ => usize::from(which) % graph.len(),
    };
    let planned = graph.at(i);
    let step = planned.id.clone();
    let key = if how == 1 { StepKey(Sha256::of(b"another")) } else { planned.key };
    let attempt = state.at(i).attempts + if how == 2 { 0 } else { 1 };
    let other = &graph.at((i + 1) % graph.len()).step;
    let made_of = if how == 3 { other } else { &planned.step };
    let started = matches!(state.at(i).status, StepStatus::Started | StepStatus::Waiting(_));
    let kind = match what {
        _ if state.nonce().is_none() && how > 8 => 8,
        0..80 if started => 1,
        0..80 => 0,
        80..110 => 7,
        _ => what % 13,
    };
    match kind {
        0 => {
            let runner = (how % 3 == 1).then(|| handle().runner);
            Event::Started { step, key, attempt, runner }
        }
        1 => Event::Succeeded { step, key, outcome: made::outcome(made_of).into() },
        2 => Event::Waiting { step, key, handle: handle() },
        3 => Event::Failed { step, key, class: FailureClass::Fatal, error: "broken".to_owned(), retry_at: None },
        4 => {
            let retry_at = Some(at(i64::from(which)));
            Event::Failed { step, key, class: FailureClass::Transient, error: "busy".to_owned(), retry_at }
        }
        5 => Event::Deferred { step, key, reason: "down".to_owned(), part: None },
        6 if how % 2 == 0 => Event::Reconciling,
        6 => Event::Resumed,
        7 => Event::Approved { approval: Box::new(made::approval(graph.id(), usize::from(which) % 5, at(1_000_000))) },
        8 => {
            let plan = if how == 9 { PlanId(Sha256::of(b"another")) } else { graph.id() };
            Event::PlanAdopted { plan, nonce: made::nonce(), certificate: String::new() }
        }
        // Seldom: it ends everything.
        9 if how < 8 => Event::Abandoned { reason: "a better fix".to_owned() },
        // Seldom as well: it takes a train far back.
        10 if how < 24 => {
            let child = child(graph);
            let mut carried = state.kept_by(&child);
            match how {
                4 => carried.extend([made::id("gate")]),
                5 => carried.extend([step]),
                _ => {}
            }
            let plan = if how == 6 { PlanId(Sha256::of(b"another")) } else { child.id() };
            Event::Amended { plan, object: Sha256::of(b"the child"), carried, reason: None }
        }
        11 => {
            // Of a job that is there, where one is.
            let attempt = state.at(i).jobs.first().map_or(attempt, |job| job.attempt);
            let runner = if how == 7 { "another".parse().unwrap() } else { handle().runner };
            let end = [JobEnd::Lost, JobEnd::Silent, JobEnd::RecipeFailed { code: 1 }, JobEnd::Superseded];
            let end = end[usize::from(how) % 4].clone();
            Event::JobEnded { step, key, attempt, runner, job: None, end, why: None, log: None }
        }
        12 => Event::FoundOn { step, key, files: ["publish.yml".to_owned()].into() },
        _ => Event::Resumed,
    }
}

/// Whether an outcome is of the right kind and names what the step names.
fn fits(outcome: &Outcome, step: &Step) -> bool {
    let expected = made::outcome(step);
    match (outcome, &expected) {
        (Outcome::Prepared(made), Outcome::Prepared(wanted)) => made.version == wanted.version,
        (Outcome::Built(made), Outcome::Built(wanted)) => made.artifacts == wanted.artifacts,
        (Outcome::Sealed(sealed), Outcome::Sealed(wanted)) => sealed.tag == wanted.tag,
        _ => std::mem::discriminant(outcome) == std::mem::discriminant(&expected),
    }
}

/// What must hold of every accepted event, kept apart from the state that accepted it.
#[derive(Default)]
struct Watch {
    adopted: bool,
    abandoned: bool,
    attempts: BTreeMap<String, u32>,
    succeeded: BTreeSet<String>,
    /// Failed for good, and nobody said `resumed` since.
    stopped: BTreeSet<String>,
    approvers: BTreeSet<String>,
    public: bool,
    /// The gate and all behind it, which nothing is kept of when a plan is amended.
    gated: BTreeSet<String>,
}

impl Watch {
    fn accepted(&mut self, graph: &Graph, event: &Event, second: i64) {
        assert!(!self.abandoned, "{event:?} after the train was abandoned");
        assert!(self.adopted != matches!(event, Event::PlanAdopted { .. }), "{event:?}: adopted {}", self.adopted);
        match event {
            Event::PlanAdopted { plan, .. } => {
                assert_eq!(*plan, graph.id());
                self.adopted = true;
            }
            Event::Started { step, key, attempt, .. } => {
                let planned = graph.plan().step(step).unwrap();
                assert_eq!(planned.key, *key);
                let gate_open = self.succeeded.contains("gate");
                let (of, at_least) = match &planned.step {
                    Step::Quorum(quorum) => (quorum.of.clone(), quorum.at_least as usize),
                    _ => Default::default(),
                };
                for need in planned.needs.iter().filter(|need| !of.values().flatten().any(|c| c == *need)) {
                    assert!(self.succeeded.contains(need.as_str()), "{step} before {need}");
                }
                let has = |steps: &&Vec<StepId>| steps.iter().all(|s| self.succeeded.contains(s.as_str()));
                assert!(of.values().filter(has).count() >= at_least, "{step} before {at_least} stores had it");
                assert!(!self.succeeded.contains(step.as_str()), "{step} again after it succeeded");
                assert!(!self.stopped.contains(step.as_str()), "{step} again without `resumed`");
                assert!(planned.exposure != Exposure::Public || gate_open, "{step} is public before the gate");
                let attempts = self.attempts.entry(step.to_string()).or_default();
                assert_eq!(*attempt, *attempts + 1, "{step}");
                *attempts += 1;
                self.public |= planned.exposure == Exposure::Public;
            }
            Event::Waiting { step, key, .. } | Event::Failed { step, key, .. } | Event::Deferred { step, key, .. } => {
                let planned = graph.plan().step(step).unwrap();
                assert_eq!(planned.key, *key);
                assert!(self.attempts.contains_key(step.as_str()), "{step} never started");
                assert!(!self.succeeded.contains(step.as_str()), "{event:?} after {step} succeeded");
                if matches!(event, Event::Deferred { .. }) {
                    assert!(planned.deferrable, "{step} is required");
                }
                if matches!(event, Event::Failed { retry_at: None, .. }) {
                    self.stopped.insert(step.to_string());
                }
            }
            Event::JobEnded { step, key, attempt, runner, .. } => {
                assert_eq!(graph.plan().step(step).unwrap().key, *key);
                assert!(*attempt <= self.attempts[step.as_str()], "{step} has no such attempt");
                assert!(!self.succeeded.contains(step.as_str()), "{event:?} after {step} succeeded");
                assert_eq!(*runner, handle().runner);
            }
            Event::Succeeded { step, key, outcome } => {
                let planned = graph.plan().step(step).unwrap();
                assert_eq!(planned.key, *key);
                assert!(self.attempts.contains_key(step.as_str()), "{step} never started");
                assert!(self.succeeded.insert(step.to_string()), "{step} succeeded twice");
                assert!(fits(outcome, &planned.step), "{step} made something else: {outcome:?}");
                if let Step::Gate(gate) = &planned.step {
                    assert!(self.approvers.len() >= gate.threshold as usize, "{:?}", self.approvers);
                    assert!(gate.not_before.is_none_or(|end| end <= at(second)), "before the embargo's end");
                }
            }
            Event::Approved { approval } => {
                for step in &graph.plan().steps {
                    let summed = matches!(step.step, Step::Checksum(_));
                    assert!(!summed || self.succeeded.contains(step.id.as_str()), "approved before {}", step.id);
                }
                self.approvers.insert(approval.person.to_string());
            }
            Event::FoundOn { step, key, files } => {
                let planned = graph.plan().step(step).unwrap();
                assert_eq!(planned.key, *key);
                let Step::SuppressWorkflows(SuppressWorkflows(off)) = &planned.step else { panic!("{event:?}") };
                assert!(files.is_subset(&off.files), "{event:?}");
                assert!(self.attempts.contains_key(step.as_str()), "{step} never started");
            }
            Event::Resumed => self.stopped.clear(),
            // Deferred steps may start again as they are.
            Event::Reconciling => {}
            Event::Abandoned { .. } => {
                assert!(!self.public, "abandoned after something was public");
                self.abandoned = true;
            }
            Event::Amended { plan, carried, .. } => {
                assert!(!self.public, "amended after something was public");
                let child = child(graph);
                assert_eq!(*plan, child.id());
                let equal = |id: &str| {
                    let key = |g: &Graph| g.plan().steps.iter().find(|s| s.id.as_str() == id).map(|s| s.key);
                    key(graph) == key(&child)
                };
                for step in carried {
                    assert!(self.succeeded.contains(step.as_str()), "{step} keeps what it never made");
                    assert!(equal(step.as_str()), "{step} is another now");
                    let gated = |s: &PlannedStep| matches!(s.step, Step::Gate(_));
                    let i = graph.position(step).unwrap();
                    assert!(!gated(graph.at(i)) && !graph.dominated_by(gated)[i], "{step} follows from approvals");
                }
                self.succeeded = carried.iter().map(ToString::to_string).collect();
                self.attempts.retain(|id, _| equal(id) && !self.gated.contains(id));
                self.stopped.clear();
                self.approvers.clear();
            }
        }
    }
}

fn record(seq: usize, what: Event, second: i64) -> Record {
    let (zero, at) = (Sha256([0; 32]), at(second));
    // The fold looks at neither hash nor signature; the journal's file does, before it.
    Record { format: 1, seq: seq as u64, prev: zero, at, by: String::new(), what, hash: zero, signature: String::new() }
}

fn same(a: &State, b: &State) -> bool {
    let steps = a.graph().len();
    (0..steps).all(|i| a.at(i) == b.at(i))
        && a.nonce() == b.nonce()
        && a.approvals() == b.approvals()
        && a.abandoned() == b.abandoned()
        && a.name() == b.name()
}

fn small() -> impl Strategy<Value = Shape> {
    shapes().prop_map(|mut s| {
        s.lines.truncate(2);
        if s.lines.iter().all(|k| *k == lifeboat::model::LineKind::Carry) {
            s.lines[0] = lifeboat::model::LineKind::Release;
        }
        s.targets.truncate(1);
        s.targets[0].only = None;
        s.assemblies.clear();
        s
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_order_of_events_reaches_an_illegal_state(
        shape in small(),
        draws in prop::collection::vec(any::<Draw>(), 1..500),
    ) {
        let first = Arc::new(Graph::new(Arc::new(shape.plan())).unwrap());
        let mut plans = Plans::from(first.clone());
        let mut state = State::new(first.clone());
        let is_gate = |s: &PlannedStep| matches!(s.step, Step::Gate(_));
        let after = first.dominated_by(is_gate);
        let gated = (0..first.len()).filter(|&i| after[i] || is_gate(first.at(i)));
        let mut watch =
            Watch { gated: gated.map(|i| first.at(i).id.to_string()).collect(), ..Watch::default() };
        let mut records = Vec::new();
        let mut prefixes = Vec::new();
        for (i, draw) in draws.into_iter().enumerate() {
            let second = i as i64 * EMBARGO / 200;
            let event = event(&state, draw);
            let graph = state.graph().clone();
            if matches!(event, Event::Amended { .. }) {
                state.learn(child(&graph)).unwrap();
            }
            let before = state.clone();
            let admitted = state.admits(&event, at(second)).is_ok();
            let applied = state.apply(&event, at(second)).is_ok();
            prop_assert_eq!(admitted, applied, "{:?}", event);
            if !applied {
                prop_assert!(same(&before, &state), "{:?} was refused and changed the state", event);
                continue;
            }
            watch.accepted(&graph, &event, second);
            if matches!(event, Event::Amended { .. }) {
                plans.learn(child(&graph)).unwrap();
            }
            let graph = state.graph();
            records.push(record(records.len(), event, second));
            prefixes.push(next(&state, at(second)));
            // The state says what happened, no more and no less.
            for i in 0..graph.len() {
                let id = graph.at(i).id.as_str();
                prop_assert_eq!(state.at(i).attempts, watch.attempts.get(id).copied().unwrap_or(0));
                prop_assert_eq!(matches!(state.at(i).status, StepStatus::Succeeded(_)), watch.succeeded.contains(id));
            }
            prop_assert_eq!(state.anything_public(), watch.public);
            if state.name() >= TrainState::Approved && state.name() != TrainState::Abandoned {
                prop_assert!(watch.succeeded.contains("gate"));
            }
        }
        // Reading the journal again is the same as having lived through it, at every record.
        let folded = State::fold(plans.clone(), &records).unwrap();
        prop_assert!(same(&folded, &state));
        for (i, decided) in prefixes.iter().enumerate() {
            if i % 16 == 0 || i + 1 == prefixes.len() {
                let resumed = State::fold(plans.clone(), &records[..=i]).unwrap();
                prop_assert_eq!(&next(&resumed, records[i].at), decided);
            }
        }
    }
}

/// The random events above must not pass because nearly all of them are refused: some runs get far.
#[test]
fn random_events_reach_every_state() {
    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let (mut names, mut statuses, mut amended) = (BTreeSet::new(), BTreeSet::new(), 0);
    for _ in 0..60 {
        let (shape, draws) =
            (small(), prop::collection::vec(any::<Draw>(), 900)).new_tree(&mut runner).unwrap().current();
        let mut state = State::new(Arc::new(Graph::new(Arc::new(shape.plan())).unwrap()));
        for (i, draw) in draws.into_iter().enumerate() {
            let event = event(&state, draw);
            if matches!(event, Event::Amended { .. }) {
                amended += 1;
                state.learn(child(state.graph())).unwrap();
            }
            if state.apply(&event, at(i as i64 * EMBARGO / 200)).is_ok() {
                names.insert(state.name().to_string());
                statuses.extend(
                    (0..state.graph().len())
                        .map(|i| std::mem::discriminant(&state.at(i).status))
                        .map(|d| format!("{d:?}")),
                );
            }
        }
    }
    for name in ["drafted", "prepared", "staged", "approved", "released", "abandoned"] {
        assert!(names.contains(name), "no run reached {name}: {names:?}");
    }
    assert!(amended > 20, "{amended}");
    assert_eq!(statuses.len(), 6, "{statuses:?}");
}
