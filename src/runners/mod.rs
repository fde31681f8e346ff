//! What executes jobs. An adapter is one module and one line in [`RUNNERS`].

mod archive;
mod artifacts;
mod environment;
pub mod local;
mod mask;
mod private_files;
pub mod ssh;

use crate::adapter::Adapter;
use crate::effects::Runner;

/// Every kind of runner, sorted by kind.
pub const RUNNERS: &[Adapter<dyn Runner>] = &[local::ADAPTER, ssh::ADAPTER];
/// A log is cut here: a recipe that prints forever must not fill a disk.
const LOG_LIMIT: u64 = 256 << 20;
/// Said where a log is cut.
const LOG_CUT: &str = "the log is cut after 256 MiB";
/// Said where a secret was masked.
const SECRET_PRINTED: &str = "the recipe printed a secret; it is masked in the log";
/// Said where a job could not be ended.
const NOT_KILLED: &str = "processes of the job could not be killed";
