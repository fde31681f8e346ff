//! `restore-workflows`: workflows on again after a delivery.

use super::{Acting, Perform, workflows};
use crate::error::Result;
use crate::step::{RestoreWorkflows, WorkflowsRestored};

impl Perform for RestoreWorkflows {
    async fn perform(&self, acting: &Acting<'_>) -> Result<WorkflowsRestored> {
        Ok(WorkflowsRestored { on: workflows::restore(acting, &self.0).await? })
    }
}
