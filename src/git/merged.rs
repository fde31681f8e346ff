//! How a pull request's commits came into their branch: by merging, squashing or rebasing, decided by trees alone.

use std::collections::BTreeMap;

use git2::{Repository, Sort};

use super::{find_commit, from_oid, git_error, to_oid};
use crate::error::Result;
use crate::model::Oid;
use crate::step::MergedAs;

/// What a path is in a tree: mode and object; none if it is not there.
type At = Option<(i32, git2::Oid)>;

/// See [`crate::effects::Git::merged`].
pub(super) fn merged(repo: &Repository, base: &Oid, ours: &Oid, branch: &Oid) -> Result<Option<(MergedAs, Oid)>> {
    let what = format!("cannot find out whether `{branch}` has the commits up to `{ours}`");
    let err = |e| git_error(&what, e);
    let (head, ours_id, base_id) = (find_commit(repo, branch)?.id(), from_oid(ours)?, from_oid(base)?);
    if head == ours_id || repo.graph_descendant_of(head, ours_id).map_err(err)? {
        return Ok(Some((MergedAs::Merge, first_with(repo, base_id, head, ours_id)?)));
    }
    let wanted = changes(repo, base, ours)?;
    // The branch's own history since the base, oldest first: a merge's other side was not on the branch before it.
    let mut walk = repo.revwalk().map_err(err)?;
    walk.set_sorting(Sort::TOPOLOGICAL | Sort::REVERSE).map_err(err)?;
    walk.push(head).map_err(err)?;
    walk.hide(base_id).map_err(err)?;
    walk.simplify_first_parent().map_err(err)?;
    let mut passed: Vec<git2::Oid> = Vec::new();
    for oid in walk {
        let oid = oid.map_err(err)?;
        passed.push(oid);
        if has(repo, oid, &wanted)? {
            let how = if rebased(repo, base_id, ours_id, &passed)? { MergedAs::Rebase } else { MergedAs::Squash };
            return Ok(Some((how, to_oid(oid))));
        }
    }
    Ok(None)
}

/// The first commit of the branch's own history that has `ours` behind it.
fn first_with(repo: &Repository, base: git2::Oid, head: git2::Oid, ours: git2::Oid) -> Result<Oid> {
    let err = |e| git_error("cannot walk the branch", e);
    let mut first = head;
    let mut at = head;
    while at != base && (at == ours || repo.graph_descendant_of(at, ours).map_err(err)?) {
        first = at;
        let commit = repo.find_commit(at).map_err(err)?;
        let Ok(parent) = commit.parent_id(0) else { break };
        at = parent;
    }
    Ok(to_oid(first))
}

/// Every path that differs between the base and ours, as ours has it.
fn changes(repo: &Repository, base: &Oid, ours: &Oid) -> Result<BTreeMap<Vec<u8>, At>> {
    let err = |e| git_error("cannot compare two trees", e);
    let (from, to) = (find_commit(repo, base)?.tree().map_err(err)?, find_commit(repo, ours)?.tree().map_err(err)?);
    let diff = repo.diff_tree_to_tree(Some(&from), Some(&to), None).map_err(err)?;
    let mut out = BTreeMap::new();
    for delta in diff.deltas() {
        for path in [delta.old_file().path_bytes(), delta.new_file().path_bytes()].into_iter().flatten() {
            out.insert(path.to_vec(), at(&to, path));
        }
    }
    Ok(out)
}

fn at(tree: &git2::Tree<'_>, path: &[u8]) -> At {
    // A path that is not UTF-8 cannot be looked up this way; its commit then never counts as having it.
    let path = std::str::from_utf8(path).ok()?;
    tree.get_path(std::path::Path::new(path)).ok().map(|e| (e.filemode(), e.id()))
}

fn has(repo: &Repository, commit: git2::Oid, wanted: &BTreeMap<Vec<u8>, At>) -> Result<bool> {
    let err = |e| git_error("cannot read a tree", e);
    let tree = repo.find_commit(commit).and_then(|c| c.tree()).map_err(err)?;
    Ok(wanted.iter().all(|(path, want)| std::str::from_utf8(path).is_ok() && at(&tree, path) == *want))
}

/// Whether the last of the passed commits are ours made again: one for each, with the same message and author.
fn rebased(repo: &Repository, base: git2::Oid, ours: git2::Oid, passed: &[git2::Oid]) -> Result<bool> {
    let err = |e| git_error("cannot walk the release's commits", e);
    let mut walk = repo.revwalk().map_err(err)?;
    walk.set_sorting(Sort::TOPOLOGICAL | Sort::REVERSE).map_err(err)?;
    walk.push(ours).map_err(err)?;
    walk.hide(base).map_err(err)?;
    let own: Vec<git2::Oid> = walk.collect::<Result<_, _>>().map_err(err)?;
    // One commit that was squashed from one looks the same as a rebase; it is called a squash.
    if own.len() < 2 || passed.len() < own.len() {
        return Ok(false);
    }
    let text = |oid: git2::Oid| -> Result<(Vec<u8>, Vec<u8>)> {
        let commit = repo.find_commit(oid).map_err(err)?;
        Ok((commit.message_bytes().to_vec(), commit.author().email_bytes().to_vec()))
    };
    for (a, b) in own.iter().zip(&passed[passed.len() - own.len()..]) {
        if text(*a)? != text(*b)? {
            return Ok(false);
        }
    }
    Ok(true)
}
