//! `stage` and `verify-staged`: bytes where only the team can read them, read back.

use std::collections::BTreeSet;
use std::io::Read as _;

use super::{Acting, Summed, summed};
use crate::effects::{Area, Effects, ProgressEvent, PutNew, STAGED_NOTE, Store, blocking};
use crate::engine::staged;
use crate::engine::train::Train;
use crate::engine::view::View;
use crate::error::{Context as _, Error, Result};
use crate::formats::digests;
use crate::journal::State;
use crate::model::{Artifact, Digests};
use crate::step::{OnStore, Outcome};

/// Where a line's files are in a store, in both areas.
pub(super) fn directory(version: &semver::Version) -> String {
    format!("releases/{version}")
}

/// Whether strangers see nothing of a store's staging area.
///
/// # Errors
/// They do: nothing may be staged there.
pub async fn hidden_from_strangers(store: &dyn Store) -> Result<()> {
    match store.seen_by_strangers().await? {
        None => Ok(()),
        Some(seen) => Err(Error::fatal(format!("strangers can read {seen} of store `{}`", store.name())).hint(
            "let the web server refuse everything below `.staging/` (nginx: `location ~ /\\.staging { return 404; }`), or let it \
             run as a user that cannot read it; then `lifeboat doctor` looks again",
        )),
    }
}

fn staging(state: &State, on: &OnStore) -> Result<String> {
    state.staging(on).ok_or_else(|| Error::fatal("the train has no nonce, or stages nothing there"))
}

impl Acting<'_> {
    /// The directory in the staging area where a line's files are.
    pub(super) fn staging(&self, on: &OnStore) -> Result<String> {
        staging(&self.state, on)
    }
}

/// What is at a path of a store, by its digests.
pub(super) async fn digests_at(store: &dyn Store, area: &Area, path: &str) -> Result<Option<Digests>> {
    match store.get(area, path).await? {
        None => Ok(None),
        Some(mut bytes) => {
            let name = store.name();
            Ok(Some(
                blocking(|| digests::read(&mut *bytes)).context(format!("cannot read `{path}` in store `{name}`"))?,
            ))
        }
    }
}

/// Same bytes skip, different bytes stop.
pub(super) fn same_or_conflict(store: &dyn Store, path: &str, want: &Digests, found: Option<Digests>) -> Result<()> {
    match found {
        Some(found) if found.sha256 == want.sha256 && found.size == want.size => Ok(()),
        Some(found) => Err(Error::conflict(format!("store `{}` has other bytes at `{path}`", store.name()))
            .detail(format!("ours: sha256 {}, {} bytes", want.sha256, want.size))
            .detail(format!("there: sha256 {}, {} bytes", found.sha256, found.size))
            .hint(
                "nothing was overwritten; find out who put it there, remove it if it is wrong, then `lifeboat ship`",
            )),
        None => Err(Error::transient(format!("store `{}` does not show `{path}`, which was just put", store.name()))),
    }
}

fn staged_files(made: &Summed<'_>, step: &OnStore) -> Vec<(String, Artifact)> {
    let dir = directory(&step.version);
    made.files().map(|a| (format!("{dir}/{}", a.name), a.clone())).collect()
}

pub(super) async fn stage(acting: &Acting<'_>, step: &OnStore) -> Result<Outcome> {
    let store = acting.store(&step.store).await?;
    if store.staging_exposure() == crate::step::Exposure::Public {
        return Err(Error::fatal(format!("strangers can read the staging area of store `{}`", step.store))
            .hint("mend its permissions; `lifeboat doctor` shows what they are"));
    }
    hidden_from_strangers(&*store).await?;
    let area = Area::Staging(acting.staging(step)?);
    let note = staged::Note::bytes_of(acting.train.plan(), acting.nonce()?)?;
    let note = acting.train.objects().put(&note)?;
    store.put_new(&area, STAGED_NOTE, &acting.train.objects().path(&note.sha256), &note).await?;
    let files = staged_files(&summed(&acting.state, &step.checksum)?, step);
    let mut bytes = 0;
    for (path, artifact) in &files {
        let source = acting.train.objects().path(&artifact.digests.sha256);
        if store.put_new(&area, path, &source, &artifact.digests).await? == PutNew::Existed {
            let found = digests_at(&*store, &area, path).await?;
            same_or_conflict(&*store, path, &artifact.digests, found)?;
        }
        bytes += artifact.digests.size;
    }
    Ok(Outcome::Staged { files: files.len() as u64, bytes })
}

/// Puts a staged file that a store has lost there again: its bytes are kept with the train.
pub(super) async fn again(
    (effects, train): (&Effects, &Train),
    (store, step): (&dyn Store, &OnStore),
    path: &str,
    artifact: &Artifact,
) -> Result<()> {
    let area = Area::Staging(staging(&train.state(), step)?);
    let source = train.objects().path(&artifact.digests.sha256);
    store.put_new(&area, path, &source, &artifact.digests).await?;
    let text = format!("staged    store `{}` had lost the staged `{path}`; it was put there again", store.name());
    effects.progress.event(ProgressEvent::Note(text));
    Ok(())
}

/// Puts every staged file of a line that a store does not list there again.
pub(super) async fn all_again(effects: &Effects, train: &Train, step: &OnStore) -> Result<()> {
    let (store, state) = (effects.store(&step.store)?, train.state());
    let area = Area::Staging(staging(&state, step)?);
    let listed: BTreeSet<String> = store.list(&area, &directory(&step.version)).await?.into_iter().collect();
    for (path, artifact) in staged_files(&summed(&state, &step.checksum)?, step) {
        if !listed.contains(&path) {
            again((effects, train), (&*store, step), &path, &artifact).await?;
        }
    }
    Ok(())
}

pub(super) async fn verify_staged(acting: &Acting<'_>, step: &OnStore) -> Result<Outcome> {
    all_again(acting.effects, acting.train, step).await?;
    let files = read_staged(acting.effects, &acting.state, step).await?;
    Ok(Outcome::StagedVerified { files: files as u64 })
}

/// Reads every staged file back, compares, and finds files that are not ours; says how many there are.
pub(super) async fn read_staged(effects: &Effects, state: &State, step: &OnStore) -> Result<usize> {
    let store = effects.store(&step.store)?;
    let area = Area::Staging(staging(state, step)?);
    let files = staged_files(&summed(state, &step.checksum)?, step);
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
            let start = if listed { super::sum::refuse_disguised(artifact, &mut *bytes)? } else { Vec::new() };
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
        let start = if listed { super::sum::refuse_disguised(artifact, &mut *bytes)? } else { Vec::new() };
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
