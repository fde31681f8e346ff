//! The replacement of a small file where no [`Disk`](super::Disk) is at hand: in caches, in the process that watches over a
//! job, in a checkout.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::full;

/// What a replaced file outlives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outlives {
    /// The end of the program. A loss of power may leave it empty: it is part of a cache that is checked.
    Kill,
    /// A loss of power too.
    PowerLoss,
}

/// Puts `bytes` at `path` in place of what was there, readable by the owner only: whatever interrupts it, the file is the
/// old one or the new one. One writer at a time.
///
/// # Errors
/// The operating system's; `path` is as it was, unless only its directory could not be synced.
pub(crate) fn replace_file(path: &Path, bytes: &[u8], outlives: Outlives) -> io::Result<()> {
    let partial = path.with_extension("partial");
    let write = || {
        // What a killed process left, or a link that leads elsewhere.
        match fs::remove_file(&partial) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial)?;
        file.write_all(bytes)?;
        if outlives == Outlives::PowerLoss {
            file.sync_all()?;
        }
        fs::rename(&partial, path)
    };
    write().map_err(|e| full(path, bytes.len(), e))?;
    match (outlives, path.parent()) {
        (Outlives::PowerLoss, Some(dir)) => File::open(dir)?.sync_all(),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn the_old_file_or_the_new_one() {
        let dir = tempfile::tempdir().unwrap();
        let (path, elsewhere) = (dir.path().join("status.json"), dir.path().join("elsewhere"));
        let partial = path.with_extension("partial");
        for outlives in [Outlives::Kill, Outlives::PowerLoss] {
            // Left by a process that was killed, or by somebody who wants to lead the write elsewhere.
            symlink(&elsewhere, &partial).unwrap();
            replace_file(&path, b"old", outlives).unwrap();
            replace_file(&path, b"new", outlives).unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"new");
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            assert!(!elsewhere.exists() && !partial.exists());
        }
        // What cannot be written leaves the old one.
        fs::create_dir(&partial).unwrap();
        assert!(replace_file(&path, b"newer", Outlives::Kill).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }
}
