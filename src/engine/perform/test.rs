//! `test`: the tests of a target over what was built, run on a runner without network.

use super::{Acting, Perform, inputs, job};
use crate::error::Result;
use crate::step::{Test, Tested};

impl Perform for Test {
    async fn perform(&self, acting: &Acting<'_>) -> Result<Tested> {
        let (job, mut inputs) = inputs::with_source(acting, &self.job, &self.bundle)?;
        inputs.extend(inputs::artifacts_of(acting, &self.of, "dist")?);
        let done = job::run(acting, &job, inputs).await?;
        Ok(Tested { runner: done.runner, log: done.log })
    }
}
