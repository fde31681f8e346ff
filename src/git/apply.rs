//! Applies a patch series in the private repository, without a work tree.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use git2::Repository;
use jiff::Timestamp;

use super::commit::{NewCommit, When};
use super::program::{Call, Configuration, GitProgram};
use super::{find_commit, git_error, hunk, private, to_oid, tree};
use crate::effects::PrivateRepo;
use crate::error::{Error, Result};
use crate::formats::series::{Patch, Series};
use crate::model::{Ident, Oid, escape};

/// An index that belongs to one series and is removed with it.
struct TemporaryIndex(PathBuf);

impl TemporaryIndex {
    fn new(dir: &Path) -> Self {
        // Lines are prepared at the same time in one process; another process never prepares in the same directory.
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        Self(dir.join(format!("index-{}-{n}", std::process::id())))
    }
}

impl Drop for TemporaryIndex {
    fn drop(&mut self) {
        drop(private::remove_file(&self.0));
        drop(private::remove_file(&self.0.with_extension("lock")));
    }
}

struct Work<'a> {
    program: &'a GitProgram,
    dir: &'a Path,
    index: TemporaryIndex,
}

impl Work<'_> {
    fn call(&self) -> Call<'_> {
        self.program.call(Configuration::Private).repository(self.dir).variable("GIT_INDEX_FILE", self.index.0.clone())
    }
}

/// Applies each patch with git's three-way merge and commits it; returns the commits, oldest first.
pub(super) fn apply_series(
    program: &GitProgram,
    private: &PrivateRepo,
    base: &Oid,
    series: &Series,
    committer: &Ident,
    date: Timestamp,
) -> Result<Vec<Oid>> {
    let repo = private::open(private)?;
    let start = find_commit(&repo, base)?;
    let (mut parent, mut tree) = (start.id(), start.tree_id());
    let work = Work { program, dir: &private.dir, index: TemporaryIndex::new(&private.dir) };
    work.call()
        .args(["read-tree".to_owned(), tree.to_string()])
        .run()?
        .checked(&format!("cannot read the tree of `{base}`"))?;
    let mut commits = Vec::new();
    for patch in &series.patches {
        if !patch.diff.trim_ascii().is_empty() {
            let after = apply(&work, &repo, base, tree, patch)?;
            if after == tree {
                return Err(Error::input(format!("{} changes nothing: the branch has it already", shown(patch)))
                    .hint("take it out of the series, then run `lifeboat plan` again"));
            }
            tree = after;
        }
        let author = (&patch.author, When { seconds: patch.time, offset: patch.offset });
        let new = NewCommit { tree, parent, author, committer: (committer, When::utc(date)), message: &patch.message };
        parent = new.write(&repo).map_err(|e| e.context(shown(patch)))?;
        commits.push(to_oid(parent));
    }
    Ok(commits)
}

fn shown(patch: &Patch) -> String {
    format!("patch `{}` (\"{}\")", escape(&patch.origin), escape(patch.subject()))
}

/// Applies one patch to the index and writes the tree.
fn apply(work: &Work<'_>, repo: &Repository, base: &Oid, tree: git2::Oid, patch: &Patch) -> Result<git2::Oid> {
    let out = work
        .call()
        .args(["apply", "--cached", "--3way", "--whitespace=nowarn", "-"])
        .input(patch.diff.clone())
        .run()?;
    if !out.succeeded() {
        if out.disk_was_full() {
            return Err(out.failure(&format!("cannot apply {}", shown(patch))));
        }
        return Err(misfit(repo, base, tree, patch, &out.stderr)?);
    }
    // Blobs that the user's clone lacks are not touched by the patch; their names in the tree are enough.
    let written = work.call().args(["write-tree", "--missing-ok"]).run()?;
    let written = written.checked(&format!("cannot write the tree of {}", shown(patch)))?;
    git2::Oid::from_str(String::from_utf8_lossy(&written).trim())
        .map_err(|e| git_error("`git write-tree` printed no object id", e))
}

fn misfit(repo: &Repository, base: &Oid, tree: git2::Oid, patch: &Patch, said: &str) -> Result<Error> {
    let now = repo.find_tree(tree).map_err(|e| git_error(&format!("cannot read tree `{tree}`"), e))?;
    let found = hunk::first_misfit(&patch.diff, &mut |path| tree::read(repo, &now, path))?;
    let mut e = match found {
        Some(found) => {
            let mut e = Error::input(format!("{} does not apply: {}", shown(patch), found.place));
            for line in found.lines {
                e = e.detail(line);
            }
            e
        }
        None => {
            let mut e = Error::input(format!("{} does not apply", shown(patch)));
            for line in said.lines().filter(|l| !l.trim().is_empty()).take(20) {
                e = e.detail(format!("git: {}", escape(line)));
            }
            e
        }
    };
    e = e.detail(format!("on: {base}"));
    Ok(e.hint("backport this patch to the branch as it is now"))
}
