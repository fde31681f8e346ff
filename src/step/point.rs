//! `point`: moves a store's indexes, its served branches and its `latest` pointers forward.

use std::collections::BTreeMap;

use semver::Version;
use serde::{Deserialize, Serialize};

use super::{Checksum, Kind, Made, PackHistory, Phase, Prepare, Read, Seal, StepId};
use crate::model::{BranchName, Destination, ProjectName, Sha256, StoreName, TagName};

/// Moves a store's indexes and `latest` pointers forward.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Point {
    /// The project.
    pub project: ProjectName,
    /// The store.
    pub store: StoreName,
    /// Each line's `prepare` step, with its `seal` and `checksum` steps.
    pub lines: BTreeMap<BranchName, PointLine>,
    /// The `prepare` steps of lines that carry the fix only: the served repository gets their branches.
    pub carries: BTreeMap<BranchName, StepId>,
    /// The step that packed what the lines stand on; none in plans of versions that packed it all at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<StepId>,
}

/// What an index says of one line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PointLine {
    /// Its version.
    pub version: Version,
    /// The tag's name.
    pub tag: TagName,
    /// The step that made the commits.
    pub prepare: StepId,
    /// The step that wrote the sums.
    pub checksum: StepId,
    /// The step that made the tag and the signatures.
    pub seal: StepId,
}

/// The index that [`Point`] left in the store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pointed {
    /// The digest of the index that the store serves now.
    pub index: Sha256,
    /// Its number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counter: Option<u64>,
}

impl Kind for Point {
    const NAME: &'static str = "point";
    type Outcome = Pointed;

    fn name(&self) -> StepId {
        StepId::of::<Self>(&[self.store.as_str()])
    }

    fn lines(&self) -> Vec<(&BranchName, Option<&Version>)> {
        let carried = self.carries.keys().map(|line| (line, None));
        self.lines.iter().map(|(branch, line)| (branch, Some(&line.version))).chain(carried).collect()
    }

    fn reads(&self) -> Vec<Read<'_>> {
        let mut out = Vec::new();
        for (branch, line) in &self.lines {
            out.extend([
                Read::of::<Prepare>(&line.prepare, branch),
                Read::of::<Checksum>(&line.checksum, branch),
                Read::of::<Seal>(&line.seal, branch),
            ]);
        }
        out.extend(self.carries.iter().map(|(branch, step)| Read::of::<Prepare>(step, branch)));
        out.extend(self.history.iter().map(Read::any::<PackHistory>));
        out
    }

    fn phase(&self) -> Phase {
        Phase::Pointers
    }

    fn destination(&self) -> Option<Destination> {
        Some(Destination::Store(self.store.clone()))
    }
}

impl Made for Pointed {}
