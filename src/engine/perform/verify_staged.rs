//! `verify-staged`: staged bytes read back, from a store or from a train's own objects.

use std::collections::BTreeSet;
use std::io::{Read, Write};

use super::encrypt::decrypt;
use super::stage::{all_again, same_or_conflict, staging};
use super::{Acting, Perform};
use crate::effects::{Area, Effects, Keys, Store, blocking};
use crate::engine::release_files::{LineRelease, Origin, ReleaseFile, StagedFile};
use crate::engine::view::TrainView;
use crate::error::{Context as _, Error, Result};
use crate::formats::digests::{self, Hasher};
use crate::journal::State;
use crate::model::{Digests, StoreName};
use crate::step::{OnStore, StagedVerified, VerifyStaged};

impl Perform for VerifyStaged {
    async fn perform(&self, acting: &Acting<'_>) -> Result<StagedVerified> {
        let step = &self.0;
        let store = acting.store(&step.store).await?;
        all_again(acting.effects, acting.train, step).await?;
        let area = Area::Staging(acting.staging(step)?);
        let release = LineRelease::staged(&acting.state, step)?;
        // Before their bytes are read: whatever is written later gives a file another token.
        let look = |(StagedFile { path, .. }, _): (StagedFile, ReleaseFile)| {
            let (store, area) = (store.clone(), area.clone());
            async move { Ok(store.stat(&area, &path).await?.map(|stat| (path, stat))) }
        };
        let seen = store.transfers().each(release.staged_files()?, |_| 0, look).await?;
        let seen = seen.into_iter().flatten().collect();
        let files = read_staged(acting.effects, &acting.state, step).await?;
        Ok(StagedVerified { files: files as u64, seen })
    }
}

/// Reads every staged file back, compares, and finds files that are not ours; says how many there are. Of encrypted ones it is
/// compared what is staged; see [`read_encrypted`].
pub(super) async fn read_staged(effects: &Effects, state: &State, step: &OnStore) -> Result<usize> {
    let store = effects.store(&step.store)?;
    let area = Area::Staging(staging(state, step)?);
    let release = LineRelease::staged(state, step)?;
    let files = release.staged_files()?;
    // What else lies among encrypted files is of other lines, or nobody ever looks at it.
    if release.is_staged_plain() {
        let listed: BTreeSet<String> = store.list(&area, &release.staged_below()).await?.into_iter().collect();
        let ours: BTreeSet<String> = files.iter().map(|(staged, _)| staged.path.clone()).collect();
        if let Some(extra) = listed.difference(&ours).next() {
            return Err(Error::conflict(format!(
                "store `{}` holds a staged file that is not ours: `{extra}`",
                step.store
            ))
            .hint("remove it from the staging area, then `lifeboat ship`"));
        }
    }
    let (count, is_plain) = (files.len(), release.is_staged_plain());
    let read_back = |(StagedFile { path, digests }, file): (StagedFile, ReleaseFile)| {
        let (store, area) = (store.clone(), area.clone());
        async move {
            let bytes = open_staged(&*store, &area, &path).await?;
            let what = || format!("cannot read `{path}` in store `{}`", store.name());
            let found = blocking(|| read_reviewed(is_plain.then_some(&file), bytes, digests::read_to_compare, what))?;
            same_or_conflict((&*store, &area), &path, &digests, Some(found))
        }
    };
    store.transfers().each(files, |(staged, _)| staged.digests.size, read_back).await?;
    Ok(count)
}

async fn open_staged(store: &dyn Store, area: &Area, path: &str) -> Result<Box<dyn Read + Send>> {
    store.get(area, path).await?.ok_or_else(|| {
        Error::fatal(format!("store `{}` has lost the staged `{path}`", store.name()))
            .hint("`lifeboat ship`, where the train is, puts it there again; nothing of it is public")
    })
}

/// Reads every staged file of a line in a store where they are encrypted, once: what is staged is what was recorded, and what
/// is in it, decrypted with a key of this machine, is what people approve. Says how many there are.
pub(super) async fn read_encrypted(effects: &Effects, state: &State, step: &OnStore) -> Result<usize> {
    let store = effects.store(&step.store)?;
    let area = Area::Staging(staging(state, step)?);
    let release = LineRelease::staged(state, step)?;
    let mut first = release.staged_files()?;
    let count = first.len();
    // Whoever is asked for a passphrase is asked once: the first file is decrypted alone.
    let others = first.split_off(count.min(1));
    let read = |(staged, file): (StagedFile, ReleaseFile)| {
        let (store, area, keys) = (store.clone(), area.clone(), effects.keys.clone());
        async move {
            let bytes = open_staged(&*store, &area, &staged.path).await?;
            blocking(|| is_approved(&*keys, store.name(), (&staged, bytes), &file))
        }
    };
    for files in [first, others] {
        store.transfers().each(files, |(staged, _)| staged.digests.size, &read).await?;
    }
    Ok(count)
}

/// Whether what is staged of a file is what was recorded, and holds what people approve.
fn is_approved(
    keys: &dyn Keys,
    store: &StoreName,
    (StagedFile { path, digests }, staged): (&StagedFile, Box<dyn Read + Send>),
    file: &ReleaseFile,
) -> Result<()> {
    let mut plain = Reviewed::new(file);
    let (read, decrypted) = decrypt(keys, (&file.name, file.digests.size), staged, &mut plain)?;
    if read != digests.sha256 {
        return Err(Error::conflict(format!(
            "store `{store}` has other bytes at `{path}` in its staging area, which is not public"
        ))
        .detail(format!("ours: sha256 {}", digests.sha256))
        .detail(format!("there: sha256 {read}")));
    }
    decrypted?;
    if plain.finish()? != file.digests {
        return Err(Error::verification(format!(
            "what is staged of `{}` in store `{store}` is not what people approve",
            file.name
        ))
        .hint("do not approve: ask the operator what was encrypted"));
    }
    Ok(())
}

/// Takes the bytes of a file that people approve: its digests, and that it is not disguised.
struct Reviewed<'a> {
    file: &'a ReleaseFile,
    start: Vec<u8>,
    hasher: Hasher,
}

impl<'a> Reviewed<'a> {
    fn new(file: &'a ReleaseFile) -> Self {
        Self { file, start: Vec::new(), hasher: Hasher::new() }
    }

    fn finish(self) -> Result<Digests> {
        if self.file.origin == Origin::Listed {
            super::checksum::refuse_disguised(&self.file.name, &mut &*self.start)?;
        }
        Ok(self.hasher.finish())
    }
}

impl Write for Reviewed<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let more = super::checksum::START.saturating_sub(self.start.len()).min(bytes.len());
        self.start.extend_from_slice(&bytes[..more]);
        self.hasher.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The digests of a file that people approve, which may not be disguised; manifest and sums are what they say. None is what
/// is encrypted.
fn read_reviewed<T>(
    file: Option<&ReleaseFile>,
    mut bytes: Box<dyn Read + Send>,
    read: fn(&mut dyn Read) -> std::io::Result<T>,
    what: impl Fn() -> String,
) -> Result<T> {
    let disguises = file.filter(|file| file.origin == Origin::Listed);
    let start = match disguises {
        Some(file) => super::checksum::refuse_disguised(&file.name, &mut *bytes)?,
        None => Vec::new(),
    };
    read(&mut std::io::Cursor::new(start).chain(bytes)).context(what())
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
        let what = || format!("cannot read `{name}` of the bundle");
        if read_reviewed(Some(&file), bytes, digests::read, what)? != file.digests {
            return Err(Error::verification(format!("`{name}` of the bundle has other bytes than recorded"))
                .hint("do not approve: ask for the bundle again, and compare its digest by voice"));
        }
        count += 1;
    }
    Ok(Some(count))
}
