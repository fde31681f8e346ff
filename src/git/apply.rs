//! Applies a patch series in the private repository, without a work tree.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use git2::Repository;
use jiff::Timestamp;

use super::commit::{NewCommit, When};
use super::program::{Call, Configuration, GitProgram};
use super::{find_commit, git_error, hunk, private, to_oid, tree};
use crate::effects::PrivateRepo;
use crate::error::{Error, ErrorKind, Result};
use crate::formats::git_diff;
use crate::formats::series::{Patch, Series};
use crate::model::{Ident, Oid, escape};

/// An index that belongs to one series and is removed with it.
struct TemporaryIndex(PathBuf);

impl TemporaryIndex {
    fn new(dir: &Path) -> Self {
        // Lines are prepared at the same time in one process; another process never prepares in the same directory: a train's
        // is under its lock, and planning has a directory of its own.
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

    fn read_tree(&self, tree: git2::Oid) -> Result<()> {
        let out = self.call().args(["read-tree".to_owned(), tree.to_string()]).run()?;
        out.checked(&format!("cannot read tree `{tree}` into an index"))?;
        self.index_is_there()
    }

    /// To git a missing index is an empty one: it would go on, and write the empty tree.
    fn index_is_there(&self) -> Result<()> {
        let there = std::fs::metadata(&self.index.0).map(|m| m.len());
        match there {
            Ok(len) if len > 0 => Ok(()),
            _ => Err(Error::fatal(format!("the index `{}` is gone or empty", self.index.0.display()))
                .hint("something removed it meanwhile; run the same command again")),
        }
    }

    /// The tree that the index holds.
    fn write_tree(&self, what: &str) -> Result<git2::Oid> {
        self.index_is_there()?;
        // Blobs that the user's clone lacks are not touched by the patch; their names in the tree are enough.
        let written = self.call().args(["write-tree", "--missing-ok"]).run()?.checked(what)?;
        git2::Oid::from_str(String::from_utf8_lossy(&written).trim())
            .map_err(|e| git_error("`git write-tree` printed no object id", e))
    }
}

/// Which of git's two ways of applying a patch is tried first; the other one is tried when it fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Context lines first, as `git am -3` does. What a pinned series gives then never depends on which foreign objects
    /// happen to be there.
    ContextFirst,
    /// The three-way merge first, which places a change better but needs the files that the patch was made on.
    MergeFirst,
}

/// Applies each patch and commits it; returns the commits, oldest first.
pub(super) fn apply_series(
    program: &GitProgram,
    private: &PrivateRepo,
    base: &Oid,
    series: &Series,
    committer: &Ident,
    date: Timestamp,
) -> Result<Vec<Oid>> {
    let by = |_: &Patch| (committer.clone(), When::utc(date));
    commit_each(program, private, base, series, Order::ContextFirst, &by)
}

/// Applies each patch in `order` and commits it by whom `committer` says.
pub(super) fn commit_each(
    program: &GitProgram,
    private: &PrivateRepo,
    base: &Oid,
    series: &Series,
    order: Order,
    committer: &dyn Fn(&Patch) -> (Ident, When),
) -> Result<Vec<Oid>> {
    let repo = private::open(private)?;
    let start = find_commit(&repo, base)?;
    let (mut parent, mut tree) = (start.id(), start.tree_id());
    let work = Work { program, dir: &private.dir, index: TemporaryIndex::new(&private.dir) };
    work.read_tree(tree)?;
    let mut commits = Vec::new();
    for patch in &series.patches {
        if !patch.diff.trim_ascii().is_empty() {
            let after = apply(&work, &repo, base, tree, patch, order)?;
            if after == tree {
                return Err(Error::input(format!("{} changes nothing: the branch has it already", shown(patch)))
                    .hint("take it out of the series, then run `lifeboat plan` again"));
            }
            touches_no_more(patch, &tree::changed_between(&repo, tree, after)?)?;
            tree = after;
        }
        let author = (&patch.author, When { seconds: patch.time, offset: patch.offset });
        let (who, when) = committer(patch);
        let new = NewCommit { tree, parent, author, committer: (&who, when), message: &patch.message };
        parent = new.write(&repo).map_err(|e| e.context(shown(patch)))?;
        commits.push(to_oid(parent));
    }
    Ok(commits)
}

/// Whatever made `changed` of a patch: it changes what its author changed, and no other path.
///
/// # Errors
/// A path that the patch does not name; a patch that cannot be read.
pub(super) fn touches_no_more(patch: &Patch, changed: &BTreeSet<Vec<u8>>) -> Result<()> {
    let named = git_diff::paths(&patch.diff).map_err(|e| e.context(shown(patch)))?;
    let mut others = changed.difference(&named);
    let Some(first) = others.next() else { return Ok(()) };
    let more = others.count();
    let path = escape(&String::from_utf8_lossy(first));
    let and = if more == 0 { String::new() } else { format!(" and {more} more paths") };
    Err(Error::fatal(format!("{} would change `{path}`{and}, which it does not name", shown(patch)))
        .detail(format!("it names {} paths, and {} would change", named.len(), changed.len()))
        .hint("nothing was kept; run the same command again, and report it if it says the same"))
}

fn shown(patch: &Patch) -> String {
    format!("patch `{}` (\"{}\")", escape(&patch.origin), escape(patch.subject()))
}

/// Applies one patch to the index and writes the tree.
fn apply(
    work: &Work<'_>,
    repo: &Repository,
    base: &Oid,
    tree: git2::Oid,
    patch: &Patch,
    order: Order,
) -> Result<git2::Oid> {
    let attempt = |ways: &[&str]| {
        let call = work.call().args(["apply", "--cached", "--whitespace=nowarn"]).args(ways.iter().copied());
        call.args(["-"]).input(patch.diff.clone()).run()
    };
    let (first, second): (&[&str], &[&str]) = match order {
        Order::ContextFirst => (&[], &["--3way"]),
        Order::MergeFirst => (&["--3way"], &[]),
    };
    let out = attempt(first)?;
    if !out.succeeded() {
        if out.disk_was_full() {
            return Err(out.failure(&format!("cannot apply {}", shown(patch))));
        }
        // A merge with conflicts leaves them in the index.
        work.read_tree(tree)?;
        let again = attempt(second)?;
        if !again.succeeded() {
            let full = again.failure(&format!("cannot apply {}", shown(patch)));
            if again.disk_was_full() || full.kind() == ErrorKind::Transient {
                return Err(full);
            }
            return Err(misfit(repo, base, tree, patch, &out.stderr)?);
        }
    }
    work.write_tree(&format!("cannot write the tree of {}", shown(patch)))
}

fn misfit(repo: &Repository, base: &Oid, tree: git2::Oid, patch: &Patch, said: &str) -> Result<Error> {
    let now = repo.find_tree(tree).map_err(|e| git_error(&format!("cannot read tree `{tree}`"), e))?;
    let files = git_diff::read(&patch.diff).map_err(|e| e.context(shown(patch)))?.files;
    let outside = |path: &&Vec<u8>| path.split(|c| *c == b'/').any(|part| matches!(part, b"" | b"." | b".." | b".git"));
    if let Some(path) = files.iter().flat_map(|f| f.old.iter().chain(&f.new)).find(outside) {
        return Ok(Error::input(format!(
            "{} touches `{}`, which is not a path of the tree",
            shown(patch),
            escape(&String::from_utf8_lossy(path))
        ))
        .hint("make it again with `git format-patch --binary` in the repository's top directory"));
    }
    let found = hunk::first_misfit(&files, &mut |path| tree::read(repo, &now, path))?;
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
