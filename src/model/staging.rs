//! How a store keeps what is staged.

use serde::{Deserialize, Serialize};

/// How a store keeps what is staged from strangers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Staging {
    /// The files themselves, where the store lets only the team read.
    #[default]
    Private,
    /// What only the team can decrypt, under names that say nothing.
    Encrypted,
}
