//! What a quorum counts: whole stores, each with everything that it must have, and enough of them.

use std::collections::BTreeSet;

use super::broken;
use crate::error::Result;
use crate::model::{BranchName, Destination, StoreName};
use crate::plan::{Graph, Plan};
use crate::step::{Has, Kind, Phase, PlannedStep, Point, Promote, Quorum, StepId};

pub(super) fn check(graph: &Graph) -> Result<()> {
    let plan = graph.plan();
    for (planned, quorum) in plan.all::<Quorum>() {
        of_one(graph, planned, quorum)?;
    }
    of_all(plan)?;
    pointers_come_after_the_files(graph)
}

fn of_one(graph: &Graph, planned: &PlannedStep, quorum: &Quorum) -> Result<()> {
    let (plan, who) = (graph.plan(), format!("step `{}`", planned.id));
    if planned.deferrable {
        return Err(broken("a train is released when its quorum is reached", &who));
    }
    let (at_least, of) = (u64::from(quorum.at_least), quorum.of.len() as u64);
    if at_least == 0 || at_least > of {
        return Err(broken("a quorum is a number of stores from 1 to all that count", &who));
    }
    let a_required_one = plan.all::<Point>().any(|(point, _)| !point.deferrable);
    if at_least * 2 <= of && !a_required_one {
        return Err(broken("a quorum is more than half of the stores, or one store is required", &who));
    }
    for (store, counted) in &quorum.of {
        let counts = |id: &StepId| {
            graph
                .position(id)
                .map(|at| graph.at(at))
                .is_some_and(|step| step.deferrable && step.step.phase() == quorum.phase() && is_to(step, store))
        };
        let listed = |step: &&PlannedStep| step.step.kind() == quorum.has.after() && is_to(step, store);
        if !counted.iter().all(counts) || !plan.steps.iter().filter(listed).all(|s| counted.contains(&s.id)) {
            return Err(broken(&format!("it counts all that store `{store}` must have, and nothing else"), &who));
        }
    }
    Ok(())
}

fn is_to(step: &PlannedStep, store: &StoreName) -> bool {
    step.step.destination() == Some(Destination::Store(store.clone()))
}

/// One number and one set of stores for everything that is counted.
fn of_all(plan: &Plan) -> Result<()> {
    let mut rules = BTreeSet::new();
    let mut what = BTreeSet::new();
    for (_, quorum) in plan.all::<Quorum>() {
        rules.insert((quorum.at_least, quorum.of.keys().collect::<Vec<_>>()));
        what.insert(quorum.has);
    }
    let files = plan.all::<Promote>().next().is_some();
    let complete = Has::ALL.iter().all(|has| what.contains(has) || (*has == Has::Files && !files));
    if rules.len() > 1 || (!what.is_empty() && !complete) {
        return Err(broken("what is staged, public and pointed at is counted in the same stores", "the plan"));
    }
    Ok(())
}

fn pointers_come_after_the_files(graph: &Graph) -> Result<()> {
    let files = |i: &usize| graph.at(*i).step.as_a::<Quorum>().is_some_and(|q| q.has == Has::Files);
    let Some(files) = (0..graph.len()).find(files) else { return Ok(()) };
    for i in (0..graph.len()).filter(|&i| graph.at(i).step.phase() == Phase::Pointers) {
        if !graph.ancestors(i)[files] {
            return Err(broken("pointers move after the files", &format!("step `{}`", graph.at(i).id)));
        }
    }
    Ok(())
}

/// Whether a quorum has a line: its files, and pointers at it, in each store that counts.
pub(super) fn has_line(plan: &Plan, branch: &BranchName) -> bool {
    let in_each = |has: Has, shows: &dyn Fn(&StoreName) -> bool| {
        plan.all::<Quorum>().any(|(_, q)| q.has == has && q.of.keys().all(shows))
    };
    in_each(Has::Files, &|store| plan.all().any(|(_, Promote(on))| on.store == *store && on.branch == *branch))
        && in_each(Has::Pointers, &|store| {
            plan.all().any(|(_, to): (_, &Point)| to.store == *store && to.lines.contains_key(branch))
        })
}
