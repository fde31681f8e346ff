//! The bytes that are uploaded at promotion: each is read on this machine before anything is public, and decrypted from what is
//! staged if it is lost.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::Mutex;

use super::Acting;
use super::encrypt::recover;
use super::stage::staging;
use crate::effects::{Area, Keys, Objects, Progress, ProgressEvent, Store, blocking};
use crate::engine::release_files::{LineRelease, Origin, ReleaseFile, StagedFile};
use crate::error::{Error, ErrorKind, Result};
use crate::formats::digests;
use crate::model::{BranchName, Digests};
use crate::step::{OnStore, Promote};
use crate::trust::explain;

/// Sees to it that the train has the bytes of every line that a store has encrypted alone.
///
/// # Errors
/// Bytes that are lost on this machine, and cannot be decrypted: says of which file.
pub(super) async fn of_all_lines(acting: &Acting<'_>) -> Result<()> {
    let mut seen = BTreeSet::new();
    let encrypted = acting.train.plan().all().map(|(_, Promote(on))| on).filter(|on| on.encrypt.is_some());
    // A line's files are the same in each of its stores.
    for on in encrypted.filter(|on| seen.insert(&on.branch)) {
        let release = LineRelease::staged(&acting.state, on)?;
        let files = release.summed_files().collect();
        let store = acting.effects.store(&on.store)?;
        let line = Arc::new(Line::of(acting, on)?);
        let have = |file: ReleaseFile| {
            let (line, staged) = (line.clone(), release.staged_file(&file));
            async move { line.have(&file, &staged?).await }
        };
        store.transfers().each(files, |_| 0, have).await?;
    }
    Ok(())
}

/// Sees to it that the train has the bytes of what a promotion uploads to its store; what is public there already needs none.
///
/// # Errors
/// As [`of_all_lines`]; a signature that is lost on this machine.
pub(super) async fn for_promotion(
    acting: &Acting<'_>,
    (store, on): (&Arc<dyn Store>, &OnStore),
    (release, files): (&LineRelease<'_>, &[ReleaseFile]),
) -> Result<()> {
    let uploaded = |file: &&ReleaseFile| file.origin == Origin::Sealed || !release.is_staged_plain();
    let line = Arc::new(Line::of(acting, on)?);
    let have = |file: ReleaseFile| {
        let (store, line, path) = (store.clone(), line.clone(), release.path(&file));
        let staged = (file.origin != Origin::Sealed).then(|| release.staged_file(&file)).transpose();
        async move {
            let had = match staged? {
                Some(staged) => line.have(&file, &staged).await,
                None if is_whole(&line.objects, &file.digests) => Ok(()),
                None => Err(line.lost(&file).hint("put the train's `objects/` directory from a backup in its place")),
            };
            match had {
                Err(_) if store.stat(&Area::Public, &path).await?.is_some() => Ok(()),
                had => had,
            }
        }
    };
    store.transfers().each(files.iter().filter(uploaded).cloned().collect(), |_| 0, have).await.map(drop)
}

/// A line on this machine, and where what is encrypted of it is staged.
struct Line {
    branch: BranchName,
    objects: Objects,
    keys: Arc<dyn Keys>,
    staged: Vec<(Arc<dyn Store>, Area)>,
    progress: Arc<dyn Progress>,
    /// One file is decrypted at a time: whoever is asked for a passphrase is asked once.
    turn: Mutex<()>,
}

impl Line {
    /// The line of a step. What it lacks is asked of that step's store first.
    fn of(acting: &Acting<'_>, step: &OnStore) -> Result<Self> {
        let all = acting.train.plan().all().map(|(_, Promote(on))| on);
        let mut all: Vec<&OnStore> = all.filter(|on| on.branch == step.branch && on.encrypt.is_some()).collect();
        all.sort_by_key(|on| on.store != step.store);
        let area = |on: &OnStore| Ok((acting.effects.store(&on.store)?, Area::Staging(staging(&acting.state, on)?)));
        Ok(Self {
            branch: step.branch.clone(),
            objects: acting.train.objects().clone(),
            keys: acting.effects.keys.clone(),
            staged: all.into_iter().map(area).collect::<Result<_>>()?,
            progress: acting.effects.progress.clone(),
            turn: Mutex::default(),
        })
    }

    /// Reads a file's bytes; lost or damaged ones are decrypted from the first store that gives the right ones.
    async fn have(&self, file: &ReleaseFile, StagedFile { path, .. }: &StagedFile) -> Result<()> {
        if is_whole(&self.objects, &file.digests) {
            return Ok(());
        }
        let (mut lost, mut passes) = (self.lost(file), None);
        let _turn = self.turn.lock().await;
        for (store, area) in &self.staged {
            let again = match store.get(area, path).await {
                Ok(Some(staged)) => {
                    blocking(|| recover(&*self.keys, &self.objects, (&file.name, &file.digests), staged))
                }
                Ok(None) => Err(Error::fatal("nothing of it is staged there")),
                Err(e) => Err(e),
            };
            let (name, store) = (&file.name, store.name());
            match again {
                Ok(()) => {
                    let text =
                        format!("recovered this machine had lost `{name}`; it was decrypted from store `{store}`");
                    self.progress.event(ProgressEvent::Note(text));
                    return Ok(());
                }
                Err(e) => {
                    lost = lost.detail(format!("store `{store}`: {}", explain(&e)));
                    if matches!(e.kind(), ErrorKind::Transient | ErrorKind::Unreachable) {
                        passes.get_or_insert(e);
                    }
                }
            }
        }
        // A store that is down may give them later.
        Err(match passes {
            Some(e) => e.context(lost.message()),
            None => lost.hint(
                "put the train's `objects/` directory from a backup in its place, or let somebody go on with the train whose key, \
                 in gpg or in `[signing.people]`, decrypts what is staged; then `lifeboat ship`",
            ),
        })
    }

    fn lost(&self, file: &ReleaseFile) -> Error {
        let (name, branch) = (&file.name, &self.branch);
        Error::fatal(format!("this machine has lost the bytes of `{name}` of line `{branch}`, or they are damaged"))
            .detail(format!("file: {}", self.objects.path(&file.digests.sha256).display()))
    }
}

/// Whether the train has these bytes. What cannot be read is lost.
fn is_whole(objects: &Objects, digests: &Digests) -> bool {
    let read = || digests::read_to_compare(&mut *objects.open(&digests.sha256).ok()?).ok();
    blocking(read).is_some_and(|found| found.sha256 == digests.sha256 && found.size == digests.size)
}
