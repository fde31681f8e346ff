//! Files from elsewhere that builds need: the project's cache of them, by digest. It is filled ahead of the day, and a train
//! takes what its jobs need when it is adopted.

mod fetch;
mod mirror;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::Config;
use crate::effects::{Disk, LockGuard, Objects, files, locks};
use crate::error::{Context as _, Error, Result};
use crate::formats::digests;
use crate::model::{Digests, Sha256};
use crate::step::ToolInput;

pub use fetch::{FetchedInput, fetch};
pub use mirror::mirror;

/// Where the inputs of a project are whose directory in the state directory is `state`.
fn directory(state: &Path) -> PathBuf {
    state.join("inputs")
}

/// The configured inputs that were not fetched, by digest.
///
/// # Errors
/// The file system's.
pub fn missing(config: &Config, state: &Path, disk: &dyn Disk) -> Result<BTreeSet<Sha256>> {
    let dir = directory(state);
    let mut out = BTreeSet::new();
    for input in &config.inputs {
        let path = Objects::place(&dir, &input.sha256);
        if disk.entry(&path).context(format!("cannot look at `{}`", path.display()))?.is_none() {
            out.insert(input.sha256);
        }
    }
    Ok(out)
}

/// The inputs of a project that are on this machine.
pub struct InputCache {
    objects: Objects,
    disk: Arc<dyn Disk>,
    dir: PathBuf,
}

impl InputCache {
    /// That of the project whose directory in the state directory is `state`.
    #[must_use]
    pub fn of(state: &Path, disk: Arc<dyn Disk>) -> Self {
        let dir = directory(state);
        Self { objects: Objects::new(Arc::clone(&disk), dir.clone()), disk, dir }
    }

    /// Where the bytes of an input are.
    #[must_use]
    pub fn path(&self, id: &Sha256) -> PathBuf {
        self.objects.path(id)
    }

    /// Held while the cache is filled: one process at a time does that.
    ///
    /// # Errors
    /// Another process fills it; the file system's.
    pub fn lock(&self) -> Result<Box<dyn LockGuard>> {
        files::create_dir_all(&*self.disk, &self.dir, 0o700)?;
        locks::take(&*self.disk, &self.dir.join("lock"), "another `lifeboat inputs fetch` is under way")
    }

    /// Reads an input to its end: its digests, or none where it is not there.
    ///
    /// # Errors
    /// Other bytes than its digest says; the file system's.
    pub fn check(&self, id: &Sha256) -> Result<Option<Digests>> {
        if !self.objects.has(id)? {
            return Ok(None);
        }
        let found = digests::read(&mut *self.objects.open(id)?).context(format!("cannot read input {id}"))?;
        if found.sha256 != *id {
            return Err(Error::verification("its bytes in the cache are not those that the configuration names")
                .detail(format!("expected sha256 {id}"))
                .detail(format!("found    sha256 {}, {} bytes", found.sha256, found.size))
                .detail(format!("file: {}", self.path(id).display()))
                .hint("run `lifeboat inputs fetch`: it puts the right bytes there"));
        }
        Ok(Some(found))
    }

    /// Puts what a train's jobs need into the train's objects, as far as it is here: from then on the train has it itself.
    ///
    /// # Errors
    /// An input with other bytes than its digest says; the file system's.
    pub fn provide<'a>(&self, train: &Objects, wanted: impl IntoIterator<Item = &'a ToolInput>) -> Result<()> {
        for ToolInput { path, sha256 } in wanted {
            if train.has(sha256)? || !self.objects.has(sha256)? {
                continue;
            }
            train.put_from(&self.objects, sha256).map_err(|e| {
                let e = e.context(format!("the input at `{path}`"));
                e.hint("run `lifeboat inputs fetch`: it reads the cache again and puts the right bytes there")
            })?;
        }
        Ok(())
    }
}
