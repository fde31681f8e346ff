//! Steps, their identity, what they produce and who could learn of the fix from them. Each kind is a file of this folder.

mod any;
mod assemble;
mod await_runs;
mod build;
mod bundle;
mod checksum;
mod draft_advisory;
mod encrypt;
mod forge_advisory;
mod forge_release;
mod gate;
mod job;
mod job_name;
mod kind;
mod merge_back;
mod on_store;
mod pack_history;
mod point;
mod prepare;
mod promote;
mod publish_advisory;
mod push_git;
mod quorum;
mod reads;
mod restore_workflows;
mod seal;
mod see_workflows;
mod stage;
mod suppress_workflows;
mod switch_workflows;
mod test;
mod verify_staged;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::Sha256;

pub use assemble::Assemble;
pub use await_runs::{AwaitRuns, PassedRun, RunsPassed, WantedRun};
pub use build::{Build, Built};
pub use bundle::{Bundle, Bundled, Submodule};
pub use checksum::{Checksum, Summed};
pub use draft_advisory::{AdvisoryDrafted, DraftAdvisory};
pub use encrypt::{Encrypt, Encrypted, EncryptedFile};
pub use forge_advisory::{Audience, ForgeAdvisory};
pub use forge_release::{ForgeRelease, Released};
pub use gate::{Gate, GateOpened};
pub use job::{ArtifactPath, Handle, Isolation, Job, JobInput, ToolInput};
pub use job_name::JobName;
pub use kind::{Kind, Made, Member, Phase};
pub use merge_back::{MergeBack, MergedAs, MergedBack};
pub use on_store::OnStore;
pub use pack_history::{HistoryPacked, KeptPack, PackHistory};
pub use point::{Point, PointLine, Pointed};
pub use prepare::{Prepare, Prepared, VersionBump};
pub use promote::{Promote, Promoted};
pub use publish_advisory::{AdvisoryPublished, PublishAdvisory};
pub use push_git::{PushGit, PushLine, Pushed};
pub use quorum::{Has, Quorum, QuorumReached};
pub use reads::Read;
pub use restore_workflows::{RestoreWorkflows, WorkflowsRestored};
pub use seal::{Seal, Sealed, SealedFile};
pub use see_workflows::{SeeWorkflows, WorkflowsSeen};
pub use stage::{Stage, Staged};
pub use suppress_workflows::{SuppressWorkflows, WorkflowsSuppressed};
pub use switch_workflows::SwitchWorkflows;
pub use test::{Test, Tested};
pub use verify_staged::{StagedVerified, VerifyStaged};

kind::steps! { $;
    steps {
        Prepare,
        Bundle,
        Build,
        Assemble,
        Test,
        Checksum,
        Encrypt,
        PackHistory,
        Stage,
        VerifyStaged,
        Gate,
        Seal,
        Promote,
        PushGit,
        ForgeRelease,
        SeeWorkflows,
        SuppressWorkflows,
        RestoreWorkflows,
        AwaitRuns,
        DraftAdvisory,
        PublishAdvisory,
        MergeBack,
        Point,
        Quorum,
    }
    outcomes {
        Prepared,
        Bundled,
        Built,
        Tested,
        Summed,
        Encrypted,
        HistoryPacked,
        Staged,
        StagedVerified,
        GateOpened,
        Sealed,
        Promoted,
        Pushed,
        Released,
        WorkflowsSeen,
        WorkflowsSuppressed,
        WorkflowsRestored,
        RunsPassed,
        MergedBack,
        AdvisoryDrafted,
        AdvisoryPublished,
        Pointed,
        QuorumReached,
    }
}

/// A step's name within its plan: `build/release-36.0.0/x86_64-linux`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepId(String);

impl StepId {
    /// Joins a kind of step and what it acts on; only a kind itself says what that is.
    fn of<K: Kind>(parts: &[&str]) -> Self {
        let mut out = K::NAME.to_owned();
        for part in parts {
            out.push('/');
            out.push_str(part);
        }
        Self(out)
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The digest of a step's own inputs: its data and the keys of what it needs. Steps of two plans with one key are one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepKey(pub Sha256);

/// Who could learn of the fix from a step's effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exposure {
    /// Only this machine's user.
    Local,
    /// Only the team, on machines and stores that it controls.
    Private,
    /// Anyone.
    Public,
}

/// How a step's effect is seen after a crash. Plans write it; every kind that there is has one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Observability {
    /// The effect itself is read back and compared byte for byte.
    Exact,
}

/// One step of a plan: what it does and what must have succeeded before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedStep {
    /// Its name, unique within the plan.
    pub id: StepId,
    /// The digest of its own inputs.
    pub key: StepKey,
    /// The steps that must have succeeded before, sorted.
    pub needs: Vec<StepId>,
    /// Who could learn of the fix from it.
    pub exposure: Exposure,
    /// How its effect is observed after a crash.
    pub observe: Observability,
    /// Whether the train is *released* without it: its destination may be down.
    pub deferrable: bool,
    /// What it does, with all the data that it needs.
    pub step: Step,
}

/// Whether *released* needs something: a step, a destination, a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Importance {
    /// It does.
    Required,
    /// It may come later: its destination may be down.
    Deferrable,
}

impl Importance {
    /// Of something that is required or not.
    #[must_use]
    pub fn of(required: bool) -> Self {
        if required { Self::Required } else { Self::Deferrable }
    }
}
