//! Steps as they are added to a plan.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::formats::canonical;
use crate::step::{Exposure, Importance, Observability, PlannedStep, Step, StepId, StepKey};

/// Collects steps and computes each one's key from its data and the keys of what it needs.
#[derive(Default)]
pub(crate) struct Sketch {
    steps: BTreeMap<StepId, PlannedStep>,
}

impl Sketch {
    /// Adds a step; what it needs must have been added before, so a plan can have no cycle.
    /// The step itself says its name and who could learn of the fix from it.
    pub(crate) fn add(
        &mut self,
        step: impl Into<Step>,
        mut needs: Vec<StepId>,
        importance: Importance,
    ) -> Result<StepId> {
        let step = step.into();
        let (id, exposure) = (step.name(), step.exposure());
        needs.sort();
        needs.dedup();
        let mut keys = Vec::new();
        for need in &needs {
            let needed = self.steps.get(need).ok_or_else(|| {
                Error::fatal(format!("step `{id}` needs `{need}`, which the plan does not have before it"))
            })?;
            keys.push(needed.key);
        }
        let key = key_of(&step, keys, exposure)?;
        let planned = PlannedStep {
            id: id.clone(),
            key,
            needs,
            exposure,
            observe: Observability::Exact,
            deferrable: importance == Importance::Deferrable,
            step,
        };
        if self.steps.insert(id.clone(), planned).is_some() {
            return Err(Error::input(format!("two steps have the name `{id}`"))
                .hint("give the lines, targets and stores of the configuration different names"));
        }
        Ok(id)
    }

    /// The steps, sorted by id.
    pub(crate) fn finish(self) -> Vec<PlannedStep> {
        self.steps.into_values().collect()
    }
}

/// The key of a step: the digest of its data, of the keys of what it needs in the order of their ids, and of who could
/// learn of the fix from it.
pub(super) fn key_of(step: &Step, needs: Vec<StepKey>, exposure: Exposure) -> Result<StepKey> {
    #[derive(Serialize)]
    struct Inputs<'a> {
        step: &'a Step,
        needs: Vec<StepKey>,
        exposure: Exposure,
    }
    canonical::digest(&Inputs { step, needs, exposure }).map(StepKey)
}
