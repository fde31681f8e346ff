//! Before each public step: the approvals are judged as the gate and the seals judged them, and the seals hold them.
//!
//! The journal alone says nothing here. Whoever has the operator's key can write one in which the gate is open and every
//! seal succeeded; what counts is that enough people signed this content, and that what becomes public carries it.

use jiff::Timestamp;

use super::Acting;
use crate::engine::content;
use crate::error::{Error, Result};
use crate::formats::content::{Content, FILE};
use crate::model::Sha256;
use crate::step::{Seal, Sealed};
use crate::trust::Approval;

/// Refuses to go on with a public step of a train that not enough people approved.
pub(super) fn require(acting: &Acting<'_>) -> Result<()> {
    let stops = |e: Error| {
        e.context(format!("`{}` is not done", acting.step.id))
            .detail("the journal says that the gate is open; what it records of approvals or seals does not hold")
            .hint("do not go on: find out who changed the journal, with `lifeboat log --verify` and another copy of it")
    };
    let state = &acting.state;
    let content = content::content(state, acting.train.objects(), content::gate(state)?)?;
    let opened = content::opened(state).ok_or_else(|| Error::fatal("the gate is not open"))?;
    // Approvals lapse; what was judged in time goes on after it.
    counted(acting, &content, opened).map_err(stops)?;
    for (planned, step) in acting.train.plan().all::<Seal>() {
        let Some(sealed) = state.made::<Sealed>(&planned.id) else { continue };
        let when = state.step(&planned.id).and_then(|s| s.since).unwrap_or(opened);
        let approvals = counted(acting, &content, when).map_err(stops)?;
        holds(step, sealed, &content, &approvals).map_err(|e| stops(e.context(format!("`{}`", planned.id))))?;
    }
    Ok(())
}

fn counted(acting: &Acting<'_>, content: &Content, when: Timestamp) -> Result<Vec<Approval>> {
    acting.train.judged(when, || content::counted(&acting.view(), content, when))
}

/// Whether a seal holds the content manifest and everybody's approval, byte for byte.
fn holds(step: &Seal, sealed: &Sealed, content: &Content, approvals: &[Approval]) -> Result<()> {
    let mut wanted = vec![(FILE.to_owned(), content.to_bytes()?)];
    for approval in approvals {
        wanted.extend(approval.files(&step.branch)?);
    }
    for (path, bytes) in wanted {
        let digest = Sha256::of(&bytes);
        if !sealed.files.iter().any(|f| f.path == path && f.sha256 == digest) {
            return Err(Error::verification(format!("the seal does not hold `{path}` as it was approved")));
        }
    }
    Ok(())
}
