//! Puts a job's inputs into its directory: archives unpacked so that nothing can lead outside, files copied.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::job_dir::{JobDir, create_private_dir, create_private_file};
use crate::effects::HashingReader;
use crate::error::{Context as _, Error, Result};
use crate::model::{Sha256, escape};
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

fn open(file: &Path, digest: &Sha256) -> Result<HashingReader<fs::File>> {
    let inner =
        fs::File::open(file).context(format!("cannot read input {} at `{}`", digest.short(), file.display()))?;
    Ok(HashingReader::new(inner))
}

/// Reads what is left, and compares the digest.
fn check(mut input: HashingReader<fs::File>, digest: &Sha256, file: &Path) -> Result<()> {
    io::copy(&mut input, &mut io::sink()).context(format!("cannot read input `{}`", file.display()))?;
    if input.so_far().1 != *digest {
        return Err(Error::verification(format!("input {} has other bytes than its digest says", digest.short()))
            .detail(format!("file: {}", file.display()))
            .hint("move the file away; `lifeboat ship` makes it again"));
    }
    Ok(())
}

/// Unpacks a `.tar.gz` below `dir`. Every member is a directory, a file or a symbolic link; no member is written through a
/// link, and none replaces another.
fn unpack(file: &Path, digest: &Sha256, dir: &Path, links: &mut Vec<PathBuf>) -> Result<()> {
    let what = || format!("cannot unpack input {} (`{}`)", digest.short(), file.display());
    let mut gzip = flate2::read::MultiGzDecoder::new(io::BufReader::with_capacity(256 * 1024, open(file, digest)?));
    {
        let mut archive = tar::Archive::new(&mut gzip);
        for entry in archive.entries().context(what())? {
            let mut entry = entry.context(what())?;
            let path = entry.path().context(what())?.into_owned();
            member(&mut entry, &path, dir, links).map_err(|e| e.context(what()))?;
        }
    }
    check(gzip.into_inner().into_inner(), digest, file)
}

fn member(entry: &mut tar::Entry<'_, impl Read>, path: &Path, dir: &Path, links: &mut Vec<PathBuf>) -> Result<()> {
    let shown = || escape(&path.display().to_string());
    let kind = entry.header().entry_type();
    if kind == tar::EntryType::XGlobalHeader {
        return Ok(());
    }
    let relative = inside(path).ok_or_else(|| Error::fatal(format!("member `{}` leads outside", shown())))?;
    if relative.as_os_str().is_empty() {
        return Ok(());
    }
    let target = dir.join(&relative);
    parents(dir, &relative)?;
    let what = || format!("member `{}`", shown());
    match kind {
        tar::EntryType::Directory => make_dir(&target).context(what())?,
        tar::EntryType::Regular | tar::EntryType::Continuous => {
            let mut out = create_private_file(&target).context(what())?;
            io::copy(entry, &mut out).context(what())?;
            let mode = entry.header().mode().context(what())?;
            let mode = if mode & 0o100 == 0 { 0o600 } else { 0o700 };
            out.set_permissions(fs::Permissions::from_mode(mode)).context(what())?;
            let mtime = entry.header().mtime().context(what())?;
            out.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(mtime)).context(what())?;
        }
        tar::EntryType::Symlink => {
            let to = entry.link_name().context(what())?.unwrap_or_default();
            let stays = relative.parent().is_some_and(|at| stays_inside(at, &to));
            if !stays {
                return Err(Error::fatal(format!(
                    "{} is a link that leads outside: `{}`",
                    what(),
                    escape(&to.display().to_string())
                )));
            }
            std::os::unix::fs::symlink(&to, &target).context(what())?;
            links.push(target);
        }
        other => {
            return Err(Error::fatal(format!("{} is neither file, directory nor symbolic link ({other:?})", what())));
        }
    }
    Ok(())
}

/// The path without `.` parts, if it is relative and has no `..`.
fn inside(path: &Path) -> Option<PathBuf> {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => out.push(part),
            Component::CurDir => {}
            _ => return None,
        }
    }
    Some(out)
}

/// Whether a link in directory `at` stays below the archive's top directory, read as text.
fn stays_inside(at: &Path, to: &Path) -> bool {
    let mut depth = at.components().count();
    for part in to.components() {
        match part {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            // Depth 1 is the top directory itself.
            Component::ParentDir if depth > 1 => depth -= 1,
            _ => return false,
        }
    }
    true
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
    let relative = inside(Path::new(path)).filter(|p| p.file_name().is_some());
    let relative = relative.ok_or_else(|| Error::fatal(format!("{}: it leads outside", what())))?;
    parents(root, &relative)?;
    let mut input = open(file, object)?;
    let mut out = create_private_file(&root.join(&relative)).context(what())?;
    io::copy(&mut input, &mut out).context(what())?;
    check(input, object, file)
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
