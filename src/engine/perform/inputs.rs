//! What a job finds in its directory: the source, and the crates that were fetched ahead.

use super::Acting;
use crate::error::{Error, Result};
use crate::step::{JobInput, Outcome, StepId};

/// What a job unpacks: the source and, if there is one, the archive of vendored crates.
pub(super) fn of_bundle(acting: &Acting<'_>, bundle: &StepId) -> Result<(Vec<JobInput>, Option<String>)> {
    let Some(Outcome::Bundled { source, vendor, .. }) = acting.state.outcome(bundle) else {
        return Err(Error::fatal(format!("step `{bundle}` did not record an archive")));
    };
    let mut inputs = vec![JobInput::SourceArchive(source.digests.sha256)];
    let Some(vendor) = vendor else { return Ok((inputs, None)) };
    inputs.push(JobInput::Archive(vendor.digests.sha256));
    // cargo finds the crates through a configuration above the tree, so that the tree's own stays as it is. Not in
    // `CARGO_HOME`: a recipe may have that passed, and then it is the user's own and that of other jobs.
    let setup = "mkdir -p ../.cargo; \
                 sed \"s|^directory = \\\"vendor\\\"|directory = \\\"$PWD/vendor\\\"|\" vendor-config.toml > ../.cargo/config.toml";
    Ok((inputs, Some(setup.to_owned())))
}
