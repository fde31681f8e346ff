//! What each line of a plan has: one branch, one version, one tag, and every step that a release consists of.

use std::collections::BTreeSet;

use super::{broken, quorum};
use crate::error::Result;
use crate::plan::{Graph, Plan, PlannedLine};
use crate::step::{Bundle, Checksum, Encrypt, Kind, Point, Prepare, Promote, Seal, VerifyStaged};

pub(super) fn check(graph: &Graph, gate: usize) -> Result<()> {
    let plan = graph.plan();
    distinct(plan)?;
    for line in &plan.lines {
        prepared_as_reviewed(plan, line)?;
        if line.new.is_some() {
            reaches_a_required_store(graph, gate, line)?;
        }
    }
    no_line_unseen(plan)
}

fn named(line: &PlannedLine) -> String {
    format!("line `{}`", line.branch)
}

/// Two lines that made one version would write one release directory and one tag.
fn distinct(plan: &Plan) -> Result<()> {
    if plan.lines.is_empty() {
        return Err(broken("a train has at least one line", "the plan"));
    }
    let (mut branches, mut versions, mut tags) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for line in &plan.lines {
        if line.new.is_some() != line.tag.is_some() || line.new.is_some() != line.old.is_some() {
            return Err(broken("a version comes with the one before and a tag", &named(line)));
        }
        let new = branches.insert(&line.branch)
            && line.new.as_ref().is_none_or(|v| versions.insert(v))
            && line.tag.as_ref().is_none_or(|t| tags.insert(t));
        if !new {
            return Err(broken("no two lines have one branch, version or tag", &named(line)));
        }
    }
    Ok(())
}

/// What people review of a line is what its first step does.
fn prepared_as_reviewed(plan: &Plan, line: &PlannedLine) -> Result<()> {
    let mut prepares = plan.all::<Prepare>().map(|(_, p)| p).filter(|p| p.branch == line.branch);
    let (Some(prepare), None) = (prepares.next(), prepares.next()) else {
        return Err(broken("each line is prepared by exactly one step", &named(line)));
    };
    let bump = prepare.bump.as_ref();
    let same = prepare.base == line.base
        && prepare.series == line.series
        && prepare.date == plan.date
        && bump.map(|b| &b.old) == line.old.as_ref()
        && bump.map(|b| &b.new) == line.new.as_ref()
        && bump.map(|b| &b.tag) == line.tag.as_ref();
    if same { Ok(()) } else { Err(broken("what is prepared is what the plan shows for review", &named(line))) }
}

/// Released means: some required store, or a quorum, has the line, read back before the gate, and points at it.
fn reaches_a_required_store(graph: &Graph, gate: usize, line: &PlannedLine) -> Result<()> {
    let (plan, before) = (graph.plan(), graph.ancestors(gate));
    one::<Bundle>(plan, line)?;
    one::<Checksum>(plan, line)?;
    one::<Seal>(plan, line)?;
    for (i, is_before) in before.iter().enumerate() {
        let step = graph.at(i);
        if step.step.line() != Some(&line.branch) {
            continue;
        }
        if step.step.is_a::<VerifyStaged>() && !step.deferrable && !is_before {
            return Err(broken("the gate waits for every line's verification", &format!("step `{}`", step.id)));
        }
        let Some(Promote(promote)) = step.step.as_a() else { continue };
        let of_its_sums =
            |id| plan.step_of::<Encrypt>(id).is_some_and(|e| e.checksum == promote.checksum && !e.to.is_empty());
        if promote.encrypt.as_ref().is_some_and(|id| !of_its_sums(id)) {
            return Err(broken(
                "what is encrypted is what the sums list, for somebody",
                &format!("step `{}`", step.id),
            ));
        }
        let ancestors = graph.ancestors(i);
        let reads_back = |v: &VerifyStaged| {
            v.0.branch == line.branch && v.0.store == promote.store && v.0.encrypt == promote.encrypt
        };
        let read_back = (0..graph.len()).find(|&j| graph.at(j).step.as_a().is_some_and(reads_back));
        if !read_back.is_some_and(|j| ancestors[j]) {
            return Err(broken("what is promoted was staged and read back", &format!("step `{}`", step.id)));
        }
    }
    let ships = plan.all().any(|(s, Promote(promote))| {
        let points = |to: &Point| to.store == promote.store && to.lines.contains_key(&line.branch);
        let pointed = plan.all().any(|(p, to)| !p.deferrable && points(to));
        promote.branch == line.branch && !s.deferrable && pointed
    });
    if ships || quorum::has_line(plan, &line.branch) {
        Ok(())
    } else {
        Err(broken("some required store serves every release, and points at it", &named(line)))
    }
}

/// A release consists of one step of each of these kinds.
fn one<K: Kind>(plan: &Plan, line: &PlannedLine) -> Result<()> {
    if plan.all::<K>().filter(|(_, step)| step.line() == Some(&line.branch)).count() == 1 {
        return Ok(());
    }
    Err(broken(&format!("each release has exactly one `{}` step", K::NAME), &named(line)))
}

/// No step acts on a line that people do not see, or on another version of it.
fn no_line_unseen(plan: &Plan) -> Result<()> {
    for step in &plan.steps {
        for (branch, version) in step.step.lines() {
            let line = plan.lines.iter().find(|l| l.branch == *branch);
            let same = line.is_some_and(|l| version.is_none_or(|v| l.new.as_ref() == Some(v)));
            if !same {
                return Err(broken(
                    "no step acts on a line or version that the plan does not show",
                    &format!("step `{}`", step.id),
                ));
            }
        }
    }
    Ok(())
}
