//! What the inputs of jobs may hold: bytes of their digest, and archives whose members stay inside.

use std::fs;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use crate::effects::HashingReader;
use crate::error::{Context as _, Error, Result};
use crate::model::{Sha256, escape};

/// An input that is hashed while it is read.
pub(super) fn open(file: &Path, digest: &Sha256) -> Result<HashingReader<fs::File>> {
    let inner =
        fs::File::open(file).context(format!("cannot read input {} at `{}`", digest.short(), file.display()))?;
    Ok(HashingReader::new(inner))
}

/// Reads what is left, and compares the digest.
pub(super) fn check(mut input: HashingReader<fs::File>, digest: &Sha256, file: &Path) -> Result<()> {
    io::copy(&mut input, &mut io::sink()).context(format!("cannot read input `{}`", file.display()))?;
    if input.so_far().1 != *digest {
        return Err(Error::verification(format!("input {} has other bytes than its digest says", digest.short()))
            .detail(format!("file: {}", file.display()))
            .hint("move the file away; `lifeboat ship` makes it again"));
    }
    Ok(())
}

/// Reads a `.tar.gz` and hands each member with its path to `take`; then compares the digest.
pub(super) fn each_member(
    file: &Path,
    digest: &Sha256,
    mut take: impl FnMut(&mut tar::Entry<'_, &mut dyn Read>, &Path) -> Result<()>,
) -> Result<()> {
    let what = || format!("cannot unpack input {} (`{}`)", digest.short(), file.display());
    let mut gzip = flate2::read::MultiGzDecoder::new(io::BufReader::with_capacity(256 * 1024, open(file, digest)?));
    {
        let bytes: &mut dyn Read = &mut gzip;
        let mut archive = tar::Archive::new(bytes);
        for entry in archive.entries().context(what())? {
            let mut entry = entry.context(what())?;
            let path = entry.path().context(what())?.into_owned();
            if entry.header().entry_type() != tar::EntryType::XGlobalHeader {
                take(&mut entry, &path).map_err(|e| e.context(what()))?;
            }
        }
    }
    check(gzip.into_inner().into_inner(), digest, file)
}

/// What a member is, once it is known to stay inside.
pub(super) enum Member {
    /// The top itself.
    Top,
    Directory,
    File,
    /// A symbolic link, with what it says.
    Link(PathBuf),
}

/// Checks where a member leads: gives its path without `.` parts.
pub(super) fn checked<R: Read>(entry: &tar::Entry<'_, R>, path: &Path) -> Result<(PathBuf, Member)> {
    let what = || format!("member `{}`", escape(&path.display().to_string()));
    let relative = inside(path).ok_or_else(|| Error::fatal(format!("{} leads outside", what())))?;
    if relative.as_os_str().is_empty() {
        return Ok((relative, Member::Top));
    }
    let member = match entry.header().entry_type() {
        tar::EntryType::Directory => Member::Directory,
        tar::EntryType::Regular | tar::EntryType::Continuous => Member::File,
        tar::EntryType::Symlink => {
            let to = entry.link_name().context(what())?.unwrap_or_default().into_owned();
            if !relative.parent().is_some_and(|at| stays_inside(at, &to)) {
                let shown = escape(&to.display().to_string());
                return Err(Error::fatal(format!("{} is a link that leads outside: `{shown}`", what())));
            }
            Member::Link(to)
        }
        other => {
            return Err(Error::fatal(format!("{} is neither file, directory nor symbolic link ({other:?})", what())));
        }
    };
    Ok((relative, member))
}

/// The path without `.` parts, if it is relative and has no `..`.
pub(super) fn inside(path: &Path) -> Option<PathBuf> {
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
