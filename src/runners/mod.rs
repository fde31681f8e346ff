//! What executes jobs. An adapter is one module and one line in [`RUNNERS`].

pub mod local;

use std::path::PathBuf;
use std::sync::Arc;

use crate::effects::Runner;
use crate::error::{Error, Result};
use crate::model::{Label, RunnerName};

/// A runner as the configuration names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunnerSpec {
    /// Its name.
    pub name: RunnerName,
    /// The adapter.
    pub kind: String,
    /// What it has.
    pub labels: Vec<Label>,
    /// How many jobs at a time; the adapter's own number if none.
    pub slots: Option<usize>,
    /// Directories and files of its machine that jobs see besides the system and the toolchain.
    pub read: Vec<PathBuf>,
    /// Jobs may run with the user's own rights where the machine cannot isolate them.
    pub same_user: bool,
}

/// Where adapters keep their files and find this program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surroundings {
    /// The directory of the jobs' files, in the state directory; created when it is first needed.
    pub jobs: PathBuf,
    /// This program, which adapters start again to watch over jobs: `/proc/self/exe`, or its path.
    pub program: PathBuf,
    /// What no job may see wherever it lies: keys, the state, stores, the user's repository.
    pub hidden: Vec<PathBuf>,
    /// Jobs end when this program ends, as in a dry run, which nobody goes on with.
    pub end_with_program: bool,
}

/// One kind of runner.
#[derive(Clone, Copy)]
pub struct Adapter {
    /// `kind` in the configuration.
    pub kind: &'static str,
    /// What it is, in one line, for help and reference pages.
    pub about: &'static str,
    /// Makes the runner; touches nothing yet.
    pub open: fn(&RunnerSpec, &Surroundings) -> Arc<dyn Runner>,
}

/// Every kind of runner, sorted by kind.
pub const RUNNERS: &[Adapter] = &[Adapter {
    kind: "local",
    about: "this machine: each job in a sandbox with its tree and toolchain, with a time limit",
    open: local::open,
}];

/// Makes the runner that the configuration names.
///
/// # Errors
/// A kind that no adapter has.
pub fn open(spec: &RunnerSpec, surroundings: &Surroundings) -> Result<Arc<dyn Runner>> {
    match RUNNERS.iter().find(|a| a.kind == spec.kind) {
        Some(adapter) => Ok((adapter.open)(spec, surroundings)),
        None => {
            let kinds: Vec<String> = RUNNERS.iter().map(|a| format!("`{}`", a.kind)).collect();
            Err(Error::input(format!("runner `{}` is of the unknown kind `{}`", spec.name, spec.kind))
                .hint(format!("expected {}", kinds.join(", "))))
        }
    }
}
