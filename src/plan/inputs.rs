//! The files from elsewhere that a train's jobs need: which, and that all of them were fetched before the day.

use std::collections::BTreeSet;

use super::Plan;
use crate::config::{Config, InputConfig};
use crate::error::{Error, Result};
use crate::model::{Sha256, counted, escape};
use crate::snapshot::Snapshot;
use crate::step::{PlannedStep, ToolInput};

impl Plan {
    /// Each file from elsewhere that some job needs, once for each place in which a job finds it.
    #[must_use]
    pub fn tool_inputs(&self) -> BTreeSet<&ToolInput> {
        of(&self.steps).collect()
    }
}

fn of(steps: &[PlannedStep]) -> impl Iterator<Item = &ToolInput> {
    steps.iter().filter_map(|planned| planned.step.job()).flat_map(|job| &job.inputs)
}

/// Refuses a train whose jobs need what was not fetched.
pub(super) fn refuse_missing(config: &Config, snapshot: &Snapshot, steps: &[PlannedStep]) -> Result<()> {
    let needed: BTreeSet<Sha256> = of(steps).map(|input| input.sha256).collect();
    let is_missing =
        |input: &&InputConfig| needed.contains(&input.sha256) && snapshot.missing_inputs.contains(&input.sha256);
    let missing: Vec<&InputConfig> = config.inputs.iter().filter(is_missing).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = missing.iter().map(|input| input.name.as_str()).collect();
    let error = Error::input(format!(
        "{} of this train's builds {} not fetched ahead: {}",
        counted(missing.len(), "input"),
        if missing.len() == 1 { "was" } else { "were" },
        names.join(", ")
    ));
    let said = |input: &InputConfig| format!("{}: {}", input.name, escape(&input.from.to_string()));
    let error = missing.into_iter().fold(error, |e, input| e.detail(said(input)));
    Err(error.hint("run `lifeboat inputs fetch` while these addresses answer"))
}
