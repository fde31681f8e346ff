//! Git, by libgit2 for local objects and by the user's own `git` program for what libgit2 cannot do.
//!
//! * `program` runs the git program: explicit arguments, an allow-listed environment, a deadline, an end to `silence`.
//! * `private` makes the private repository and finds out whether it can still be trusted after a crash.
//! * `apply`, `commit`, `tree` make and read commits; `archive`, `pack`, `publish` turn them into files.
//! * [`facts`] reads the user's repository and [`series`] imports patches; neither writes into that repository.

mod address;
mod apply;
mod archive;
mod commit;
pub mod facts;
mod history;
mod hunk;
mod mail;
mod merged;
mod names;
mod output;
mod pack;
mod private;
mod program;
mod publish;
pub mod series;
mod submodules;
mod tag;
mod timeouts;
mod transport;
mod tree;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;

use jiff::Timestamp;
use parking_lot::Mutex;

pub use address::is_address;
pub use output::GitOutput;
pub(crate) use private::is_git_dir;
pub use program::{Call, Configuration, GitProgram, OLDEST_VERSION};
pub use timeouts::STILL;

pub use tree::CommitTree;

use crate::bump::SourceTree;
use crate::effects::{ArchiveSpec, Git, PackFiles, PrivateRepo, Served, StaticFile};
use crate::error::{Error, ErrorKind, Result};
use crate::formats::series::Series;
use crate::model::{Ident, Oid};
use crate::step::MergedAs;

/// The port [`Git`] on this machine.
#[derive(Debug)]
pub struct LocalGit {
    program: GitProgram,
    /// Private repositories whose objects were checked since this process started; one thread checks at a time.
    checked: Mutex<BTreeSet<PathBuf>>,
}

impl LocalGit {
    /// Uses this git program.
    #[must_use]
    pub fn new(program: GitProgram) -> Self {
        Self { program, checked: Mutex::new(BTreeSet::new()) }
    }
}

impl Git for LocalGit {
    fn ensure(&self, repo: &PrivateRepo) -> Result<()> {
        let mut checked = self.checked.lock();
        let check = if checked.contains(&repo.dir) { private::CheckDepth::Frame } else { private::CheckDepth::Objects };
        private::ensure(repo, check)?;
        checked.insert(repo.dir.clone());
        Ok(())
    }

    fn has_commit(&self, repo: &PrivateRepo, commit: &Oid) -> Result<bool> {
        private::has_commit(repo, commit)
    }

    fn apply_series(
        &self,
        repo: &PrivateRepo,
        base: &Oid,
        series: &Series,
        committer: &Ident,
        date: Timestamp,
    ) -> Result<Vec<Oid>> {
        apply::apply_series(&self.program, repo, base, series, committer, date)
    }

    fn tree(&self, repo: &PrivateRepo, commit: &Oid) -> Result<Box<dyn SourceTree>> {
        Ok(Box::new(tree::CommitTree::open(private::open(repo)?, commit)?))
    }

    fn commit_edits(
        &self,
        repo: &PrivateRepo,
        parent: &Oid,
        edits: &[(String, Vec<u8>)],
        message: &str,
        committer: &Ident,
        date: Timestamp,
    ) -> Result<Oid> {
        commit::commit_edits(&private::open(repo)?, parent, edits, message, committer, date)
    }

    fn changed(&self, repo: &PrivateRepo, from: &Oid, to: &Oid) -> Result<Vec<String>> {
        tree::changed(&private::open(repo)?, from, to)
    }

    fn deleted(&self, repo: &PrivateRepo, from: &Oid, to: &Oid) -> Result<Vec<String>> {
        tree::deleted(&private::open(repo)?, from, to)
    }

    fn tree_id(&self, repo: &PrivateRepo, commit: &Oid) -> Result<Oid> {
        let repo = private::open(repo)?;
        Ok(to_oid(find_commit(&repo, commit)?.tree_id()))
    }

    fn export_pack(&self, repo: &PrivateRepo, base: &Oid, head: &Oid, out: &mut dyn Write) -> Result<()> {
        pack::write_between(&private::open(repo)?, base, head, out)
    }

    fn import_pack(&self, repo: &PrivateRepo, pack: &[u8]) -> Result<()> {
        pack::import(&private::open(repo)?, pack)
    }

    fn archive(&self, repo: &PrivateRepo, spec: &ArchiveSpec<'_>, out: &mut dyn Write) -> Result<()> {
        archive::write(&repo.dir, spec, out)
    }

    fn bundle(&self, repo: &PrivateRepo, branch: &str, base: &Oid, head: &Oid, out: &mut dyn Write) -> Result<()> {
        pack::write_bundle(&private::open(repo)?, branch, base, head, out)
    }

    fn write_tag(&self, repo: &PrivateRepo, content: &[u8]) -> Result<Oid> {
        tag::write(&private::open(repo)?, content)
    }

    fn merged(&self, repo: &PrivateRepo, base: &Oid, ours: &Oid, branch: &Oid) -> Result<Option<(MergedAs, Oid)>> {
        merged::merged(&private::open(repo)?, base, ours, branch)
    }

    fn descends(&self, repo: &PrivateRepo, commit: &Oid, older: &Oid) -> Result<bool> {
        Ok(commit == older || publish::descends(&private::open(repo)?, commit, older))
    }

    fn pack_history(&self, repo: &PrivateRepo, tips: &[Oid], without: &[Oid]) -> Result<Option<PackFiles>> {
        let own = private::open(repo)?;
        let odb = own.odb().map_err(|e| git_error("cannot open the private repository", e))?;
        let mut there = Vec::new();
        for oid in without {
            if odb.exists(from_oid(oid)?) {
                there.push(oid.clone());
            }
        }
        publish::refuse_shallow(repo)?;
        history::pack(&self.program, repo, tips, &there)
    }

    fn forget_pack(&self, files: &PackFiles) -> Result<()> {
        history::forget(files)
    }

    fn static_repository(
        &self,
        repo: &PrivateRepo,
        head: &str,
        tips: &[(String, Oid)],
        served: &Served,
    ) -> Result<Vec<StaticFile>> {
        publish::static_repository(&self.program, repo, head, tips, served)
    }
}

/// libgit2's form of an object id.
pub(crate) fn from_oid(oid: &Oid) -> Result<git2::Oid> {
    if oid.as_str().len() != 40 {
        return Err(Error::input(format!("git object `{oid}` has a SHA-256 id"))
            .hint("repositories with SHA-256 object ids are not supported yet: use one with SHA-1 ids"));
    }
    git2::Oid::from_str(oid.as_str()).map_err(|e| git_error(&format!("cannot read git object id `{oid}`"), e))
}

/// Our form of libgit2's object id.
pub(crate) fn to_oid(oid: git2::Oid) -> Oid {
    let mut bytes = [0u8; 20];
    // Without its experimental SHA-256 feature, libgit2's ids are exactly this long.
    bytes.iter_mut().zip(oid.as_bytes()).for_each(|(to, from)| *to = *from);
    Oid::from_sha1(bytes)
}

pub(crate) fn find_commit<'r>(repo: &'r git2::Repository, commit: &Oid) -> Result<git2::Commit<'r>> {
    repo.find_commit(from_oid(commit)?).map_err(|e| {
        git_error(&format!("cannot read commit `{commit}`"), e)
            .hint("fetch it into the repository, or plan the train again on a commit that is there")
    })
}

/// A libgit2 failure with what was being done; a full disk may pass, the rest is final until fixed.
pub(crate) fn git_error(what: &str, e: git2::Error) -> Error {
    let kind = if e.message().contains("No space left") || e.message().contains("Disk quota") {
        ErrorKind::Transient
    } else {
        ErrorKind::Fatal
    };
    crate::effects::files::explained(Error::new(kind, format!("{what}: {}", e.message())).because(e))
}
