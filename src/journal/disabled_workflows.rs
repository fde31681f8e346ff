//! Which workflows of the project's own a train has disabled, and what enables them again: pure.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;

use super::event::StepStatus;
use super::fold::State;
use crate::model::RemoteName;
use crate::step::{RestoreWorkflows, StepId, SuppressWorkflows, SwitchWorkflows, WorkflowsSeen};

/// Workflows of one forge that are off because of a train, or may be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SwitchedOff {
    /// The forge.
    pub forge: RemoteName,
    /// The workflow files, by name.
    pub files: BTreeSet<String>,
    /// When the first of them was disabled, or about to be.
    pub since: Timestamp,
    /// The step that enables them again.
    pub restore: StepId,
    /// What that step still waits for.
    pub until: Vec<StepId>,
}

impl State {
    /// The workflows that were on before the train, or while it needed them off: what is to be enabled again.
    #[must_use]
    pub(crate) fn to_be_restored(&self, restore: &SwitchWorkflows) -> BTreeSet<String> {
        let mut out = BTreeSet::new();
        if let Some(WorkflowsSeen { on }) = self.made(&restore.seen) {
            out.extend(on.iter().cloned());
        }
        for (step, SuppressWorkflows(off)) in self.graph().plan().all() {
            if off.seen == restore.seen {
                out.extend(self.found_on(&step.id).map(|(file, _)| file.clone()));
            }
        }
        out
    }

    /// The workflows that this train keeps off now.
    #[must_use]
    pub(crate) fn switched_off(&self) -> Vec<SwitchedOff> {
        let graph = self.graph();
        let mut out = Vec::new();
        for i in 0..graph.len() {
            let Some(RestoreWorkflows(restore)) = graph.at(i).step.as_a() else { continue };
            let files = self.to_be_restored(restore);
            let Some(since) = self.off_since(restore).filter(|_| !files.is_empty()) else { continue };
            if matches!(self.at(i).status, StepStatus::Succeeded(_)) {
                continue;
            }
            let open = |n: &&usize| !matches!(self.at(**n).status, StepStatus::Succeeded(_));
            out.push(SwitchedOff {
                forge: restore.forge.clone(),
                files,
                since,
                restore: graph.at(i).id.clone(),
                until: graph.needs(i).iter().filter(open).map(|&n| graph.at(n).id.clone()).collect(),
            });
        }
        out
    }

    /// When the switching off was last started or recorded as done.
    fn off_since(&self, restore: &SwitchWorkflows) -> Option<Timestamp> {
        let graph = self.graph();
        let mut steps = (0..graph.len()).filter(|&i| {
            graph.at(i).step.as_a().is_some_and(|SuppressWorkflows(off)| off.seen == restore.seen)
                && self.at(i).attempts > 0
        });
        steps.next().and_then(|i| self.at(i).since)
    }
}
