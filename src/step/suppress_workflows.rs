//! `suppress-workflows`: switches workflows off at a forge.

use serde::{Deserialize, Serialize};

use super::{Kind, Made, Phase, Read, SeeWorkflows, StepId, SwitchWorkflows};
use crate::model::Destination;

/// Switches off the workflows that a delivery must not start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SuppressWorkflows(pub SwitchWorkflows);

/// What [`SuppressWorkflows`] did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkflowsSuppressed {
    /// Those that we disabled.
    pub off: Vec<String>,
}

impl Kind for SuppressWorkflows {
    const NAME: &'static str = "suppress-workflows";
    type Outcome = WorkflowsSuppressed;

    fn name(&self) -> StepId {
        StepId::of::<Self>(&[self.0.forge.as_str()])
    }

    fn reads(&self) -> Vec<Read<'_>> {
        vec![Read::any::<SeeWorkflows>(&self.0.seen)]
    }

    fn phase(&self) -> Phase {
        Phase::Beside
    }

    fn destination(&self) -> Option<Destination> {
        Some(Destination::Forge(self.0.forge.clone()))
    }
}

impl Made for WorkflowsSuppressed {}
