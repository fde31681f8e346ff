//! What a forge can do besides releases, where it can: run the project's own workflows, take pull requests.

use crate::error::Result;
use crate::model::{BranchName, Oid};

/// A workflow file as the forge knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenWorkflow {
    /// The file's name.
    pub file: String,
    /// Whether events start it.
    pub on: bool,
}

/// Whether events start a workflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    /// They do.
    On,
    /// They do not.
    Off,
}

/// How a run stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunState {
    /// It waits or runs.
    UnderWay,
    /// It succeeded.
    Passed,
    /// It ended otherwise: the forge's word for it.
    Ended(String),
}

/// A run of a workflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenRun {
    /// The forge's number; a later run has a higher one.
    pub id: u64,
    /// The workflow file's name.
    pub file: String,
    /// The event that started it.
    pub event: String,
    /// The branch or tag.
    pub on: String,
    /// The commit.
    pub commit: Oid,
    /// How it stands.
    pub state: RunState,
    /// Where people see it.
    pub location: String,
}

/// The part of a forge that runs the project's own workflows. Errors are as sure as those of [`super::Forge`].
#[async_trait::async_trait]
pub trait Automation: Send + Sync {
    /// A workflow by its file's name; none if the forge does not know it.
    async fn workflow(&self, file: &str) -> Result<Option<SeenWorkflow>>;

    /// Switches a workflow on or off.
    async fn switch(&self, file: &str, to: Switch) -> Result<()>;

    /// Every run on a commit.
    async fn runs(&self, commit: &Oid) -> Result<Vec<SeenRun>>;
}

/// What a pull request says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullText {
    /// The branch whose commits it brings.
    pub from: BranchName,
    /// The branch into which it is merged.
    pub into: BranchName,
    /// Its title.
    pub title: String,
    /// Its text, Markdown.
    pub text: String,
}

/// How a pull request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullState {
    /// It waits for people.
    Open,
    /// It was merged.
    Merged,
    /// It was closed without merging.
    Closed,
}

/// A pull request as the forge lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenPull {
    /// The forge's number; a later one is higher.
    pub number: u64,
    /// How it stands.
    pub state: PullState,
    /// Where people see it.
    pub location: String,
}

/// The part of a forge that takes pull requests. Errors are as sure as those of [`super::Forge`].
#[async_trait::async_trait]
pub trait PullRequests: Send + Sync {
    /// Every pull request that brings one branch of the repository into another, open or not.
    async fn pulls(&self, from: &BranchName, into: &BranchName) -> Result<Vec<SeenPull>>;

    /// Opens one.
    async fn open_pull(&self, text: &PullText) -> Result<()>;
}
