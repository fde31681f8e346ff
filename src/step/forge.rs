//! Data of the steps that act on a forge besides its releases: the project's own workflows, and pull requests.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::StepId;
use crate::model::{Advisory, BranchName, Oid, RemoteName};

/// Data of [`super::Step::SeeWorkflows`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeeWorkflows {
    /// The forge.
    pub forge: RemoteName,
    /// The workflow files that must not run, by name.
    pub files: BTreeSet<String>,
}

/// Data of [`super::Step::SuppressWorkflows`] and [`super::Step::RestoreWorkflows`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SwitchWorkflows {
    /// The forge.
    pub forge: RemoteName,
    /// The step that saw which of them were on.
    pub seen: StepId,
    /// Every workflow file that must not run, by name, whether it was on or not.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub files: BTreeSet<String>,
    /// The deliveries that would start one of them: they come after switching off, and before switching on again.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub starters: BTreeSet<StepId>,
}

/// Data of [`super::Step::AwaitRuns`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AwaitRuns {
    /// The forge.
    pub forge: RemoteName,
    /// The line.
    pub branch: BranchName,
    /// The step that made the commit on which they run.
    pub prepare: StepId,
    /// The runs, sorted.
    pub runs: BTreeSet<WantedRun>,
}

/// A run of a workflow that a delivery starts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WantedRun {
    /// The workflow file's name.
    pub file: String,
    /// The event that starts it.
    pub event: String,
    /// The branch or tag on which it runs.
    pub on: String,
}

/// Data of [`super::Step::MergeBack`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MergeBack {
    /// The forge that takes the pull request.
    pub forge: RemoteName,
    /// Its git remote.
    pub remote: RemoteName,
    /// The line: the branch that must get the release.
    pub branch: BranchName,
    /// The branch that was pushed instead, at the line's head.
    pub via: BranchName,
    /// The commit on which the train was planned.
    pub base: Oid,
    /// The step that made the commits.
    pub prepare: StepId,
    /// The pull request's title.
    pub title: String,
    /// Its text, Markdown.
    pub text: String,
}

/// Data of [`super::Step::DraftAdvisory`] and [`super::Step::PublishAdvisory`].
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

/// Who sees what a step puts on a forge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Audience {
    /// Perhaps everybody.
    Anyone,
    /// Writers of the repository, who are all part of the embargo.
    Writers,
}

/// How a pull request's commits came into their branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MergedAs {
    /// The branch has our commits themselves.
    Merge,
    /// One commit brought all changes.
    Squash,
    /// Other commits with the same messages, one for each of ours.
    Rebase,
}

/// A run that ended well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PassedRun {
    /// Which run was wanted.
    pub run: WantedRun,
    /// The forge's number.
    pub id: u64,
    /// The commit on which it ran: ours.
    pub commit: Oid,
    /// Where people see it.
    pub location: String,
}
