//! The exact artifact set of an ended job: every file that was promised, made by this job, and nothing else beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::inputs;
use super::job_dir::JobDir;
use crate::error::{Context as _, Error, Result};
use crate::model::{ArtifactName, escape};
use crate::step::{ArtifactPath, StepId};

/// Checks the files that a job must leave and says where they are.
///
/// # Errors
/// The first file that is missing, empty, stale, undeclared, outside, of a wrong kind, or one of two with one name.
pub(super) fn collect(job: &JobDir, step: &StepId, declared: &[ArtifactPath]) -> Result<Vec<(ArtifactName, PathBuf)>> {
    let wrong = |path: &str, why: &str| {
        Error::fatal(format!("`{step}` left a wrong artifact: `{}` {why}", escape(path)))
            .detail(format!("directory: {}", job.dir().display()))
            .detail(format!("log: {}", job.log().display()))
    };
    let root = job.root()?;
    if !fs::symlink_metadata(&root).is_ok_and(|m| m.is_dir()) {
        return Err(wrong(".", "is not a directory any more: the recipe replaced the source's root"));
    }
    let before = inputs::listed(job)?;
    let started = job.started();
    let started = fs::metadata(&started).context(format!("cannot look at `{}`", started.display()))?;
    let mut names: BTreeMap<String, &str> = BTreeMap::new();
    let mut out = Vec::new();
    for artifact in declared {
        let path = artifact.path.as_str();
        if let Some(first) = names.insert(artifact.name.as_str().to_ascii_lowercase(), path) {
            return Err(wrong(path, &format!("has the name of another, `{}`", escape(first)))
                .hint("names that differ in upper and lower case only are one name on some systems"));
        }
        let file = root.join(path);
        let meta = regular(&root, path).map_err(|why| {
            let hint = "fix the recipe, or `artifacts` in the configuration";
            wrong(path, &why).hint(hint)
        })?;
        if before.contains(path.as_bytes()) {
            return Err(wrong(path, "was there before the job: a stale file cannot be distinguished from a built one")
                .hint("let the recipe write to a path that the source does not have"));
        }
        if (meta.ctime(), meta.ctime_nsec()) < (started.ctime(), started.ctime_nsec()) {
            return Err(wrong(path, "is older than the job"));
        }
        if meta.len() == 0 {
            return Err(wrong(path, "is empty"));
        }
        if meta.nlink() > 1 && links_inside(job.dir(), &meta)? < meta.nlink() {
            return Err(wrong(path, "is a hard link to a file outside the job's directory").hint("copy it instead"));
        }
        out.push((artifact.name.clone(), file));
    }
    nothing_else(&root, declared, &before, &wrong)?;
    Ok(out)
}

/// The metadata of a regular file below the root that is reached through directories only; else what is wrong with it.
fn regular(root: &Path, path: &str) -> Result<Metadata, String> {
    let mut at = root.to_owned();
    let mut parts = path.split('/').peekable();
    while let Some(part) = parts.next() {
        if part.is_empty() || part == "." || part == ".." {
            return Err("leads outside the source".to_owned());
        }
        at.push(part);
        let meta = match fs::symlink_metadata(&at) {
            Ok(meta) => meta,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err("is missing".to_owned()),
            Err(e) => return Err(format!("cannot be looked at: {e}")),
        };
        let kind = meta.file_type();
        match (parts.peek().is_some(), kind.is_dir(), kind.is_file()) {
            (true, true, _) => {}
            (true, false, _) => return Err(format!("is reached through `{part}`, which is not a directory")),
            (false, _, true) => return Ok(meta),
            (false, true, _) => return Err("is a directory".to_owned()),
            (false, ..) if kind.is_symlink() => return Err("is a symbolic link".to_owned()),
            _ => return Err("is a pipe, a socket or a device".to_owned()),
        }
    }
    Err("is missing".to_owned())
}

/// How many names a file has below a directory.
fn links_inside(dir: &Path, file: &Metadata) -> Result<u64> {
    let mut count = 0;
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        let entries = fs::read_dir(&dir).context(format!("cannot read `{}`", dir.display()))?;
        for entry in entries {
            let entry = entry.context(format!("cannot read `{}`", dir.display()))?;
            let meta = entry.metadata().context(format!("cannot look at `{}`", entry.path().display()))?;
            if meta.is_dir() {
                dirs.push(entry.path());
            } else if meta.dev() == file.dev() && meta.ino() == file.ino() {
                count += 1;
            }
        }
    }
    Ok(count)
}

/// Refuses files beside the declared ones that the recipe made and nobody declared.
fn nothing_else(
    root: &Path,
    declared: &[ArtifactPath],
    before: &BTreeSet<Vec<u8>>,
    wrong: &dyn Fn(&str, &str) -> Error,
) -> Result<()> {
    let paths: BTreeSet<&[u8]> = declared.iter().map(|a| a.path.as_bytes()).collect();
    let dirs: BTreeSet<&Path> = declared.iter().filter_map(|a| Path::new(&a.path).parent()).collect();
    for dir in dirs {
        let here = root.join(dir);
        for entry in fs::read_dir(&here).context(format!("cannot read `{}`", here.display()))? {
            let entry = entry.context(format!("cannot read `{}`", here.display()))?;
            let kind = entry.file_type().context(format!("cannot look at `{}`", entry.path().display()))?;
            let relative = dir.join(entry.file_name());
            let bytes = relative.as_os_str().as_encoded_bytes();
            if !kind.is_dir() && !paths.contains(bytes) && !before.contains(bytes) {
                return Err(wrong(&relative.to_string_lossy(), "is not declared")
                    .hint("add it to `artifacts`, or let the recipe put artifacts into a directory of their own"));
            }
        }
    }
    Ok(())
}
