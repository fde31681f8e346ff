//! The promises that every plan keeps, whoever made it: checked when it is made and again when it is loaded.
//!
//! [`check`] trusts nothing that `plan` does: a plan may come from another machine, another version or an editor. The
//! rules are in four files: what lies on which side of the gate, what each line has, what each step reads, and what counts
//! for a quorum.

mod gate;
mod lines;
mod quorum;
mod reads;

use std::sync::Arc;

use super::builder::key_of;
use super::{FORMAT, Graph, Plan};
use crate::error::{Error, Result};
use crate::step::Gate;

/// Checks a plan against the promises of the design.
///
/// # Errors
/// Names the step that breaks a promise, and the promise.
pub fn check(plan: &Plan) -> Result<()> {
    check_graph(&Graph::new(Arc::new(plan.clone()))?)
}

/// As [`check`], for a plan whose order is known already.
pub fn check_graph(graph: &Graph) -> Result<()> {
    let plan = graph.plan();
    if !(1..=FORMAT).contains(&plan.format) {
        return Err(broken(&format!("its format is one of 1 to {FORMAT}"), "the plan"));
    }
    sorted(plan)?;
    if plan.threshold == 0 {
        return Err(broken("somebody must approve", "the gate"));
    }
    let gates: Vec<usize> = (0..graph.len()).filter(|&i| graph.at(i).step.is_a::<Gate>()).collect();
    let [gate] = gates[..] else {
        return Err(broken("there is exactly one gate", "the plan"));
    };
    gate::check(graph, gate)?;
    lines::check(graph, gate)?;
    reads::check(graph)?;
    quorum::check(graph)?;
    released_without_the_deferrable(graph)?;
    keys(graph)
}

fn broken(promise: &str, who: &str) -> Error {
    Error::fatal(format!("{who} breaks a promise of every plan: {promise}"))
        .hint("nothing was done; plan the train again with `lifeboat plan`")
}

/// One plan, one sequence of bytes.
fn sorted(plan: &Plan) -> Result<()> {
    if !plan.steps.windows(2).all(|w| w[0].id < w[1].id) {
        return Err(broken("steps are sorted by id", "the plan"));
    }
    for step in &plan.steps {
        let who = format!("step `{}`", step.id);
        if !step.needs.windows(2).all(|w| w[0] < w[1]) {
            return Err(broken("what a step needs is sorted, each once", &who));
        }
    }
    Ok(())
}

/// No step that *released* needs waits for a destination that may be down.
fn released_without_the_deferrable(graph: &Graph) -> Result<()> {
    for i in 0..graph.len() {
        let step = graph.at(i);
        if step.deferrable {
            continue;
        }
        if let Some(&n) = graph.all_of(i).iter().find(|&&n| graph.at(n).deferrable) {
            return Err(broken(
                "no required step waits for a deferrable destination",
                &format!("step `{}`, which needs `{}`,", step.id, graph.at(n).id),
            ));
        }
    }
    Ok(())
}

/// A step has the name of what it does, and its key is the digest of its own inputs: a record of one step can never pass
/// for one of another.
fn keys(graph: &Graph) -> Result<()> {
    for i in 0..graph.len() {
        let step = graph.at(i);
        let needs = graph.needs(i).iter().map(|&n| graph.at(n).key).collect();
        if step.id != step.step.name() {
            return Err(broken("a step is named after what it acts on", &format!("step `{}`", step.id)));
        }
        if key_of(&step.step, needs, step.exposure)? != step.key {
            return Err(broken("a step's key is the digest of its inputs", &format!("step `{}`", step.id)));
        }
    }
    Ok(())
}
