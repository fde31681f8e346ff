//! Whose outcomes a step reads.

use super::{Kind, StepId};
use crate::model::BranchName;

/// One outcome that a step reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Read<'a> {
    /// The step that makes it.
    pub step: &'a StepId,
    /// The line for which it must have been made; none where lines are not distinguished.
    pub of: Option<&'a BranchName>,
    /// What kinds of step it may be.
    pub kinds: &'static [&'static str],
}

impl<'a> Read<'a> {
    /// What a step of a kind makes, of whichever line.
    pub(super) fn any<K: Kind>(step: &'a StepId) -> Self {
        Self { step, of: None, kinds: const { &[K::NAME] } }
    }

    /// What a step of a kind makes of a line.
    pub(super) fn of<K: Kind>(step: &'a StepId, line: &'a BranchName) -> Self {
        Self { of: Some(line), ..Self::any::<K>(step) }
    }

    /// What a step of one of these kinds makes of a line.
    pub(super) fn one_of(kinds: &'static [&'static str], step: &'a StepId, line: &'a BranchName) -> Self {
        Self { step, of: Some(line), kinds }
    }
}
