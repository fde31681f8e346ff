//! The other trains of the project on this machine, as their journals tell.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::train::TrainDir;
use crate::effects::{Disk, EntryKind};
use crate::error::{Context as _, Result};
use crate::journal::{Journal, State, StepStatus};
use crate::model::{RemoteName, TrainName};
use crate::plan::Graph;
use crate::step::Step;

/// The workflow files of a forge that other trains need off now, each with one of those trains. They began to switch them
/// off, and a delivery that would start them is not done.
///
/// # Errors
/// The directory of the trains cannot be listed.
pub(super) fn keep_off(disk: &dyn Disk, own: &TrainDir, forge: &RemoteName) -> Result<BTreeMap<String, TrainName>> {
    let mut out = BTreeMap::new();
    for state in others(disk, own)? {
        let graph = state.graph();
        let done = |i: usize| matches!(state.at(i).status, StepStatus::Succeeded(_));
        for i in 0..graph.len() {
            let Step::SuppressWorkflows(off) = &graph.at(i).step else { continue };
            let delivers = off.starters.iter().filter_map(|id| graph.position(id)).any(|n| !done(n));
            if off.forge == *forge && state.at(i).attempts > 0 && delivers {
                out.extend(off.files.iter().map(|file| (file.clone(), graph.plan().train.clone())));
            }
        }
    }
    Ok(out)
}

/// The trains beside one; what cannot be read there must not stop this one.
fn others(disk: &dyn Disk, own: &TrainDir) -> Result<Vec<State>> {
    let Some(all) = own.path().parent() else { return Ok(Vec::new()) };
    let entries = disk.list(all).context(format!("cannot list `{}`", all.display()))?;
    let dirs = entries.into_iter().filter(|e| e.kind == EntryKind::Dir).map(|e| TrainDir::new(all.join(e.name)));
    Ok(dirs.filter(|dir| dir.path() != own.path()).filter_map(|dir| state(disk, &dir).ok()).collect())
}

fn state(disk: &dyn Disk, dir: &TrainDir) -> Result<State> {
    let graph = Arc::new(Graph::new(Arc::new(dir.load_plan(disk)?))?);
    let (records, _) = Journal::read(disk, &dir.journal(), &graph)?;
    State::fold(graph, &records)
}
