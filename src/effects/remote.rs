//! The port to a git remote.

use std::path::Path;

use crate::error::Result;
use crate::model::{Oid, RemoteName};

/// A ref that a push moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefUpdate {
    /// The full name, `refs/heads/…` or `refs/tags/…`.
    pub name: String,
    /// What the remote must have now; none if the ref must be absent.
    pub old: Option<Oid>,
    /// What it should have.
    pub new: Oid,
}

/// A git remote.
#[async_trait::async_trait]
pub trait Remote: Send + Sync {
    /// Its name in the configuration.
    fn name(&self) -> &RemoteName;

    /// Whether it answers, within a short deadline.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Unreachable`] with the reason.
    async fn probe(&self) -> Result<()>;

    /// What the remote has at these refs, in order.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Unreachable`], or the git program's.
    async fn observe(&self, refs: &[String]) -> Result<Vec<Option<Oid>>>;

    /// Whether the branch `name` there holds `commit`: it is where a push left it, or further. Fetches what the repository
    /// at `repo` lacks to tell; none of its refs moves.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Unreachable`], or the git program's.
    async fn holds(&self, repo: &Path, name: &str, commit: &Oid) -> Result<bool>;

    /// Moves all the refs or none (`git push --atomic`), from the repository at `repo`; never forced.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Unreachable`], a conflict, or the git program's.
    async fn push(&self, repo: &Path, updates: &[RefUpdate]) -> Result<()>;

    /// Whether a push of these refs would be accepted, as far as the server says before it is given anything: it is reached
    /// in the way of a push, with the credentials of a push, and given nothing.
    async fn can_push(&self, repo: &Path, updates: &[RefUpdate]) -> Result<()>;

    /// Brings the commits of a ref into the repository at `repo`, under no name; what the ref points to, none if it is not
    /// there.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Unreachable`], or the git program's.
    async fn fetch(&self, repo: &Path, name: &str) -> Result<Option<Oid>>;
}
