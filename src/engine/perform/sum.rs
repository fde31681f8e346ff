//! `checksum`: the manifest and the sums over a line's exact artifact set.

use super::{Acting, prepared};
use crate::effects::blocking;
use crate::error::{Error, Result};
use crate::formats::manifest::{Contents, Manifest, ManifestTag};
use crate::formats::{checksums, manifest, tag};
use crate::model::{Artifact, ArtifactName, Digests, Sha256};
use crate::step::{Checksum, Outcome, Step};

pub(super) fn checksum(acting: &Acting<'_>, step: &Checksum) -> Result<Outcome> {
    blocking(|| write_sums(acting, step))
}

fn write_sums(acting: &Acting<'_>, step: &Checksum) -> Result<Outcome> {
    let objects = acting.train.objects();
    let head = prepared(&acting.state, &step.prepare)?.head;
    let artifacts = collect(acting, step)?;
    let manifest = Manifest::new(Contents {
        project: step.project.clone(),
        line: step.branch.clone(),
        version: step.version.clone(),
        train: acting.nonce()?,
        date: step.date,
        commit: head.clone(),
        tag: ManifestTag { name: step.tag.clone(), text: Sha256::of(&acting.tag_payload(step)?) },
        artifacts: artifacts.clone(),
    })
    .map_err(|e| e.hint("rename the artifact in its recipe"))?;
    let bytes = manifest.to_bytes()?;
    let of_manifest = objects.put(&bytes)?;
    let listed = manifest.listed(of_manifest)?;
    let put = |name: &str, bytes: &[u8]| -> Result<Artifact> {
        let digests: Digests = objects.put(bytes)?;
        Ok(Artifact::new(ArtifactName::new(name)?, digests))
    };
    Ok(Outcome::Summed {
        manifest: Artifact::new(ArtifactName::new(manifest::FILE)?, of_manifest),
        sha256sums: put(checksums::SHA256SUMS, &checksums::sha256sums(&listed))?,
        sha512sums: put(checksums::SHA512SUMS, &checksums::sha512sums(&listed))?,
        artifacts,
    })
}

/// The artifacts of all the steps that make up the release; two of one name stop the train.
fn collect(acting: &Acting<'_>, step: &Checksum) -> Result<Vec<Artifact>> {
    let mut all: Vec<(Artifact, String)> = Vec::new();
    for id in &step.from {
        let found: Vec<Artifact> = match acting.state.outcome(id) {
            Some(Outcome::Built { artifacts, .. }) => artifacts.clone(),
            Some(Outcome::Bundled { source, git_bundle, vendor }) => {
                [source.clone(), git_bundle.clone()].into_iter().chain(vendor.clone()).collect()
            }
            _ => return Err(Error::fatal(format!("step `{id}` did not record artifacts"))),
        };
        for artifact in found {
            let same = |(a, _): &&(Artifact, String)| a.name.as_str().eq_ignore_ascii_case(artifact.name.as_str());
            if let Some((_, other)) = all.iter().find(same) {
                return Err(Error::input(format!(
                    "`{other}` and `{id}` both make an artifact named `{}`",
                    artifact.name
                ))
                .hint(
                    "give one of them another name in the configuration: names are compared without regard to case",
                ));
            }
            all.push((artifact, id.to_string()));
        }
    }
    let mut artifacts: Vec<Artifact> = all.into_iter().map(|(a, _)| a).collect();
    artifacts.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(artifacts)
}

impl Acting<'_> {
    /// The train's nonce.
    pub(super) fn nonce(&self) -> Result<crate::model::TrainNonce> {
        self.state.nonce().cloned().ok_or_else(|| Error::fatal("the train has no nonce"))
    }

    /// The tag object of a line as it will be signed.
    fn tag_payload(&self, step: &Checksum) -> Result<Vec<u8>> {
        self.payload_of(&step.prepare)
    }

    /// The unsigned tag object of the line that a `prepare` step made.
    pub(super) fn payload_of(&self, prepare: &crate::step::StepId) -> Result<Vec<u8>> {
        let head = prepared(&self.state, prepare)?.head;
        let planned = self.train.plan().step(prepare).map(|s| &s.step);
        let Some(Step::Prepare(line)) = planned else {
            return Err(Error::fatal(format!("the plan has no step `{prepare}`")));
        };
        let bump = line.bump.as_ref().ok_or_else(|| Error::fatal(format!("`{prepare}` bumps no version")))?;
        tag::payload(&tag::Tag {
            object: head.clone(),
            name: bump.tag.clone(),
            tagger: line.committer.clone(),
            date: line.date,
            message: bump.tag_message.clone(),
        })
    }
}
