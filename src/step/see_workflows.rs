//! `see-workflows`: sees which workflows are on at a forge.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Kind, Made, Phase, Read, StepId};
use crate::model::{Destination, RemoteName};

/// Sees which of the project's own workflows are on at a forge, before any is disabled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeeWorkflows {
    /// The forge.
    pub forge: RemoteName,
    /// The workflow files that must not run, by name.
    pub files: BTreeSet<String>,
}

/// What [`SeeWorkflows`] saw.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkflowsSeen {
    /// Those that were on, sorted; the others were off before we came, and stay off.
    pub on: Vec<String>,
}

impl Kind for SeeWorkflows {
    const NAME: &'static str = "see-workflows";
    type Outcome = WorkflowsSeen;

    fn name(&self) -> StepId {
        StepId::of::<Self>(&[self.forge.as_str()])
    }

    fn reads(&self) -> Vec<Read<'_>> {
        Vec::new()
    }

    fn phase(&self) -> Phase {
        Phase::Beside
    }

    fn destination(&self) -> Option<Destination> {
        Some(Destination::Forge(self.forge.clone()))
    }
}

impl Made for WorkflowsSeen {}
