//! Which destinations are down as far as a train's journal shows, since when, and what waits for each: pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

use super::event::StepStatus;
use super::fold::State;
use crate::error::Part;
use crate::model::Destination;
use crate::step::StepId;

/// One part of one destination that did not answer when it was last asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outage {
    /// The store, forge or remote.
    #[serde(flatten)]
    pub destination: Destination,
    /// Which part of it.
    pub part: Part,
    /// When it first failed to answer, with no success since.
    pub since: Timestamp,
    /// Why the last try failed.
    pub reason: String,
    /// The deliveries that wait for it, and those that wait for them.
    pub waiting: Vec<StepId>,
}

/// What the deferred steps of one part report.
struct Reports {
    first: Timestamp,
    last: Timestamp,
    reason: String,
    steps: BTreeSet<usize>,
}

impl State {
    /// What is down, by destination and part.
    #[must_use]
    pub fn outages(&self) -> Vec<Outage> {
        let graph = self.graph();
        let mut found: BTreeMap<(Destination, Part), Reports> = BTreeMap::new();
        for i in 0..graph.len() {
            let stands = self.at(i);
            // Deliveries also wait for people, for runs and for each other, at destinations that answer.
            let (Some((first, Some(part))), StepStatus::Deferred(reason)) = (stands.down, &stands.status) else {
                continue;
            };
            let Some(name) = graph.at(i).step.destination() else { continue };
            let last = stands.since.unwrap_or(first);
            let new = || Reports { first, last, reason: reason.clone(), steps: BTreeSet::new() };
            let reports = found.entry((name, part)).or_insert_with(new);
            reports.first = reports.first.min(first);
            if last > reports.last {
                (reports.last, reports.reason) = (last, reason.clone());
            }
            reports.steps.insert(i);
        }
        found.into_iter().map(|((name, part), reports)| self.outage(name, part, reports)).collect()
    }

    fn outage(&self, destination: Destination, part: Part, reports: Reports) -> Outage {
        // A delivery that got through in between began another outage.
        let between = self.last_success(&destination, part).filter(|t| *t > reports.first && *t < reports.last);
        let mut waiting = reports.steps;
        self.add_those_behind(&mut waiting);
        Outage {
            destination,
            part,
            since: between.unwrap_or(reports.first),
            reason: reports.reason,
            waiting: waiting.into_iter().map(|i| self.graph().at(i).id.clone()).collect(),
        }
    }

    /// When a delivery to this part of a destination last succeeded; one on a forge needs all of its parts.
    fn last_success(&self, destination: &Destination, part: Part) -> Option<Timestamp> {
        let there = |i: &usize| {
            let of = self.graph().at(*i).step.destination();
            // What goes to a git remote waits for git, what goes to a forge for all of its parts.
            let usual = |to: &Destination| matches!(to, Destination::Remote(_));
            of.is_some_and(|to| to == *destination && usual(&to) == (part == Part::Git))
        };
        let succeeded = |i: &usize| matches!(self.at(*i).status, StepStatus::Succeeded(_));
        (0..self.graph().len()).filter(there).filter(succeeded).filter_map(|i| self.at(i).since).max()
    }

    /// Adds what cannot begin before these.
    fn add_those_behind(&self, waiting: &mut BTreeSet<usize>) {
        for &i in self.graph().order() {
            let pending = matches!(self.at(i).status, StepStatus::Pending);
            if pending && self.graph().needs(i).iter().any(|n| waiting.contains(n)) {
                waiting.insert(i);
            }
        }
    }
}
