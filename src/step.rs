//! Steps, their identity, what they produce and who could learn of the fix from them.

mod forge;
mod job;
mod outcome;
mod reads;

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::bump::VersionRules;
use crate::model::{
    BranchName, Ident, Oid, ProjectName, RemoteName, Sha256, StoreName, TagName, TargetName, VersionStep,
};

pub use forge::{
    Audience, AwaitRuns, ForgeAdvisory, MergeBack, MergedAs, PassedRun, SeeWorkflows, SwitchWorkflows, WantedRun,
};
pub use job::{ArtifactPath, Handle, Isolation, Job, JobInput};
pub use outcome::{KeptPack, Outcome, Sealed, SealedFile};
pub use reads::Read;

/// A step's name within its plan: `build/release-36.0.0/x86_64-linux`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepId(String);

impl StepId {
    /// Joins a kind of step and what it acts on.
    #[must_use]
    pub fn new(kind: &str, parts: &[&str]) -> Self {
        let mut out = kind.to_owned();
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

/// How a step's effect can be seen after a crash (DESIGN promise 4).
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

/// What a step does. Each carries its own data; the digests that only running can tell arrive as [`Outcome`]s.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "do")]
pub enum Step {
    /// Apply the patch series, bump the version, write commits and the tag's text, in the private repository.
    Prepare(Box<Prepare>),
    /// Make the source archive, the git bundle and the vendored crates.
    Bundle(Bundle),
    /// Run a recipe on a runner.
    Build(Build),
    /// Join the artifacts of several builds.
    Assemble(Assemble),
    /// Run the tests of a target on what was built, without network.
    Test(Test),
    /// Write manifest and checksum files over a line's exact artifact set.
    Checksum(Checksum),
    /// Pack the history that a store's repository lacks, and keep it.
    PackHistory(PackHistory),
    /// Put a line's bytes where only the team can read them.
    Stage(OnStore),
    /// Read the staged bytes back and compare.
    VerifyStaged(OnStore),
    /// Wait for the threshold of people and for time.
    Gate(Gate),
    /// Sign the tag and, if wanted, each artifact with the release key.
    Seal(Seal),
    /// Make a line's staged bytes public.
    Promote(OnStore),
    /// Push branches and tags to a git remote.
    PushGit(PushGit),
    /// Publish a release on a forge.
    ForgeRelease(ForgeRelease),
    /// See which of the project's own workflows are on at a forge, before any is switched off.
    SeeWorkflows(SeeWorkflows),
    /// Switch off the workflows that a delivery must not start.
    SuppressWorkflows(SwitchWorkflows),
    /// Switch on again what was on before.
    RestoreWorkflows(SwitchWorkflows),
    /// Wait for the workflows that a delivery starts, and see that they end well on our commit.
    AwaitRuns(AwaitRuns),
    /// Make or update an advisory's draft on a forge, and ask for its CVE number.
    DraftAdvisory(ForgeAdvisory),
    /// Publish an advisory on a forge.
    PublishAdvisory(ForgeAdvisory),
    /// Bring a line into its protected branch by a pull request.
    MergeBack(MergeBack),
    /// Move a store's indexes and `latest` pointers forward.
    Point(Point),
}

impl Step {
    /// The first part of the step's id.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Prepare(_) => "prepare",
            Self::Bundle(_) => "bundle",
            Self::Build(_) => "build",
            Self::Assemble(_) => "assemble",
            Self::Test(_) => "test",
            Self::Checksum(_) => "checksum",
            Self::PackHistory(_) => "pack-history",
            Self::Stage(_) => "stage",
            Self::VerifyStaged(_) => "verify-staged",
            Self::Gate(_) => "gate",
            Self::Seal(_) => "seal",
            Self::Promote(_) => "promote",
            Self::PushGit(_) => "push-git",
            Self::ForgeRelease(_) => "forge-release",
            Self::SeeWorkflows(_) => "see-workflows",
            Self::SuppressWorkflows(_) => "suppress-workflows",
            Self::RestoreWorkflows(_) => "restore-workflows",
            Self::AwaitRuns(_) => "await-runs",
            Self::DraftAdvisory(_) => "draft-advisory",
            Self::PublishAdvisory(_) => "publish-advisory",
            Self::MergeBack(_) => "merge-back",
            Self::Point(_) => "point",
        }
    }
}

/// Data of [`Step::Prepare`].
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
    pub bump: Option<Bump>,
    /// Who commits, and the time of every commit and tag.
    pub committer: Ident,
    /// See `committer`.
    pub date: Timestamp,
}

/// The version bump of a line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bump {
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

/// Data of [`Step::Bundle`].
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

/// Data of [`Step::Build`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Build {
    /// The line.
    pub branch: BranchName,
    /// The target.
    pub target: TargetName,
    /// The step that made the source archive.
    pub bundle: StepId,
    /// What a runner does.
    pub job: Job,
}

/// Data of [`Step::Assemble`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assemble {
    /// The line.
    pub branch: BranchName,
    /// The assembly's name.
    pub name: TargetName,
    /// The step that made the source archive.
    pub bundle: StepId,
    /// Where each build's artifacts are put, by step.
    pub from: BTreeMap<StepId, String>,
    /// What a runner does.
    pub job: Job,
}

/// Data of [`Step::Test`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Test {
    /// The line.
    pub branch: BranchName,
    /// The target or assembly whose artifacts are tested.
    pub target: TargetName,
    /// The step that made the source archive.
    pub bundle: StepId,
    /// The step that made the artifacts, put into `dist/`.
    pub of: StepId,
    /// What a runner does.
    pub job: Job,
}

/// Data of [`Step::Checksum`].
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

/// Data of the steps that act on one line in one store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnStore {
    /// The line.
    pub branch: BranchName,
    /// Its version.
    pub version: Version,
    /// The store.
    pub store: StoreName,
    /// The step that wrote the sums.
    pub checksum: StepId,
    /// The step that sealed the line; only where it must have happened before.
    pub seal: Option<StepId>,
}

/// Data of [`Step::Gate`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// How many people must approve.
    pub threshold: u32,
    /// The embargo: nothing is public before.
    pub not_before: Option<Timestamp>,
    /// The steps that wrote each line's sums: what people approve.
    pub checksums: Vec<StepId>,
    /// The `prepare` steps of lines that carry the fix only: their commits are approved too.
    pub carries: Vec<StepId>,
}

/// Data of [`Step::Seal`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    /// The line.
    pub branch: BranchName,
    /// Its version.
    pub version: Version,
    /// The tag's name.
    pub tag: TagName,
    /// The step that made the commit and the tag's text.
    pub prepare: StepId,
    /// The step that wrote the sums.
    pub checksum: StepId,
    /// Whether each artifact gets a signature of its own.
    pub sign_artifacts: bool,
    /// Who tags, and when.
    pub tagger: Ident,
    /// See `tagger`.
    pub date: Timestamp,
}

/// Data of [`Step::PushGit`].
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

/// Data of [`Step::ForgeRelease`].
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

/// Data of [`Step::PackHistory`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackHistory {
    /// The project.
    pub project: ProjectName,
    /// The store.
    pub store: StoreName,
    /// What each line stands on.
    pub bases: BTreeMap<BranchName, Oid>,
}

/// Data of [`Step::Point`].
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
