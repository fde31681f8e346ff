//! What a job finds in its directory: the source, the crates that were fetched ahead, and the files from elsewhere.

use super::Acting;
use crate::error::{Error, Result};
use crate::model::{Artifact, escape};
use crate::step::{Built, Bundled, Job, JobInput, StepId, ToolInput};

/// The job of a step that begins from a source archive, and the files that it finds.
pub(super) fn with_source(acting: &Acting<'_>, job: &Job, bundle: &StepId) -> Result<(Job, Vec<JobInput>)> {
    let (mut inputs, setup) = of_bundle(acting, bundle)?;
    for ToolInput { path, sha256 } in &job.inputs {
        if !acting.train.objects().has(sha256)? {
            return Err(Error::verification(format!("the train has lost the input `{}`", escape(path)))
                .detail(format!("sha256: {sha256}"))
                .detail(format!("file: {}", acting.train.objects().path(sha256).display()))
                .hint("run `lifeboat inputs fetch`, then `lifeboat ship`"));
        }
        inputs.push(JobInput::File { object: *sha256, path: path.clone() });
    }
    let mut job = job.clone();
    if let Some(setup) = setup {
        job.run.insert(0, setup);
    }
    Ok((job, inputs))
}

/// The artifacts of a build or an assembly, put into a directory.
pub(super) fn artifacts_of(acting: &Acting<'_>, from: &StepId, dir: &str) -> Result<Vec<JobInput>> {
    let Some(Built { artifacts, .. }) = acting.state.made(from) else {
        return Err(Error::fatal(format!("step `{from}` did not record artifacts")));
    };
    let file = |a: &Artifact| JobInput::File { object: a.digests.sha256, path: format!("{dir}/{}", a.name) };
    Ok(artifacts.iter().map(file).collect())
}

/// What a job unpacks: the source and, if there is one, the archive of vendored crates.
fn of_bundle(acting: &Acting<'_>, bundle: &StepId) -> Result<(Vec<JobInput>, Option<String>)> {
    let Some(Bundled { source, vendor, .. }) = acting.state.made(bundle) else {
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
