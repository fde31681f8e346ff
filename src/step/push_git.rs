//! `push-git`: pushes branches and tags to a git remote.

use std::collections::BTreeMap;

use semver::Version;
use serde::{Deserialize, Serialize};

use super::{Kind, Made, Phase, Prepare, Read, Seal, StepId};
use crate::model::{BranchName, Destination, Oid, RemoteName};

/// Pushes branches and tags to a git remote.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PushGit {
    /// The remote.
    pub remote: RemoteName,
    /// Each line's `prepare` step, with its `seal` step where it has a tag.
    pub lines: BTreeMap<BranchName, PushLine>,
}

/// What is pushed of one line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PushLine {
    /// The step that made the commits.
    pub prepare: StepId,
    /// The step that made the tag.
    pub seal: Option<StepId>,
    /// The commit at which the branch must still be.
    pub base: Oid,
    /// The branch under which the commits are pushed, where a pull request brings them into the line's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<BranchName>,
}

/// What [`PushGit`] left at the remote.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pushed {
    /// `ref object` pairs as the remote has them now.
    pub refs: Vec<(String, Oid)>,
}

impl PushGit {
    /// The name of the step that pushes to a remote.
    #[must_use]
    pub fn id(remote: &RemoteName) -> StepId {
        StepId::of::<Self>(&[remote.as_str()])
    }
}

impl Kind for PushGit {
    const NAME: &'static str = "push-git";
    type Outcome = Pushed;

    fn name(&self) -> StepId {
        Self::id(&self.remote)
    }

    fn lines(&self) -> Vec<(&BranchName, Option<&Version>)> {
        self.lines.keys().map(|line| (line, None)).collect()
    }

    fn reads(&self) -> Vec<Read<'_>> {
        let mut out = Vec::new();
        for (branch, line) in &self.lines {
            out.push(Read::of::<Prepare>(&line.prepare, branch));
            out.extend(line.seal.iter().map(|step| Read::of::<Seal>(step, branch)));
        }
        out
    }

    fn phase(&self) -> Phase {
        Phase::Delivery
    }

    fn destination(&self) -> Option<Destination> {
        Some(Destination::Remote(self.remote.clone()))
    }
}

impl Made for Pushed {}
