//! Places to which a train delivers.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{RemoteName, StoreName};

/// A place to which a train delivers, and which may be down; shown as the plan lists it (`store mirror`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "kind", content = "destination", rename_all = "kebab-case")]
pub enum Destination {
    /// Storage that the project hosts itself.
    Store(StoreName),
    /// A forge with releases.
    Forge(RemoteName),
    /// A git remote.
    Remote(RemoteName),
}

impl Destination {
    /// What it is: the name of its table in the configuration.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Store(_) => "store",
            Self::Forge(_) => "forge",
            Self::Remote(_) => "remote",
        }
    }

    /// Its name in the configuration.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Store(name) => name.as_str(),
            Self::Forge(name) | Self::Remote(name) => name.as_str(),
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind(), self.name())
    }
}
