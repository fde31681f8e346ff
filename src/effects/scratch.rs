//! Directories in which one process works alone, and which nobody needs afterwards.

use std::path::{Path, PathBuf};

use super::disk::{Disk, LockGuard, PathKind};
use super::{files, locks};
use crate::error::{Context as _, Error, Result};

/// The lock of a scratch directory, and of the directory with all of them.
const LOCK: &str = "lock";

/// A directory of this process alone, removed when it is dropped. What killed processes left is removed by the next one.
pub struct Scratch<'a> {
    disk: &'a dyn Disk,
    dir: PathBuf,
    /// Held as long as the directory is used: by it others see whether its process lives.
    _lock: Box<dyn LockGuard>,
}

impl<'a> Scratch<'a> {
    /// Makes one below `all`, which only scratch directories are in.
    pub fn new(disk: &'a dyn Disk, all: &Path) -> Result<Self> {
        files::create_dir_all(disk, all, 0o700)?;
        // Held while a directory has no lock of its own yet.
        let _turn = locks::wait(disk, &all.join(LOCK), "another lifeboat process makes a scratch directory")?;
        sweep(disk, all)?;
        let process = std::process::id();
        for n in 0..=u64::MAX {
            let dir = all.join(format!("{process}-{n}"));
            if disk.entry(&dir).context(format!("cannot look at `{}`", dir.display()))?.is_some() {
                continue;
            }
            disk.create_dir(&dir, 0o700).context(format!("cannot create directory `{}`", dir.display()))?;
            let lock = locks::take(disk, &dir.join(LOCK), "a new scratch directory")?;
            return Ok(Self { disk, dir, _lock: lock });
        }
        Err(Error::fatal(format!("`{}` is full of scratch directories", all.display())))
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.dir
    }
}

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
        // What stays, the next process removes.
        drop(self.disk.remove_dir_all(&self.dir));
    }
}

/// Removes the directories whose processes are gone. One that cannot be removed is in nobody's way.
fn sweep(disk: &dyn Disk, all: &Path) -> Result<()> {
    let entries = disk.list(all).context(format!("cannot list `{}`", all.display()))?;
    for dir in entries.into_iter().filter(|e| e.kind == PathKind::Dir).map(|e| all.join(e.name)) {
        if let Ok(Some(_dead)) = disk.try_lock(&dir.join(LOCK)) {
            drop(disk.remove_dir_all(&dir));
        }
    }
    Ok(())
}
