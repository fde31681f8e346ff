//! `checksum`: writes a release's manifest and checksum files.

use jiff::Timestamp;
use semver::Version;
use serde::{Deserialize, Serialize};

use super::{Assemble, Build, Bundle, Kind, Made, Phase, Prepare, Read, StepId};
use crate::model::{Artifact, BranchName, ProjectName, TagName};

/// Writes manifest and checksum files over a line's exact set of artifacts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checksum {
    /// The project.
    pub project: ProjectName,
    /// The line.
    pub branch: BranchName,
    /// Its version.
    pub version: Version,
    /// The tag's name.
    pub tag: TagName,
    /// The step that made the commit.
    pub prepare: StepId,
    /// The steps whose artifacts make up the release.
    pub from: Vec<StepId>,
    /// The time in the manifest.
    pub date: Timestamp,
}

/// The files that [`Checksum`] wrote, and what they list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summed {
    /// `manifest.json`.
    pub manifest: Artifact,
    /// `SHA256SUMS`.
    pub sha256sums: Artifact,
    /// `SHA512SUMS`.
    pub sha512sums: Artifact,
    /// Everything that the manifest lists.
    pub artifacts: Vec<Artifact>,
}

impl Kind for Checksum {
    const NAME: &'static str = "checksum";
    type Outcome = Summed;

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
        let kinds = &[Bundle::NAME, Build::NAME, Assemble::NAME];
        let from = self.from.iter().map(|step| Read::one_of(kinds, step, &self.branch));
        from.chain([Read::of::<Prepare>(&self.prepare, &self.branch)]).collect()
    }

    fn phase(&self) -> Phase {
        Phase::Checking
    }
}

impl Made for Summed {}
