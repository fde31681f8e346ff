//! Reads the files of the configuration.

use std::path::{Path, PathBuf};

use super::parse_train;
use super::resolve::{parse_beside, parse_stores};
use super::settings::{Config, StoreConfig, TemplateSet, TrainRequest};
use crate::adapter::Registries;
use crate::effects::{Disk, PathKind};
use crate::error::{Context as _, Error, Result};

/// Reads `lifeboat.toml` at `path`, and the project's own templates; `state` is where trains are kept, if that is known, and
/// no store may be there. Paths in the result are absolute.
///
/// # Errors
/// A file that is absent or not UTF-8, and every fault of [`parse`].
pub fn load(path: &Path, state: Option<&Path>, registries: &Registries, disk: &dyn Disk) -> Result<Config> {
    let path = absolute(path)?;
    let hint = "write one, or name it with `--config`";
    let mut config = parse_beside(&text(&path, "the configuration", hint, disk)?, &path, state, registries)?;
    config.templates = templates(&config.project.templates, disk)?;
    Ok(config)
}

/// Reads the `[[store]]` tables of a file at `path` that has nothing else. Paths in the result are absolute.
///
/// # Errors
/// A file that is absent or not UTF-8, and every fault of [`parse`](super::parse).
pub fn load_stores(path: &Path, registries: &Registries, disk: &dyn Disk) -> Result<Vec<StoreConfig>> {
    let path = absolute(path)?;
    let hint = "write one with a `[[store]]` table, as `docs/config.md` describes it";
    parse_stores(&text(&path, "the file with the store", hint, disk)?, &path, registries)
}

/// Reads the train file at `path`. Paths in the result are absolute.
///
/// # Errors
/// A file that is absent or not UTF-8, and every fault of [`parse_train`].
pub fn load_train(path: &Path, disk: &dyn Disk) -> Result<TrainRequest> {
    let path = absolute(path)?;
    parse_train(
        &text(
            &path,
            "the train file",
            "check the path; `lifeboat ship` without one goes on with the train under way",
            disk,
        )?,
        &path,
    )
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).context(format!("cannot find `{}`", path.display()))
}

fn text(path: &Path, what: &str, hint: &str, disk: &dyn Disk) -> Result<String> {
    let bytes = disk.read(path);
    if bytes.as_ref().is_err_and(|e| e.kind() == std::io::ErrorKind::IsADirectory) {
        return Err(Error::input(format!("{what} `{}` is a directory", path.display())).hint(hint));
    }
    let bytes = bytes.context(format!("cannot read {what} `{}`", path.display()))?;
    let bytes = bytes.ok_or_else(|| Error::input(format!("{what} `{}` does not exist", path.display())).hint(hint))?;
    String::from_utf8(bytes).map_err(|e| {
        let line = 1 + e.as_bytes()[..e.utf8_error().valid_up_to()].iter().filter(|b| **b == b'\n').count();
        Error::input(format!("{what} `{}` is not UTF-8 in line {line}", path.display()))
    })
}

/// The texts in a directory of templates, by file name; none if the directory is absent.
fn templates(dir: &Path, disk: &dyn Disk) -> Result<TemplateSet> {
    let mut set = TemplateSet::default();
    let entries = disk.list(dir).context(format!("cannot read the templates in `{}`", dir.display()))?;
    for entry in entries.into_iter().filter(|e| e.kind == PathKind::File && !e.name.starts_with('.')) {
        let path = dir.join(&entry.name);
        set.texts.insert(entry.name, text(&path, "the template", "try again", disk)?);
    }
    Ok(set)
}
