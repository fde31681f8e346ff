//! The ports: every way in which the program reaches outside itself, as traits, and the bundle of them.
//!
//! Core modules know these traits only; `main.rs` joins them to the adapters.

mod advisories;
mod automation;
mod blocking;
mod breaker;
mod clock;
mod disk;
pub mod files;
mod forge;
mod git;
mod hashing;
mod in_parallel;
pub mod locks;
mod objects;
mod progress;
mod random;
mod rate_limit;
mod remote;
mod replaced;
mod runner;
mod scratch;
mod signer;
mod store;
mod transfers;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::SignedDuration;

pub use advisories::{Advisories, AdvisoryState, SeenAdvisory};
pub use automation::{
    Automation, PullRequests, PullState, PullText, RunState, SeenPull, SeenRun, SeenWorkflow, Switch,
};
pub use blocking::{aside, blocking, each};
pub use breaker::{Breaker, Failure};
pub use clock::Clock;
pub use disk::{DirEntry, Disk, DiskFile, LockGuard, LockedFile, PathKind, full};
pub use forge::{AssetFile, Discard, Forge, ForgeView, MarkLatest, ReleaseText, SeenAsset, SeenLatest, SeenRelease};
pub use git::{ArchiveSpec, Git, PackFiles, PrivateRepo, Served, StaticContent, StaticFile};
pub use hashing::{CheckedReader, HashingReader, hash_files};
pub use in_parallel::in_parallel;
pub use objects::Objects;
pub use progress::{NoProgress, Progress, ProgressEvent};
pub use random::random;
pub use rate_limit::RateLimit;
pub use remote::{RefUpdate, Remote};
pub(crate) use replaced::{Outlives, replace_file};
pub use runner::{Handle, JobLog, JobReport, JobRequest, JobStatus, Runner, RunnerFacts, observe_one};
pub use scratch::Scratch;
pub use signer::{Keys, Role, Signer};
pub use store::{
    Area, Capabilities, Comparison, Guard, Habits, PutNew, STAGED_NOTE, Store, Tried, read_document, read_public,
};
pub use transfers::{Flow, Moved, Transfers};

use crate::error::{Error, Result};
use crate::model::{Destination, RemoteName, RunnerName, Secret, SecretRef, StoreName};

/// Reads the secret that a reference names.
pub type SecretResolver = Arc<dyn Fn(&SecretRef) -> Result<Secret> + Send + Sync>;

/// How long a job stays with a runner that does not answer, unless the configuration says something else.
pub const LEASE: SignedDuration = SignedDuration::from_mins(5);

/// Everything that the engine may do to the world.
#[derive(Clone)]
pub struct Effects {
    /// Files of this machine.
    pub disk: Arc<dyn Disk>,
    /// Local git work.
    pub git: Arc<dyn Git>,
    /// What executes jobs.
    pub runners: Vec<Arc<dyn Runner>>,
    /// How long a job stays with a runner that does not answer, where that is not [`LEASE`].
    pub leases: BTreeMap<RunnerName, SignedDuration>,
    /// Where releases are staged and promoted.
    pub stores: BTreeMap<StoreName, Arc<dyn Store>>,
    /// Forges with releases.
    pub forges: BTreeMap<RemoteName, Arc<dyn Forge>>,
    /// Git remotes.
    pub remotes: BTreeMap<RemoteName, Arc<dyn Remote>>,
    /// Keys that sign.
    pub keys: Arc<dyn Keys>,
    /// Reads secrets by reference.
    pub secrets: SecretResolver,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Who watches.
    pub progress: Arc<dyn Progress>,
}

impl Effects {
    /// The store of this name.
    ///
    /// # Errors
    /// The configuration does not have it any more.
    pub fn store(&self, name: &StoreName) -> Result<Arc<dyn Store>> {
        let store = self.stores.get(name).ok_or_else(|| not_configured(&Destination::Store(name.clone())))?;
        self.progress.transfers(name, &store.transfers());
        Ok(store.clone())
    }

    /// The forge of this name.
    ///
    /// # Errors
    /// The configuration does not have it any more.
    pub fn forge(&self, name: &RemoteName) -> Result<Arc<dyn Forge>> {
        self.forges.get(name).cloned().ok_or_else(|| not_configured(&Destination::Forge(name.clone())))
    }

    /// The git remote of this name.
    ///
    /// # Errors
    /// The configuration does not have it any more.
    pub fn remote(&self, name: &RemoteName) -> Result<Arc<dyn Remote>> {
        self.remotes.get(name).cloned().ok_or_else(|| not_configured(&Destination::Remote(name.clone())))
    }
}

fn not_configured(destination: &Destination) -> Error {
    let (kind, name) = (destination.kind(), destination.name());
    let table = match destination {
        Destination::Forge(_) => format!("[forge.{name}]"),
        _ => format!("[[{kind}]]"),
    };
    Error::input(format!("the configuration has no {kind} `{name}`, which the plan needs"))
        .hint(format!("put the `{table}` table back: an adopted plan never changes"))
}
