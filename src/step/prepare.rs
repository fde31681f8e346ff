//! `prepare`: makes a line's commits and the text of its tag.

use jiff::Timestamp;
use semver::Version;
use serde::{Deserialize, Serialize};

use super::{Kind, Made, Phase, Read, StepId};
use crate::bump::{LockCheck, VersionRules};
use crate::model::{BranchName, Ident, Oid, Sha256, TagName, VersionStep};

/// Applies the patch series, bumps the version, and writes commits and the tag's text in the private repository.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prepare {
    /// The line.
    pub branch: BranchName,
    /// The commit on which the series is applied: the branch's head when the plan was made.
    pub base: Oid,
    /// The digest of the pinned patch series, an object of the train.
    pub series: Sha256,
    /// The version bump; none on a `carry` line.
    pub bump: Option<Box<VersionBump>>,
    /// Who commits, and the time of every commit and tag.
    pub committer: Ident,
    /// See `committer`.
    pub date: Timestamp,
}

/// The version bump of a line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VersionBump {
    /// The version before.
    pub old: Version,
    /// The version after.
    pub new: Version,
    /// The step that every version family takes.
    pub to: VersionStep,
    /// The project's rules.
    pub rules: VersionRules,
    /// The tag's name.
    pub tag: TagName,
    /// The bump commit's message, as rendered from its template when the plan was made.
    pub commit_message: String,
    /// The tag's message, likewise.
    pub tag_message: String,
}

/// The commits that [`Prepare`] made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prepared {
    /// The commits of the series, oldest first, and the bump commit if there is one.
    pub commits: Vec<Oid>,
    /// The last of them.
    pub head: Oid,
    /// Its tree.
    pub tree: Oid,
    /// The version of the line, none on a `carry` line.
    pub version: Option<Version>,
    /// A pack with every object between base and head, an object of the train.
    pub pack: Sha256,
    /// The release notes, an object of the train.
    pub notes: Option<Sha256>,
    /// What the project's own commands changed, pinned as an object; none if they changed nothing.
    pub by_hooks: Option<Sha256>,
    /// Warnings for the person who approves.
    pub warnings: Vec<String>,
}

impl Kind for Prepare {
    const NAME: &'static str = "prepare";
    type Outcome = Prepared;

    fn name(&self) -> StepId {
        StepId::of::<Self>(&[self.branch.as_str()])
    }

    fn line(&self) -> Option<&BranchName> {
        Some(&self.branch)
    }

    fn version(&self) -> Option<&Version> {
        self.bump.as_ref().map(|bump| &bump.new)
    }

    fn reads(&self) -> Vec<Read<'_>> {
        Vec::new()
    }

    fn phase(&self) -> Phase {
        Phase::Preparation
    }

    fn starts_jobs(&self) -> bool {
        // The project's own commands after a bump, and what asks Cargo about its locks.
        true
    }

    fn commands(&self) -> Vec<String> {
        let Some(bump) = &self.bump else { return Vec::new() };
        let hooks = bump.rules.after.iter().map(|hook| format!("after the bump: {}", hook.run));
        let checks = LockCheck::possible(&bump.rules.manifests);
        let checks = checks.into_iter().map(|check| {
            format!(
                "after the bump, if it changes {}, by Cargo, which runs what `.cargo/config.toml` of the tree names: {}",
                check.path, check.command
            )
        });
        hooks.chain(checks).collect()
    }

    fn could_make(&self, outcome: &Prepared) -> bool {
        outcome.version.as_ref() == self.version()
    }
}

impl Made for Prepared {}
