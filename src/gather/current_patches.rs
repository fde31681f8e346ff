//! The patches that a train file names now, for a train that was adopted from it before.

use std::collections::BTreeMap;
use std::path::Path;

use super::Seeing;
use crate::config::{Config, SeriesSource, TrainRequest};
use crate::effects::{Disk, Scratch};
use crate::error::{Context as _, ErrorKind, Result};
use crate::git::GitProgram;
use crate::git::facts::UserRepository;
use crate::model::{BranchName, Oid, Sha256};

/// The series of every line of the request that `bases` names, on the base given there: its digest, or why there is none.
/// A private remote is not asked again, and files that are gone say nothing.
pub fn series_now(
    config: &Config,
    request: &TrainRequest,
    bases: &BTreeMap<BranchName, Oid>,
    state: &Path,
    disk: &dyn Disk,
) -> Result<BTreeMap<BranchName, Result<Sha256>>> {
    let program = GitProgram::from_env();
    let user = UserRepository::open(&program, &config.project.repository)?;
    // Other processes of the project plan at the same time.
    let own = Scratch::new(disk, &state.join("scratch"))?;
    let scratch = own.path();
    let tags = BTreeMap::new();
    let workflow_dirs = BTreeMap::new();
    let (user, program, tags) = (&user, &program, &tags);
    let (workflow_dirs, default_branches) = (&workflow_dirs, &BTreeMap::new());
    let seeing =
        Seeing { config, request, pinned: None, user, program, scratch, tags, workflow_dirs, default_branches };
    let mut out = BTreeMap::new();
    for line in &request.lines {
        let Some(base) = bases.get(&line.branch) else { continue };
        let there = match &line.series {
            SeriesSource::None => true,
            SeriesSource::Remote { .. } => false,
            SeriesSource::Mailbox(path) => {
                disk.entry(path).context(format!("cannot look at `{}`", path.display()))?.is_some()
            }
        };
        if there {
            let now = seeing.series(line, base, &mut Vec::new()).and_then(|s| s.digest());
            // A full disk or an interrupted call says nothing of the patches.
            let now = match now {
                Err(e) if e.kind() == ErrorKind::Transient => return Err(e),
                now => now,
            };
            out.insert(line.branch.clone(), now);
        }
    }
    Ok(out)
}
