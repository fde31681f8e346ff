//! The content manifest of a train, from what its steps recorded: what people approve, and whose approvals count.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::view::TrainView;
use crate::effects::Objects;
use crate::error::{Error, Result};
use crate::formats::content::{CarryLine, Content, ContentLine};
use crate::formats::manifest::Manifest;
use crate::journal::State;
use crate::model::{BranchName, PersonId, escape};
use crate::step::{Checksum, Gate, Prepare, Prepared, StepId, Summed};
use crate::trust::{Approval, ApprovalCase, Judgement, LineSums, RecordedApproval, Refused, Window, judge_approvals};

fn not_yet(id: &StepId) -> Error {
    Error::input(format!("step `{id}` has not succeeded yet")).hint("run `lifeboat ship` until it asks for approvals")
}

/// The content of a train whose sums are all written.
pub(super) fn content(state: &State, objects: &Objects, gate: &Gate) -> Result<Content> {
    let plan = state.graph().plan();
    let nonce = state.nonce().cloned().ok_or_else(|| Error::fatal("the train has no nonce"))?;
    let mut lines = Vec::new();
    for id in &gate.checksums {
        let (Some(step), Some(Summed { manifest, sha256sums, sha512sums, .. })) =
            (plan.step_of::<Checksum>(id), state.made(id))
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
        let (Some(step), Some(Prepared { head, .. })) = (plan.step_of::<Prepare>(id), state.made(id)) else {
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

/// Whether people may approve a train.
///
/// # Errors
/// It was abandoned, or something of it is public.
pub(super) fn open_to_approvals(state: &State) -> Result<()> {
    if let Some(reason) = state.abandoned() {
        let train = &state.graph().plan().train;
        return Err(Error::input(format!("train `{train}` was abandoned: {}", escape(reason)))
            .hint("plan it again under another name, with `lifeboat plan TRAIN.toml`"));
    }
    if state.anything_public() {
        return Err(Error::input("the gate is open already: there is nothing left to approve")
            .hint("`lifeboat status` shows who approved; `lifeboat ship` goes on"));
    }
    Ok(())
}

/// What people approve of a train, and the sums that they sign with it.
///
/// # Errors
/// A train that is not that far yet; lost objects.
pub fn to_approve(view: &TrainView) -> Result<(Content, BTreeMap<BranchName, LineSums>)> {
    let content = content(view.state(), view.objects(), gate(view.state())?)?;
    let sums = sums(view.objects(), &content)?;
    Ok((content, sums))
}

/// Judges the approvals that the journal holds, as of `now`: the one way in which they count, before the gate and after it.
///
/// What is public already goes on under the root by which its gate opened: somebody who left the root since did approve. Their
/// keys are judged by all that is known of them now, so one that was revoked for good counts for nothing.
fn judge(view: &TrainView, content: &Content, now: Timestamp) -> Result<Judgement> {
    let sums = sums(view.objects(), content)?;
    let window = Window::of_plan(view.plan().date, now);
    let recorded: Vec<RecordedApproval<'_>> =
        view.state().approvals().iter().map(|(approval, at)| RecordedApproval { approval, at: Some(*at) }).collect();
    let under = |trust| judge_approvals(&ApprovalCase { trust, content, sums: &sums, window }, &recorded);
    let judged = under(view.trust())?;
    if judged.require().is_ok() || !view.state().anything_public() {
        return Ok(judged);
    }
    let before = view.trust().before(&view.plan().trust_root);
    let mut earlier = before.iter().filter_map(|trust| under(trust).ok());
    Ok(earlier.find(|j| j.require().is_ok()).unwrap_or(judged))
}

/// The approvals that count as of `now`, one of each person, sorted by person.
///
/// # Errors
/// Too few; who counts, and why each other does not.
pub(super) fn counted(view: &TrainView, content: &Content, now: Timestamp) -> Result<Vec<Approval>> {
    let judgement = judge(view, content, now)?;
    let people = judgement.require()?;
    let chosen = |person: &PersonId| {
        let place = judgement.chosen(person).and_then(|i| view.state().approvals().get(i));
        let (approval, _) = place.ok_or_else(|| Error::fatal(format!("the approval of {person} is gone")))?;
        Ok(approval.clone())
    };
    people.iter().map(chosen).collect()
}

/// Whose approvals count, and why others do not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Approvals {
    /// Who counts, sorted.
    pub counted: Vec<PersonId>,
    /// What does not count.
    pub refused: Vec<Refused>,
    /// How many must count.
    pub threshold: u32,
}

/// Judges the approvals of a train: as of `now`, or as of the time when its gate opened. There are none before there is
/// something to approve.
///
/// # Errors
/// An expired trust root, lost objects.
pub fn approvals(view: &TrainView, now: Timestamp) -> Result<Approvals> {
    let state = view.state();
    let gate = gate(state)?;
    if !state.all_is_made() || state.approvals().is_empty() {
        return Ok(Approvals { threshold: gate.threshold, ..Approvals::default() });
    }
    let judgement = judge(view, &content(state, view.objects(), gate)?, opened(state).unwrap_or(now))?;
    let counted = judgement.counted.into_keys().collect();
    Ok(Approvals { counted, refused: judgement.refused, threshold: judgement.threshold })
}

/// When the gate opened.
pub(super) fn opened(state: &State) -> Option<Timestamp> {
    let (gate, _) = state.graph().plan().all::<Gate>().next()?;
    state.outcome(&gate.id)?;
    state.step(&gate.id)?.since
}

/// The gate of a plan.
pub(super) fn gate(state: &State) -> Result<&Gate> {
    let plan = state.graph().plan();
    let (_, gate) = plan.all::<Gate>().next().ok_or_else(|| Error::fatal("the plan has no gate"))?;
    Ok(gate)
}
