//! The port to local git work: the private repository of a train.

use std::io::Write;
use std::path::PathBuf;

use jiff::Timestamp;

use crate::bump::SourceTree;
use crate::error::{Error, Result};
use crate::formats::refs::parse_info;
use crate::formats::series::Series;
use crate::model::{Ident, Oid, escape};
use crate::step::{MergedAs, Submodule};

/// A bare repository in the state directory that borrows the objects of the user's repository and has no remotes, no
/// hooks and a configuration of its own. It is a cache: everything in it can be made again from the train's objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrivateRepo {
    /// The bare repository.
    pub dir: PathBuf,
    /// The git directory of the user's repository.
    pub borrow: PathBuf,
}

/// What goes into a source archive.
#[derive(Debug, Clone, PartialEq)]
pub struct ArchiveSpec<'a> {
    /// The commit whose tree is archived blob for blob.
    pub commit: &'a Oid,
    /// The single top directory, without a final `/`.
    pub prefix: &'a str,
    /// Submodules whose files are included at their paths.
    pub submodules: &'a [Submodule],
    /// The modification time of every member.
    pub date: Timestamp,
}

/// A file of a repository that any web server can serve for cloning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticFile {
    /// Its path within the repository.
    pub path: String,
    /// Its bytes, and whether they may ever change.
    pub content: StaticContent,
}

/// The bytes of a [`StaticFile`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StaticContent {
    /// A pack or its index: named by its content, put once, never changed. It may be large, so it stays on disk, in the
    /// private repository.
    Fixed(PathBuf),
    /// A small file that each train replaces.
    Replaced(Vec<u8>),
}

/// A pack and its index, as files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackFiles {
    /// What git names it by: its content.
    pub name: Oid,
    /// The pack.
    pub pack: PathBuf,
    /// Its index.
    pub idx: PathBuf,
}

impl PackFiles {
    /// The name that one of the two files has in `objects/pack`: `end` is `pack` or `idx`.
    #[must_use]
    pub fn file_name(&self, end: &str) -> String {
        format!("pack-{}.{end}", self.name)
    }
}

/// What a static repository serves already.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Served {
    /// File names from `objects/info/packs`, in its order.
    pub packs: Vec<String>,
    /// Lines of `info/refs`: full name (`refs/tags/v1^{}` for what a tag points to) and object.
    pub refs: Vec<(String, Oid)>,
    /// Refs that lie as files of their own, as far as they were looked at: a writer puts them there before `info/refs`.
    pub loose: Vec<(String, Oid)>,
    /// Commits that the packs hold with all that they reach, beside what the refs name.
    pub packed: Vec<Oid>,
}

impl Served {
    /// Reads `objects/info/packs` and `info/refs`, both empty if they are absent (gitrepository-layout(5)).
    ///
    /// # Errors
    /// A line that is none of theirs.
    pub fn read(packs: &[u8], refs: &[u8]) -> Result<Self> {
        let bad = |file: &str, line: &str| {
            Error::fatal(format!("`{file}` of the served repository has the line `{}`", escape(line)))
                .hint("it was not written by this program: serve the repository at another path")
        };
        let mut served = Self::default();
        for line in String::from_utf8_lossy(packs).lines().filter(|l| !l.is_empty()) {
            let name = line.strip_prefix("P ").filter(|n| is_pack_name(n));
            served.packs.push(name.ok_or_else(|| bad("objects/info/packs", line))?.to_owned());
        }
        let refs = String::from_utf8_lossy(refs);
        for (name, id) in parse_info(&refs).map_err(|line| bad("info/refs", line))? {
            let oid = id.parse().map_err(|_| bad("info/refs", &format!("{id}\t{name}")))?;
            served.refs.push((name.to_owned(), oid));
        }
        Ok(served)
    }
}

fn is_pack_name(name: &str) -> bool {
    let digits = name.strip_prefix("pack-").and_then(|n| n.strip_suffix(".pack"));
    digits.is_some_and(|d| matches!(d.len(), 40 | 64) && d.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f')))
}

/// Local git work. Methods that change state are kill points of the crash tests.
pub trait Git: Send + Sync {
    /// Makes the private repository if it is absent or unusable.
    fn ensure(&self, repo: &PrivateRepo) -> Result<()>;

    /// Whether the commit and its tree are there.
    ///
    /// # Errors
    /// An unusable repository.
    fn has_commit(&self, repo: &PrivateRepo, commit: &Oid) -> Result<bool>;

    /// Applies the patch series on `base`, one commit each, authors and dates kept; returns the commits, oldest first.
    ///
    /// # Errors
    /// A patch that does not apply: names the patch, file, line and hunk.
    fn apply_series(
        &self,
        repo: &PrivateRepo,
        base: &Oid,
        series: &Series,
        committer: &Ident,
        date: Timestamp,
    ) -> Result<Vec<Oid>>;

    /// The tree of a commit, for the version bump to read.
    ///
    /// # Errors
    /// A missing commit.
    fn tree(&self, repo: &PrivateRepo, commit: &Oid) -> Result<Box<dyn SourceTree>>;

    /// Commits replacements of whole files on top of `parent`.
    ///
    /// # Errors
    /// A missing parent.
    fn commit_edits(
        &self,
        repo: &PrivateRepo,
        parent: &Oid,
        edits: &[(String, Vec<u8>)],
        message: &str,
        committer: &Ident,
        date: Timestamp,
    ) -> Result<Oid>;

    /// The paths that differ between the trees of two commits, sorted.
    ///
    /// # Errors
    /// A missing commit or tree.
    fn changed(&self, repo: &PrivateRepo, from: &Oid, to: &Oid) -> Result<Vec<String>>;

    /// The paths that the tree of `from` has and that of `to` does not, sorted.
    ///
    /// # Errors
    /// A missing commit or tree.
    fn deleted(&self, repo: &PrivateRepo, from: &Oid, to: &Oid) -> Result<Vec<String>>;

    /// The id of a commit's tree.
    ///
    /// # Errors
    /// A missing commit.
    fn tree_id(&self, repo: &PrivateRepo, commit: &Oid) -> Result<Oid>;

    /// Writes a pack with every object that is reachable from `head` and not from `base`; same input, same bytes.
    ///
    /// # Errors
    /// A missing object.
    fn export_pack(&self, repo: &PrivateRepo, base: &Oid, head: &Oid, out: &mut dyn Write) -> Result<()>;

    /// Takes the objects of a pack in.
    ///
    /// # Errors
    /// A broken pack.
    fn import_pack(&self, repo: &PrivateRepo, pack: &[u8]) -> Result<()>;

    /// Writes the source archive (gzipped tar): same commit and date, same bytes on any machine.
    ///
    /// # Errors
    /// A missing blob or submodule, named by path.
    fn archive(&self, repo: &PrivateRepo, spec: &ArchiveSpec<'_>, out: &mut dyn Write) -> Result<()>;

    /// Writes a git bundle of `refs/heads/<branch>` at `head` with `base` as its prerequisite.
    fn bundle(&self, repo: &PrivateRepo, branch: &str, base: &Oid, head: &Oid, out: &mut dyn Write) -> Result<()>;

    /// Stores a tag object's content and returns its id.
    ///
    /// # Errors
    /// Content that git does not take for a tag.
    fn write_tag(&self, repo: &PrivateRepo, content: &[u8]) -> Result<Oid>;

    /// How the commits from `base` to `ours` came into the branch at `branch`, and its first commit that has everything;
    /// none if it lacks something. A branch has everything if our commit is its ancestor, or if one of its commits since
    /// `base` has every file that ours changed as ours has it.
    ///
    /// # Errors
    /// A missing commit.
    fn merged(&self, repo: &PrivateRepo, base: &Oid, ours: &Oid, branch: &Oid) -> Result<Option<(MergedAs, Oid)>>;

    /// Whether `commit` is `older` or holds all of it; a commit that is not here is in nothing.
    ///
    /// # Errors
    /// An unusable repository.
    fn descends(&self, repo: &PrivateRepo, commit: &Oid, older: &Oid) -> Result<bool>;

    /// Packs everything that `tips` reach and `without` do not, of which those that are not here are ignored; `None` if that
    /// is nothing. The files are a cache: [`Git::forget_pack`] removes them.
    ///
    /// # Errors
    /// An object of the history that is not here.
    fn pack_history(&self, repo: &PrivateRepo, tips: &[Oid], without: &[Oid]) -> Result<Option<PackFiles>>;

    /// Removes the files of a pack that is kept elsewhere by now.
    fn forget_pack(&self, files: &PackFiles) -> Result<()>;

    /// The files of a bare repository for dumb HTTP, in the order in which they must become visible: one pack with what
    /// is reachable from `tips` (`ref`, object) and not from what is `served`, then `HEAD` (the ref `head`), `config`,
    /// `objects/info/packs`, `packed-refs` and `info/refs`. Served packs and refs stay, unless a tip moves the ref.
    ///
    /// # Errors
    /// A missing object; a shallow repository, which cannot be cloned from static files; a served tag that would move.
    fn static_repository(
        &self,
        repo: &PrivateRepo,
        head: &str,
        tips: &[(String, Oid)],
        served: &Served,
    ) -> Result<Vec<StaticFile>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn served_files_are_read_strictly() {
        let oid = "a".repeat(40);
        let served = Served::read(
            format!("P pack-{oid}.pack\n\n").as_bytes(),
            format!("{oid}\trefs/tags/v1\n{oid}\trefs/tags/v1^{{}}\n").as_bytes(),
        )
        .unwrap();
        assert_eq!(served.packs, [format!("pack-{oid}.pack")]);
        assert_eq!(served.refs[1].0, "refs/tags/v1^{}");
        assert!(Served::read(b"P ../../x.pack\n", b"").is_err());
        assert!(Served::read(b"", b"<html>\n").is_err());
        assert_eq!(Served::read(b"", b"").unwrap(), Served::default());
    }
}
