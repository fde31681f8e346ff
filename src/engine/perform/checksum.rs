//! `checksum`: the manifest and the sums over a line's exact artifact set.

use std::io::Read;

use super::{Acting, Perform, prepared};
use crate::effects::{Objects, blocking};
use crate::error::{Context as _, Error, Result};
use crate::formats::manifest::{Contents, Manifest, ManifestTag};
use crate::formats::{checksums, manifest, tag};
use crate::journal::State;
use crate::model::{Artifact, ArtifactName, Digests, Sha256, TrainNonce};
use crate::step::{Checksum, Outcome, Prepare, StepId, Summed};

impl Perform for Checksum {
    async fn perform(&self, acting: &Acting<'_>) -> Result<Summed> {
        let objects = acting.train.objects();
        blocking(|| {
            for artifact in collect(objects, &acting.state, self)? {
                refuse_disguised(artifact.name.as_str(), &mut *objects.open(&artifact.digests.sha256)?)?;
            }
            write_sums(objects, &acting.state, self)
        })
    }
}

/// Writes manifest and sums from what the other steps recorded; the same records, the same bytes. Approvers do it again.
pub(in crate::engine) fn write_sums(objects: &Objects, state: &State, step: &Checksum) -> Result<Summed> {
    let head = &prepared(state, &step.prepare)?.head;
    let artifacts = collect(objects, state, step)?;
    let manifest = Manifest::new(Contents {
        project: step.project.clone(),
        line: step.branch.clone(),
        version: step.version.clone(),
        train: nonce(state)?,
        date: step.date,
        commit: head.clone(),
        tag: ManifestTag { name: step.tag.clone(), text: Sha256::of(&payload_of(state, &step.prepare)?) },
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
    Ok(Summed {
        manifest: Artifact::new(ArtifactName::new(manifest::FILE)?, of_manifest),
        sha256sums: put(checksums::SHA256SUMS, &checksums::sha256sums(&listed))?,
        sha512sums: put(checksums::SHA512SUMS, &checksums::sha512sums(&listed))?,
        artifacts,
    })
}

/// The artifacts of all the steps that make up the release, and its notes; two of one name stop the train.
fn collect(objects: &Objects, state: &State, step: &Checksum) -> Result<Vec<Artifact>> {
    let mut all: Vec<(Artifact, String)> = Vec::new();
    for id in &step.from {
        let found = state.outcome(id).and_then(Outcome::artifacts);
        let found = found.ok_or_else(|| Error::fatal(format!("step `{id}` did not record artifacts")))?;
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
            all.push((artifact.clone(), id.to_string()));
        }
    }
    let mut artifacts: Vec<Artifact> = all.into_iter().map(|(a, _)| a).collect();
    if let Some(notes) = prepared(state, &step.prepare)?.notes {
        let digests = Digests::of(&objects.get(&notes)?);
        artifacts.push(Artifact::new(ArtifactName::new(manifest::NOTES)?, digests));
    }
    artifacts.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(artifacts)
}

fn nonce(state: &State) -> Result<TrainNonce> {
    state.nonce().cloned().ok_or_else(|| Error::fatal("the train has no nonce"))
}

/// The unsigned tag object of the line that a `prepare` step made.
fn payload_of(state: &State, prepare: &StepId) -> Result<Vec<u8>> {
    let head = &prepared(state, prepare)?.head;
    let Some(line) = state.graph().plan().step_of::<Prepare>(prepare) else {
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

/// How many bytes at the start of an artifact are looked at.
pub(super) const START: usize = 64;

/// Refuses an artifact that could be taken for something else that the release key signs. Its first bytes are read.
pub(super) fn refuse_disguised(name: &str, bytes: &mut dyn Read) -> Result<Vec<u8>> {
    let mut start = Vec::new();
    bytes.take(START as u64).read_to_end(&mut start).context(format!("cannot read artifact `{name}`"))?;
    if name != manifest::NOTES && masquerades(&start) {
        return Err(Error::verification(format!("artifact `{name}` is written like a git object"))
            .hint("its signature by the release key could be taken for that of a tag: find out what made it"));
    }
    Ok(start)
}

/// Whether bytes could be taken for a git tag or commit, or for a signed document of ours: the release key signs artifacts
/// too, and a signature must never count for something else.
fn masquerades(start: &[u8]) -> bool {
    let starts: [&[u8]; 3] = [b"object ", b"tree ", b"{\n  \"type\": \"lifeboat-"];
    starts.iter().any(|s| start.starts_with(s))
}

impl Acting<'_> {
    /// The train's nonce.
    pub(super) fn nonce(&self) -> Result<TrainNonce> {
        nonce(&self.state)
    }

    /// The unsigned tag object of the line that a `prepare` step made.
    pub(super) fn payload_of(&self, prepare: &StepId) -> Result<Vec<u8>> {
        payload_of(&self.state, prepare)
    }
}
