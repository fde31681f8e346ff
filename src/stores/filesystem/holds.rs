//! Names that one train holds at a time, on every machine that mounts the directory.

use std::path::Path;

use super::Tree;
use super::areas::{HELD, modes};
use crate::effects::{Area, files};
use crate::error::{Context as _, Result};
use crate::stores::path;

impl Tree {
    pub(super) fn hold(&self, what: &str, holder: &[u8]) -> Result<Option<Vec<u8>>> {
        let area = Area::Staging(HELD.to_owned());
        path::check_train(what)?;
        let target = self.locate(&area, what)?;
        self.ensure_parent(&area, &target)?;
        let _lock = self.lock(&target)?;
        if files::write_new(&*self.disk, &target, modes(&area).0, &mut &*holder)? {
            return Ok(None);
        }
        Ok(self.holder(&target)?.filter(|there| there != holder))
    }

    pub(super) fn release(&self, what: &str, holder: &[u8]) -> Result<()> {
        path::check_train(what)?;
        let target = self.locate(&Area::Staging(HELD.to_owned()), what)?;
        let dir = target.parent().unwrap_or(&target);
        if self.disk.entry(dir).context(format!("cannot look at `{}`", dir.display()))?.is_none() {
            return Ok(());
        }
        let _lock = self.lock(&target)?;
        if self.holder(&target)?.is_some_and(|there| there != holder) {
            return Ok(());
        }
        // What is gone already may have been removed just before a crash that its directory has not been synced since.
        files::remove_partial(&*self.disk, &target)?;
        self.disk.remove_file(&target).context(format!("cannot remove `{}`", target.display()))?;
        files::sync_parent(&*self.disk, &target)
    }

    fn holder(&self, target: &Path) -> Result<Option<Vec<u8>>> {
        self.disk.read(target).context(format!("cannot read `{}`", target.display()))
    }
}
