//! What lies before the gate and what behind it.

use super::broken;
use crate::error::Result;
use crate::plan::Graph;
use crate::step::{Audience, Exposure, Isolation, PlannedStep, Step};

pub(super) fn check(graph: &Graph, gate: usize) -> Result<()> {
    waits_for_everything(graph, gate)?;
    nothing_public_before(graph, gate)?;
    all_lines_or_none(graph)?;
    says_what_the_plan_says(graph, gate)
}

fn named(step: &PlannedStep) -> String {
    format!("step `{}`", step.id)
}

/// What is done before anybody approves.
fn comes_before(step: &Step) -> bool {
    match step {
        Step::Seal(_) => false,
        step => !makes_public(step),
    }
}

fn makes_public(step: &Step) -> bool {
    match step {
        Step::Promote(_)
        | Step::PushGit(_)
        | Step::ForgeRelease(_)
        | Step::SeeWorkflows(_)
        | Step::SuppressWorkflows(_)
        | Step::RestoreWorkflows(_)
        | Step::AwaitRuns(_)
        | Step::MergeBack(_)
        | Step::PublishAdvisory(_)
        | Step::Point(_) => true,
        // A draft that only writers see is no more public than a private fork.
        Step::DraftAdvisory(s) => s.audience == Audience::Anyone,
        Step::Prepare(_)
        | Step::Bundle(_)
        | Step::Build(_)
        | Step::Assemble(_)
        | Step::Test(_)
        | Step::Checksum(_)
        | Step::PackHistory(_)
        | Step::Stage(_)
        | Step::VerifyStaged(_)
        | Step::Gate(_)
        | Step::Seal(_) => false,
    }
}

/// All lines or none: the gate waits for every line's verification.
fn waits_for_everything(graph: &Graph, gate: usize) -> Result<()> {
    let before = graph.ancestors(gate);
    for (i, waits) in before.iter().enumerate() {
        let step = graph.at(i);
        if i != gate && comes_before(&step.step) && !waits && !step.deferrable {
            return Err(broken("the gate waits for every line's verification", &named(step)));
        }
    }
    Ok(())
}

/// No `Public` step without the gate before it, and nothing before the gate that is public.
fn nothing_public_before(graph: &Graph, gate: usize) -> Result<()> {
    let behind = graph.dominated_by(|s| matches!(s.step, Step::Gate(_)));
    for (i, behind) in behind.iter().enumerate() {
        let step = graph.at(i);
        let who = named(step);
        if step.exposure == Exposure::Public && !behind {
            return Err(broken("nothing is public before the gate", &who));
        }
        if makes_public(&step.step) != (step.exposure == Exposure::Public) {
            return Err(broken("what makes bytes public is planned as public, and nothing else is", &who));
        }
        if i != gate && comes_before(&step.step) && *behind {
            return Err(broken("what people approve is made before the gate", &who));
        }
        if !comes_before(&step.step) && !behind {
            return Err(broken("the release key signs only after the threshold", &who));
        }
        // A required step whose destination may be down would let the train wait for it.
        let destination =
            matches!(step.step, Step::PackHistory(_) | Step::Stage(_) | Step::VerifyStaged(_) | Step::DraftAdvisory(_));
        if step.deferrable && !makes_public(&step.step) && !destination {
            return Err(broken("only destinations can be deferred", &who));
        }
        if let Step::Test(test) = &step.step
            && test.job.isolation != Isolation::NoNetwork
        {
            return Err(broken("tests run without network", &who));
        }
    }
    Ok(())
}

/// Nothing becomes public before every line is sealed, and git and forges show no release whose files are not there.
fn all_lines_or_none(graph: &Graph) -> Result<()> {
    for i in (0..graph.len()).filter(|&i| makes_public(&graph.at(i).step)) {
        let before = graph.ancestors(i);
        for (j, is_before) in before.iter().enumerate() {
            let late = graph.at(j);
            let who = || format!("step `{}`, which does not wait for `{}`,", graph.at(i).id, late.id);
            if matches!(late.step, Step::Seal(_)) && !is_before {
                return Err(broken("no line is public before every line is sealed", &who()));
            }
            let shows = matches!(graph.at(i).step, Step::PushGit(_) | Step::ForgeRelease(_) | Step::PublishAdvisory(_));
            if shows && matches!(late.step, Step::Promote(_)) && !late.deferrable && !is_before {
                return Err(broken("files first: what shows a release comes after it", &who()));
            }
            if let Step::SuppressWorkflows(off) = &late.step
                && off.starters.contains(&graph.at(i).id)
                && !is_before
            {
                return Err(broken("workflows are off before what would start them", &who()));
            }
            if let Step::RestoreWorkflows(on) = &graph.at(i).step
                && on.starters.contains(&late.id)
                && !is_before
            {
                return Err(broken("workflows stay off until all that would start them is delivered", &who()));
            }
            if let (Step::Point(point), Step::Promote(promote)) = (&graph.at(i).step, &late.step)
                && promote.store == point.store
                && !is_before
            {
                return Err(broken("a store's pointers move after all its files", &who()));
            }
        }
    }
    Ok(())
}

/// The gate asks for what the plan promises, over everything that the plan makes.
fn says_what_the_plan_says(graph: &Graph, gate: usize) -> Result<()> {
    let plan = graph.plan();
    let Step::Gate(asks) = &graph.at(gate).step else { return Ok(()) };
    if asks.threshold != plan.threshold || asks.not_before != plan.not_before {
        return Err(broken("its threshold and embargo are the plan's", "the gate"));
    }
    let sums = plan.steps.iter().filter(|s| matches!(s.step, Step::Checksum(_))).map(|s| &s.id);
    let mut listed: Vec<_> = asks.checksums.iter().collect();
    listed.sort();
    if !sums.eq(listed) {
        return Err(broken("people approve every line's sums, each once", "the gate"));
    }
    let carried = |s: &&PlannedStep| matches!(&s.step, Step::Prepare(p) if p.bump.is_none());
    let carries = plan.steps.iter().filter(carried).map(|s| &s.id);
    let mut listed: Vec<_> = asks.carries.iter().collect();
    listed.sort();
    if !carries.eq(listed) {
        return Err(broken("people approve the commits of every line that carries the fix, each once", "the gate"));
    }
    Ok(())
}
