//! Puts a job's inputs into its directory: archives unpacked so that nothing can lead outside, files copied.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::job_dir::JobDir;
use crate::error::{Context as _, Error, Result};
use crate::model::{Sha256, escape};
use crate::runners::archive::{self, Member};
use crate::runners::private_files::{create_private_dir, create_private_file};
use crate::step::JobInput;

/// Puts everything in and writes the list of what was put; returns the job's root.
///
/// # Errors
/// An archive with a member that leads outside, an input with other bytes than its digest says, the file system's.
pub(super) fn put(job: &JobDir, inputs: &[(JobInput, PathBuf)]) -> Result<PathBuf> {
    let mut links = Vec::new();
    for (input, file) in inputs {
        if let JobInput::SourceArchive(digest) = input {
            unpack(file, digest, &job.work(), &mut links)?;
        }
    }
    if !inputs.iter().any(|(input, _)| matches!(input, JobInput::SourceArchive(_))) {
        create_private_dir(&job.work().join("job"))?;
    }
    let root = job.settle_root()?;
    for (input, file) in inputs {
        match input {
            JobInput::SourceArchive(_) => {}
            JobInput::Archive(digest) => unpack(file, digest, &root, &mut links)?,
            JobInput::File { object, path } => copy(file, object, &root, path)?,
        }
    }
    check_links(&root, &links)?;
    list(&root, &job.inputs())?;
    Ok(root)
}

/// Unpacks a `.tar.gz` below `dir`. Every member is a directory, a file or a symbolic link; no member is written through a
/// link, and none replaces another.
fn unpack(file: &Path, digest: &Sha256, dir: &Path, links: &mut Vec<PathBuf>) -> Result<()> {
    archive::each_member(file, digest, |entry, path| member(entry, path, dir, links))
}

fn member(entry: &mut tar::Entry<'_, impl Read>, path: &Path, dir: &Path, links: &mut Vec<PathBuf>) -> Result<()> {
    let (relative, member) = archive::checked(entry, path)?;
    let target = dir.join(&relative);
    parents(dir, &relative)?;
    let what = || format!("member `{}`", escape(&path.display().to_string()));
    match member {
        Member::Top => {}
        Member::Directory => make_dir(&target).context(what())?,
        Member::File => {
            let mut out = create_private_file(&target).context(what())?;
            io::copy(entry, &mut out).context(what())?;
            let mode = entry.header().mode().context(what())?;
            let mode = if mode & 0o100 == 0 { 0o600 } else { 0o700 };
            out.set_permissions(fs::Permissions::from_mode(mode)).context(what())?;
            let mtime = entry.header().mtime().context(what())?;
            out.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(mtime)).context(what())?;
        }
        Member::Link(to) => {
            std::os::unix::fs::symlink(&to, &target).context(what())?;
            links.push(target);
        }
    }
    Ok(())
}

/// Makes the directories above a member; refuses to go through a link.
fn parents(dir: &Path, relative: &Path) -> Result<()> {
    let mut at = dir.to_owned();
    for part in relative.parent().into_iter().flat_map(Path::components) {
        at.push(part);
        make_dir(&at).context(format!("member `{}`", escape(&relative.display().to_string())))?;
    }
    Ok(())
}

fn make_dir(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => Ok(()),
        Ok(_) => Err(io::Error::other("something that is not a directory is in its place")),
        Err(_) => {
            use std::os::unix::fs::DirBuilderExt as _;
            fs::DirBuilder::new().mode(0o700).create(path)
        }
    }
}

/// Links that stay inside as text can still lead outside through each other: every one that resolves must resolve inside.
fn check_links(root: &Path, links: &[PathBuf]) -> Result<()> {
    let top = fs::canonicalize(root).context(format!("cannot find `{}`", root.display()))?;
    for link in links {
        if let Ok(resolved) = fs::canonicalize(link)
            && !resolved.starts_with(&top)
        {
            let shown = link.strip_prefix(root).unwrap_or(link);
            let shown = escape(&shown.display().to_string());
            return Err(Error::fatal(format!("member `{shown}` of a source archive is a link that leads outside")));
        }
    }
    Ok(())
}

fn copy(file: &Path, object: &Sha256, root: &Path, path: &str) -> Result<()> {
    let what = || format!("cannot put input `{}`", escape(path));
    let relative = archive::inside(Path::new(path)).filter(|p| p.file_name().is_some());
    let relative = relative.ok_or_else(|| Error::fatal(format!("{}: it leads outside", what())))?;
    parents(root, &relative)?;
    let mut input = archive::open(file, object)?;
    let mut out = create_private_file(&root.join(&relative)).context(what())?;
    io::copy(&mut input, &mut out).context(what())?;
    archive::check(input, object, file)
}

/// Writes the paths of all files below the root.
fn list(root: &Path, to: &Path) -> Result<()> {
    let mut out = Vec::new();
    let mut dirs = vec![root.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).context(format!("cannot read `{}`", dir.display()))? {
            let entry = entry.context(format!("cannot read `{}`", dir.display()))?;
            if entry.file_type().context(format!("cannot read `{}`", dir.display()))?.is_dir() {
                dirs.push(entry.path());
            } else if let Ok(relative) = entry.path().strip_prefix(root) {
                out.extend_from_slice(relative.as_os_str().as_encoded_bytes());
                out.push(0);
            }
        }
    }
    create_private_file(to)
        .and_then(|mut file| file.write_all(&out))
        .context(format!("cannot write `{}`", to.display()))
}

/// The paths that were there before the job, relative to its root.
pub(super) fn listed(job: &JobDir) -> Result<BTreeSet<Vec<u8>>> {
    let path = job.inputs();
    let bytes = fs::read(&path).context(format!("cannot read `{}`", path.display()))?;
    Ok(bytes.split(|b| *b == 0).filter(|p| !p.is_empty()).map(<[u8]>::to_vec).collect())
}
