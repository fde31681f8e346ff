//! The exact artifact set of an ended job, judged in one way wherever it ran: every file that was promised, made by this job,
//! and nothing else beside it.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Error, Result};
use crate::model::escape;
use crate::step::{ArtifactPath, StepId};

/// What is at a path; no link is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LeftKind {
    Directory,
    File,
    Link,
    /// A pipe, a socket or a device.
    Other,
}

/// A regular file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LeftFile {
    pub(super) size: u64,
    /// It was not changed since the job began.
    pub(super) is_older: bool,
    /// It has a name outside of the job's directory too.
    pub(super) is_linked_outside: bool,
}

/// What is there after a job, below its root.
pub(super) trait LeftFiles {
    /// What is at a path whose parents are directories; none if nothing is there.
    fn kind(&self, path: &str) -> Result<Option<LeftKind>>;

    /// The file at a path.
    fn file(&self, path: &str) -> Result<LeftFile>;

    /// Whether something was there before the job.
    fn was_there(&self, path: &[u8]) -> bool;

    /// What a directory holds, by the path below the root.
    fn in_directory(&self, directory: &str) -> Result<Vec<(Vec<u8>, LeftKind)>>;
}

/// Whose artifacts are judged, and what helps a person to look at them.
pub(super) struct Judge<'a> {
    pub(super) step: &'a StepId,
    pub(super) details: Vec<String>,
}

impl Judge<'_> {
    /// The error about an artifact.
    pub(super) fn wrong(&self, path: &str, why: &str) -> Error {
        let error = Error::fatal(format!("`{}` left a wrong artifact: `{}` {why}", self.step, escape(path)));
        self.details.iter().fold(error, |e, line| e.detail(line.clone()))
    }

    /// The error about a root that is not there.
    pub(super) fn no_root(&self) -> Error {
        self.wrong(".", "is not a directory any more: the recipe replaced the source's root")
    }

    /// Checks the files that a job must leave; gives their sizes, in the order of `declared`.
    ///
    /// # Errors
    /// The first file that is missing, empty, stale, undeclared, outside, of a wrong kind, or one of two with one name.
    pub(super) fn judge(&self, left: &dyn LeftFiles, declared: &[ArtifactPath]) -> Result<Vec<u64>> {
        let mut names: BTreeMap<String, &str> = BTreeMap::new();
        let mut sizes = Vec::with_capacity(declared.len());
        for artifact in declared {
            let path = artifact.path.as_str();
            if let Some(first) = names.insert(artifact.name.as_str().to_ascii_lowercase(), path) {
                return Err(self
                    .wrong(path, &format!("has the name of another, `{}`", escape(first)))
                    .hint("names that differ in upper and lower case only are one name on some systems"));
            }
            let file = self.regular(left, path)?;
            if left.was_there(path.as_bytes()) {
                return Err(self
                    .wrong(path, "was there before the job: a stale file cannot be distinguished from a built one")
                    .hint("let the recipe write to a path that the source does not have"));
            }
            if file.is_older {
                return Err(self.wrong(path, "is older than the job"));
            }
            if file.size == 0 {
                return Err(self.wrong(path, "is empty"));
            }
            if file.is_linked_outside {
                return Err(self
                    .wrong(path, "is a hard link to a file outside the job's directory")
                    .hint("copy it instead"));
            }
            sizes.push(file.size);
        }
        self.nothing_else(left, declared)?;
        Ok(sizes)
    }

    /// The regular file at a path that is reached through directories only.
    fn regular(&self, left: &dyn LeftFiles, path: &str) -> Result<LeftFile> {
        let wrong = |why: &str| Err(self.wrong(path, why).hint("fix the recipe, or `artifacts` in the configuration"));
        if !is_below(path) {
            return wrong("leads outside the source");
        }
        for (end, _) in path.match_indices('/') {
            let part = path[..end].rsplit('/').next().unwrap_or_default();
            match left.kind(&path[..end])? {
                Some(LeftKind::Directory) => {}
                None => return wrong("is missing"),
                Some(_) => return wrong(&format!("is reached through `{part}`, which is not a directory")),
            }
        }
        match left.kind(path)? {
            Some(LeftKind::File) => left.file(path),
            None => wrong("is missing"),
            Some(LeftKind::Directory) => wrong("is a directory"),
            Some(LeftKind::Link) => wrong("is a symbolic link"),
            Some(LeftKind::Other) => wrong("is a pipe, a socket or a device"),
        }
    }

    /// Refuses files beside the declared ones that the recipe made and nobody declared.
    fn nothing_else(&self, left: &dyn LeftFiles, declared: &[ArtifactPath]) -> Result<()> {
        let paths: BTreeSet<&[u8]> = declared.iter().map(|a| a.path.as_bytes()).collect();
        for directory in directories(declared) {
            for (path, kind) in left.in_directory(directory)? {
                let is_ours = paths.contains(path.as_slice()) || left.was_there(&path);
                if kind != LeftKind::Directory && !is_ours {
                    return Err(self
                        .wrong(&String::from_utf8_lossy(&path), "is not declared")
                        .hint("add it to `artifacts`, or let the recipe put artifacts into a directory of their own"));
                }
            }
        }
        Ok(())
    }
}

/// Whether a path has plain parts only, so that it stays below the root.
pub(super) fn is_below(path: &str) -> bool {
    path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

/// The directories in which artifacts are declared; the root is the empty path.
pub(super) fn directories(declared: &[ArtifactPath]) -> BTreeSet<&str> {
    declared.iter().map(|a| a.path.rsplit_once('/').map_or("", |(directory, _)| directory)).collect()
}
