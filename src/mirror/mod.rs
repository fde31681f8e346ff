//! Fills or repairs a store from another one. A mirror needs no key: it copies what it verified as a stranger does, in the
//! order in which a train writes, so its readers never see half a release either. `docs/layout.md` has the contract.

mod copy;
mod release;
mod repository;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use semver::Version;
use serde::Serialize;
use tokio::sync::Mutex;

use crate::config::TemplateSet;
use crate::effects::{Disk, Progress, ProgressEvent, Store};
use crate::engine::{self, PageWriter, until_ours, write_pages};
use crate::error::{Error, ErrorKind, Result};
use crate::formats::layout;
use crate::model::{counted, escape};
use crate::trust::{SignedIndex, SignedMirrors, TrustedRoot, explain, read_index, read_mirrors};
use crate::verify::{Source, counting_index, counting_list};

/// What is copied, and by whose word.
pub struct Mirror<'a> {
    /// Where everything comes from; nothing that it says is believed.
    pub from: Source,
    /// Where it goes.
    pub to: Arc<dyn Store>,
    /// The trust root, which came from elsewhere.
    pub trust: &'a TrustedRoot,
    /// The project's own page templates, where they are known.
    pub templates: &'a TemplateSet,
    /// This machine's files.
    pub disk: Arc<dyn Disk>,
    /// A directory for what is on its way.
    pub scratch: &'a Path,
    /// Where the highest index that was seen is remembered.
    pub state_dir: Option<PathBuf>,
    /// Where progress is said.
    pub progress: &'a dyn Progress,
    /// The time.
    pub now: Timestamp,
}

/// What a mirror has now.
#[derive(Debug, Default, Serialize)]
pub struct Mirrored {
    /// The number of the index that it shows.
    pub index: u64,
    /// The releases of which something was copied.
    pub copied: Vec<Version>,
    /// The releases that were whole before.
    pub unchanged: Vec<Version>,
    /// How many files were put.
    pub files: usize,
    /// How many bytes they have.
    pub bytes: u64,
}

/// Copies everything that the other store lists and this one lacks; pointers last.
///
/// # Errors
/// What does not verify, before anything of it is written; other bytes in the store; an index there that is newer.
pub async fn mirror(mirror: &Mirror<'_>) -> Result<Mirrored> {
    let can = mirror.to.check().await?;
    engine::can_release(mirror.to.name(), &can)?;
    let done = Mutex::new(Mirrored::default());
    until_ours(&*mirror.to, "what is mirrored to", || async {
        let done = &mut *done.lock().await;
        // The index is read first, and again at the end: what lies between belongs together.
        let from = mirror.from.anew();
        let (index, not_checked) = mirror.index(&from).await?;
        mirror.note(not_checked);
        let before = mirror.there(&index).await?;
        let list = mirror.list(&from).await?;
        mirror.releases(&from, &index, done).await?;
        engine::publish_keys(&*mirror.to, mirror.trust).await?;
        let moved = || async { Ok::<_, Error>(mirror.index(&from.anew()).await?.0.bytes != index.bytes) };
        let ours =
            repository::copy(mirror, &from, done).await? && !moved().await? && mirror.point(&index, before).await?;
        let ours = ours && mirror.show_list(list).await?;
        done.index = index.index.counter;
        Ok(ours.then_some(()))
    })
    .await?;
    Ok(done.into_inner())
}

impl Mirrored {
    /// Counts a file of so many bytes, if it was put.
    fn add(&mut self, put: Option<u64>) {
        self.files += usize::from(put.is_some());
        self.bytes += put.unwrap_or_default();
    }
}

impl Mirror<'_> {
    /// Says something of what is not as it should be, and no reason to copy nothing.
    fn note(&self, why: Option<String>) {
        why.into_iter().for_each(|why| self.progress.event(ProgressEvent::Note(why)));
    }

    /// The index that the other store shows, if it counts; and why it is not known whether it was rolled back, if so.
    async fn index(&self, from: &Source) -> Result<(SignedIndex, Option<String>)> {
        let memory = self.state_dir.as_deref().map(|dir| (&*self.disk, dir));
        let found = counting_index(from, self.trust, memory, self.now).await;
        found.map_err(|e| e.context(format!("`{}`", escape(&from.place()))))
    }

    /// The index that the mirror shows before; one that is newer than the other store's is never replaced.
    async fn there(&self, from: &SignedIndex) -> Result<Option<SignedIndex>> {
        let name = self.to.name();
        let there = read_index(&*self.to, self.trust, self.now).await;
        let there = there.map_err(|e| e.context(format!("index of store `{name}`")))?;
        let Some(there) = there else { return Ok(None) };
        let (ours, theirs) = (there.index.counter, from.index.counter);
        // After the freshness key was replaced numbers begin again, and what the old one signed counts for no reader.
        let counts = there.by_current_key(self.trust, self.now);
        if counts && (ours > theirs || (ours == theirs && there.bytes != from.bytes)) {
            let place = escape(&self.from.place());
            return Err(Error::conflict(format!(
                "store `{name}` shows index number {ours}, and `{place}` number {theirs}, which is not newer"
            ))
            .hint("nothing was copied; mirror from the store with the newest index"));
        }
        Ok(Some(there))
    }

    /// The list of mirrors that the other store shows. One that has expired is no use, and no reason to copy nothing.
    async fn list(&self, from: &Source) -> Result<Option<SignedMirrors>> {
        let memory = self.state_dir.as_deref().map(|dir| (&*self.disk, dir));
        let place = escape(&from.place());
        let found = counting_list(from, self.trust, memory, self.now).await;
        let (found, not_checked) = found.map_err(|e| match e.kind() {
            ErrorKind::Verification => e
                .context(format!("`{place}`"))
                .hint("do not trust that store: nothing was copied; mirror from another one, and inform the project"),
            // Nothing is wrong with a list that could not be read.
            _ => Error::transient(format!("`{place}`: cannot read its list of mirrors: {}", explain(&e)))
                .hint("nothing was copied; run the same command again"),
        })?;
        self.note(not_checked);
        if found.as_ref().is_some_and(|found| self.now >= found.list.expires) {
            self.note(Some(format!("`{place}`: its list of mirrors has expired, and is not copied")));
            return Ok(None);
        }
        Ok(found)
    }

    /// Shows a list of mirrors, unless one that is newer is there; says whether it is so, or another writer was faster.
    async fn show_list(&self, list: Option<SignedMirrors>) -> Result<bool> {
        let Some(list) = list else { return Ok(true) };
        let there = read_mirrors(&*self.to, self.trust, self.now).await?;
        let (old, signed) = there.map_or((None, None), |(bytes, signed)| (Some(bytes), signed));
        if signed.is_some_and(|signed| signed.list.generated >= list.list.generated) {
            return Ok(true);
        }
        let signatures = self.to.digest_signatures().await.unwrap_or_default();
        copy::put_bytes(self, &layout::mirrors_signature(&list.bytes), &list.signature).await?;
        engine::mirrors::replace_list(&*self.to, old.as_deref(), &list.bytes, &signatures).await
    }

    async fn releases(&self, from: &Source, index: &SignedIndex, done: &mut Mirrored) -> Result<()> {
        for (version, entry) in &index.index.releases {
            let before = done.files;
            release::copy(self, from, (version, entry), done)
                .await
                .map_err(|e| e.detail(format!("release: {version}")))?;
            let copied = done.files - before;
            if copied > 0 {
                self.progress.event(ProgressEvent::Note(format!("copied    {version}: {}", counted(copied, "file"))));
                done.unchanged.retain(|v| v != version);
                done.copied.push(version.clone());
            } else if !done.copied.contains(version) && !done.unchanged.contains(version) {
                done.unchanged.push(version.clone());
            }
        }
        Ok(())
    }

    /// Shows the index, and all that follows from it; says whether it is shown.
    async fn point(&self, from: &SignedIndex, before: Option<SignedIndex>) -> Result<bool> {
        let signatures = self.to.digest_signatures().await.unwrap_or_default();
        copy::put_bytes(self, &layout::index_signature(&from.bytes), &from.signature).await?;
        let old = before.as_ref().map(|b| &b.bytes[..]);
        if !engine::index::replace_index(&*self.to, old, &from.bytes, &signatures).await? {
            return Ok(false);
        }
        let lines: BTreeSet<_> = from.index.releases.values().map(|entry| entry.line.clone()).collect();
        let pages = PageWriter { templates: self.templates, root: self.trust.digest, lines: &lines };
        let beside = layout::INDEX_SIGNATURE;
        Ok(engine::index::follow(&*self.to, &from.bytes, beside, &from.signature).await?
            && write_pages(&pages, &*self.to, &from.index, &from.bytes).await?)
    }
}
