//! `verify-staged`: staged bytes read back, from a store or from a train's own objects.

use std::collections::BTreeSet;
use std::io::Read as _;

use super::stage::{all_again, directory, same_or_conflict, staged_files, staging};
use super::{Acting, Perform, summed};
use crate::effects::{Area, Effects, blocking};
use crate::engine::view::View;
use crate::error::{Context as _, Error, Result};
use crate::formats::digests;
use crate::journal::{State, StepStatus};
use crate::step::{OnStore, StagedVerified, VerifyStaged};

impl Perform for VerifyStaged {
    async fn perform(&self, acting: &Acting<'_>, _before: &StepStatus) -> Result<StagedVerified> {
        all_again(acting.effects, acting.train, &self.0).await?;
        let files = read_staged(acting.effects, &acting.state, &self.0).await?;
        Ok(StagedVerified { files: files as u64 })
    }
}

/// Reads every staged file back, compares, and finds files that are not ours; says how many there are.
pub(super) async fn read_staged(effects: &Effects, state: &State, step: &OnStore) -> Result<usize> {
    let store = effects.store(&step.store)?;
    let area = Area::Staging(staging(state, step)?);
    let files = staged_files(summed(state, &step.checksum)?, step);
    let listed: BTreeSet<String> = store.list(&area, &directory(&step.version)).await?.into_iter().collect();
    let ours: BTreeSet<String> = files.iter().map(|(p, _)| p.clone()).collect();
    if let Some(extra) = listed.difference(&ours).next() {
        return Err(Error::conflict(format!("store `{}` holds a staged file that is not ours: `{extra}`", step.store))
            .hint("remove it from the staging area, then `lifeboat ship`"));
    }
    let made = summed(state, &step.checksum)?;
    for (path, artifact) in &files {
        let Some(mut bytes) = store.get(&area, path).await? else {
            return Err(Error::fatal(format!("store `{}` has lost the staged `{path}`", step.store))
                .hint("`lifeboat ship`, where the train is, puts it there again; nothing of it is public"));
        };
        // What people approve may not be disguised; manifest and sums are what they say.
        let listed = made.artifacts.contains(artifact);
        let found = blocking(|| {
            let start = if listed { super::checksum::refuse_disguised(artifact, &mut *bytes)? } else { Vec::new() };
            let name = store.name();
            digests::read(&mut std::io::Cursor::new(start).chain(bytes))
                .context(format!("cannot read `{path}` in store `{name}`"))
        })?;
        same_or_conflict(&*store, path, &artifact.digests, Some(found))?;
    }
    Ok(files.len())
}

/// Reads the same files among a train's own objects, where a store does not show them; `None` if one is not there.
pub(super) fn read_objects(train: &View, step: &OnStore) -> Result<Option<usize>> {
    let made = summed(train.state(), &step.checksum)?;
    let mut count = 0;
    for artifact in made.files() {
        if !train.objects().has(&artifact.digests.sha256)? {
            return Ok(None);
        }
        let mut bytes = train.objects().open(&artifact.digests.sha256)?;
        let listed = made.artifacts.contains(artifact);
        let start = if listed { super::checksum::refuse_disguised(artifact, &mut *bytes)? } else { Vec::new() };
        let name = &artifact.name;
        let found = digests::read(&mut std::io::Cursor::new(start).chain(bytes))
            .context(format!("cannot read `{name}` of the bundle"))?;
        if found != artifact.digests {
            return Err(Error::verification(format!("`{name}` of the bundle has other bytes than recorded"))
                .hint("do not approve: ask for the bundle again, and compare its digest by voice"));
        }
        count += 1;
    }
    Ok(Some(count))
}
