//! What lies before the gate and what behind it.

use super::broken;
use crate::error::Result;
use crate::plan::Graph;
use crate::step::{
    Checksum, Exposure, Gate, Isolation, Phase, PlannedStep, Prepare, RestoreWorkflows, SuppressWorkflows, Test,
};

pub(super) fn check(graph: &Graph, gate: usize) -> Result<()> {
    waits_for_everything(graph, gate)?;
    nothing_public_before(graph, gate)?;
    all_lines_or_none(graph)?;
    says_what_the_plan_says(graph, gate)
}

fn named(step: &PlannedStep) -> String {
    format!("step `{}`", step.id)
}

/// All lines or none: the gate waits for every line's verification.
fn waits_for_everything(graph: &Graph, gate: usize) -> Result<()> {
    let before = graph.ancestors(gate);
    for (i, waits) in before.iter().enumerate() {
        let step = graph.at(i);
        if i != gate && step.step.phase().is_before_gate() && !waits && !step.deferrable {
            return Err(broken("the gate waits for every line's verification", &named(step)));
        }
    }
    Ok(())
}

/// No `Public` step without the gate before it, and nothing before the gate that is public.
fn nothing_public_before(graph: &Graph, gate: usize) -> Result<()> {
    let behind = graph.dominated_by(|s| s.step.is_a::<Gate>());
    for (i, behind) in behind.iter().enumerate() {
        let step = graph.at(i);
        let (who, phase) = (named(step), step.step.phase());
        if step.exposure == Exposure::Public && !behind {
            return Err(broken("nothing is public before the gate", &who));
        }
        if phase.is_public() != (step.exposure == Exposure::Public) {
            return Err(broken("what makes bytes public is planned as public, and nothing else is", &who));
        }
        if i != gate && phase.is_before_gate() && *behind {
            return Err(broken("what people approve is made before the gate", &who));
        }
        if !phase.is_before_gate() && !behind {
            return Err(broken("the release key signs only after the threshold", &who));
        }
        // A required step whose destination may be down would let the train wait for it.
        if step.deferrable && step.step.destination().is_none() {
            return Err(broken("only destinations can be deferred", &who));
        }
        if let Some(test) = step.step.as_a::<Test>()
            && test.job.isolation != Isolation::NoNetwork
        {
            return Err(broken("tests run without network", &who));
        }
    }
    Ok(())
}

/// Nothing becomes public before every line is sealed, and git and forges show no release whose files are not there.
fn all_lines_or_none(graph: &Graph) -> Result<()> {
    for i in (0..graph.len()).filter(|&i| graph.at(i).step.phase().is_public()) {
        let before = graph.ancestors(i);
        for (j, is_before) in before.iter().enumerate() {
            let (step, late) = (&graph.at(i).step, graph.at(j));
            let who = || format!("step `{}`, which does not wait for `{}`,", graph.at(i).id, late.id);
            if late.step.phase() == Phase::Sealing && !is_before {
                return Err(broken("no line is public before every line is sealed", &who()));
            }
            let shows = step.phase() == Phase::Delivery;
            if shows && late.step.phase() == Phase::Files && !late.deferrable && !is_before {
                return Err(broken("files first: what shows a release comes after it", &who()));
            }
            if let Some(SuppressWorkflows(off)) = late.step.as_a()
                && off.starters.contains(&graph.at(i).id)
                && !is_before
            {
                return Err(broken("workflows are off before what would start them", &who()));
            }
            if let Some(RestoreWorkflows(on)) = step.as_a()
                && on.starters.contains(&late.id)
                && !is_before
            {
                return Err(broken("workflows stay off until all that would start them is delivered", &who()));
            }
            let files_of = step.phase() == Phase::Pointers && late.step.phase() == Phase::Files;
            if files_of && late.step.destination() == step.destination() && !is_before {
                return Err(broken("a store's pointers move after all its files", &who()));
            }
        }
    }
    Ok(())
}

/// The gate asks for what the plan promises, over everything that the plan makes.
fn says_what_the_plan_says(graph: &Graph, gate: usize) -> Result<()> {
    let plan = graph.plan();
    let Some(asks) = graph.at(gate).step.as_a::<Gate>() else { return Ok(()) };
    if asks.threshold != plan.threshold || asks.not_before != plan.not_before {
        return Err(broken("its threshold and embargo are the plan's", "the gate"));
    }
    let sums = plan.all::<Checksum>().map(|(planned, _)| &planned.id);
    let mut listed: Vec<_> = asks.checksums.iter().collect();
    listed.sort();
    if !sums.eq(listed) {
        return Err(broken("people approve every line's sums, each once", "the gate"));
    }
    let carried = plan.all::<Prepare>().filter(|(_, prepare)| prepare.bump.is_none());
    let carries = carried.map(|(planned, _)| &planned.id);
    let mut listed: Vec<_> = asks.carries.iter().collect();
    listed.sort();
    if !carries.eq(listed) {
        return Err(broken("people approve the commits of every line that carries the fix, each once", "the gate"));
    }
    Ok(())
}
