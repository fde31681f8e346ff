//! `verify-staged`: staged bytes read back, from a store or from a train's own objects.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use super::stage::{all_again, same_or_conflict, staging};
use super::{Acting, Perform};
use crate::effects::{Area, Effects, blocking};
use crate::engine::release_files::{LineRelease, Origin, ReleaseFile};
use crate::engine::view::TrainView;
use crate::error::{Context as _, Error, Result};
use crate::formats::{digests, layout};
use crate::journal::{State, StepStatus};
use crate::model::Digests;
use crate::step::{OnStore, StagedVerified, VerifyStaged};

impl Perform for VerifyStaged {
    async fn perform(&self, acting: &Acting<'_>, _before: &StepStatus) -> Result<StagedVerified> {
        let step = &self.0;
        let store = acting.store(&step.store).await?;
        all_again(acting.effects, acting.train, step).await?;
        let area = Area::Staging(acting.staging(step)?);
        let release = LineRelease::staged(&acting.state, step)?;
        let mut seen = BTreeMap::new();
        for file in release.summed_files() {
            // Before its bytes are read: whatever is written later gives it another token.
            let path = release.path(&file);
            if let Some(stat) = store.stat(&area, &path).await? {
                seen.insert(path, stat);
            }
        }
        let files = read_staged(acting.effects, &acting.state, step).await?;
        Ok(StagedVerified { files: files as u64, seen })
    }
}

/// Reads every staged file back, compares, and finds files that are not ours; says how many there are.
pub(super) async fn read_staged(effects: &Effects, state: &State, step: &OnStore) -> Result<usize> {
    let store = effects.store(&step.store)?;
    let area = Area::Staging(staging(state, step)?);
    let release = LineRelease::staged(state, step)?;
    let files: Vec<(String, ReleaseFile)> = release.summed_files().map(|f| (release.path(&f), f)).collect();
    let listed: BTreeSet<String> = store.list(&area, &layout::release(&step.version)).await?.into_iter().collect();
    let ours: BTreeSet<String> = files.iter().map(|(p, _)| p.clone()).collect();
    if let Some(extra) = listed.difference(&ours).next() {
        return Err(Error::conflict(format!("store `{}` holds a staged file that is not ours: `{extra}`", step.store))
            .hint("remove it from the staging area, then `lifeboat ship`"));
    }
    for (path, file) in &files {
        let Some(bytes) = store.get(&area, path).await? else {
            return Err(Error::fatal(format!("store `{}` has lost the staged `{path}`", step.store))
                .hint("`lifeboat ship`, where the train is, puts it there again; nothing of it is public"));
        };
        let what = || format!("cannot read `{path}` in store `{}`", store.name());
        let found = blocking(|| read_reviewed(file, bytes, what))?;
        same_or_conflict((&*store, &area), path, &file.digests, Some(found))?;
    }
    Ok(files.len())
}

/// The digests of a file that people approve, which may not be disguised; manifest and sums are what they say.
fn read_reviewed(file: &ReleaseFile, mut bytes: Box<dyn Read + Send>, what: impl Fn() -> String) -> Result<Digests> {
    let disguises = file.origin == Origin::Listed;
    let start = if disguises { super::checksum::refuse_disguised(&file.name, &mut *bytes)? } else { Vec::new() };
    digests::read(&mut std::io::Cursor::new(start).chain(bytes)).context(what())
}

/// Reads the same files among a train's own objects, where a store does not show them; `None` if one is not there.
pub(super) fn read_objects(train: &TrainView, step: &OnStore) -> Result<Option<usize>> {
    let release = LineRelease::staged(train.state(), step)?;
    let mut count = 0;
    for file in release.summed_files() {
        if !train.objects().has(&file.digests.sha256)? {
            return Ok(None);
        }
        let name = &file.name;
        let bytes = train.objects().open(&file.digests.sha256)?;
        if read_reviewed(&file, bytes, || format!("cannot read `{name}` of the bundle"))? != file.digests {
            return Err(Error::verification(format!("`{name}` of the bundle has other bytes than recorded"))
                .hint("do not approve: ask for the bundle again, and compare its digest by voice"));
        }
        count += 1;
    }
    Ok(Some(count))
}
