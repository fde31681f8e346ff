//! Files and directories of this machine that others cannot read, for what belongs to jobs.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use crate::error::{Context as _, Result};

/// Creates a directory, and those above it, that others cannot read.
pub(super) fn create_private_dir(dir: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .context(format!("cannot create directory `{}`", dir.display()))
}

/// Creates a file that must be absent and that others cannot read.
pub(super) fn create_private_file(path: &Path) -> io::Result<fs::File> {
    fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Removes a tree whose directories a recipe may have made unwritable (cargo and go do that to their caches).
pub(super) fn remove_tree(dir: &Path) -> Result<()> {
    let gone = |result: io::Result<()>| match result {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    };
    if gone(fs::remove_dir_all(dir)).is_ok() {
        return Ok(());
    }
    make_writable(dir);
    gone(fs::remove_dir_all(dir)).context(format!("cannot remove `{}`", dir.display()))
}

fn make_writable(dir: &Path) {
    let Ok(meta) = fs::symlink_metadata(dir) else { return };
    if meta.is_dir() {
        // If this fails, so does the removal, which says why.
        drop(fs::set_permissions(dir, fs::Permissions::from_mode(0o700)));
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            make_writable(&entry.path());
        }
    }
}
