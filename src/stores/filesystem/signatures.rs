//! The signatures that lie under the digests of indexes and of lists of mirrors: all but the last two are of no use.

use super::Tree;
use crate::effects::{Area, PathKind, files};
use crate::error::{Context as _, Result};
use crate::formats::layout::{self, RELEASES};
use crate::stores::path;

impl Tree {
    /// See [`crate::effects::Store::digest_signatures`].
    pub(super) fn digest_signatures(&self) -> Result<Vec<String>> {
        let dir = self.locate(&Area::Public, RELEASES)?;
        let entries = self.disk.list(&dir).context(format!("cannot list `{}`", dir.display()))?;
        let files = entries.into_iter().filter(|e| e.kind == PathKind::File);
        Ok(files.map(|e| format!("{RELEASES}/{}", e.name)).filter(|path| layout::is_digest_signature(path)).collect())
    }

    /// See [`crate::effects::Store::remove_digest_signature`].
    pub(super) fn remove_digest_signature(&self, path: &str) -> Result<()> {
        path::check_digest_signature(path)?;
        let target = self.locate(&Area::Public, path)?;
        self.disk.remove_file(&target).context(format!("cannot remove `{}`", target.display()))?;
        files::sync_parent(&*self.disk, &target)
    }
}
