//! What the steps say that act on one line in one store.

use semver::Version;
use serde::{Deserialize, Serialize};

use super::{Checksum, Encrypt, Read, Seal, StepId};
use crate::model::{BranchName, StoreName};

/// Data of the steps that act on one line in one store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnStore {
    /// The line.
    pub branch: BranchName,
    /// Its version.
    pub version: Version,
    /// The store.
    pub store: StoreName,
    /// The step that wrote the sums.
    pub checksum: StepId,
    /// The step that sealed the line; only where it must have happened before.
    pub seal: Option<StepId>,
    /// The step that encrypted what is staged there; none where the files themselves are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encrypt: Option<StepId>,
}

impl OnStore {
    pub(super) fn parts(&self) -> [&str; 2] {
        [self.store.as_str(), self.branch.as_str()]
    }

    pub(super) fn reads(&self) -> Vec<Read<'_>> {
        let sealed = self.seal.iter().map(|step| Read::of::<Seal>(step, &self.branch));
        let encrypted = self.encrypt.iter().map(|step| Read::of::<Encrypt>(step, &self.branch));
        sealed.chain(encrypted).chain([Read::of::<Checksum>(&self.checksum, &self.branch)]).collect()
    }
}
