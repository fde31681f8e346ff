//! `quorum`: records which stores have it; the order of the steps has seen to it that enough do.

use super::{Acting, Perform};
use crate::error::{Error, Result};
use crate::step::{Quorum, QuorumReached};

impl Perform for Quorum {
    async fn perform(&self, acting: &Acting<'_>) -> Result<QuorumReached> {
        let graph = acting.state.graph();
        let here = graph.position(&acting.step.id);
        let stores = here.map(|at| graph.have(at, |n| acting.state.succeeded(n))).unwrap_or_default();
        if (stores.len() as u64) < u64::from(self.at_least) {
            return Err(Error::fatal(format!(
                "only {} of {} stores have {}",
                stores.len(),
                self.of.len(),
                self.has.about()
            )));
        }
        Ok(QuorumReached { stores: stores.into_iter().cloned().collect() })
    }
}
