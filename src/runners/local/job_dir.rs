//! The directory of one job.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::error::{Context as _, Error, Result};
use crate::runners::private_files::{create_private_dir, create_private_file, remove_tree};
use crate::step::JobName;

/// `<jobs>/<name>/`, readable by its owner only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct JobDir {
    dir: PathBuf,
}

impl JobDir {
    /// The directory of the job of this name.
    ///
    /// # Errors
    /// A name that this runner did not give: it could lead elsewhere.
    pub(super) fn new(jobs: &Path, name: &str) -> Result<Self> {
        // `<step key>-<attempt>`: a train that was begun by an older version has such jobs.
        let is_old = name.split_once('-').is_some_and(|(key, attempt)| {
            key.len() == 64
                && key.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
                && attempt.parse::<u32>().is_ok_and(|n| n.to_string() == attempt)
        });
        if JobName::parse(name).is_none() && !is_old {
            return Err(Error::fatal(format!("`{}` is not a job of a local runner", crate::model::escape(name)))
                .hint("its record in the journal is broken, or of another runner"));
        }
        Ok(Self { dir: jobs.join(name) })
    }

    /// Every job in a directory of jobs; none if there is no such directory.
    pub(super) fn all(jobs: &Path) -> Result<Vec<Self>> {
        let what = || format!("cannot list `{}`", jobs.display());
        let entries = match fs::read_dir(jobs) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.and_then(Iterator::collect::<io::Result<Vec<_>>>).context(what())?,
        };
        let names = entries.iter().map(fs::DirEntry::file_name);
        Ok(names.filter_map(|name| Self::new(jobs, name.to_str()?).ok()).collect())
    }

    /// A place as it is handed to the supervisor.
    pub(super) fn at(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// The directory itself.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// All of the directory that the job may change. It sees nothing of the rest.
    pub(super) fn inside(&self) -> PathBuf {
        self.dir.join("inside")
    }

    /// Where the source is unpacked: its single directory is the job's root.
    pub(super) fn work(&self) -> PathBuf {
        self.inside().join("work")
    }

    /// `HOME`; by it the job's processes are known.
    pub(super) fn home(&self) -> PathBuf {
        self.inside().join("home")
    }

    /// `TMPDIR`.
    pub(super) fn tmp(&self) -> PathBuf {
        self.inside().join("tmp")
    }

    /// What cargo writes to its own home: the job sees it in the place of that.
    pub(super) fn cargo(&self) -> PathBuf {
        self.dir.join("cargo")
    }

    /// Standard output and error, secrets masked.
    pub(super) fn log(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// The paths below the root that were there before the job, each ended by NUL.
    pub(super) fn inputs(&self) -> PathBuf {
        self.dir.join("inputs")
    }

    /// Touched just before the job starts: what changed later was changed by it.
    pub(super) fn started(&self) -> PathBuf {
        self.dir.join("started")
    }

    /// Which process watches over the job.
    pub(super) fn supervisor(&self) -> PathBuf {
        self.dir.join("supervisor.json")
    }

    /// How the job ended.
    pub(super) fn status(&self) -> PathBuf {
        self.dir.join("status.json")
    }

    /// The job's root, as [`Self::settle_root`] found it.
    ///
    /// # Errors
    /// A directory that was never filled.
    pub(super) fn root(&self) -> Result<PathBuf> {
        let file = self.dir.join("root");
        let name = fs::read_to_string(&file).context(format!("cannot read `{}`", file.display()))?;
        Ok(self.work().join(name))
    }

    /// Takes the one directory in [`Self::work`] for the job's root, and keeps its name: the job may write beside it.
    ///
    /// # Errors
    /// None, several, or a file.
    pub(super) fn settle_root(&self) -> Result<PathBuf> {
        let work = self.work();
        let entries = fs::read_dir(&work).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let entries = entries.context(format!("cannot read `{}`", work.display()))?;
        let file = self.dir.join("root");
        match entries.as_slice() {
            [one] if one.file_type().is_ok_and(|t| t.is_dir()) => {
                create_private_file(&file)
                    .and_then(|mut f| f.write_all(one.file_name().as_encoded_bytes()))
                    .context(format!("cannot write `{}`", file.display()))?;
                Ok(one.path())
            }
            [_] => Err(Error::fatal("a source archive needs one top directory; there is a file instead")),
            several => {
                Err(Error::fatal(format!("a source archive needs one top directory; there are {}", several.len())))
            }
        }
    }

    /// Makes the directory anew, with nothing in it but an empty `work`, `home` and `tmp`.
    pub(super) fn make_clean(&self) -> Result<()> {
        self.remove()?;
        for dir in [self.work(), self.home(), self.tmp()] {
            create_private_dir(&dir)?;
        }
        for name in ["home", "registry", "git"] {
            create_private_dir(&self.cargo().join(name))?;
        }
        Ok(())
    }

    /// Removes everything.
    pub(super) fn remove(&self) -> Result<()> {
        remove_tree(&self.dir)
    }

    /// Removes the files of a job that another attempt replaces; what it printed is kept.
    pub(super) fn remove_files(&self) -> Result<()> {
        [self.inside(), self.cargo()].iter().try_for_each(|dir| remove_tree(dir))
    }
}

/// Makes a directory below `parent`, readable by its owner only and removed with this value, whose name nobody can know
/// ahead: what a killed process left there, or another put there, is never entered and never in the way.
pub(super) fn create_scratch_dir(parent: &Path, prefix: &str) -> Result<TempDir> {
    let made =
        tempfile::Builder::new().prefix(prefix).permissions(fs::Permissions::from_mode(0o700)).tempdir_in(parent);
    made.context(format!("cannot create a directory for temporary files in `{}`", parent.display()))
}
