//! Joins the ports to their adapters, as the configuration says.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::config::Config;
use crate::effects::{Clock, Disk, Effects, Progress};
use crate::engine::TrainDir;
use crate::error::Result;
use crate::git::{GitProgram, LocalGit};
use crate::signers::ConfiguredKeys;
use crate::{remotes, signers, stores};

/// The real effects of one train: `root` is the project's directory in the state directory.
///
/// # Errors
/// A table of the configuration that its adapter does not take.
pub fn effects(
    config: &Config,
    root: &Path,
    dir: &TrainDir,
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    progress: Arc<dyn Progress>,
) -> Result<Effects> {
    let program = GitProgram::from_env();
    let secrets: crate::effects::SecretResolver = Arc::new(signers::resolve);
    let keys = ConfiguredKeys::new(&config.signing, root.to_owned(), secrets.clone(), disk.clone(), clock.clone());
    let mut of_stores = BTreeMap::new();
    for store in &config.stores {
        of_stores.insert(store.name.clone(), stores::open(store, disk.clone())?);
    }
    let mut of_forges = BTreeMap::new();
    let mut of_remotes = BTreeMap::new();
    for remote in &config.remotes {
        of_remotes.insert(remote.name.clone(), remotes::open(&program, &remote.name, &remote.url)?);
    }
    let mut of_runners = Vec::new();
    Ok(Effects {
        disk,
        git: Arc::new(LocalGit::new(program)),
        runners: of_runners,
        stores: of_stores,
        forges: of_forges,
        remotes: of_remotes,
        keys: Arc::new(keys),
        secrets,
        clock,
        progress,
    })
}
