//! Composite file operations over [`Disk`]: each leaves the old state or the new one, whatever interrupts it, and the new
//! one survives a power loss once it returns.
//!
//! An interrupted write leaves at most a hidden sibling, `.<name>.partial`, which the next write of the same path replaces.
//! Threads of this process that write one path wait for each other; other processes are kept out by the caller's lock.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use parking_lot::{Condvar, Mutex};

use super::disk::Disk;
use crate::error::{Context as _, Error, ErrorKind, Result};

/// Creates a directory with all its parents; those that are new get `mode` and are synced into their parents.
///
/// # Errors
/// The operating system's, with the path; something else than a directory in the way.
pub fn create_dir_all(disk: &dyn Disk, path: &Path, mode: u32) -> Result<()> {
    let mut missing: Vec<&Path> = Vec::new();
    let mut at = Some(path);
    while let Some(p) = at.filter(|p| !p.as_os_str().is_empty()) {
        if disk.entry(p).context(format!("cannot look at `{}`", p.display()))?.is_some() {
            // It may have been created just before a crash and not be synced into its parent yet; whatever it holds
            // itself was created after that, for every level is synced before the next one is made.
            if p.parent().is_some() {
                sync_parent(disk, p)?;
            }
            break;
        }
        missing.push(p);
        at = p.parent();
    }
    for p in missing.iter().rev() {
        disk.create_dir(p, mode).context(format!("cannot create directory `{}`", p.display()))?;
        sync_parent(disk, p)?;
    }
    Ok(())
}

/// Syncs the directory that holds `path`.
pub fn sync_parent(disk: &dyn Disk, path: &Path) -> Result<()> {
    let parent = match path.parent() {
        Some(p) if !p.as_os_str().is_empty() => p,
        _ => Path::new("."),
    };
    disk.sync_dir(parent).context(format!("cannot sync directory `{}`", parent.display()))
}

/// Copies in 256 KiB pieces; returns the number of bytes.
pub fn copy(source: &mut dyn Read, out: &mut dyn Write) -> io::Result<u64> {
    let mut buffer = vec![0u8; 256 * 1024];
    let mut total = 0;
    loop {
        let n = match source.read(&mut buffer) {
            Ok(0) => return Ok(total),
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        out.write_all(&buffer[..n])?;
        total += n as u64;
    }
}

/// Puts a whole file at `path`, which must be absent; returns `false`, having changed nothing, if something is there.
///
/// # Errors
/// The operating system's, with the path; those of `source`, and then nothing is at `path`.
pub fn write_new(disk: &dyn Disk, path: &Path, mode: u32, source: &mut dyn Read) -> Result<bool> {
    let _alone = Writing::begin(path);
    if disk.entry(path).context(format!("cannot look at `{}`", path.display()))?.is_some() {
        remove_partial(disk, path)?;
        // What is there may have been linked just before a crash that its directory has not been synced since.
        sync_parent(disk, path)?;
        return Ok(false);
    }
    let tmp = write_partial(disk, path, mode, source)?;
    let linked = match disk.hard_link(&tmp, path) {
        Ok(()) => true,
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => false,
        Err(e) => {
            drop(disk.remove_file(&tmp));
            return Err(e).context(format!("cannot create `{}`", path.display()));
        }
    };
    disk.remove_file(&tmp).context(format!("cannot remove `{}`", tmp.display()))?;
    sync_parent(disk, path)?;
    Ok(linked)
}

/// As [`write_new`], for what is made while it is written; a file that is there already is left alone before any work.
///
/// # Errors
/// The operating system's, with the path; those of `write`, and then nothing is at `path`.
pub(crate) fn make_new(
    disk: &dyn Disk,
    path: &Path,
    mode: u32,
    write: impl FnOnce(&mut (dyn Write + Send)) -> Result<()>,
) -> Result<bool> {
    let _alone = Writing::begin(path);
    if disk.entry(path).context(format!("cannot look at `{}`", path.display()))?.is_some() {
        return Ok(false);
    }
    let what = || format!("cannot write `{}`", path.display());
    let tmp = partial(path);
    disk.remove_file(&tmp).context(what())?;
    let mut file = disk.create_new(&tmp, mode).context(what())?;
    let done = write(&mut *file).and_then(|()| file.sync().context(what()));
    drop(file);
    let linked = done.map_err(explained).and_then(|()| match disk.hard_link(&tmp, path) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(e).context(what()),
    });
    drop(disk.remove_file(&tmp));
    let linked = linked?;
    sync_parent(disk, path)?;
    Ok(linked)
}

/// Puts a whole file at `path`, in place of what was there.
///
/// # Errors
/// The operating system's, with the path; those of `source`, and then `path` is as it was.
pub fn replace(disk: &dyn Disk, path: &Path, mode: u32, source: &mut dyn Read) -> Result<()> {
    let _alone = Writing::begin(path);
    let tmp = write_partial(disk, path, mode, source)?;
    disk.rename(&tmp, path).context(format!("cannot replace `{}`", path.display()))?;
    sync_parent(disk, path)
}

/// Whether a write of `path` was interrupted and left bytes beside it.
pub(crate) fn left_partial(disk: &dyn Disk, path: &Path) -> Result<bool> {
    let tmp = partial(path);
    Ok(disk.entry(&tmp).context(format!("cannot look at `{}`", tmp.display()))?.is_some())
}

/// The path that a hidden file of this name is the unfinished write of, if it is one.
#[must_use]
pub(crate) fn partial_of(name: &str) -> Option<&str> {
    name.strip_prefix('.')?.strip_suffix(".partial").filter(|n| !n.is_empty())
}

/// Removes what an interrupted write left beside `path`: one that ended after `path` was there is not written again, so
/// nothing would replace it. The caller is the only writer of `path`.
pub(crate) fn remove_partial(disk: &dyn Disk, path: &Path) -> Result<()> {
    if left_partial(disk, path)? {
        let tmp = partial(path);
        disk.remove_file(&tmp).context(format!("cannot remove `{}`", tmp.display()))?;
    }
    Ok(())
}

/// Where a write of `path` that was interrupted leaves its bytes.
fn partial(path: &Path) -> PathBuf {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    path.with_file_name(format!(".{name}.partial"))
}

/// Writes a temporary sibling of `path`, synced. One writer at a time may do this for one path: hold a [`Writing`].
fn write_partial(disk: &dyn Disk, path: &Path, mode: u32, source: &mut dyn Read) -> Result<PathBuf> {
    let tmp = partial(path);
    let written = disk.remove_file(&tmp).and_then(|()| disk.create_new(&tmp, mode)).and_then(|mut file| {
        copy(source, &mut *file).and_then(|_| file.sync()).inspect_err(|_| {
            // A full disk should not stay full of our half-written file; the first error is the one worth telling.
            drop(disk.remove_file(&tmp));
        })
    });
    written.context(format!("cannot write `{}`", path.display())).map_err(explained)?;
    Ok(tmp)
}

/// Says what a person can do about a full disk.
pub(crate) fn explained(e: Error) -> Error {
    if e.kind() == ErrorKind::Transient && e.hints().is_empty() {
        e.hint("free some space on that disk and run `lifeboat ship` again: nothing half-written was kept")
    } else {
        e
    }
}

/// The paths that threads of this process are writing now.
static WRITTEN: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
static FINISHED: Condvar = Condvar::new();

/// The only writer of a path within this process, until dropped.
pub(super) struct Writing(PathBuf);

impl Writing {
    /// Waits until no other thread writes `path`.
    pub(super) fn begin(path: &Path) -> Self {
        let mut written = WRITTEN.lock();
        while !written.insert(path.to_owned()) {
            FINISHED.wait(&mut written);
        }
        Self(path.to_owned())
    }

    /// The first of `paths` that no thread writes now.
    pub(super) fn first_free(paths: impl IntoIterator<Item = PathBuf>) -> Option<Self> {
        let mut written = WRITTEN.lock();
        paths.into_iter().find(|p| written.insert(p.clone())).map(Self)
    }

    /// The path.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        WRITTEN.lock().remove(&self.0);
        FINISHED.notify_all();
    }
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
