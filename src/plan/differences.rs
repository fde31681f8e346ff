//! What a train file says otherwise than the plan that was adopted from it.

use std::collections::BTreeMap;

use super::{Plan, PlannedLine};
use crate::config::{TrainLine, TrainRequest};
use crate::error::Result;
use crate::model::{Advisory, BranchName, Sha256, VersionStep};
use crate::step::Prepare;

/// Every difference, one for people to a line; `series` are the patches that the file names now, as far as they were seen.
#[must_use]
pub fn differences(plan: &Plan, request: &TrainRequest, series: &BTreeMap<BranchName, Result<Sha256>>) -> Vec<String> {
    let mut out = Vec::new();
    if plan.date != request.date {
        out.push(format!("date: {} in the plan, {} in the file", plan.date, request.date));
    }
    if plan.not_before != request.not_before {
        let text = |at: Option<jiff::Timestamp>| at.map_or_else(|| "none".to_owned(), |at| at.to_string());
        let (ours, theirs) = (text(plan.not_before), text(request.not_before));
        out.push(format!("not_before: {ours} in the plan, {theirs} in the file"));
    }
    if plan.advisories != request.advisories {
        out.push("advisories: the file names others".to_owned());
    }
    // An older plan whose forges take no advisories pins no text.
    let pinned: Vec<&Advisory> =
        plan.advisory_texts.iter().chain(plan.published_advisories().map(|s| &s.advisory)).collect();
    if !pinned.is_empty() {
        for text in request.advisory_texts.iter().filter(|t| !pinned.contains(t)) {
            out.push(format!("advisory {}: its text is not the one that the plan pinned", text.id));
        }
        let gone = |a: &Advisory| request.advisory_texts.iter().all(|t| t.id != a.id);
        let mut missing: Vec<&Advisory> = pinned.into_iter().filter(|a| gone(a)).collect();
        missing.sort_by(|a, b| a.id.cmp(&b.id));
        missing.dedup();
        out.extend(missing.iter().map(|a| format!("advisory {}: its text is no longer in the file", a.id)));
    }
    out.extend(line_differences(plan, request, series));
    out
}

/// The differences of lines: which there are, their kinds, versions and patches.
#[must_use]
pub fn line_differences(
    plan: &Plan,
    request: &TrainRequest,
    series: &BTreeMap<BranchName, Result<Sha256>>,
) -> Vec<String> {
    let mut out = Vec::new();
    for planned in plan.lines.iter().filter(|p| request.lines.iter().all(|l| l.branch != p.branch)) {
        out.push(format!("line {}: it is no longer in the file", planned.branch));
    }
    for wanted in &request.lines {
        match plan.lines.iter().find(|p| p.branch == wanted.branch) {
            None => out.push(format!("line {}: the plan does not have it", wanted.branch)),
            Some(planned) => of_line(plan, planned, wanted, series.get(&wanted.branch), &mut out),
        }
    }
    out
}

fn of_line(
    plan: &Plan,
    planned: &PlannedLine,
    wanted: &TrainLine,
    series: Option<&Result<Sha256>>,
    out: &mut Vec<String>,
) {
    let branch = &planned.branch;
    if planned.kind != wanted.kind {
        out.push(format!("line {branch}: it is of another kind in the file"));
    }
    let to = |step: Option<&VersionStep>| step.map_or_else(|| "none".to_owned(), ToString::to_string);
    let step = step(plan, branch);
    if step != wanted.to.as_ref() {
        out.push(format!("line {branch}: to = {} in the plan, {} in the file", to(step), to(wanted.to.as_ref())));
    }
    match series {
        Some(Ok(now)) if *now != planned.series => {
            out.push(format!("line {branch}: its patches are not those that the plan pinned"));
        }
        Some(Err(e)) => out.push(format!("line {branch}: its patches are not those of the plan: {}", e.message())),
        Some(Ok(_)) | None => {}
    }
}

fn step<'a>(plan: &'a Plan, branch: &BranchName) -> Option<&'a VersionStep> {
    let (_, prepare) = plan.of_line::<Prepare>(branch)?;
    prepare.bump.as_ref().map(|b| &b.to)
}
