//! `build`: a target's recipe, run on a runner.

use super::{Acting, Perform, inputs, job};
use crate::error::Result;
use crate::journal::StepStatus;
use crate::step::{Build, Built};

impl Perform for Build {
    async fn perform(&self, acting: &Acting<'_>, before: &StepStatus) -> Result<Built> {
        let (job, inputs) = inputs::with_source(acting, &self.job, &self.bundle)?;
        let done = job::run(acting, &job, inputs, before).await?;
        Ok(Built { runner: done.runner, artifacts: done.artifacts, log: done.log })
    }
}
