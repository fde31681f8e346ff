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
        if let Some(there) = self.holder(&target)? {
            // It may have been linked just before a crash that its directory has not been synced since.
            files::sync_parent(&*self.disk, &target)?;
            return Ok((there != holder).then_some(there));
        }
        files::write_new(&*self.disk, &target, modes(&area).0, &mut &*holder)?;
        Ok(None)
    }

    pub(super) fn release(&self, what: &str, holder: &[u8]) -> Result<()> {
        path::check_train(what)?;
        let target = self.locate(&Area::Staging(HELD.to_owned()), what)?;
        if self.holder(&target)?.as_deref() != Some(holder) {
            return Ok(());
        }
        // Nobody but its holder removes it, and the holder does one thing at a time.
        self.disk.remove_file(&target).context(format!("cannot remove `{}`", target.display()))?;
        files::sync_parent(&*self.disk, &target)
    }

    fn holder(&self, target: &Path) -> Result<Option<Vec<u8>>> {
        self.disk.read(target).context(format!("cannot read `{}`", target.display()))
    }
}
