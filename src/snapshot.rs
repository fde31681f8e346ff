//! The facts that a plan is made from, as they were seen; nothing here looks at anything.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::formats::series::Patch;
use crate::model::{BranchName, Fingerprint, Ident, Oid, PersonId, RemoteName, Sha256, TagName};
use crate::step::Submodule;

/// A fact that was seen, or why it could not be had. An unknown fact is never assumed; the step that needs it looks again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fact<T> {
    /// It was seen.
    Known(T),
    /// It could not be had, for this reason.
    Unknown(String),
}

/// Everything that was seen before planning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The git directory of the user's repository.
    pub repository: PathBuf,
    /// What was seen of each requested line, in the request's order.
    pub lines: Vec<LineFacts>,
    /// The digest of the trust root and its threshold for approvals.
    pub trust: TrustFacts,
    /// Facts that could not be had, for people.
    pub unknown: Vec<String>,
    /// The configured inputs of builds that were not fetched.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub missing_inputs: BTreeSet<Sha256>,
}

/// What was seen of the trust root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustFacts {
    /// SHA-256 of `trust.json`.
    pub root: Sha256,
    /// How many people must approve.
    pub threshold: u32,
    /// The hosts that may receive credentials; unknown to snapshots of a version that did not look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hosts: Option<BTreeSet<String>>,
    /// The people to whom staged files are encrypted, each with the certificates that can be used for it; unknown where no store
    /// asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipients: Option<BTreeMap<PersonId, BTreeSet<Fingerprint>>>,
}

/// What was seen of one line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LineFacts {
    /// The branch.
    pub branch: BranchName,
    /// Its head in the user's repository.
    pub base: Oid,
    /// The version before and after; none on a `carry` line.
    pub versions: Option<(Version, Version)>,
    /// The pinned series.
    pub series: Sha256,
    /// Its patches, for people.
    pub patches: Vec<PatchFacts>,
    /// The files that they delete, by their old names those that are renamed.
    pub deletes: Vec<String>,
    /// Whether the version exists at the destinations.
    pub elsewhere: Vec<Elsewhere>,
    /// Where the line's tag already points, in the user's repository.
    pub tag_taken: Option<(TagName, Oid)>,
    /// The submodules of the base's tree, where a local repository has the commit.
    pub submodules: Vec<Submodule>,
    /// Submodules whose commit is nowhere on this machine, by path.
    pub missing_submodules: Vec<String>,
    /// Crates of the lock file that were not fetched ahead, as `name version`.
    pub missing_crates: Vec<String>,
    /// What pushing the line may start.
    pub workflows: WorkflowFacts,
    /// How many bytes the release before has in a store; looked for where a store gets files a second time, or at a rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub released_bytes: Option<u64>,
}

/// What was seen of the project's own workflows at the line's release commit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkflowFacts {
    /// The files, by forge.
    pub files: BTreeMap<RemoteName, Vec<WorkflowFile>>,
    /// The messages of the series' commits.
    pub messages: Vec<String>,
    /// The paths that the line's commits change; none if commands of the project may change others.
    pub changed: Option<Vec<String>>,
}

/// A workflow file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkflowFile {
    /// Its path.
    pub path: String,
    /// Its text.
    pub text: String,
    /// Whose copy it is.
    pub at: WorkflowAt,
}

/// Whose copy of a workflow file was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum WorkflowAt {
    /// The release commit's: pushes, tags and releases start this one.
    Release,
    /// The default branch's: the end of another workflow starts this one.
    DefaultBranch,
}

/// Whether a version exists at a destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elsewhere {
    /// The destination, for people: ``store `mirror` ``.
    pub place: String,
    /// What of the version is there, if anything is.
    pub taken: Fact<Option<String>>,
}

/// What people see of a patch before they adopt a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatchFacts {
    /// A file name or a commit id.
    pub origin: String,
    /// The first line of the message.
    pub subject: String,
    /// Who wrote it.
    pub author: Ident,
    /// The paths that it touches, sorted.
    pub touches: Vec<String>,
}

impl PatchFacts {
    /// What people see of a patch of a series.
    #[must_use]
    pub fn of(patch: &Patch) -> Self {
        Self {
            origin: patch.origin.clone(),
            subject: patch.subject().to_owned(),
            author: patch.author.clone(),
            touches: patch.touches(),
        }
    }
}
