//! `assemble`: a recipe over the artifacts of several builds, run on a runner.

use super::{Acting, Perform, inputs, job};
use crate::error::Result;
use crate::step::{Assemble, Built};

impl Perform for Assemble {
    async fn perform(&self, acting: &Acting<'_>) -> Result<Built> {
        let (job, mut inputs) = inputs::with_source(acting, &self.job, &self.bundle)?;
        for (from, dir) in &self.from {
            inputs.extend(inputs::artifacts_of(acting, from, dir)?);
        }
        let done = job::run(acting, &job, inputs).await?;
        Ok(Built { runner: done.runner, artifacts: done.artifacts, log: done.log })
    }
}
