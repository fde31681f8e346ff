//! A named file with its digests.

use serde::{Deserialize, Serialize};

use super::{ArtifactName, Digests};

/// A named file with its digests; immutable once recorded. Its bytes lie in the train's object store under `sha256`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Artifact {
    /// The plain file name under which it is published.
    pub name: ArtifactName,
    /// Size and digests of its bytes.
    #[serde(flatten)]
    pub digests: Digests,
}

impl Artifact {
    /// Puts a name to digests.
    #[must_use]
    pub fn new(name: ArtifactName, digests: Digests) -> Self {
        Self { name, digests }
    }
}
