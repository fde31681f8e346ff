//! The signatures of indexes under the indexes' own digests: all but the last two are of no use.

use super::Tree;
use crate::effects::{Area, EntryKind, files};
use crate::error::{Context as _, Error, Result};
use crate::model::Sha256;

const DIRECTORY: &str = "releases";

fn is_one(path: &str) -> bool {
    let digest = path.strip_prefix("releases/index.").and_then(|rest| rest.strip_suffix(".asc"));
    digest.is_some_and(|d| d.parse::<Sha256>().is_ok())
}

impl Tree {
    /// See [`crate::effects::Store::index_signatures`].
    pub(super) fn index_signatures(&self) -> Result<Vec<String>> {
        let dir = self.locate(&Area::Public, DIRECTORY)?;
        let entries = self.disk.list(&dir).context(format!("cannot list `{}`", dir.display()))?;
        let files = entries.into_iter().filter(|e| e.kind == EntryKind::File);
        Ok(files.map(|e| format!("{DIRECTORY}/{}", e.name)).filter(|path| is_one(path)).collect())
    }

    /// See [`crate::effects::Store::remove_index_signature`].
    pub(super) fn remove_index_signature(&self, path: &str) -> Result<()> {
        if !is_one(path) {
            return Err(Error::fatal(format!("`{path}` is not the signature of an index, and stays")));
        }
        let target = self.locate(&Area::Public, path)?;
        self.disk.remove_file(&target).context(format!("cannot remove `{}`", target.display()))?;
        files::sync_parent(&*self.disk, &target)
    }
}

#[cfg(test)]
mod tests {
    use super::is_one;

    #[test]
    fn nothing_else_is_taken_for_one() {
        assert!(is_one(&format!("releases/index.{}.asc", "0a".repeat(32))));
        for other in
            ["releases/index.json.asc", "releases/index.json", "releases/1.0.5/SHA256SUMS.alice.asc", "keys/a.asc"]
        {
            assert!(!is_one(other), "{other}");
        }
    }
}
