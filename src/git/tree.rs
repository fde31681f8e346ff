//! A commit's tree as the version bump reads it, and walks over trees.

use std::borrow::Borrow;
use std::collections::BTreeSet;

use git2::{ObjectType, Repository, Tree};

use super::{find_commit, git_error};
use crate::bump::{SourceTree, TreeEntry, TreeEntryKind};
use crate::error::{Error, Result};
use crate::model::{Oid, escape};

/// The tree of a commit; blobs are read when they are asked for. The repository is its own or borrowed.
pub struct CommitTree<R> {
    repo: R,
    tree: git2::Oid,
    commit: Oid,
}

impl<R: Borrow<Repository>> CommitTree<R> {
    /// The tree of `commit`.
    ///
    /// # Errors
    /// A missing commit.
    pub fn open(repo: R, commit: &Oid) -> Result<Self> {
        let tree = find_commit(repo.borrow(), commit)?.tree_id();
        Ok(Self { repo, tree, commit: commit.clone() })
    }

    fn tree(&self) -> Result<Tree<'_>> {
        self.repo
            .borrow()
            .find_tree(self.tree)
            .map_err(|e| git_error(&format!("cannot read the tree of `{}`", self.commit), e))
    }
}

impl<R: Borrow<Repository>> SourceTree for CommitTree<R> {
    fn entries(&self) -> Result<Vec<TreeEntry>> {
        let mut out = Vec::new();
        walk(self.repo.borrow(), &self.tree()?, &mut |entry| {
            // A path that is not UTF-8 is not a file that a bump could name.
            if let (Ok(path), false) = (std::str::from_utf8(entry.path), entry.mode == DIRECTORY) {
                let kind = match entry.mode {
                    SYMLINK => TreeEntryKind::Symlink,
                    SUBMODULE => TreeEntryKind::Submodule,
                    _ => TreeEntryKind::File,
                };
                out.push(TreeEntry { path: path.to_owned(), kind });
            }
        })?;
        out.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(out)
    }

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        read(self.repo.borrow(), &self.tree()?, path)
    }
}

/// The paths that differ between two commits' trees, by object ids alone: no blob is read, no patch text is parsed.
pub(super) fn changed(repo: &Repository, from: &Oid, to: &Oid) -> Result<Vec<String>> {
    let what = format!("cannot compare the trees of `{from}` and `{to}`");
    let tree =
        |commit: &Oid| -> Result<Tree<'_>> { find_commit(repo, commit)?.tree().map_err(|e| git_error(&what, e)) };
    let paths = changed_paths(repo, &tree(from)?, &tree(to)?).map_err(|e| git_error(&what, e))?;
    let paths: BTreeSet<String> = paths.iter().map(|p| String::from_utf8_lossy(p).into_owned()).collect();
    Ok(paths.into_iter().collect())
}

/// As [`changed`], of two trees, byte for byte.
pub(super) fn changed_between(repo: &Repository, from: git2::Oid, to: git2::Oid) -> Result<BTreeSet<Vec<u8>>> {
    let tree = |id| repo.find_tree(id);
    tree(from)
        .and_then(|from| changed_paths(repo, &from, &tree(to)?))
        .map_err(|e| git_error(&format!("cannot compare the trees `{from}` and `{to}`"), e))
}

fn changed_paths(repo: &Repository, from: &Tree<'_>, to: &Tree<'_>) -> Result<BTreeSet<Vec<u8>>, git2::Error> {
    let diff = repo.diff_tree_to_tree(Some(from), Some(to), None)?;
    let paths = diff
        .deltas()
        .flat_map(|d| [d.old_file().path_bytes(), d.new_file().path_bytes()].map(|p| p.map(<[u8]>::to_vec)));
    Ok(paths.flatten().collect())
}

/// The paths of `from` that `to` does not have, by object ids alone.
pub(super) fn deleted(repo: &Repository, from: &Oid, to: &Oid) -> Result<Vec<String>> {
    let (from, to) = (find_commit(repo, from)?, find_commit(repo, to)?);
    let what = |e| git_error(&format!("cannot compare the trees of `{}` and `{}`", from.id(), to.id()), e);
    let (before, after) = (from.tree().map_err(what)?, to.tree().map_err(what)?);
    // A file that became a link is there.
    let mut options = git2::DiffOptions::new();
    options.include_typechange(true);
    let diff = repo.diff_tree_to_tree(Some(&before), Some(&after), Some(&mut options)).map_err(what)?;
    let gone = diff.deltas().filter(|d| d.status() == git2::Delta::Deleted);
    let paths: BTreeSet<String> =
        gone.filter_map(|d| Some(String::from_utf8_lossy(d.old_file().path_bytes()?).into_owned())).collect();
    Ok(paths.into_iter().collect())
}

/// Git's mode of a tree within a tree.
pub(super) const DIRECTORY: u32 = 0o040_000;
/// Git's mode of a submodule.
pub(super) const SUBMODULE: u32 = 0o160_000;
/// Git's mode of a symbolic link.
pub(super) const SYMLINK: u32 = 0o120_000;

/// One entry on a walk.
pub(super) struct Visit<'a> {
    /// The whole path, parts joined by `/`.
    pub(super) path: &'a [u8],
    pub(super) mode: u32,
    pub(super) oid: git2::Oid,
}

/// Visits every entry below `tree`, directories before what is in them. Reads trees only, no blobs.
pub(super) fn walk(repo: &Repository, tree: &Tree<'_>, visit: &mut dyn FnMut(&Visit<'_>)) -> Result<()> {
    walk_below(repo, tree, &mut Vec::new(), visit)
}

fn walk_below(repo: &Repository, tree: &Tree<'_>, path: &mut Vec<u8>, visit: &mut dyn FnMut(&Visit<'_>)) -> Result<()> {
    let parent = path.len();
    for entry in tree {
        let name = entry.name_bytes();
        let whole = |path: &[u8]| escape(&String::from_utf8_lossy(path));
        if name.is_empty()
            || name == b"."
            || name == b".."
            || name.contains(&b'/')
            || name.eq_ignore_ascii_case(b".git")
        {
            return Err(Error::fatal(format!("tree `{}` has an entry named `{}`", tree.id(), whole(name)))
                .hint("no honest git makes such a tree: look at who wrote this commit"));
        }
        if parent > 0 {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        let mode = u32::try_from(entry.filemode_raw()).unwrap_or_default();
        visit(&Visit { path, mode, oid: entry.id() });
        if mode == DIRECTORY {
            let below = repo
                .find_tree(entry.id())
                .map_err(|e| git_error(&format!("cannot read directory `{}`", whole(path)), e))?;
            walk_below(repo, &below, path, visit)?;
        }
        path.truncate(parent);
    }
    Ok(())
}

/// The bytes of the file or symbolic link at `path`; `None` if there is none, or if it is a directory or a submodule.
pub(super) fn read(repo: &Repository, tree: &Tree<'_>, path: &str) -> Result<Option<Vec<u8>>> {
    let entry = match tree.get_path(std::path::Path::new(path)) {
        Ok(entry) => entry,
        Err(e) if e.code() == git2::ErrorCode::NotFound => return Ok(None),
        Err(e) => return Err(git_error(&format!("cannot read `{}`", escape(path)), e)),
    };
    if entry.kind() != Some(ObjectType::Blob) {
        return Ok(None);
    }
    let blob = repo.find_blob(entry.id()).map_err(|e| git_error(&format!("cannot read `{}`", escape(path)), e))?;
    Ok(Some(blob.content().to_vec()))
}
