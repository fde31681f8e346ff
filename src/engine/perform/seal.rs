//! `seal`: after the threshold, the release key signs the tag and the artifacts; approvals join the release.

use std::sync::Arc;

use super::{Acting, summed};
use crate::effects::{CheckedReader, Role, Signer, blocking, each};
use crate::engine::content;
use crate::error::{Error, Result};
use crate::formats::tag;
use crate::model::Oid;
use crate::step::{Outcome, Seal, Sealed, SealedFile};

pub(super) fn seal(acting: &Acting<'_>, step: &Seal) -> Result<Outcome> {
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
        Ok(Outcome::Sealed(Sealed { tag: step.tag.clone(), tag_id, tag_object, files }))
    })
}

fn kept(acting: &Acting<'_>, path: &str, bytes: &[u8]) -> Result<SealedFile> {
    let digests = acting.train.objects().put(bytes)?;
    Ok(SealedFile { path: path.to_owned(), sha256: digests.sha256, size: digests.size })
}

fn sign_tag(acting: &Acting<'_>, step: &Seal, signer: &dyn Signer) -> Result<(Oid, crate::model::Sha256)> {
    let payload = acting.payload_of(&step.prepare)?;
    let signature = signer.sign(&mut &payload[..])?;
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
        let mut source = CheckedReader::new(objects.open(&artifact.digests.sha256)?, artifact.digests);
        let signature = signer.sign(&mut source).map_err(|e| {
            e.context(format!("artifact `{}`", artifact.name)).hint(
                "if it changed since it was approved, restore the train's `objects/` directory: nothing was sealed",
            )
        })?;
        kept(acting, &format!("{}.asc", artifact.name), signature.as_bytes())
    };
    each(made.artifacts, one)
}

/// The files of the approvals that count, each judged again.
fn approvals(acting: &Acting<'_>, step: &Seal) -> Result<Vec<SealedFile>> {
    let gate = content::gate(&acting.state)?;
    let content = content::content(&acting.state, acting.train.objects(), gate)?;
    let mut files = vec![kept(acting, crate::formats::content::FILE, &content.to_bytes()?)?];
    for approval in content::counted(&acting.state, acting.train, &content, acting.effects.clock.now())? {
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
