//! A working tree on disk: what a bump reads there, and how its edits are written.

mod apply;
mod history;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use git2::{ErrorCode, Repository};

use crate::bump::{Entry, EntryKind, SourceTree};
use crate::error::{Context as _, Error, Result};

pub use apply::{Applied, Change, GUARD, apply, guard, recover, settle};
pub use history::{Learned, Release, Unexpressed, learn};

/// A checkout: the tracked files of a git working tree, or, where there is no git, the files of a directory.
pub struct Checkout {
    top: PathBuf,
    repository: Option<Repository>,
}

impl Checkout {
    /// Opens the checkout that holds `dir`.
    ///
    /// # Errors
    /// The repository around `dir` is bare or cannot be opened.
    pub fn open(dir: &Path) -> Result<Self> {
        match Repository::discover(dir) {
            Ok(repository) => match repository.workdir().map(Path::to_owned) {
                Some(top) => Ok(Self { top, repository: Some(repository) }),
                None => Err(Error::input(format!("{}: a bare repository has no files to bump", dir.display()))
                    .hint("run it in a checkout: `git worktree add`")),
            },
            Err(e) if e.code() == ErrorCode::NotFound => {
                let top = dir.canonicalize().context(dir.display())?;
                Ok(Self { top, repository: None })
            }
            Err(e) => Err(Error::input(format!("{}: {}", dir.display(), e.message()))
                .hint("see whether `git status` works there; git refuses a repository that another user owns")),
        }
    }

    /// The top directory.
    #[must_use]
    pub fn top(&self) -> &Path {
        &self.top
    }

    /// The repository; nothing where the directory is in none.
    #[must_use]
    pub fn repository(&self) -> Option<&Repository> {
        self.repository.as_ref()
    }

    /// The commit that is checked out, in hexadecimal; nothing before the first commit.
    #[must_use]
    pub fn head(&self) -> Option<String> {
        let head = self.repository.as_ref()?.head().ok()?;
        Some(head.target()?.to_string())
    }

    /// Every tag, without `refs/tags/`.
    ///
    /// # Errors
    /// The references cannot be read.
    pub fn tags(&self) -> Result<BTreeSet<String>> {
        let Some(repository) = &self.repository else { return Ok(BTreeSet::new()) };
        let names = repository.tag_names(None).context("reading the tags")?;
        Ok(names.iter().filter_map(|n| n.ok().flatten().map(str::to_owned)).collect())
    }

    /// The file at `path` in the tree that `tag` names; nothing where there is none, or where it cannot be read.
    #[must_use]
    pub fn at_tag(&self, tag: &str, path: &str) -> Option<Vec<u8>> {
        let repository = self.repository.as_ref()?;
        let tree = repository.find_reference(&format!("refs/tags/{tag}")).ok()?.peel_to_tree().ok()?;
        let entry = tree.get_path(Path::new(path)).ok()?;
        repository.find_blob(entry.id()).ok().map(|blob| blob.content().to_vec())
    }

    /// Every file and link that is tracked, or that git would add: all that is no build output.
    ///
    /// # Errors
    /// The tree or its state cannot be read.
    pub fn own_files(&self) -> Result<BTreeSet<String>> {
        let tracked = self.entries()?.into_iter().filter(|e| e.kind != EntryKind::Submodule);
        let mut out: BTreeSet<String> = tracked.map(|e| e.path).collect();
        if let Some(repository) = &self.repository {
            let mut options = git2::StatusOptions::new();
            options.include_untracked(true).recurse_untracked_dirs(true).exclude_submodules(true);
            let found = repository.statuses(Some(&mut options)).context("looking for files that are not tracked")?;
            let new = found.iter().filter(|s| s.status().contains(git2::Status::WT_NEW));
            out.extend(new.filter_map(|s| s.path().ok().map(str::to_owned)));
        }
        Ok(out)
    }

    /// Whether the file at `path` can be executed.
    ///
    /// # Errors
    /// It is not there.
    pub fn is_executable(&self, path: &str) -> Result<bool> {
        let at = self.top.join(path);
        Ok(fs::metadata(&at).context(at.display())?.permissions().mode() & 0o100 != 0)
    }

    /// Whether git leaves the file at `path` out: build output.
    #[must_use]
    pub fn ignores(&self, path: &str) -> bool {
        self.repository.as_ref().is_some_and(|r| r.is_path_ignored(path).unwrap_or(false))
    }

    /// Where a bump keeps its record while it writes: in the git directory, or beside the files.
    fn record_dir(&self) -> PathBuf {
        match &self.repository {
            Some(repository) => repository.path().join("lifeboat-bump"),
            None => self.top.join(".lifeboat-bump"),
        }
    }
}

impl SourceTree for Checkout {
    fn entries(&self) -> Result<Vec<Entry>> {
        let Some(repository) = &self.repository else {
            let mut out = Vec::new();
            walk(&self.top, "", &mut out)?;
            return Ok(out);
        };
        let index = repository.index().context("reading the git index")?;
        let entries = index.iter().filter_map(|e| {
            let kind = match e.mode {
                0o120_000 => EntryKind::Symlink,
                0o160_000 => EntryKind::Submodule,
                _ => EntryKind::File,
            };
            Some(Entry { path: String::from_utf8(e.path).ok()?, kind })
        });
        Ok(entries.collect())
    }

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        let at = self.top.join(path);
        match fs::symlink_metadata(&at) {
            Ok(m) if m.is_file() => fs::read(&at).map(Some).context(at.display()),
            // Tracked, but a link or a directory by now: not a file of the tree.
            Ok(_) => Ok(None),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e).context(at.display()),
        }
    }
}

/// Lists a directory that git does not know; build output and hidden directories are no source.
fn walk(dir: &Path, prefix: &str, out: &mut Vec<Entry>) -> Result<()> {
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
            let kind = if kind.is_symlink() { EntryKind::Symlink } else { EntryKind::File };
            out.push(Entry { path, kind });
        }
    }
    Ok(())
}
