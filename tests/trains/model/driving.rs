//! `next` with an adversary in place of the world: steps fail, wait, are interrupted and deferred, in every order.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use lifeboat::effects::Handle;
use lifeboat::engine::{Next, Question};
use lifeboat::journal::{Event, FailureClass, State, StepStatus, TrainState};
use lifeboat::plan::Graph;
use lifeboat::step::Step;
use proptest::prelude::*;

use crate::model::configs::{EMBARGO, at, shapes};
use crate::model::made::{self, next};

/// What the adversary does to the deferrable steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Optional {
    /// As to all others.
    Alike,
    /// Their destinations are down forever.
    Down,
    /// They fail for good, and no operator fixes them.
    Broken,
}

struct World {
    state: State,
    now: Timestamp,
    draws: std::vec::IntoIter<u8>,
    optional: Optional,
    started: usize,
}

impl World {
    fn record(&mut self, event: Event) {
        self.state.apply(&event, self.now).unwrap_or_else(|e| panic!("{event:?}: {e}"));
    }

    /// The next piece of bad luck; there is none left in the end.
    fn draw(&mut self) -> u8 {
        self.draws.next().unwrap_or(0)
    }

    /// One step: whatever happens to it, what is recorded is legal.
    fn act(&mut self, i: usize) {
        let planned = self.state.graph().at(i).clone();
        let (step, key) = (planned.id.clone(), planned.key);
        if !matches!(self.state.at(i).status, StepStatus::Waiting(_)) {
            let attempt = self.state.at(i).attempts + 1;
            self.record(Event::Started { step: step.clone(), key, attempt, runner: None });
        }
        self.started += 1;
        let fail =
            |class, retry_at| Event::Failed { step: planned.id.clone(), key, class, error: "no".to_owned(), retry_at };
        match self.optional {
            Optional::Down if planned.deferrable => {
                return self.record(Event::Deferred { step, key, reason: "down".to_owned(), part: None });
            }
            Optional::Broken if planned.deferrable => return self.record(fail(FailureClass::Conflict, None)),
            _ => {}
        }
        let retry_at = self.now.checked_add(SignedDuration::from_secs(7)).ok();
        match self.draw() % 16 {
            1 | 2 => self.record(fail(FailureClass::Transient, retry_at)),
            3 => self.record(fail(FailureClass::Fatal, None)),
            4 if planned.deferrable => {
                self.record(Event::Deferred { step, key, reason: "down".to_owned(), part: None })
            }
            5 if matches!(self.state.at(i).status, StepStatus::Started) => {
                let handle = Handle { runner: "local".parse().unwrap(), job: "1".to_owned() };
                self.record(Event::Waiting { step, key, handle });
            }
            // The process dies: nothing more is recorded of it.
            6 | 7 => {}
            _ => self.record(Event::Succeeded { step, key, outcome: made::outcome(&planned.step).into() }),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 160, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_goes_wrong_it_ends_and_is_released_if_it_can_be(
        shape in shapes(),
        luck in prop::collection::vec(any::<u8>(), 0..200),
        optional in prop_oneof![Just(Optional::Alike), Just(Optional::Down), Just(Optional::Broken)],
    ) {
        let graph = Arc::new(Graph::new(Arc::new(shape.plan())).unwrap());
        let bound = 20 * (graph.len() + luck.len() + 10);
        let bad_luck = luck.len();
        let mut world =
            World { state: State::new(graph.clone()), now: at(0), draws: luck.into_iter(), optional, started: 0 };
        world.record(Event::PlanAdopted { plan: graph.id(), nonce: made::nonce(), certificate: String::new() });
        let mut turns = 0;
        loop {
            turns += 1;
            prop_assert!(turns < bound, "no end after {turns} turns: {:?}", next(&world.state, world.now));
            match next(&world.state, world.now) {
                Next::Run(ids) => {
                    let all: BTreeSet<_> = ids.iter().collect();
                    prop_assert!(all.len() == ids.len() && !ids.is_empty());
                    // Several at once, as the engine does, in an order that nobody promised.
                    let many = 1 + usize::from(world.draw()) % ids.len();
                    for &at in ids.iter().rev().take(many) {
                        world.act(at);
                    }
                }
                Next::WaitUntil(until, why) => {
                    prop_assert!(until > world.now, "{why}");
                    world.now = until;
                }
                Next::Ask(Question::Approve { have, need }) => {
                    prop_assert!((have.len() as u32) < need);
                    let approval = made::approval(graph.id(), have.len(), at(1_000_000));
                    world.record(Event::Approved { approval: Box::new(approval) });
                }
                Next::Stuck(ids) => {
                    prop_assert!(!ids.is_empty());
                    let required = ids.iter().any(|&at| !graph.at(at).deferrable);
                    if optional == Optional::Broken && !required {
                        break;
                    }
                    // The operator fixes what is broken and runs `ship` again.
                    world.record(Event::Resumed);
                }
                // Too many stores are down; those that ever come back are back.
                Next::Short(quorums) => {
                    prop_assert!(!quorums.is_empty() && shape.counted > 0);
                    if optional == Optional::Down {
                        break;
                    }
                    world.record(Event::Reconciling);
                }
                // The destinations are back, if they ever come back.
                Next::Done if optional == Optional::Alike && world.state.deferred().next().is_some() => {
                    world.record(Event::Reconciling);
                }
                Next::Done => break,
            }
        }
        let state = &world.state;
        // Required steps waited for nothing that may be down: whatever became of those, the train is released.
        let short = shape.counted > 0 && optional != Optional::Alike;
        prop_assert_eq!(state.name() >= TrainState::Released, !short, "{}, optional {:?}", state.name(), optional);
        prop_assert!(optional != Optional::Alike || state.name() == TrainState::Reconciled, "{}", state.name());
        for i in 0..graph.len() {
            let done = matches!(state.at(i).status, StepStatus::Succeeded(_));
            prop_assert!(short || done || graph.at(i).deferrable || graph.needs(i).iter().any(|&n| graph.at(n).deferrable));
        }
        if shape.embargo && !short {
            prop_assert!(world.now >= at(EMBARGO));
        }
        // No step is done twice for nothing: each start beyond the first has its piece of bad luck.
        prop_assert!(world.started <= graph.len() + bad_luck, "{} starts", world.started);
    }
}

/// A journal that stops anywhere: `next` goes on as if nothing had happened.
#[test]
fn abandoned_is_the_end() {
    let graph = Arc::new(Graph::new(Arc::new(crate::model::configs::Shape::of_everything().plan())).unwrap());
    let mut state = State::new(graph.clone());
    let adopted = Event::PlanAdopted { plan: graph.id(), nonce: made::nonce(), certificate: String::new() };
    state.apply(&adopted, at(0)).unwrap();
    let first = graph.plan().steps.iter().filter(|s| s.needs.is_empty()).count();
    assert!(matches!(next(&state, at(0)), Next::Run(ids) if ids.len() == first && first > 2));
    state.apply(&Event::Abandoned { reason: "a better fix".to_owned() }, at(0)).unwrap();
    assert_eq!(next(&state, at(0)), Next::Done);
    assert!(state.apply(&Event::Resumed, at(0)).is_err());
}

/// An optional store that failed for good must not hide that people have to approve.
#[test]
fn what_is_optional_hides_no_question() {
    let graph = Arc::new(Graph::new(Arc::new(crate::model::configs::Shape::of_everything().plan())).unwrap());
    let mut state = State::new(graph.clone());
    let adopted = Event::PlanAdopted { plan: graph.id(), nonce: made::nonce(), certificate: String::new() };
    state.apply(&adopted, at(0)).unwrap();
    while let Next::Run(ids) = next(&state, at(0)) {
        for at_position in ids {
            let planned = graph.at(at_position);
            let (step, key) = (planned.id.clone(), planned.key);
            state.apply(&Event::Started { step: step.clone(), key, attempt: 1, runner: None }, at(0)).unwrap();
            let ended = if planned.deferrable {
                Event::Failed { step, key, class: FailureClass::Conflict, error: "no".to_owned(), retry_at: None }
            } else {
                Event::Succeeded { step, key, outcome: made::outcome(&planned.step).into() }
            };
            state.apply(&ended, at(0)).unwrap();
        }
    }
    assert!(state.failures().count() > 0);
    assert!(matches!(next(&state, at(0)), Next::Ask(Question::Approve { need: 2, .. })), "{:?}", next(&state, at(0)));
    for person in 0..2 {
        let approval = Box::new(made::approval(graph.id(), person, at(1_000_000)));
        state.apply(&Event::Approved { approval }, at(0)).unwrap();
    }
    assert!(matches!(next(&state, at(0)), Next::WaitUntil(end, _) if end == at(EMBARGO)));
    assert!(graph.plan().steps.iter().any(|s| matches!(s.step, Step::Gate(_))));
}
