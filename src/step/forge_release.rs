//! `forge-release`: publishes a release on a forge.

use semver::Version;
use serde::{Deserialize, Serialize};

use super::{Checksum, Kind, Made, Phase, Read, Seal, StepId};
use crate::model::{BranchName, Destination, RemoteName};

/// Publishes a release on a forge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForgeRelease {
    /// The forge.
    pub forge: RemoteName,
    /// The line.
    pub branch: BranchName,
    /// Its version.
    pub version: Version,
    /// The step that wrote the sums.
    pub checksum: StepId,
    /// The step that made the tag and the signatures.
    pub seal: StepId,
}

/// Where [`ForgeRelease`] published it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Released {
    /// Where a stranger finds it.
    pub location: String,
}

impl ForgeRelease {
    /// The name of the step that publishes a line's release on a forge.
    #[must_use]
    pub fn id(forge: &RemoteName, line: &BranchName) -> StepId {
        StepId::of::<Self>(&[forge.as_str(), line.as_str()])
    }
}

impl Kind for ForgeRelease {
    const NAME: &'static str = "forge-release";
    type Outcome = Released;

    fn name(&self) -> StepId {
        Self::id(&self.forge, &self.branch)
    }

    fn line(&self) -> Option<&BranchName> {
        Some(&self.branch)
    }

    fn version(&self) -> Option<&Version> {
        Some(&self.version)
    }

    fn reads(&self) -> Vec<Read<'_>> {
        vec![Read::of::<Checksum>(&self.checksum, &self.branch), Read::of::<Seal>(&self.seal, &self.branch)]
    }

    fn phase(&self) -> Phase {
        Phase::Delivery
    }

    fn destination(&self) -> Option<Destination> {
        Some(Destination::Forge(self.forge.clone()))
    }
}

impl Made for Released {
    fn release_location(&self) -> Option<&str> {
        Some(&self.location)
    }
}
