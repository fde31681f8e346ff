//! The port to local git work: the private repository of a train.

use std::io::Write;
use std::path::PathBuf;

use jiff::Timestamp;

use crate::bump::SourceTree;
use crate::error::Result;
use crate::formats::series::Series;
use crate::model::{Ident, Oid};
use crate::step::Submodule;

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
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Local git work. Methods that change state are kill points of the crash tests.
pub trait Git: Send + Sync {
    /// Makes the private repository if it is absent or unusable.
    ///
    /// # Errors
    /// The file system's.
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
    ///
    /// # Errors
    /// The git program's.
    fn bundle(&self, repo: &PrivateRepo, branch: &str, base: &Oid, head: &Oid, out: &mut dyn Write) -> Result<()>;

    /// Stores a tag object's content and returns its id.
    ///
    /// # Errors
    /// Content that git does not take for a tag.
    fn write_tag(&self, repo: &PrivateRepo, content: &[u8]) -> Result<Oid>;

    /// The files of a bare repository, for dumb HTTP: one pack per call with everything reachable from `tips` (`ref`,
    /// object), `objects/info/packs`, `info/refs`, `packed-refs`, `HEAD`, `config`. `old` are the files that exist.
    ///
    /// # Errors
    /// A missing object.
    fn static_repository(&self, repo: &PrivateRepo, head: &str, tips: &[(String, Oid)]) -> Result<Vec<StaticFile>>;
}
