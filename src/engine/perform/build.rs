//! `build`: a target's recipe, run on a runner.

use super::{Acting, Perform, inputs, job};
use crate::error::Result;
use crate::step::{Build, Built};

impl Perform for Build {
    async fn perform(&self, acting: &Acting<'_>) -> Result<Built> {
        let (job, inputs) = inputs::with_source(acting, &self.job, &self.bundle)?;
        let done = job::run(acting, &job, inputs).await?;
        Ok(Built { runner: done.runner, artifacts: done.artifacts, log: done.log })
    }
}
