//! The objects between two commits, as a pack and as a git bundle (gitformat-bundle(5)).

use std::collections::BTreeSet;
use std::io::Write;

use git2::{Commit, Odb, Repository, Tree};

use super::tree::{DIRECTORY, SUBMODULE};
use super::{find_commit, from_oid, git_error};
use crate::error::{Context as _, Error, Result};
use crate::formats::git_pack::{self, PackWriter, PackedKind};
use crate::model::{BranchName, Oid};

/// Objects in the order in which they were found, each once.
#[derive(Default)]
struct Found {
    list: Vec<(git2::Oid, PackedKind)>,
    seen: BTreeSet<git2::Oid>,
}

impl Found {
    /// Whether it is new.
    fn add(&mut self, oid: git2::Oid, kind: PackedKind) -> bool {
        let new = self.seen.insert(oid);
        if new {
            self.list.push((oid, kind));
        }
        new
    }
}

/// The commits after `base` up to `head`, newest first.
fn commits_between<'r>(repo: &'r Repository, base: &Oid, head: &Oid) -> Result<Vec<Commit<'r>>> {
    let base_id = from_oid(base)?;
    let mut out = Vec::new();
    let mut at = find_commit(repo, head)?;
    // Reading the base says clearly that it is missing, before a long walk says so obscurely.
    find_commit(repo, base)?;
    while at.id() != base_id {
        if at.parent_count() != 1 {
            return Err(Error::fatal(format!("the commits from `{base}` to `{head}` are not one straight line"))
                .detail(format!("`{}` has {} parents", at.id(), at.parent_count())));
        }
        let parent = at.parent_id(0).map_err(|e| git_error(&format!("cannot read commit `{}`", at.id()), e))?;
        out.push(at);
        at = repo.find_commit(parent).map_err(|e| git_error(&format!("cannot read commit `{parent}`"), e))?;
    }
    Ok(out)
}

/// What the commits add: commits first, newest first, then each commit's trees and blobs, oldest first.
fn objects_between(repo: &Repository, base: &Oid, head: &Oid) -> Result<Found> {
    let commits = commits_between(repo, base, head)?;
    let mut found = Found::default();
    for commit in &commits {
        found.add(commit.id(), PackedKind::Commit);
    }
    let mut before = find_commit(repo, base)?.tree_id();
    for commit in commits.iter().rev() {
        added(repo, commit.tree_id(), Some(before), &mut found)?;
        before = commit.tree_id();
    }
    Ok(found)
}

/// What tree `new` holds and tree `old` does not hold at the same place; blobs are not read.
fn added(repo: &Repository, new: git2::Oid, old: Option<git2::Oid>, found: &mut Found) -> Result<()> {
    if Some(new) == old || !found.add(new, PackedKind::Tree) {
        return Ok(());
    }
    let read = |id: git2::Oid| -> Result<Tree<'_>> {
        repo.find_tree(id).map_err(|e| git_error(&format!("cannot read tree `{id}`"), e))
    };
    let new = read(new)?;
    let old = old.map(read).transpose()?;
    for entry in &new {
        let mode = entry.filemode_raw().unsigned_abs();
        let before = old.as_ref().and_then(|t| t.get_name_bytes(entry.name_bytes()));
        if mode == DIRECTORY {
            let before = before.filter(|b| b.filemode_raw().unsigned_abs() == DIRECTORY).map(|b| b.id());
            added(repo, entry.id(), before, found)?;
        } else if mode != SUBMODULE && before.is_none_or(|b| b.id() != entry.id()) {
            found.add(entry.id(), PackedKind::Blob);
        }
    }
    Ok(())
}

/// Whether everything is there that tree `new` adds to tree `old`.
pub(super) fn all_there(repo: &Repository, new: git2::Oid, old: Option<git2::Oid>) -> Result<bool> {
    let mut found = Found::default();
    // A tree that cannot be read is not there.
    if added(repo, new, old, &mut found).is_err() {
        return Ok(false);
    }
    let odb = odb(repo)?;
    Ok(found.list.iter().all(|(oid, _)| odb.exists(*oid)))
}

fn odb(repo: &Repository) -> Result<Odb<'_>> {
    repo.odb().map_err(|e| git_error("cannot open the objects of the private repository", e))
}

/// Writes what is reachable from `head` and not from `base` as a pack that stands alone.
pub(super) fn write_between(repo: &Repository, base: &Oid, head: &Oid, out: &mut dyn Write) -> Result<()> {
    let found = objects_between(repo, base, head)?;
    let what = || format!("cannot pack `{base}..{head}`");
    let odb = odb(repo)?;
    let count = u32::try_from(found.list.len()).context(what())?;
    let mut pack = PackWriter::new(out, count).context(what())?;
    for (oid, kind) in &found.list {
        let object = odb.read(*oid).map_err(|e| git_error(&what(), e))?;
        pack.add(*kind, object.data()).context(what())?;
    }
    pack.finish().context(what())
}

/// Writes the same objects as a bundle of `refs/heads/<branch>`, with `base` as its prerequisite.
pub(super) fn write_bundle(repo: &Repository, branch: &str, base: &Oid, head: &Oid, out: &mut dyn Write) -> Result<()> {
    let branch = BranchName::new(branch)?;
    if base == head {
        return Err(Error::input(format!("a bundle of `{branch}` would be empty: it ends at its base `{base}`")));
    }
    let header = format!("# v2 git bundle\n-{base}\n{head} refs/heads/{branch}\n\n");
    out.write_all(header.as_bytes()).context(format!("cannot write the bundle of `{branch}`"))?;
    write_between(repo, base, head, out)
}

/// Takes the objects of a pack in, after checking that it is whole.
pub(super) fn import(repo: &Repository, pack: &[u8]) -> Result<()> {
    let what = "cannot import a pack into the private repository";
    match git_pack::object_count(pack) {
        Some(_) if !git_pack::is_whole(&mut &pack[..]).context(what)? => {
            return Err(Error::fatal(format!("{what}: it is cut or altered")));
        }
        None => return Err(Error::fatal(format!("{what}: it is not a git pack"))),
        // There is nothing to take, and libgit2 refuses to index nothing.
        Some(0) => return Ok(()),
        Some(_) => {}
    }
    let odb = odb(repo)?;
    let mut writer = odb.packwriter().map_err(|e| git_error(what, e))?;
    writer.write_all(pack).context(what)?;
    writer.commit().map_err(|e| git_error(what, e))?;
    Ok(())
}
