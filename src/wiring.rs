//! Joins the ports to their adapters, as the configuration says.

mod hidden;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::adapter::{Around, Jobs, Registries};
use crate::config::Config;
use crate::effects::{Clock, Disk, Effects, Progress, SecretResolver};
use crate::engine::TrainDir;
use crate::error::{Context as _, Result};
use crate::gather::Destinations;
use crate::git::{GitProgram, LocalGit};
use crate::signers::ConfiguredKeys;
use crate::{forges, http, remotes, runners, signers, stores};

/// How credentials are found, and where they may go.
#[derive(Clone)]
pub struct Credentials {
    /// Reads the secret that a reference names.
    pub secrets: SecretResolver,
    /// The hosts to which the trust root lets credentials be sent.
    pub hosts: BTreeSet<String>,
}

impl Credentials {
    /// Every secret is read, and sent to no host.
    #[must_use]
    pub fn kept() -> Self {
        Self { secrets: Arc::new(signers::resolve), hosts: BTreeSet::new() }
    }
}

/// Every adapter that is built in.
#[must_use]
pub fn registries() -> Registries {
    Registries {
        stores: stores::STORES.to_vec(),
        runners: runners::RUNNERS.to_vec(),
        remotes: remotes::REMOTES.to_vec(),
        forges: forges::FORGES.to_vec(),
        signers: signers::SIGNERS.to_vec(),
    }
}

/// The real effects of one train: `root` is the project's directory in the state directory.
pub fn effects(
    config: &Config,
    root: &Path,
    dir: &TrainDir,
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    progress: Arc<dyn Progress>,
    Credentials { secrets, hosts }: Credentials,
) -> Result<Effects> {
    let program = GitProgram::from_env().of_clone(&config.project.repository);
    let jobs = Jobs {
        dir: dir.jobs(),
        program: this_program()?,
        hidden: hidden::hidden(config, root),
        // A train goes on when the program is started again; what has its directory elsewhere is a dry run.
        end_with_program: !dir.path().starts_with(root.join("trains")),
    };
    let repository = config.project.repository.clone();
    let (clock_of_all, secrets_of_all) = (clock.clone(), secrets.clone());
    let around = Around { disk, clock, secrets, hosts, repository, jobs: Some(jobs) };
    let keys = ConfiguredKeys::new(&config.signing, root.to_owned(), around.clone());
    let to = destinations(config, &around)?;
    let mut forges = BTreeMap::new();
    for forge in &config.forges {
        forges.insert(forge.name.clone(), forge.spec.open(&around)?);
    }
    let runners = config.runners.iter().map(|r| r.spec.open(&around)).collect::<Result<_>>()?;
    Ok(Effects {
        disk: around.disk,
        git: Arc::new(LocalGit::new(program)),
        runners,
        leases: config.runners.iter().filter_map(|r| Some((r.name.clone(), r.lease?))).collect(),
        stores: to.stores,
        forges,
        remotes: to.remotes,
        keys: Arc::new(keys),
        secrets: secrets_of_all,
        clock: watched(config, clock_of_all),
        progress,
    })
}

/// A clock that can ask the servers of a configuration for theirs.
#[must_use]
pub fn watched(config: &Config, clock: Arc<dyn Clock>) -> Arc<dyn Clock> {
    Arc::new(http::WatchedClock::new(clock, servers(config)))
}

/// The web servers of a configuration that can be asked for the time: anybody may.
fn servers(config: &Config) -> Vec<(String, String)> {
    let servers = config.specs().filter_map(|table| Some((table.shown(), table.clock?)));
    servers.filter(|(_, url)| url.starts_with("http")).collect()
}

/// The stores and remotes of a configuration.
pub fn destinations(config: &Config, around: &Around) -> Result<Destinations> {
    let mut to = Destinations::default();
    for store in &config.stores {
        to.stores.insert(store.name.clone(), store.spec.open(around)?);
    }
    for remote in &config.remotes {
        to.remotes.insert(remote.name.clone(), remote.spec.open(around)?);
    }
    for forge in &config.forges {
        to.workflow_dirs.insert(forge.name.clone(), forge.facts.workflow_dirs);
    }
    Ok(to)
}

/// Where this program is, to start it again; tests of the library name the program that they were built with.
fn this_program() -> Result<PathBuf> {
    match std::env::var_os("LIFEBOAT_PROGRAM") {
        Some(path) => Ok(PathBuf::from(path)),
        None => std::env::current_exe().context("cannot find out where this program is"),
    }
}
