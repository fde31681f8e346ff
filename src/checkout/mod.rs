//! A working tree on disk: what a bump reads there, and how its edits are written.

mod apply;
mod clone;
mod history;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::bump::{SourceTree, TreeEntry, TreeEntryKind, has_any};
use crate::error::{Context as _, Error, Result};
use crate::formats::glob;

pub use apply::{Applied, CheckoutChange, GUARD, apply, guard, recover, settle};
use clone::GitCheckout;
pub use clone::History;
pub use history::{Learned, PastRelease, ReleaseFilter, Unexpressed, learn};

/// A checkout: the tracked files of a git working tree, or, where there is no git, the files of a directory.
pub struct Checkout {
    top: PathBuf,
    clone: Option<GitCheckout>,
}

impl Checkout {
    /// Opens the checkout that holds `dir`.
    ///
    /// # Errors
    /// The repository around `dir` is bare, or git refuses it.
    pub fn open(dir: &Path) -> Result<Self> {
        match GitCheckout::around(dir)? {
            Some(clone) => Ok(Self { top: clone.top().to_owned(), clone: Some(clone) }),
            None => Ok(Self { top: dir.canonicalize().context(dir.display())?, clone: None }),
        }
    }

    /// The top directory.
    #[must_use]
    pub fn top(&self) -> &Path {
        &self.top
    }

    /// The git directory with the objects and refs; nothing where the directory is in no repository.
    #[must_use]
    pub(crate) fn git_dir(&self) -> Option<&Path> {
        self.clone.as_ref().map(|c| c.common.as_path())
    }

    /// The history; nothing where the directory is in no repository.
    ///
    /// # Errors
    /// The refs cannot be read.
    pub fn history(&self) -> Result<Option<History>> {
        self.clone.as_ref().map(GitCheckout::history).transpose()
    }

    /// Whether it is a partial clone, which lacks old files.
    #[must_use]
    pub(crate) fn is_partial(&self) -> bool {
        self.clone.as_ref().is_some_and(GitCheckout::is_partial)
    }

    /// Who commits here by git's configuration, as `Name <address>`.
    #[must_use]
    pub fn committer(&self) -> Option<String> {
        self.clone.as_ref()?.committer()
    }

    /// The address of the remote called `name`.
    #[must_use]
    pub fn remote(&self, name: &str) -> Option<String> {
        self.clone.as_ref()?.remote(name)
    }

    /// The commit that is checked out, in hexadecimal; nothing before the first commit.
    #[must_use]
    pub fn head(&self) -> Option<String> {
        self.clone.as_ref()?.head()
    }

    /// Every tag, without `refs/tags/`.
    ///
    /// # Errors
    /// The references cannot be read.
    pub fn tags(&self) -> Result<BTreeSet<String>> {
        self.clone.as_ref().map_or_else(|| Ok(BTreeSet::new()), GitCheckout::tags)
    }

    /// The file at `path` in the tree that `tag` names; nothing where there is none, or where it cannot be read.
    #[must_use]
    pub fn at_tag(&self, tag: &str, path: &str) -> Option<Vec<u8>> {
        self.clone.as_ref()?.at_tag(tag, path)
    }

    /// Every file and link that is tracked, or that git would add: all that is not build output.
    ///
    /// # Errors
    /// The tree or its state cannot be read.
    pub(crate) fn own_files(&self) -> Result<BTreeSet<String>> {
        let tracked = self.entries()?.into_iter().filter(|e| e.kind != TreeEntryKind::Submodule);
        let mut out: BTreeSet<String> = tracked.map(|e| e.path).collect();
        if let Some(clone) = &self.clone {
            out.extend(clone.untracked()?);
        }
        Ok(out)
    }

    /// Stops if one of `paths` is tracked and not checked out: a sparse checkout has nowhere to write it.
    ///
    /// # Errors
    /// Names the first one.
    pub(crate) fn all_here<'p>(&self, mut paths: impl Iterator<Item = &'p str>) -> Result<()> {
        let Some(clone) = &self.clone else { return Ok(()) };
        let sparse = &clone.listed()?.sparse;
        let outside = |p: &&str| sparse.contains_key(*p) && self.top.join(p).symlink_metadata().is_err();
        match paths.find(outside) {
            None => Ok(()),
            Some(path) => {
                let dir = path.rsplit_once('/').map_or(".", |(dir, _)| dir);
                Err(Error::input(format!(
                    "`{}` must change and is outside the sparse checkout",
                    crate::model::escape(path)
                ))
                .hint(format!(
                    "nothing was written; `git sparse-checkout add '{}'`, then bump",
                    crate::model::escape(dir)
                )))
            }
        }
    }

    /// Whether the file at `path` can be executed.
    ///
    /// # Errors
    /// It is not there.
    pub(crate) fn is_executable(&self, path: &str) -> Result<bool> {
        let at = self.top.join(path);
        Ok(fs::metadata(&at).context(at.display())?.permissions().mode() & 0o100 != 0)
    }

    /// Whether git leaves the file at `path` out: build output.
    #[must_use]
    pub fn ignores(&self, path: &str) -> bool {
        self.clone.as_ref().is_some_and(|c| c.ignores(path))
    }

    /// Where a bump keeps its record while it writes: in the git directory, or beside the files.
    fn record_dir(&self) -> PathBuf {
        match &self.clone {
            Some(clone) => clone.git_dir.join("lifeboat-bump"),
            None => self.top.join(".lifeboat-bump"),
        }
    }
}

impl SourceTree for Checkout {
    fn entries(&self) -> Result<Vec<TreeEntry>> {
        if let Some(clone) = &self.clone {
            return Ok(clone.listed()?.entries.clone());
        }
        let mut out = Vec::new();
        walk(&self.top, "", &mut out)?;
        Ok(out)
    }

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        let at = self.top.join(path);
        match fs::symlink_metadata(&at) {
            Ok(m) if m.is_file() => fs::read(&at).map(Some).context(at.display()),
            // Tracked, but a link or a directory by now: not a file of the tree.
            Ok(_) => Ok(None),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => match &self.clone {
                Some(clone) => clone.listed()?.sparse.get(path).map(|id| clone.blob(id)).transpose(),
                None => Ok(None),
            },
            Err(e) => Err(e).context(at.display()),
        }
    }

    fn containing(&self, paths: &[String], needles: &[&str]) -> Result<Vec<String>> {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(8);
        let top = &self.top;
        let one = move |chunk: &[String]| -> Vec<String> {
            let mut bytes = Vec::new();
            // What cannot be read names nothing.
            let mut names = |path: &String| read_plain(&top.join(path), &mut bytes).is_ok() && has_any(&bytes, needles);
            chunk.iter().filter(|p| names(p)).cloned().collect()
        };
        let chunks = paths.chunks(paths.len().div_ceil(threads).max(1));
        let mut out: Vec<String> = std::thread::scope(|scope| {
            let all: Vec<_> = chunks.map(|chunk| scope.spawn(move || one(chunk))).collect();
            all.into_iter().flat_map(|t| t.join().unwrap_or_default()).collect()
        });
        if let Some(clone) = &self.clone {
            let sparse = &clone.listed()?.sparse;
            let outside = |p: &&String| sparse.contains_key(*p) && self.top.join(p).symlink_metadata().is_err();
            let absent: Vec<&String> = paths.iter().filter(outside).collect();
            let blobs = clone.blobs(absent.iter().map(|p| sparse[*p].as_str()))?;
            let named = absent.into_iter().zip(blobs).filter(|(_, bytes)| has_any(bytes, needles));
            out.extend(named.map(|(path, _)| path.clone()));
        }
        Ok(out)
    }

    fn strays(&self, pattern: &str) -> Result<Vec<String>> {
        let Some(clone) = &self.clone else { return Ok(Vec::new()) };
        let mut dirs = vec![String::new()];
        for part in pattern.split('/').filter(|p| !p.is_empty()) {
            dirs = dirs.iter().flat_map(|dir| self.below(dir, part)).collect();
        }
        let entries = &clone.listed()?.entries;
        let known = |path: &str| {
            let of_a_submodule = |e: &TreeEntry| {
                e.kind == TreeEntryKind::Submodule && path.strip_prefix(&e.path).is_some_and(|r| r.starts_with('/'))
            };
            entries.iter().any(|e| e.path == path || of_a_submodule(e))
        };
        let manifests =
            dirs.into_iter().map(|d| if d.is_empty() { "Cargo.toml".to_owned() } else { format!("{d}/Cargo.toml") });
        Ok(manifests.filter(|p| self.top.join(p).is_file() && !known(p)).collect())
    }
}

impl Checkout {
    /// The directories in `dir` whose names fit one part of a pattern.
    fn below(&self, dir: &str, part: &str) -> Vec<String> {
        let within = |name: &str| if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") };
        if !part.contains(['*', '?', '[']) {
            return vec![within(part)];
        }
        let found = fs::read_dir(self.top.join(dir)).into_iter().flatten().flatten();
        let names = found.filter(|e| e.path().is_dir()).filter_map(|e| e.file_name().into_string().ok());
        names.filter(|n| glob::matches_path(part, n)).map(|n| within(&n)).collect()
    }
}

/// Reads a regular file into `bytes`, never through a link, and in as few calls as can be: a whole tree is read so.
fn read_plain(at: &Path, bytes: &mut Vec<u8>) -> std::io::Result<()> {
    use std::io::Read as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    // A pipe in the place of a file must not be waited for.
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let file = fs::OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(at)?;
    bytes.clear();
    file.take(u64::MAX).read_to_end(bytes).map(drop)
}

/// Lists a directory that git does not know; build output and hidden directories are not source.
fn walk(dir: &Path, prefix: &str, out: &mut Vec<TreeEntry>) -> Result<()> {
    for entry in fs::read_dir(dir).context(dir.display())? {
        let entry = entry.context(dir.display())?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}/{name}") };
        let kind = entry.file_type().context(entry.path().display())?;
        if kind.is_dir() {
            let build_output = name == "target" && entry.path().join("CACHEDIR.TAG").exists();
            if !name.starts_with('.') && !build_output {
                walk(&entry.path(), &path, out)?;
            }
        } else {
            let kind = if kind.is_symlink() { TreeEntryKind::Symlink } else { TreeEntryKind::File };
            out.push(TreeEntry { path, kind });
        }
    }
    Ok(())
}
