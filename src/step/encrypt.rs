//! `encrypt`: makes what is staged in stores whose staging holds only what the team can decrypt.

use std::collections::{BTreeMap, BTreeSet};

use semver::Version;
use serde::{Deserialize, Serialize};

use super::{Checksum, Kind, Made, Phase, Read, StepId};
use crate::model::{BranchName, Digests, Fingerprint, PersonId};

/// Encrypts a line's files to people, once for all stores: every attempt to stage them sends the same bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Encrypt {
    /// The line.
    pub branch: BranchName,
    /// Its version.
    pub version: Version,
    /// The step that wrote the sums.
    pub checksum: StepId,
    /// The people who can decrypt them, each with the certificates to which they are encrypted.
    pub to: BTreeMap<PersonId, BTreeSet<Fingerprint>>,
}

/// What [`Encrypt`] made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Encrypted {
    /// By the path of the file within the release.
    pub files: BTreeMap<String, EncryptedFile>,
}

/// One file of a release as it is staged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncryptedFile {
    /// Its name in the staging area: random, so that it tells nothing.
    pub name: String,
    /// Size and digests of the encrypted bytes, which are an object of the train.
    pub digests: Digests,
}

impl Kind for Encrypt {
    const NAME: &'static str = "encrypt";
    type Outcome = Encrypted;

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
        vec![Read::of::<Checksum>(&self.checksum, &self.branch)]
    }

    fn phase(&self) -> Phase {
        Phase::Checking
    }
}

impl Made for Encrypted {}
