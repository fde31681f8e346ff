//! `seal`: after the threshold, the release key signs the tag and the artifacts; approvals join the release.

use std::io::{self, Read};
use std::sync::Arc;

use super::{Acting, Perform, summed};
use crate::effects::{CheckedReader, Role, Signer, blocking, each};
use crate::engine::content;
use crate::engine::truncated_journal::nothing_is_public_yet;
use crate::error::{Context as _, Error, Result};
use crate::formats::openpgp::{Hashed, SigningHasher};
use crate::formats::tag;
use crate::model::Oid;
use crate::step::{Seal, Sealed, SealedFile};
use crate::trust::{Window, judge_own};

impl Perform for Seal {
    async fn perform(&self, acting: &Acting<'_>) -> Result<Sealed> {
        nothing_is_public_yet(acting.effects, &acting.state).await?;
        seal(acting, self)
    }
}

fn seal(acting: &Acting<'_>, step: &Seal) -> Result<Sealed> {
    blocking(|| {
        let signer = acting.effects.keys.signer(&Role::Release)?;
        let (tag_id, tag_object) = sign_tag(acting, step, &*signer)?;
        let objects = acting.train.objects();
        let mut files = vec![kept(acting, tag::FILE, &objects.get(&tag_object)?)?];
        if step.sign_artifacts {
            files.extend(sign_artifacts(acting, step, &signer)?);
        }
        files.extend(approvals(acting, step)?);
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Sealed { tag: step.tag.clone(), tag_id, tag_object, files })
    })
}

fn kept(acting: &Acting<'_>, path: &str, bytes: &[u8]) -> Result<SealedFile> {
    let digests = acting.train.objects().put(bytes)?;
    Ok(SealedFile::new(path, &digests))
}

fn sign_tag(acting: &Acting<'_>, step: &Seal, signer: &dyn Signer) -> Result<(Oid, crate::model::Sha256)> {
    let payload = acting.payload_of(&step.prepare)?;
    let signature = signer.sign(&mut &payload[..])?;
    judge(acting, &signature, &Hashed::of(&payload)?).map_err(|e| e.context(format!("tag `{}`", step.tag)))?;
    let object = tag::sign(&payload, &signature);
    let kept = acting.train.objects().put(&object)?;
    let repo = acting.repository_with(&step.prepare)?;
    Ok((acting.effects.git.write_tag(repo, &object)?, kept.sha256))
}

/// The bytes are read once more, from the objects that were approved; a change since then stops here.
fn sign_artifacts(acting: &Acting<'_>, step: &Seal, signer: &Arc<dyn Signer>) -> Result<Vec<SealedFile>> {
    let made = summed(&acting.state, &step.checksum)?;
    let objects = acting.train.objects();
    let one = |artifact: &crate::model::Artifact| {
        let source = CheckedReader::new(objects.open(&artifact.digests.sha256)?, artifact.digests);
        let mut source = Heard { inner: source, hasher: SigningHasher::new()? };
        let signature = signer.sign(&mut source).map_err(|e| {
            e.context(format!("artifact `{}`", artifact.name)).hint(
                "if it changed since it was approved, restore the train's `objects/` directory: nothing was sealed",
            )
        })?;
        // A signer that stopped early signed something else.
        std::io::copy(&mut source, &mut std::io::sink()).context(format!("artifact `{}`", artifact.name))?;
        judge(acting, &signature, &source.hasher.finish()?)
            .map_err(|e| e.context(format!("artifact `{}`", artifact.name)))?;
        kept(acting, &format!("{}.asc", artifact.name), signature.as_bytes())
    };
    each(&made.artifacts, one)
}

/// What was signed is judged before anything is public, as strangers judge it.
fn judge(acting: &Acting<'_>, signature: &str, content: &Hashed) -> Result<()> {
    let (trust, now) = (acting.train.trust(), acting.effects.clock.now());
    let window = Window::of_plan(acting.train.plan().date, now);
    judge_own(trust, ("release", &trust.root.roles.release), signature.as_bytes(), content, &window)
}

/// What a signer reads, hashed on the way: each artifact is read once.
struct Heard<R> {
    inner: R,
    hasher: SigningHasher,
}

impl<R: Read> Read for Heard<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..n]);
        Ok(n)
    }
}

/// The files of the approvals that count, each judged again.
fn approvals(acting: &Acting<'_>, step: &Seal) -> Result<Vec<SealedFile>> {
    let gate = content::gate(&acting.state)?;
    let content = content::content(&acting.state, acting.train.objects(), gate)?;
    let mut files = vec![kept(acting, crate::formats::content::FILE, &content.to_bytes()?)?];
    for approval in content::counted(&acting.view(), &content, acting.effects.clock.now())? {
        for (path, bytes) in approval.files(&step.branch)? {
            files.push(kept(acting, &path, &bytes)?);
        }
    }
    Ok(files)
}

impl Acting<'_> {
    /// Puts a sealed tag object into the private repository, which may have lost it.
    pub(super) fn write_tag(&self, sealed: &Sealed) -> Result<()> {
        let object = self.train.objects().get(&sealed.tag_object)?;
        let id = self.effects.git.write_tag(self.train.repository(), &object)?;
        if id != sealed.tag_id {
            return Err(Error::verification(format!(
                "the stored tag object of `{}` is not the sealed one",
                sealed.tag
            )));
        }
        Ok(())
    }
}
