//! What a plan was made from, kept beside it: so that it can be said later what the configuration would give now.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::train::TrainDir;
use crate::effects::{Disk, files};
use crate::error::{Context as _, Result};
use crate::snapshot::Snapshot;

/// The train file and the facts of a plan. A cache: without it nothing but hints is lost.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PlanInputs {
    /// Where the train file was.
    pub file: PathBuf,
    /// What was seen.
    pub snapshot: Snapshot,
}

impl PlanInputs {
    /// Those of a plan that was made from a train file.
    ///
    /// # Errors
    /// A relative path in a directory that is gone.
    pub fn of(file: &Path, snapshot: Snapshot) -> Result<Self> {
        let file = std::path::absolute(file).context(format!("cannot find out where `{}` is", file.display()))?;
        Ok(Self { file, snapshot })
    }

    /// Keeps them beside the plan.
    pub fn write(&self, disk: &dyn Disk, dir: &TrainDir) -> Result<()> {
        let bytes = serde_json::to_vec(self).context("cannot write what the plan was made from")?;
        files::create_dir_all(disk, dir.path(), 0o700)?;
        files::replace(disk, &Self::place(dir), 0o600, &mut &bytes[..])
    }

    /// Those of a train; none where they were lost, or written by another version.
    #[must_use]
    pub fn read(disk: &dyn Disk, dir: &TrainDir) -> Option<Self> {
        serde_json::from_slice(&disk.read(&Self::place(dir)).ok()??).ok()
    }

    fn place(dir: &TrainDir) -> PathBuf {
        dir.path().join("facts.json")
    }
}
