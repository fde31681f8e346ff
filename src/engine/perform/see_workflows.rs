//! `see-workflows`: which workflows are on at a forge.

use super::{Acting, Perform, workflows};
use crate::error::Result;
use crate::step::{SeeWorkflows, WorkflowsSeen};

impl Perform for SeeWorkflows {
    async fn perform(&self, acting: &Acting<'_>) -> Result<WorkflowsSeen> {
        Ok(WorkflowsSeen { on: workflows::see(acting, self).await? })
    }
}
