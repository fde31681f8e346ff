//! What executes jobs. An adapter is one module and one line in [`RUNNERS`].

pub mod local;

use crate::adapter::Adapter;
use crate::effects::Runner;

/// Every kind of runner, sorted by kind.
pub const RUNNERS: &[Adapter<dyn Runner>] = &[local::ADAPTER];
