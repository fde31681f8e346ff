//! The port to a forge's releases.

use crate::error::Result;
use crate::model::RemoteName;
use crate::step::ForgeRelease;

/// A forge that shows releases, such as GitHub.
#[async_trait::async_trait]
pub trait Forge: Send + Sync {
    /// Its name in the configuration.
    fn name(&self) -> &RemoteName;

    /// Whether it answers, within a short deadline.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Unreachable`] with the reason.
    async fn probe(&self) -> Result<()>;

    /// Brings the release into being, once; returns where a stranger finds it.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Unreachable`] when it should be tried later.
    async fn deliver(&self, release: &ForgeRelease) -> Result<String>;
}
