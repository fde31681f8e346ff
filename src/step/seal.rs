//! `seal`: signs a line with the release key.

use jiff::Timestamp;
use semver::Version;
use serde::{Deserialize, Serialize};

use super::{Checksum, Kind, Made, Phase, Prepare, Read, StepId};
use crate::model::{BranchName, Digests, Ident, Oid, Sha256, Sha512, TagName};

/// Signs the tag and, if wanted, each artifact with the release key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    /// The line.
    pub branch: BranchName,
    /// Its version.
    pub version: Version,
    /// The tag's name.
    pub tag: TagName,
    /// The step that made the commit and the tag's text.
    pub prepare: StepId,
    /// The step that wrote the sums.
    pub checksum: StepId,
    /// Whether each artifact gets a signature of its own.
    pub sign_artifacts: bool,
    /// Who tags, and when.
    pub tagger: Ident,
    /// See `tagger`.
    pub date: Timestamp,
}

/// What [`Seal`] made of a line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sealed {
    /// The tag's name.
    pub tag: TagName,
    /// The id of the signed tag object.
    pub tag_id: Oid,
    /// The tag object's content, an object of the train.
    pub tag_object: Sha256,
    /// Everything published beside what the sums list: signatures, approvals, keys.
    pub files: Vec<SealedFile>,
}

/// A file that sealing adds to a release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SealedFile {
    /// Its path within the release: a plain name, or `approvals/<name>`.
    pub path: String,
    /// Its content, an object of the train.
    pub sha256: Sha256,
    /// Its length in bytes.
    pub size: u64,
    /// The other digest of its content; none in records of an earlier version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha512: Option<Sha512>,
}

impl SealedFile {
    /// A file with these digests.
    #[must_use]
    pub fn new(path: impl Into<String>, digests: &Digests) -> Self {
        Self { path: path.into(), sha256: digests.sha256, size: digests.size, sha512: Some(digests.sha512) }
    }
}

impl Kind for Seal {
    const NAME: &'static str = "seal";
    type Outcome = Sealed;

    fn name(&self) -> StepId {
        StepId::of::<Self>(&[self.branch.as_str()])
    }

    fn line(&self) -> Option<&BranchName> {
        Some(&self.branch)
    }

    fn version(&self) -> Option<&Version> {
        Some(&self.version)
    }

    fn reads(&self) -> Vec<Read<'_>> {
        vec![Read::of::<Prepare>(&self.prepare, &self.branch), Read::of::<Checksum>(&self.checksum, &self.branch)]
    }

    fn phase(&self) -> Phase {
        Phase::Sealing
    }

    fn could_make(&self, outcome: &Sealed) -> bool {
        outcome.tag == self.tag
    }
}

impl Made for Sealed {}
