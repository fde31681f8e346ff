//! The promises that every plan keeps, whoever made it: checked when it is made and again when it is loaded.

use std::sync::Arc;

use super::{Graph, Plan};
use crate::error::{Error, Result};
use crate::step::{Exposure, Step};

/// Checks a plan against the promises of the design.
///
/// # Errors
/// Names the step that breaks a promise, and the promise.
pub fn check(plan: &Plan) -> Result<()> {
    let graph = Graph::new(Arc::new(plan.clone()))?;
    if !plan.steps.windows(2).all(|w| w[0].id < w[1].id) {
        return Err(broken("steps are sorted by id", "the plan"));
    }
    let gates: Vec<usize> = (0..graph.len()).filter(|&i| matches!(graph.at(i).step, Step::Gate(_))).collect();
    let [gate] = gates[..] else {
        return Err(broken("there is exactly one gate", "the plan"));
    };
    gate_waits_for_everything(&graph, gate)?;
    nothing_public_before(&graph, gate)?;
    released_without_the_deferrable(&graph)?;
    pointers_last(&graph)?;
    if plan.threshold == 0 {
        return Err(broken("somebody must approve", "the gate"));
    }
    Ok(())
}

fn broken(promise: &str, who: &str) -> Error {
    Error::fatal(format!("{who} breaks a promise of every plan: {promise}"))
}

/// All lines or none: the gate waits for every line's verification.
fn gate_waits_for_everything(graph: &Graph, gate: usize) -> Result<()> {
    let before = graph.ancestors(gate);
    for (i, waits) in before.iter().enumerate() {
        let step = graph.at(i);
        let private = matches!(
            step.step,
            Step::Prepare(_)
                | Step::Bundle(_)
                | Step::Build(_)
                | Step::Assemble(_)
                | Step::Test(_)
                | Step::Checksum(_)
                | Step::Stage(_)
                | Step::VerifyStaged(_)
        );
        if private && !waits && !step.deferrable {
            return Err(broken("the gate waits for every line's verification", &format!("step `{}`", step.id)));
        }
    }
    Ok(())
}

/// No `Public` step without the gate before it, and nothing before the gate that is public.
fn nothing_public_before(graph: &Graph, gate: usize) -> Result<()> {
    let behind = graph.dominated_by(|s| matches!(s.step, Step::Gate(_)));
    for (i, behind) in behind.iter().enumerate() {
        let step = graph.at(i);
        let who = format!("step `{}`", step.id);
        if step.exposure == Exposure::Public && !behind {
            return Err(broken("nothing is public before the gate", &who));
        }
        let makes_public =
            matches!(step.step, Step::Promote(_) | Step::PushGit(_) | Step::ForgeRelease(_) | Step::Point(_));
        if makes_public && step.exposure != Exposure::Public {
            return Err(broken("what makes bytes public is planned as public", &who));
        }
        let seals = matches!(step.step, Step::Seal(_));
        if seals && !behind {
            return Err(broken("the release key signs only after the threshold", &who));
        }
    }
    if graph.at(gate).exposure == Exposure::Public {
        return Err(broken("the gate itself shows nothing", "the gate"));
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
        if let Some(&n) = graph.needs(i).iter().find(|&&n| graph.at(n).deferrable) {
            return Err(broken(
                "no required step waits for a deferrable destination",
                &format!("step `{}`, which needs `{}`,", step.id, graph.at(n).id),
            ));
        }
    }
    Ok(())
}

/// Files first, indexes and pointers last: a store's pointers wait for every line's promotion there.
fn pointers_last(graph: &Graph) -> Result<()> {
    for i in 0..graph.len() {
        let Step::Point(point) = &graph.at(i).step else { continue };
        let before = graph.ancestors(i);
        for (j, is_before) in before.iter().enumerate() {
            let late = matches!(&graph.at(j).step, Step::Promote(p) if p.store == point.store) && !is_before;
            if late {
                return Err(broken(
                    "a store's pointers move after all its files",
                    &format!("step `{}`, which does not wait for `{}`,", graph.at(i).id, graph.at(j).id),
                ));
            }
        }
    }
    Ok(())
}
