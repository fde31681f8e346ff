//! Decides what a version bump changes in a source tree; pure.

use serde::{Deserialize, Serialize};

/// The `[version]` table of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VersionRules {}

mod tree;

pub use tree::{SourceTree, TreeFile};
