//! `bundle`: the source archive, the git bundle, the vendored crates.

use std::collections::BTreeMap;

use super::{Acting, Perform, job, prepared};
use crate::effects::{ArchiveSpec, blocking};
use crate::error::{Error, Result};
use crate::model::{Artifact, ArtifactName, Label};
use crate::step::{ArtifactPath, Bundle, Bundled, Isolation, Job, JobInput};

/// Seconds that copying a project's crates may take.
const VENDOR_TIMEOUT_S: u64 = 1800;

impl Perform for Bundle {
    async fn perform(&self, acting: &Acting<'_>) -> Result<Bundled> {
        let (source, git_bundle) = blocking(|| archives(acting, self))?;
        let vendor = match &self.vendor_from {
            Some(home) => Some(vendor(acting, self, home, &source).await?),
            None => None,
        };
        Ok(Bundled { source, git_bundle, vendor })
    }
}

fn archives(acting: &Acting<'_>, step: &Bundle) -> Result<(Artifact, Artifact)> {
    let repo = acting.repository_with(&step.prepare)?;
    let made = prepared(&acting.state, &step.prepare)?;
    let (git, objects) = (&acting.effects.git, acting.train.objects());
    let base = acting.train.plan().lines.iter().find(|l| l.branch == step.branch).map(|l| l.base.clone());
    let base = base.ok_or_else(|| Error::fatal(format!("the plan has no line `{}`", step.branch)))?;
    let spec = ArchiveSpec { commit: &made.head, prefix: &step.stem, submodules: &step.submodules, date: step.date };
    let source = objects.put_written(|out| git.archive(repo, &spec, out))?;
    let bundle = objects.put_written(|out| git.bundle(repo, step.branch.as_str(), &base, &made.head, out))?;
    let named = |suffix: &str| ArtifactName::new(format!("{}{suffix}", step.stem));
    Ok((Artifact::new(named("-source.tar.gz")?, source), Artifact::new(named(".bundle")?, bundle)))
}

/// `cargo vendor` reads the tree, which can make it execute what the tree names: it runs as a job, without network.
async fn vendor(acting: &Acting<'_>, step: &Bundle, cargo_home: &str, source: &Artifact) -> Result<Artifact> {
    let name = ArtifactName::new(format!("{}-vendor.tar.gz", step.stem))?;
    let path = format!("lifeboat-vendor/{name}");
    // None in the configuration: the runner's own.
    let mut env = BTreeMap::new();
    let mut pass_env = vec!["PATH".to_owned(), "RUSTUP_HOME".to_owned()];
    if cargo_home.is_empty() {
        pass_env.push("CARGO_HOME".to_owned());
    } else {
        env.insert("CARGO_HOME".to_owned(), cargo_home.to_owned());
    }
    let job = Job {
        run: vec![
            "cargo vendor --locked --offline --versioned-dirs vendor > vendor-config.toml".to_owned(),
            format!(
                "mkdir lifeboat-vendor; tar --sort=name --mtime=@$SOURCE_DATE_EPOCH --owner=0 --group=0 --numeric-owner \
                 --mode=u=rwX,go=rX --format=gnu -cf - vendor vendor-config.toml | gzip -9n > {path}"
            ),
        ],
        labels: Vec::<Label>::new(),
        env,
        pass_env,
        secret_env: BTreeMap::new(),
        isolation: Isolation::NoNetwork,
        timeout_s: VENDOR_TIMEOUT_S,
        artifacts: vec![ArtifactPath { path, name: name.clone() }],
        inputs: Vec::new(),
    };
    let inputs = vec![JobInput::SourceArchive(source.digests.sha256)];
    let done = job::run(acting, &job, inputs).await?;
    done.artifacts
        .into_iter()
        .find(|a| a.name == name)
        .ok_or_else(|| Error::fatal(format!("`cargo vendor` left no `{name}`")))
}
