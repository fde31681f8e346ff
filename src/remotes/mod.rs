//! Git remotes: one file per adapter, and the list of them.

mod git;
mod porcelain;

pub use git::GitRemote;

use crate::adapter::Adapter;
use crate::effects::Remote;

/// Every adapter; the first that takes an address has it.
pub const REMOTES: &[Adapter<dyn Remote>] = &[git::ADAPTER];
