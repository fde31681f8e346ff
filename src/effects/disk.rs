//! The port to this machine's files, at the grain of the calls that can be interrupted.
//!
//! What survives a power loss is exactly what was synced: a file's bytes by [`DiskFile::sync`], a directory's entries by
//! [`Disk::sync_dir`]. The composite operations, which do both in the right order, are in [`super::files`].

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

/// What a directory entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathKind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link, not followed.
    Symlink,
    /// A device, a socket or a pipe.
    Other,
}

/// A directory entry or the thing at a path; symbolic links are not followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// The last component of its path.
    pub name: String,
    /// What it is.
    pub kind: PathKind,
    /// Length in bytes of a regular file.
    pub size: u64,
    /// Permission bits, such as `0o644`.
    pub mode: u32,
    /// Device and number of the inode: the same as long as it is the same file.
    pub inode: (u64, u64),
    /// When its bytes, its mode or its number of names last changed: seconds and nanoseconds since 1970 by the file system's
    /// own clock (`st_ctim`). No program can set it.
    pub changed: (i64, i64),
}

/// A file open for writing.
pub trait DiskFile: Write + Send {
    /// Returns when all written bytes are on the disk (`fsync`).
    fn sync(&mut self) -> io::Result<()>;
}

/// Held while a lock file is locked; dropping it unlocks.
pub trait LockGuard: Send + Sync {}

/// A file with an advisory lock (`flock(2)`), which is released when it is dropped or the process dies.
///
/// Closing alone may come too late: between fork and exec, a child that another thread starts has the file open, too, and
/// whoever asks meanwhile finds it locked by nobody.
#[derive(Debug)]
pub struct LockedFile(pub File);

impl LockGuard for LockedFile {}

impl Drop for LockedFile {
    fn drop(&mut self) {
        // Closing it does the same, if a little later.
        drop(self.0.unlock());
    }
}

/// Files and directories. Every method that changes state is one kill point of the crash tests.
pub trait Disk: Send + Sync {
    /// The bytes of a file, or `None` if there is nothing at `path`.
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>>;

    /// Opens a file to stream it, or `None` if there is nothing at `path`.
    fn open(&self, path: &Path) -> io::Result<Option<Box<dyn Read + Send>>>;

    /// What is at `path`, or `None`.
    fn entry(&self, path: &Path) -> io::Result<Option<DirEntry>>;

    /// The entries of a directory, sorted by name; empty if there is none.
    ///
    /// # Errors
    /// The operating system's; a name that is not UTF-8.
    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>>;

    /// Creates one directory with `mode`, whatever the umask; a directory that exists is left as it is.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] if something else is there, or the operating system's.
    fn create_dir(&self, path: &Path, mode: u32) -> io::Result<()>;

    /// Creates a file that must not exist, with `mode`, whatever the umask; a symbolic link counts as existing.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`], or the operating system's.
    fn create_new(&self, path: &Path, mode: u32) -> io::Result<Box<dyn DiskFile>>;

    /// Opens a file for appending, created with `mode` if it is absent (then [`Disk::sync_dir`] is needed too).
    ///
    /// # Errors
    /// The operating system's; a symbolic link at `path`.
    fn append(&self, path: &Path, mode: u32) -> io::Result<Box<dyn DiskFile>>;

    /// Cuts a file to `len` bytes and syncs it.
    fn truncate(&self, path: &Path, len: u64) -> io::Result<()>;

    /// Renames, replacing a file at `to` as one act.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives a file a second name, which must not exist.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`], or the operating system's.
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Sets permission bits and syncs them. A symbolic link at `path` is an error.
    fn set_mode(&self, path: &Path, mode: u32) -> io::Result<()>;

    /// Removes a file; it is not an error if there is none.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes a directory with all that is in it, following no link; it is not an error if there is none.
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;

    /// Returns when a directory's entries are on the disk.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// The bytes that may still be written to the file system that holds `path`.
    fn free_space(&self, path: &Path) -> io::Result<u64>;

    /// Locks a file, created with mode `0o600` if absent, until the [`LockGuard`] is dropped or the process dies; `None` if
    /// another process, or another lock of this one, holds it. Who holds it is written into the file, for people: a process
    /// id, then what the process does if that is known; the lock counts without it.
    ///
    /// # Errors
    /// The operating system's; a symbolic link at `path`.
    fn try_lock(&self, path: &Path) -> io::Result<Option<Box<dyn LockGuard>>>;
}

/// Says which disk is full, how much room it has and what was to be written; any other error as it is.
#[must_use]
pub fn full(path: &Path, needed: usize, e: io::Error) -> io::Error {
    let what = match e.kind() {
        io::ErrorKind::StorageFull => "no space left on the disk",
        io::ErrorKind::QuotaExceeded => "the quota is used up on the disk",
        _ => return e,
    };
    let dir = path.ancestors().skip(1).find(|d| d.is_dir()).unwrap_or(Path::new("/"));
    let room = match rustix::fs::statvfs(dir) {
        Ok(fs) if fs.f_files > 0 && fs.f_favail == 0 => "no more files can be made".to_owned(),
        Ok(fs) => format!("{} bytes free, at least {needed} needed", fs.f_bavail.saturating_mul(fs.f_frsize)),
        Err(_) => format!("at least {needed} bytes needed"),
    };
    io::Error::new(e.kind(), format!("{what} of `{}`: {room}", dir.display()))
}
