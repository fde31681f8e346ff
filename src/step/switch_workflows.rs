//! What the steps say that switch workflows off and on.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::StepId;
use crate::model::RemoteName;

/// Data of [`super::SuppressWorkflows`] and [`super::RestoreWorkflows`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SwitchWorkflows {
    /// The forge.
    pub forge: RemoteName,
    /// The step that saw which of them were on.
    pub seen: StepId,
    /// Every workflow file that must not run, by name, whether it was on or not.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub files: BTreeSet<String>,
    /// The deliveries that would start one of them: they come after switching off, and before switching on again.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub starters: BTreeSet<StepId>,
}
