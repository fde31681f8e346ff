//! `draft-advisory`: an advisory that few people see yet, with a CVE number asked for.

use super::{Acting, Perform, advisory};
use crate::engine::advisory::Until;
use crate::error::Result;
use crate::step::{AdvisoryDrafted, DraftAdvisory};

impl Perform for DraftAdvisory {
    async fn perform(&self, acting: &Acting<'_>) -> Result<AdvisoryDrafted> {
        Ok(AdvisoryDrafted { id: advisory::deliver(acting, &self.0, Until::Draft).await?.id })
    }
}
