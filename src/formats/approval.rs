//! The statement that a person signs to approve a train.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::content::Content;
use super::signed::{self, SignedDocument};
use crate::error::Result;
use crate::model::{PersonId, ProjectName, Sha256, TrainNonce};

/// One person's statement; it counts for one train, one plan, one content, one trust root, until it expires.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// `lifeboat-approval`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The project.
    pub project: ProjectName,
    /// The train's nonce.
    pub train: TrainNonce,
    /// Version of this format: 1.
    pub format: u32,
    /// SHA-256 of the canonical plan.
    pub plan: Sha256,
    /// SHA-256 of the content manifest.
    pub content: Sha256,
    /// SHA-256 of the `trust.json` by which the person was known to be an approver.
    pub root: Sha256,
    /// Who approves.
    pub person: PersonId,
    /// The gate does not count it later, and its signature is not dated later.
    pub expires: Timestamp,
}

impl SignedDocument for Statement {
    const TYPE: &'static str = "lifeboat-approval";
}

impl Statement {
    /// The statement that `person` approves `content` under the trust root with digest `root`.
    ///
    /// # Errors
    /// A content manifest that contradicts itself.
    pub fn new(content: &Content, root: Sha256, person: PersonId, expires: Timestamp) -> Result<Self> {
        Ok(Self {
            kind: Self::TYPE.to_owned(),
            project: content.project.clone(),
            train: content.train.clone(),
            format: 1,
            plan: content.plan,
            content: content.digest()?,
            root,
            person,
            expires,
        })
    }

    /// The bytes that are signed.
    ///
    /// # Errors
    /// Never for a statement of [`Statement::new`].
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        signed::to_bytes(self)
    }

    /// Reads what [`Statement::to_bytes`] wrote; `name` is for messages.
    pub fn from_bytes(bytes: &[u8], name: &str) -> Result<Self> {
        signed::from_bytes(bytes, name)
    }
}
