//! Lock files between the processes of this machine: whoever meets one that is held waits for it, or says who holds it.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::disk::{Disk, LockGuard};
use crate::error::{Context as _, Error, Result};
use crate::model::escape;

/// How long a process waits for one that holds a lock for a moment only.
const PATIENCE: Duration = Duration::from_secs(30);

/// The time between two tries.
const BETWEEN: Duration = Duration::from_millis(10);

/// Takes a lock, or says at once that it is busy: `busy` is what another process does.
///
/// # Errors
/// A [transient](crate::error::ErrorKind::Transient) one with `busy` and the holder; the file system's.
pub fn take(disk: &dyn Disk, path: &Path, busy: &str) -> Result<Box<dyn LockGuard>> {
    attempt(disk, path)?.ok_or_else(|| is_busy(disk, path, busy))
}

/// Takes a lock that nobody holds for longer than a moment, after waiting for it.
///
/// # Errors
/// As [`take`], after half a minute.
pub fn wait(disk: &dyn Disk, path: &Path, busy: &str) -> Result<Box<dyn LockGuard>> {
    // Real time: another process does not follow this one's clock.
    let start = Instant::now();
    loop {
        match attempt(disk, path)? {
            Some(held) => return Ok(held),
            None if start.elapsed() >= PATIENCE => return Err(is_busy(disk, path, busy)),
            None => thread::sleep(BETWEEN),
        }
    }
}

fn attempt(disk: &dyn Disk, path: &Path) -> Result<Option<Box<dyn LockGuard>>> {
    disk.try_lock(path).context(format!("cannot lock `{}`", path.display()))
}

fn is_busy(disk: &dyn Disk, path: &Path, busy: &str) -> Error {
    Error::transient(format!("{busy}: {}", holder(disk, path).map_or_else(unknown, with)))
        .detail(format!("lock: {}", path.display()))
        .hint("wait for it to end, then run the same command again; `lifeboat status` works meanwhile")
}

/// What is said of a holder.
#[must_use]
pub fn with(holder: String) -> String {
    format!("busy with {holder}")
}

/// What is said where nobody knows the holder.
#[must_use]
pub fn unknown() -> String {
    "it is busy".to_owned()
}

/// Who holds a lock, for people: it may have ended in the same moment.
#[must_use]
pub fn holder(disk: &dyn Disk, path: &Path) -> Option<String> {
    let text = disk.read(path).ok().flatten()?;
    named(&String::from_utf8_lossy(&text))
}

/// The process that a lock file names, with what it does if that is known.
#[must_use]
pub fn named(text: &str) -> Option<String> {
    let (process, verb) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    match (process, verb) {
        ("", _) => None,
        (process, "") => Some(format!("process {}", escape(process))),
        (process, verb) => Some(format!("`lifeboat {}` (process {})", escape(verb), escape(process))),
    }
}
