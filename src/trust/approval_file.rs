//! An approval on its way from the person's machine to the operator's, as a file.

use serde::{Deserialize, Serialize};

use super::approval::Approval;
use crate::error::Result;
use crate::formats::signed::{self, SignedDocument};
use crate::model::{ProjectName, TrainName, TrainNonce};

/// A file with one approval. What is outside of `approval` says which train is meant; it is not signed and decides nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Carried {
    /// `lifeboat-carried-approval`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The project.
    pub project: ProjectName,
    /// The train's nonce.
    pub train: TrainNonce,
    /// Version of this format: 1.
    pub format: u32,
    /// The train's name.
    pub name: TrainName,
    /// The approval: the statement and the detached signatures.
    pub approval: Approval,
}

impl SignedDocument for Carried {
    const TYPE: &'static str = "lifeboat-carried-approval";
}

impl Carried {
    /// A file for an approval of this train.
    #[must_use]
    pub fn new(project: ProjectName, train: TrainNonce, name: TrainName, approval: Approval) -> Self {
        Self { kind: Self::TYPE.to_owned(), project, train, format: 1, name, approval }
    }

    /// The bytes of the file.
    ///
    /// # Errors
    /// Never; it can be expressed.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        signed::to_bytes(self)
    }

    /// Reads what [`Carried::to_bytes`] wrote; `name` is the file, for messages.
    pub fn from_bytes(bytes: &[u8], name: &str) -> Result<Self> {
        signed::from_bytes(bytes, name)
    }
}
