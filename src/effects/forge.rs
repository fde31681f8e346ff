//! The port to a forge's releases: what is there, and the few acts that bring a release into being.

use std::path::PathBuf;

use jiff::Timestamp;

use super::{Advisories, Automation, PullRequests};
use crate::error::{Part, Result};
use crate::model::{Digests, Oid, RemoteName, Sha256, TagName};

/// What a release says, draft or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseText {
    /// The tag under which it stands.
    pub tag: TagName,
    /// Its title.
    pub title: String,
    /// Its notes, Markdown.
    pub notes: String,
    /// Whether it is marked as a pre-release.
    pub prerelease: bool,
}

/// A file that a release should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssetFile {
    /// Its plain name on the forge.
    pub name: String,
    /// Where its bytes are on this machine.
    pub path: PathBuf,
    /// Their size and digests.
    pub digests: Digests,
}

/// Whether a release becomes the one that `latest` shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarkLatest {
    /// It does.
    Yes,
    /// `latest` stays where it is.
    No,
}

/// An asset as the forge lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenAsset {
    /// The forge's number.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Its length in bytes, as the forge says.
    pub size: u64,
    /// The digest that the forge computed; none if it has not yet.
    pub digest: Option<Sha256>,
    /// Whether the forge has all of it: a half-made one is listed and cannot be downloaded.
    pub whole: bool,
}

/// A release as the forge lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenRelease {
    /// The forge's number.
    pub id: u64,
    /// The tag under which it stands; of any grammar, since people make releases too.
    pub tag: String,
    /// Its title.
    pub title: String,
    /// Its notes.
    pub notes: String,
    /// Whether only writers of the repository see it.
    pub draft: bool,
    /// Whether it is marked as a pre-release.
    pub prerelease: bool,
    /// Where a stranger finds it once it is published.
    pub location: String,
    /// Its assets; read only for releases of the tag that was asked for.
    pub assets: Vec<SeenAsset>,
}

/// Which release `latest` shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SeenLatest {
    /// The one that was made so, by its tag; none if there is none.
    Made(Option<String>),
    /// The newest one: nobody can set it.
    Newest,
}

impl Default for SeenLatest {
    fn default() -> Self {
        Self::Made(None)
    }
}

/// What a forge has, seen once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ForgeView {
    /// The object to which the tag points there; none if there is no such tag.
    pub tag: Option<Oid>,
    /// All releases, drafts included.
    pub releases: Vec<SeenRelease>,
    /// Which release `latest` shows.
    pub latest: SeenLatest,
}

/// Something to be removed: only ever a half-made asset of a draft, or a second draft of our own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Discard {
    /// An asset, by number.
    Asset(u64),
    /// A draft with its assets, by number.
    Draft(u64),
}

/// A forge that shows releases, such as GitHub.
///
/// A call that changes something says how sure its failure is: [`crate::error::ErrorKind::Transient`] means that the effect
/// may have happened, so look before trying again; [`crate::error::ErrorKind::Unreachable`] means that it is down, or
/// asks for patience; any other kind means that it refused, and nothing happened.
#[async_trait::async_trait]
pub trait Forge: Send + Sync {
    /// Its name in the configuration.
    fn name(&self) -> &RemoteName;

    /// Whether it answers, within a short deadline.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Unreachable`] with the reason.
    async fn probe(&self) -> Result<()>;

    /// Whether each of its parts answers, as [`Forge::probe`] asks: the API, and the host that takes assets where it is
    /// another one.
    async fn parts(&self) -> Vec<(Part, Result<()>)> {
        vec![(Part::Api, self.probe().await)]
    }

    /// When the configured token ends, where the forge says it; none if it does not end.
    ///
    /// # Errors
    /// No token can be read here, the forge does not answer, or it refuses the token
    /// ([`crate::error::ErrorKind::Verification`]).
    async fn credential_expires(&self) -> Result<Option<Timestamp>> {
        Ok(None)
    }

    /// What is there now: the tag, the releases, `latest`.
    async fn observe(&self, tag: &TagName) -> Result<ForgeView>;

    /// Makes a draft without assets.
    async fn create_draft(&self, text: &ReleaseText) -> Result<()>;

    /// Uploads one asset to the draft with this number, streamed from disk.
    async fn upload(&self, draft: u64, asset: &AssetFile) -> Result<()>;

    /// Removes a half-made asset or a second draft; what is gone already is not an error.
    async fn discard(&self, what: Discard) -> Result<()>;

    /// Publishes the draft with this number.
    async fn publish(&self, draft: u64, latest: MarkLatest) -> Result<()>;

    /// Lets `latest` show the published release with this number.
    async fn set_latest(&self, release: u64) -> Result<()>;

    /// The project's own workflows there, if it runs any.
    fn automation(&self) -> Option<&dyn Automation> {
        None
    }

    /// Its security advisories, if it holds any.
    fn advisories(&self) -> Option<&dyn Advisories> {
        None
    }

    /// Its pull requests, if it takes any.
    fn pull_requests(&self) -> Option<&dyn PullRequests> {
        None
    }
}
