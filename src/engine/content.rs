//! The content manifest of a train, from what its steps recorded: what people approve, and who has.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::train::Train;
use crate::effects::Objects;
use crate::error::{Error, Result};
use crate::formats::content::{CarryLine, Content, ContentLine};
use crate::formats::manifest::Manifest;
use crate::journal::State;
use crate::model::BranchName;
use crate::step::{Gate, Outcome, Step, StepId};
use crate::trust::{Approval, ApprovalCase, Judgement, LineSums, Recorded, Window, judge_approvals};

fn not_yet(id: &StepId) -> Error {
    Error::input(format!("step `{id}` has not succeeded yet")).hint("run `lifeboat ship` until it asks for approvals")
}

/// The content of a train whose sums are all written.
pub(super) fn content(state: &State, objects: &Objects, gate: &Gate) -> Result<Content> {
    let plan = state.graph().plan();
    let nonce = state.nonce().cloned().ok_or_else(|| Error::fatal("the train has no nonce"))?;
    let mut lines = Vec::new();
    for id in &gate.checksums {
        let (Some(Step::Checksum(step)), Some(Outcome::Summed { manifest, sha256sums, sha512sums, .. })) =
            (plan.step(id).map(|s| &s.step), state.outcome(id))
        else {
            return Err(not_yet(id));
        };
        let parsed = Manifest::from_bytes(&objects.get(&manifest.digests.sha256)?)?;
        lines.push(ContentLine {
            branch: step.branch.clone(),
            version: step.version.clone(),
            tag: step.tag.clone(),
            commit: parsed.commit,
            tag_text: parsed.tag.text,
            manifest: manifest.digests.sha256,
            sha256sums: sha256sums.digests.sha256,
            sha512sums: sha512sums.digests.sha256,
        });
    }
    let mut carries = Vec::new();
    for id in &gate.carries {
        let (Some(Step::Prepare(step)), Some(Outcome::Prepared { head, .. })) =
            (plan.step(id).map(|s| &s.step), state.outcome(id))
        else {
            return Err(not_yet(id));
        };
        carries.push(CarryLine { branch: step.branch.clone(), commit: head.clone() });
    }
    Content::new(plan.project.clone(), nonce, state.graph().id().0, lines, carries)
}

/// The bytes of every line's sums.
pub(super) fn sums(objects: &Objects, content: &Content) -> Result<BTreeMap<BranchName, LineSums>> {
    let read = |line: &ContentLine| {
        let sums = LineSums { sha256sums: objects.get(&line.sha256sums)?, sha512sums: objects.get(&line.sha512sums)? };
        Ok((line.branch.clone(), sums))
    };
    content.lines.iter().map(read).collect()
}

/// Judges the approvals that the journal holds.
pub(super) fn judge(state: &State, train: &Train, content: &Content, now: Timestamp) -> Result<Judgement> {
    let sums = sums(train.objects(), content)?;
    let window = Window::of_plan(train.plan().date, now);
    let case = ApprovalCase { trust: train.trust(), content, sums: &sums, window };
    let recorded: Vec<Recorded<'_>> =
        state.approvals().iter().map(|(approval, at)| Recorded { approval, at: Some(*at) }).collect();
    judge_approvals(&case, &recorded)
}

/// The approvals that count, one of each person: the first that holds by itself, as the gate counted it.
pub(super) fn counted<'a>(
    state: &'a State,
    train: &Train,
    content: &Content,
    now: Timestamp,
) -> Result<Vec<&'a Approval>> {
    let people = judge(state, train, content, now)?.require()?;
    let sums = sums(train.objects(), content)?;
    let window = Window::of_plan(train.plan().date, now);
    let case = ApprovalCase { trust: train.trust(), content, sums: &sums, window };
    let mut out = Vec::new();
    for person in people {
        let mut found = None;
        for (approval, at) in state.approvals().iter().filter(|(a, _)| a.person == person) {
            let alone = judge_approvals(&case, &[Recorded { approval, at: Some(*at) }])?;
            if alone.counted.contains_key(&person) {
                found = Some(approval);
                break;
            }
        }
        out.push(found.ok_or_else(|| Error::fatal(format!("the approval of {person} is gone")))?);
    }
    Ok(out)
}

/// The gate of a plan.
pub(super) fn gate(state: &State) -> Result<&Gate> {
    let plan = state.graph().plan();
    let found = plan.steps.iter().find_map(|s| match &s.step {
        Step::Gate(gate) => Some(gate),
        _ => None,
    });
    found.ok_or_else(|| Error::fatal("the plan has no gate"))
}
