//! A plan that amends another: what it may change, what it changes, and which finished steps it keeps.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use super::{Graph, Plan, PlannedLine};
use crate::model::{Pin, Receiver, escape};
use crate::step::{Exposure, Gate, PlannedStep, StepId};

/// Why a plan cannot amend another, one reason a line: amending fixes how a train is made, not what it is about.
#[must_use]
pub fn refusals(parent: &Plan, child: &Plan) -> Vec<String> {
    let mut out = Vec::new();
    if (&parent.project, &parent.train) != (&child.project, &child.train) {
        out.push(format!("it is of train `{}` of `{}`", child.train, child.project));
    }
    for line in parent.lines.iter().filter(|l| child.lines.iter().all(|c| c.branch != l.branch)) {
        out.push(format!("line {}: it is no longer in the file", line.branch));
    }
    for line in &child.lines {
        match parent.lines.iter().find(|l| l.branch == line.branch) {
            None => out.push(format!("line {}: the adopted plan does not have it", line.branch)),
            Some(before) => of_line(before, line, &mut out),
        }
    }
    out
}

fn of_line(before: &PlannedLine, now: &PlannedLine, out: &mut Vec<String>) {
    let branch = &now.branch;
    let text = |value: Option<String>| value.unwrap_or_else(|| "none".to_owned());
    let mut differs = |what: &str, before: String, now: String| {
        if before != now {
            out.push(format!("line {branch}: {what}: {before} in the adopted plan, {now} today"));
        }
    };
    differs("kind", format!("{:?}", before.kind), format!("{:?}", now.kind));
    differs("base", before.base.to_string(), now.base.to_string());
    let version = |v: &Option<semver::Version>| text(v.as_ref().map(ToString::to_string));
    differs("version before", version(&before.old), version(&now.old));
    differs("version", version(&before.new), version(&now.new));
    let tag = |line: &PlannedLine| text(line.tag.as_ref().map(ToString::to_string));
    differs("tag", tag(before), tag(now));
    if before.series != now.series {
        out.push(format!("line {branch}: its patches are not those that the adopted plan pinned"));
    }
}

/// What a plan says otherwise than the one that it amends, one difference for people to a line.
#[must_use]
pub fn changes(parent: &Plan, child: &Plan) -> Vec<String> {
    let mut out = Vec::new();
    let mut value = |what: &str, before: String, now: String| {
        if before != now {
            out.push(format!("{what}: {} -> {}", escape(&before), escape(&now)));
        }
    };
    let time = |at: Option<jiff::Timestamp>| at.map_or_else(|| "none".to_owned(), |at| at.to_string());
    value("date", parent.date.to_string(), child.date.to_string());
    value("not_before", time(parent.not_before), time(child.not_before));
    let ids = |plan: &Plan| plan.advisories.iter().map(|a| a.as_str()).collect::<Vec<_>>().join(", ");
    value("advisories", ids(parent), ids(child));
    value("trust root", parent.trust_root.to_string(), child.trust_root.to_string());
    value("people who must approve", parent.threshold.to_string(), child.threshold.to_string());
    places(&parent.destinations, &child.destinations, &mut out);
    places(&parent.secrets, &child.secrets, &mut out);
    if parent.templates != child.templates {
        out.push("templates: the project's own page templates are others".to_owned());
    }
    if parent.mirrors != child.mirrors {
        let all = |plan: &Plan| plan.mirrors.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        out.push(format!("mirrors: {} -> {}", escape(&all(parent)), escape(&all(child))));
    }
    if parent.workflows != child.workflows {
        out.push("workflows: what the project's own workflows do with this train is decided anew".to_owned());
    }
    steps(parent, child, &mut out);
    out
}

fn places<N: Ord + Display>(before: &BTreeMap<N, String>, now: &BTreeMap<N, String>, out: &mut Vec<String>) {
    let names: BTreeSet<&N> = before.keys().chain(now.keys()).collect();
    for name in names {
        let text = |from: Option<&String>| from.map_or("nowhere", String::as_str).to_owned();
        let (old, new) = (text(before.get(name)), text(now.get(name)));
        if old != new {
            out.push(format!("{name}: {} -> {}", escape(&old), escape(&new)));
        }
    }
}

fn steps(parent: &Plan, child: &Plan, out: &mut Vec<String>) {
    for gone in parent.steps.iter().filter(|s| child.step(&s.id).is_none()) {
        out.push(format!("{}: no longer there", gone.id));
    }
    for step in &child.steps {
        match parent.step(&step.id) {
            None => out.push(format!("{}: new", step.id)),
            Some(before) => of_step(before, step, out),
        }
    }
}

/// What a step itself says otherwise; a step that only follows from another that changed says nothing new.
fn of_step(before: &PlannedStep, now: &PlannedStep, out: &mut Vec<String>) {
    if before.deferrable != now.deferrable {
        let said = if now.deferrable { "may wait for its destination" } else { "is required" };
        out.push(format!("{}: {said} now", now.id));
    }
    if before.step == now.step {
        return;
    }
    let (Ok(old), Ok(new)) = (serde_json::to_value(&before.step), serde_json::to_value(&now.step)) else { return };
    let mut fields = Vec::new();
    differing("", &old, &new, &mut fields);
    // Gates and advisories repeat what is said of the whole plan.
    if now.step.is_a::<Gate>() {
        fields.retain(|f| !f.starts_with("threshold") && !f.starts_with("not_before"));
    }
    out.extend(fields.into_iter().map(|field| format!("{}: {}", now.id, escape(&field))));
}

/// The smallest parts in which two values differ.
fn differing(path: &str, old: &serde_json::Value, new: &serde_json::Value, out: &mut Vec<String>) {
    use serde_json::Value;
    match (old, new) {
        (Value::Object(a), Value::Object(b)) => {
            let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for name in names {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                let null = Value::Null;
                differing(&path, a.get(name).unwrap_or(&null), b.get(name).unwrap_or(&null), out);
            }
        }
        (old, new) if old == new => {}
        (old, new) => out.push(format!("{path}: {} -> {}", shown(old), shown(new))),
    }
}

fn shown(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Null => "none".to_owned(),
        serde_json::Value::String(text) => format!("`{text}`"),
        other => other.to_string(),
    }
}

/// The steps whose outcomes a child keeps, if they have one: those of an equal key, which says that all their inputs are
/// equal, unless the place where they acted is another now. Never the gate or what follows it: people approve a plan, and
/// this is another.
#[must_use]
pub(crate) fn keepable(parent: &Graph, child: &Graph) -> BTreeSet<StepId> {
    let is_gate = |s: &PlannedStep| s.step.is_a::<Gate>();
    let gated = child.dominated_by(is_gate);
    let moved = moved(parent.plan(), child.plan());
    let mut keeps = vec![false; child.len()];
    for &i in child.order() {
        let step = child.at(i);
        let equal = parent.position(&step.id).is_some_and(|p| parent.at(p).key == step.key);
        let there = place(step).is_none_or(|at| !moved.iter().any(|pin| pin.of == at));
        let needs = child.needs(i).iter().all(|&n| keeps[n]);
        keeps[i] = equal && there && needs && !gated[i] && !is_gate(step);
    }
    (0..child.len()).filter(|&i| keeps[i]).map(|i| child.at(i).id.clone()).collect()
}

/// The destinations that are elsewhere now, or were not there, or are gone.
#[must_use]
pub fn moved<'a>(parent: &'a Plan, child: &'a Plan) -> BTreeSet<&'a Pin> {
    let pins = parent.destinations.keys().chain(child.destinations.keys());
    pins.filter(|pin| parent.destinations.get(*pin) != child.destinations.get(*pin)).collect()
}

/// Where a step leaves something, as the plan names the destination. What is packed for a store stays here, and is good
/// for any store that serves the same.
fn place(step: &PlannedStep) -> Option<Receiver> {
    if step.exposure == Exposure::Local {
        return None;
    }
    step.step.destination().map(Receiver::Destination)
}
