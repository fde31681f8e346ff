//! `uv.lock`, which repeats the version of each `pyproject.toml` that it is of.

use super::Work;
use super::tree::{file_in, join, parent};
use crate::error::Result;
use crate::formats::splice::{Splice, splice};
use crate::formats::{uv_lock, version_text};

/// Gives the packages of every `uv.lock` the versions that their `pyproject.toml` went to in this bump.
pub(super) fn rewrite(work: &mut Work<'_>) -> Result<()> {
    let sources = work.sources;
    for path in sources.paths().iter().filter(|p| *p == "uv.lock" || p.ends_with("/uv.lock")) {
        let Some(text) = sources.text(path)? else { continue };
        let mut cuts = Vec::new();
        for package in uv_lock::own_packages(&text) {
            let Some(dir) = join(parent(path), &package.directory) else { continue };
            let project = file_in(&dir, "pyproject.toml");
            let version = |text: &str| Some(version_text::pyproject(text).first()?.1.clone());
            let before = sources.text(&project)?.and_then(|t| version(&t));
            let after = work.text(&project)?.and_then(|t| version(&t));
            if before.as_deref() == Some(&package.version) && before != after {
                cuts.extend(after.map(|v| Splice::new(package.span.clone(), v)));
            }
        }
        if !cuts.is_empty() {
            work.set(path, splice(&text, cuts));
        }
    }
    Ok(())
}
