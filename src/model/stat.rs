//! What is known of an object without reading it.

use serde::{Deserialize, Serialize};

/// What a store says of an object without reading it. Two that are equal are of the same object, which nobody wrote in
/// between.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Stat {
    /// Its length in bytes.
    pub size: u64,
    /// Changes with every write; what it says is the store's own matter.
    pub token: String,
}
