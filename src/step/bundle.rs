//! `bundle`: makes a line's source archive, git bundle and vendored crates.

use jiff::Timestamp;
use semver::Version;
use serde::{Deserialize, Serialize};

use super::{Kind, Made, Phase, Prepare, Read, StepId};
use crate::model::{Artifact, BranchName, Oid};

/// Makes the source archive, the git bundle and the vendored crates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// The line.
    pub branch: BranchName,
    /// Its version.
    pub version: Version,
    /// The step that made the commit.
    pub prepare: StepId,
    /// `<project>-v<version>`: directory in the archive and stem of the file names.
    pub stem: String,
    /// Submodules to include at these commits, with the repository that holds each.
    pub submodules: Vec<Submodule>,
    /// Submodules left out by name.
    pub without: Vec<String>,
    /// The cargo home that holds the crates fetched ahead; none if crates are not vendored.
    pub vendor_from: Option<String>,
    /// The modification time of every archive member.
    pub date: Timestamp,
}

/// A submodule whose files go into the source archive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Submodule {
    /// Its path in the tree.
    pub path: String,
    /// The commit that the tree names.
    pub commit: Oid,
    /// A local git directory that has the commit.
    pub repository: String,
}

/// The files that [`Bundle`] made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bundled {
    /// The source archive.
    pub source: Artifact,
    /// The git bundle.
    pub git_bundle: Artifact,
    /// The vendored crates.
    pub vendor: Option<Artifact>,
}

impl Kind for Bundle {
    const NAME: &'static str = "bundle";
    type Outcome = Bundled;

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
        vec![Read::of::<Prepare>(&self.prepare, &self.branch)]
    }

    fn phase(&self) -> Phase {
        Phase::Building
    }

    fn starts_jobs(&self) -> bool {
        self.vendor_from.is_some()
    }

    fn commands(&self) -> Vec<String> {
        let vendoring = "vendoring, by Cargo, which runs what `.cargo/config.toml` of the tree names: cargo vendor --locked --offline";
        self.vendor_from.iter().map(|_| vendoring.to_owned()).collect()
    }
}

impl Made for Bundled {
    fn artifacts(&self) -> Option<Vec<&Artifact>> {
        Some([&self.source, &self.git_bundle].into_iter().chain(&self.vendor).collect())
    }
}
