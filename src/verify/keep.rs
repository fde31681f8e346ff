//! Keeps what was checked: it lies in a hidden directory beside its place until the whole check holds, then moves there as one.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::release::FLAT;
use super::{Report, Source};
use crate::effects::{Disk, DiskFile, files};
use crate::error::{Context as _, Error, Result};
use crate::model::PersonId;

/// A directory that is being filled.
#[derive(Clone)]
pub struct Download {
    disk: Arc<dyn Disk>,
    /// Where it will be.
    to: PathBuf,
    /// Where it is until then.
    partial: PathBuf,
}

impl Download {
    /// Begins to keep files for the directory `to`, which must be absent or empty.
    ///
    /// # Errors
    /// Something is there already; the file system's.
    pub fn begin(disk: Arc<dyn Disk>, to: &Path) -> Result<Self> {
        let what = || format!("cannot look at `{}`", to.display());
        if disk.entry(to).context(what())?.is_some() && !disk.list(to).context(what())?.is_empty() {
            return Err(Error::input(format!("`{}` is not empty", to.display()))
                .hint("name a directory that is absent or empty with `--output`"));
        }
        let to = std::path::absolute(to).context(what())?;
        let name = to.file_name().map(|n| n.to_string_lossy().into_owned());
        let name = name.ok_or_else(|| Error::input(format!("`{}` is not a valid directory to write", to.display())))?;
        let partial = to.with_file_name(format!(".{name}.partial"));
        disk.remove_dir_all(&partial).context(format!("cannot clear `{}`", partial.display()))?;
        files::create_dir_all(&*disk, &partial, 0o755)?;
        Ok(Self { disk, to, partial })
    }

    /// A file of it.
    pub(super) fn file(&self, name: &str) -> Result<Box<dyn DiskFile>> {
        let path = self.partial.join(name);
        self.disk.create_new(&path, 0o644).context(format!("cannot write `{}`", path.display()))
    }

    /// Adds the small files that were read of the release in `directory`, and moves everything to its place. What nobody
    /// vouches for stays behind.
    pub fn end(&self, source: &Source, directory: &str, report: &Report) -> Result<()> {
        for (name, bytes) in source.read_below(directory) {
            let flat = name.strip_prefix(FLAT).map(|n| format!("approvals/{n}"));
            let name = flat.unwrap_or(name);
            if !vouched(&name, &report.approved_by) {
                continue;
            }
            let path = self.partial.join(&name);
            if let Some(parent) = path.parent().filter(|p| *p != self.partial) {
                files::create_dir_all(&*self.disk, parent, 0o755)?;
            }
            files::write_new(&*self.disk, &path, 0o644, &mut &bytes[..])?;
        }
        files::sync_parent(&*self.disk, &self.partial.join("x"))?;
        let moved = self.disk.rename(&self.partial, &self.to);
        moved.context(format!("cannot move what was checked to `{}`", self.to.display()))?;
        files::sync_parent(&*self.disk, &self.to)
    }

    /// Takes back everything.
    pub(crate) fn give_up(&self) {
        drop(self.disk.remove_dir_all(&self.partial));
    }
}

/// Whether a small file of a release that verified was checked: everything but the files of people who do not count.
fn vouched(name: &str, people: &[PersonId]) -> bool {
    let person = name
        .strip_prefix("approvals/")
        .map(|n| n.trim_end_matches(".asc").trim_end_matches(".json"))
        .filter(|n| *n != "content")
        .or_else(|| ["SHA256SUMS.", "SHA512SUMS."].iter().find_map(|p| name.strip_prefix(p)?.strip_suffix(".asc")));
    person.is_none_or(|p| people.iter().any(|known| known.as_str() == p)) && !name.ends_with(".html")
}
