//! Joins the ports to their adapters, as the configuration says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::{Config, KeySource};
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
    Credentials { secrets, hosts }: Credentials,
) -> Result<Effects> {
    let program = GitProgram::from_env().of_clone(&config.project.repository);
    let keys = ConfiguredKeys::new(&config.signing, root.to_owned(), secrets.clone(), disk.clone(), clock.clone());
    let to = destinations(config, &disk, &clock)?;
    let mut of_forges = BTreeMap::new();
    let around = forges::Surroundings { clock: clock.clone(), secrets: secrets.clone(), hosts };
    for forge in &config.forges {
        let spec = forges::ForgeSpec {
            name: forge.name.clone(),
            repository: forge.repository.clone(),
            api: forge.api.clone(),
            uploads: forge.uploads.clone(),
            token: forge.token.clone(),
            app: forge.app.as_ref().map(|app| forges::AppSpec {
                id: app.id.clone(),
                installation: app.installation,
                private_key: app.private_key.clone(),
            }),
        };
        of_forges.insert(forge.name.clone(), forges::open(&spec, &around)?);
    }
    let mut of_runners = Vec::new();
    let surroundings = runners::Surroundings {
        jobs: dir.jobs(),
        program: this_program()?,
        hidden: hidden(config, root),
        // A train goes on when the program is started again; what has its directory elsewhere is a dry run.
        end_with_program: !dir.path().starts_with(root.join("trains")),
    };
    for runner in &config.runners {
        let spec = runners::RunnerSpec {
            name: runner.name.clone(),
            kind: runner.kind.clone(),
            labels: runner.labels.clone(),
            slots: runner.slots,
            read: runner.read.clone(),
            same_user: runner.same_user,
        };
        of_runners.push(runners::open(&spec, &surroundings)?);
    }
    let clock: Arc<dyn Clock> = watched(config, clock);
    Ok(Effects {
        disk,
        git: Arc::new(LocalGit::new(program)),
        runners: of_runners,
        stores: to.stores,
        forges: of_forges,
        remotes: to.remotes,
        keys: Arc::new(keys),
        secrets,
        clock,
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
    let stores = config.stores.iter().filter_map(|s| Some((format!("store `{}`", s.name), s.public_url.clone()?)));
    let forges = config.forges.iter().map(|f| {
        let at = f.api.clone().unwrap_or_else(|| forges::address(&f.name).to_owned());
        (format!("forge `{}`", f.name), forges::clock_address(&f.name, &at))
    });
    stores.chain(forges).filter(|(_, url)| url.starts_with("http")).collect()
}

/// The stores and remotes of a configuration.
///
/// # Errors
/// A table that its adapter does not take.
pub fn destinations(config: &Config, disk: &Arc<dyn Disk>, clock: &Arc<dyn Clock>) -> Result<Destinations> {
    let program = GitProgram::from_env().of_clone(&config.project.repository);
    let mut to = Destinations::default();
    for store in &config.stores {
        to.stores.insert(store.name.clone(), stores::open(store, disk.clone())?);
    }
    for remote in &config.remotes {
        to.remotes.insert(remote.name.clone(), remotes::open(&program, &remote.name, &remote.url, clock)?);
    }
    for forge in &config.forges {
        to.workflow_dirs.insert(forge.name.clone(), forges::workflow_dirs(&forge.name));
    }
    Ok(to)
}

/// What no job may see, wherever it lies.
fn hidden(config: &Config, root: &Path) -> Vec<PathBuf> {
    let signing = &config.signing;
    let keys = [&signing.release, &signing.freshness, &signing.operator].into_iter().flatten();
    let keys = keys.chain(signing.people.values()).filter_map(|source| match source {
        KeySource::File { path, .. } => Some(path.clone()),
        KeySource::Gpg { .. } => None,
    });
    let stores = config.stores.iter().filter_map(|s| s.url.strip_prefix("file://")).map(PathBuf::from);
    let repository = &config.project.repository;
    let git = [repository.join(".git"), repository.clone()].into_iter().find(|dir| dir.exists());
    keys.chain(stores).chain(git).chain([root.to_owned()]).collect()
}

/// Where this program is, to start it again; tests of the library name the program that they were built with.
fn this_program() -> Result<PathBuf> {
    match std::env::var_os("LIFEBOAT_PROGRAM") {
        Some(path) => Ok(PathBuf::from(path)),
        None => std::env::current_exe().context("cannot tell where this program is"),
    }
}
