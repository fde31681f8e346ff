//! What an ended job left on this machine, for the judge of its artifacts.

use std::collections::BTreeSet;
use std::fs::{self, FileType, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::inputs;
use super::job_dir::JobDir;
use crate::error::{Context as _, Result};
use crate::model::ArtifactName;
use crate::runners::artifacts::{Judge, LeftFile, LeftFiles, LeftKind};
use crate::step::{ArtifactPath, StepId};

/// Checks the files that a job must leave and says where they are.
///
/// # Errors
/// Those of [`Judge::judge`]; the file system's.
pub(super) fn collect(job: &JobDir, step: &StepId, declared: &[ArtifactPath]) -> Result<Vec<(ArtifactName, PathBuf)>> {
    let details = vec![format!("directory: {}", job.dir().display()), format!("log: {}", job.log().display())];
    let judge = Judge { step, details };
    let root = job.root()?;
    if !fs::symlink_metadata(&root).is_ok_and(|m| m.is_dir()) {
        return Err(judge.no_root());
    }
    let started = job.started();
    let started = fs::metadata(&started).context(format!("cannot look at `{}`", started.display()))?;
    let left = Left { job: job.dir(), root: &root, before: inputs::listed(job)?, started };
    judge.judge(&left, declared)?;
    Ok(declared.iter().map(|artifact| (artifact.name.clone(), root.join(&artifact.path))).collect())
}

struct Left<'a> {
    job: &'a Path,
    root: &'a Path,
    before: BTreeSet<Vec<u8>>,
    started: Metadata,
}

impl LeftFiles for Left<'_> {
    fn kind(&self, path: &str) -> Result<Option<LeftKind>> {
        let at = self.root.join(path);
        match fs::symlink_metadata(&at) {
            Ok(meta) => Ok(Some(kind(meta.file_type()))),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e).context(format!("cannot look at `{}`", at.display())),
        }
    }

    fn file(&self, path: &str) -> Result<LeftFile> {
        let at = self.root.join(path);
        let meta = fs::symlink_metadata(&at).context(format!("cannot look at `{}`", at.display()))?;
        let of = |meta: &Metadata| (meta.ctime(), meta.ctime_nsec());
        Ok(LeftFile {
            size: meta.len(),
            is_older: of(&meta) < of(&self.started),
            is_linked_outside: meta.nlink() > 1 && links_inside(self.job, &meta)? < meta.nlink(),
        })
    }

    fn was_there(&self, path: &[u8]) -> bool {
        self.before.contains(path)
    }

    fn in_directory(&self, directory: &str) -> Result<Vec<(Vec<u8>, LeftKind)>> {
        let here = self.root.join(directory);
        let mut out = Vec::new();
        for entry in fs::read_dir(&here).context(format!("cannot read `{}`", here.display()))? {
            let entry = entry.context(format!("cannot read `{}`", here.display()))?;
            let of = entry.file_type().context(format!("cannot look at `{}`", entry.path().display()))?;
            let relative = Path::new(directory).join(entry.file_name());
            out.push((relative.into_os_string().into_encoded_bytes(), kind(of)));
        }
        Ok(out)
    }
}

fn kind(of: FileType) -> LeftKind {
    match of {
        of if of.is_dir() => LeftKind::Directory,
        of if of.is_file() => LeftKind::File,
        of if of.is_symlink() => LeftKind::Link,
        _ => LeftKind::Other,
    }
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
