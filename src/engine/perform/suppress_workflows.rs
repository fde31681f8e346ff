//! `suppress-workflows`: workflows off before a delivery.

use super::{Acting, Perform, workflows};
use crate::error::Result;
use crate::step::{SuppressWorkflows, WorkflowsSuppressed};

impl Perform for SuppressWorkflows {
    async fn perform(&self, acting: &Acting<'_>) -> Result<WorkflowsSuppressed> {
        Ok(WorkflowsSuppressed { off: workflows::suppress(acting, &self.0).await? })
    }
}
