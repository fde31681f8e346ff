//! `publish-advisory`: an advisory that everybody sees.

use super::{Acting, Perform, advisory};
use crate::effects::Effects;
use crate::engine::advisory::Until;
use crate::engine::train::Train;
use crate::error::Result;
use crate::step::{AdvisoryPublished, PublishAdvisory};

impl Perform for PublishAdvisory {
    async fn perform(&self, acting: &Acting<'_>) -> Result<AdvisoryPublished> {
        let seen = advisory::deliver(acting, &self.0, Until::Published).await?;
        Ok(AdvisoryPublished { id: seen.id, location: seen.location, cve: seen.cve })
    }

    async fn prove(&self, effects: &Effects, _train: &Train) -> Option<Result<()>> {
        Some(advisory::prove(effects, &self.0).await)
    }
}
