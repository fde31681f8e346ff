//! Looks at the staging area as strangers would: over the web, without credentials.

use super::Tree;
use super::areas::STAGING;
use crate::effects::{Area, files};
use crate::error::{Context as _, Result};
use crate::http::read_as_stranger;

/// The file of the probe.
const FILE: &str = "seen-by-strangers.txt";

/// What the file says: nothing that is embargoed.
const TEXT: &str = "lifeboat looks whether strangers can read this file. They should not.\n";

impl Tree {
    /// Puts a file into a directory of the staging area, as a train puts its own there; gives the directory's name.
    pub(super) fn show_probe(&self) -> Result<String> {
        // Two processes that look at once each have their own.
        let probe = format!("stranger-{}", std::process::id());
        self.ensure_staging()?;
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

/// What anybody sees of the probe below the store's public address.
pub(super) async fn look(base: &str, probe: &str) -> Option<String> {
    let file = format!("{base}/{STAGING}/{probe}/{FILE}");
    if let Ok(Some(bytes)) = read_as_stranger(&file).await
        && bytes == TEXT.as_bytes()
    {
        return Some(format!("a file of the staging area at `{file}`"));
    }
    let list = format!("{base}/{STAGING}/");
    if let Ok(Some(bytes)) = read_as_stranger(&list).await
        && String::from_utf8_lossy(&bytes).contains(probe)
    {
        return Some(format!("the names in the staging area at `{list}`"));
    }
    None
}
