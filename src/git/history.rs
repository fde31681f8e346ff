//! The whole history of some commits as one pack, made while nothing is public: what a served repository needs beside
//! the train's own commits.

use std::fs;
use std::path::Path;

use super::private::{self, PUBLISH};
use super::program::{Configuration, GitProgram};
use crate::effects::{PackFiles, PrivateRepo};
use crate::error::{Context as _, Error, Result};
use crate::model::{Oid, escape, shell_path};

/// How many missing objects an error names.
const SHOWN: usize = 5;

/// Packs what `tips` reach and `without` do not; `None` if that is nothing. `without` must all be there.
pub(super) fn pack(
    program: &GitProgram,
    repo: &PrivateRepo,
    tips: &[Oid],
    without: &[Oid],
) -> Result<Option<PackFiles>> {
    let directory = repo.dir.join(PUBLISH);
    private::make_dir(&directory)?;
    let out = program
        .call(Configuration::Private)
        .repository(&repo.dir)
        // One thread, because several would search deltas in another order each time.
        .args(["pack-objects", "--revs", "--threads=1", "--delta-base-offset", "--non-empty", "--quiet"])
        .args([directory.join("pack")])
        .input(revisions(tips, without))
        .run()?;
    if !out.succeeded() {
        let failed = out.failure("cannot pack the repository that is to be served");
        // git names the first object at most; a disk that is full has nothing to do with what is missing.
        return match missing(program, Configuration::Private, &repo.dir, tips, without) {
            Ok(gone) if !gone.is_empty() => Err(lost(&repo.borrow, &gone).because(failed)),
            _ => Err(failed),
        };
    }
    let name = String::from_utf8_lossy(&out.stdout).trim().to_owned();
    if name.is_empty() {
        return Ok(None);
    }
    // The name goes into paths and pages: it must be an object id.
    let name: Oid = name.parse()?;
    let file = |end: &str| directory.join(format!("pack-{name}.{end}"));
    let (pack, idx) = (file("pack"), file("idx"));
    Ok(Some(PackFiles { name, pack, idx }))
}

/// Removes the files of a pack that is kept elsewhere by now.
pub(super) fn forget(files: &PackFiles) -> Result<()> {
    for path in [&files.pack, &files.idx, &files.pack.with_extension("rev")] {
        match fs::remove_file(path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(e).context(format!("cannot remove `{}`", path.display()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The objects of the history of `tips` that the repository lacks: their ids.
pub(super) fn missing(
    program: &GitProgram,
    configuration: Configuration,
    git_dir: &Path,
    tips: &[Oid],
    without: &[Oid],
) -> Result<Vec<String>> {
    let out = program
        .call(configuration)
        .repository(git_dir)
        .args(["rev-list", "--objects", "--missing=print", "--no-object-names", "--stdin"])
        .input(revisions(tips, without))
        .run()?
        .checked("cannot look through the history")?;
    let lines = out.split(|c| *c == b'\n').filter_map(|line| line.strip_prefix(b"?"));
    Ok(lines.map(|oid| escape(&String::from_utf8_lossy(oid))).collect())
}

/// The error for a clone that lacks objects of its own history.
pub(super) fn lost(clone: &Path, missing: &[String]) -> Error {
    let what = format!(
        "{} objects of the history are not in the clone `{}`: strangers could not clone what a store serves",
        missing.len(),
        clone.display()
    );
    let error = missing.iter().take(SHOWN).fold(Error::input(what), |e, oid| e.detail(format!("missing: {oid}")));
    error.hint(format!(
        "fetch them while the remote is up: `git -C {} fetch --refetch`; a partial clone (`--filter=…`) lacks old files",
        shell_path(clone)
    ))
}

fn revisions(tips: &[Oid], without: &[Oid]) -> String {
    let wanted = tips.iter().map(|oid| format!("{oid}\n"));
    wanted.chain(without.iter().map(|oid| format!("^{oid}\n"))).collect()
}
