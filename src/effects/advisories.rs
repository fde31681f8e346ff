//! The port to a forge's security advisories.

use crate::error::Result;
use crate::model::{Advisory, Affected};

/// How an advisory stands on a forge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdvisoryState {
    /// A report that nobody accepted yet.
    Triage,
    /// Only people of the project see it.
    Draft,
    /// Everybody sees it.
    Published,
    /// It was closed or withdrawn.
    Closed,
}

/// An advisory as the forge shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenAdvisory {
    /// The forge's identifier.
    pub id: String,
    /// How it stands.
    pub state: AdvisoryState,
    /// Its one line.
    pub summary: String,
    /// Its text.
    pub description: String,
    /// Its severity in a word.
    pub severity: Option<String>,
    /// Its CVSS vectors: at most one of each version.
    pub cvss: Vec<String>,
    /// Kinds of weakness.
    pub cwes: Vec<String>,
    /// Its CVE number, once it has one.
    pub cve: Option<String>,
    /// What is affected.
    pub affected: Vec<Affected>,
    /// Where people see it.
    pub location: String,
}

/// The part of a forge that holds security advisories. Errors are as sure as those of [`super::Forge`].
#[async_trait::async_trait]
pub trait Advisories: Send + Sync {
    /// The advisories that may be this one: of its identifier if it is there already, else of its summary.
    async fn find(&self, advisory: &Advisory) -> Result<Vec<SeenAdvisory>>;

    /// Makes a draft.
    async fn draft(&self, advisory: &Advisory) -> Result<()>;

    /// Lets the draft with this identifier say what ours says.
    async fn update(&self, id: &str, advisory: &Advisory) -> Result<()>;

    /// Asks for a CVE number.
    async fn request_cve(&self, id: &str) -> Result<()>;

    /// Publishes a draft. It cannot be taken back.
    async fn publish_advisory(&self, id: &str) -> Result<()>;
}
