//! `merge-back`: brings a line into its protected branch.

use serde::{Deserialize, Serialize};

use super::{Kind, Made, Phase, Prepare, Read, StepId};
use crate::model::{BranchName, Destination, Oid, RemoteName};

/// Brings a line into its protected branch by a pull request.
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

/// What became of the pull request of [`MergeBack`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MergedBack {
    /// How it came in.
    pub how: MergedAs,
    /// The first commit of the branch that has everything.
    pub commit: Oid,
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

impl MergeBack {
    /// The name of the step that brings a line into its branch on a forge.
    #[must_use]
    pub fn id(forge: &RemoteName, line: &BranchName) -> StepId {
        StepId::of::<Self>(&[forge.as_str(), line.as_str()])
    }
}

impl Kind for MergeBack {
    const NAME: &'static str = "merge-back";
    type Outcome = MergedBack;

    fn name(&self) -> StepId {
        Self::id(&self.forge, &self.branch)
    }

    fn line(&self) -> Option<&BranchName> {
        Some(&self.branch)
    }

    fn reads(&self) -> Vec<Read<'_>> {
        vec![Read::of::<Prepare>(&self.prepare, &self.branch)]
    }

    fn phase(&self) -> Phase {
        Phase::Beside
    }

    fn destination(&self) -> Option<Destination> {
        Some(Destination::Forge(self.forge.clone()))
    }
}

impl Made for MergedBack {}
