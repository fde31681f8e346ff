//! What the steps say that write a security advisory on a forge.

use serde::{Deserialize, Serialize};

use crate::model::{Advisory, RemoteName};

/// Data of [`super::DraftAdvisory`] and [`super::PublishAdvisory`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForgeAdvisory {
    /// The forge.
    pub forge: RemoteName,
    /// What it says.
    pub advisory: Advisory,
    /// Who may see it before the gate; only a draft that nobody but writers sees may come before it.
    pub audience: Audience,
}

impl ForgeAdvisory {
    pub(super) fn parts(&self) -> [&str; 2] {
        [self.forge.as_str(), self.advisory.id.as_str()]
    }
}

/// Who sees what a step puts on a forge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Audience {
    /// Perhaps everybody.
    Anyone,
    /// Writers of the repository, who are all part of the embargo.
    Writers,
}
