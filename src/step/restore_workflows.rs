//! `restore-workflows`: switches workflows on again at a forge.

use serde::{Deserialize, Serialize};

use super::{Kind, Made, Phase, Read, SeeWorkflows, StepId, SwitchWorkflows};
use crate::model::Destination;

/// Switches on again what was on before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RestoreWorkflows(pub SwitchWorkflows);

/// What [`RestoreWorkflows`] did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkflowsRestored {
    /// Those that are on again.
    pub on: Vec<String>,
}

impl Kind for RestoreWorkflows {
    const NAME: &'static str = "restore-workflows";
    type Outcome = WorkflowsRestored;

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

impl Made for WorkflowsRestored {}
