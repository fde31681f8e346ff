//! The file by which it is seen whether strangers can look into the staging area.

use super::Tree;
use super::areas::STAGING;
use crate::effects::{Area, files};
use crate::error::{Context as _, Result};
use crate::stores::strangers::{FILE, TEXT, is_forgotten, probe_name};

impl Tree {
    /// Puts a file into a directory of the staging area, as a train puts its own there; gives the directory's name.
    pub(super) fn show_probe(&self) -> Result<String> {
        let probe = probe_name()?;
        self.ensure_staging()?;
        let staging = self.root.join(STAGING);
        let listed = self.disk.list(&staging).context(format!("cannot list `{}`", staging.display()))?;
        for left in listed.iter().map(|entry| entry.name.as_str()).filter(|name| is_forgotten(name)) {
            self.hide_probe(left)?;
        }
        let file = self.locate(&Area::Staging(probe.clone()), FILE)?;
        if let Some(dir) = file.parent() {
            files::create_dir_all(&*self.disk, dir, 0o700)?;
        }
        files::write_new(&*self.disk, &file, 0o600, &mut TEXT.as_bytes())?;
        Ok(probe)
    }

    /// Removes it.
    pub(super) fn hide_probe(&self, probe: &str) -> Result<()> {
        let dir = self.root.join(STAGING).join(probe);
        self.disk.remove_dir_all(&dir).context(format!("cannot remove `{}`", dir.display()))
    }
}
