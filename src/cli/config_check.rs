//! What the configuration names must be there, and a train file must not lie where it could be committed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::Output;
use super::project::LocalProject;
use crate::config::{Unused, refuse};
use crate::error::{Context as _, Result};
use crate::formats::glob;
use crate::git::GitProgram;
use crate::git::facts::UserRepository;
use crate::model::{BranchName, Oid};

/// Refuses names in the configuration that mean nothing in the repository as it is, and stores that lie in the checkout by
/// way of a link.
pub(super) fn check(place: &LocalProject) -> Result<()> {
    super::template_check::check(&place.config.templates)?;
    let path = &place.path;
    let bytes = place.disk.read(path).context(format!("cannot read `{}`", path.display()))?.unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let user = UserRepository::open(&GitProgram::from_env(), &place.config.project.repository)?;
    let seen = Repository::new(&user)?;
    let base = path.parent().unwrap_or(Path::new(""));
    let mut found = Vec::new();
    // In the order of the file, as the candidates are.
    let mut stores = place.config.stores.iter();
    for named in Unused::candidates(&text) {
        let name = named.name.clone();
        let why = match named.what {
            "filter over branches"
                if name == "*" || seen.branches.iter().any(|b| glob::matches_name(&name, b.as_str())) =>
            {
                None
            }
            "filter over branches" => Some((
                format!("`{name}` fits no branch of the repository"),
                "expected a name or a pattern such as `release-*`".to_owned(),
            )),
            "branch" => (!seen.branches.iter().any(|b| b.as_str() == name)).then(|| {
                (format!("the repository has no branch `{name}`"), "expected a branch that was fetched".to_owned())
            }),
            "submodule" => (!seen.any(|head| seen.has_submodule(head, &name))?).then(|| {
                (
                    format!("no branch has a submodule at `{name}`"),
                    "expected its path, as `.gitmodules` has it".to_owned(),
                )
            }),
            "workflow" => (!seen.any(|head| seen.has_workflow(place, head, &name))?).then(|| {
                (
                    format!("no branch has the workflow `{name}`"),
                    "expected the name of a file that is there, or no line".to_owned(),
                )
            }),
            "directory of templates" => (!base.join(&name).is_dir()).then(|| {
                ("there is no such directory".to_owned(), "expected a directory with templates, or no line".to_owned())
            }),
            "store" => stores.next().and_then(|store| in_checkout(place, &store.spec.files())).map(|real| {
                (
                    format!("this store is inside the project's checkout, at `{}`", real.display()),
                    "expected a directory elsewhere".to_owned(),
                )
            }),
            _ => None,
        };
        if let Some((message, expected)) = why {
            found.push((named, message, expected));
        }
    }
    refuse(&text, path, found)
}

/// What the branches of a repository have.
struct Repository<'a> {
    user: &'a UserRepository,
    branches: Vec<BranchName>,
    heads: BTreeSet<Oid>,
}

impl<'a> Repository<'a> {
    fn new(user: &'a UserRepository) -> Result<Self> {
        let facts = user.branches("*")?;
        let heads = facts.iter().map(|b| b.head.clone()).collect();
        Ok(Self { user, branches: facts.into_iter().map(|b| b.name).collect(), heads })
    }

    fn any(&self, has: impl Fn(&Oid) -> Result<bool>) -> Result<bool> {
        for head in &self.heads {
            if has(head)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn has_submodule(&self, head: &Oid, path: &str) -> Result<bool> {
        let listed = self.user.read(head, ".gitmodules")?.unwrap_or_default();
        let at = |line: &str| {
            line.trim().strip_prefix("path").and_then(|r| r.trim().strip_prefix('=')).map(str::trim) == Some(path)
        };
        Ok(String::from_utf8_lossy(&listed).lines().any(at))
    }

    fn has_workflow(&self, place: &LocalProject, head: &Oid, file: &str) -> Result<bool> {
        let dirs: BTreeSet<&str> =
            place.destinations()?.workflow_dirs.values().flat_map(|d| d.iter().copied()).collect();
        for dir in dirs {
            if self.user.read(head, &format!("{dir}/{file}"))?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Where a store really is, if that is in the checkout.
fn in_checkout(place: &LocalProject, files: &[PathBuf]) -> Option<PathBuf> {
    let checkout = place.config.project.repository.canonicalize().ok()?;
    files.iter().filter_map(|path| real(path)).find(|real| real.starts_with(&checkout))
}

/// A path with every link followed; the part that is not there yet stays as it is.
fn real(path: &Path) -> Option<PathBuf> {
    let there = path.ancestors().find(|p| p.exists())?;
    let rest = path.strip_prefix(there).ok()?;
    Some(there.canonicalize().ok()?.join(rest))
}

/// Says loudly that a train file, or a directory of patches, lies where `git add` would take it along.
pub(super) fn warn_of_embargoed(place: &LocalProject, file: &Path, out: &Output) {
    let Some((name, untracked)) = embargoed(place, file) else { return };
    let how = if untracked { "one `git add` publishes it" } else { "it is committed already" };
    out.warn(&format!(
        "WARNING: `{name}` describes an embargoed train and lies in the project's checkout: {how}; move it elsewhere \
         (`{}` is never published)",
        place.root().display()
    ));
}

/// The train file's path in the checkout, and whether git does not track it; nothing where it lies elsewhere, is ignored, or
/// gives nothing away: a rehearsal's file has neither patches nor advisories.
fn embargoed(place: &LocalProject, file: &Path) -> Option<(String, bool)> {
    let train = crate::config::load_train(file, &*place.disk).ok()?;
    let bare = train.lines.iter().all(|l| matches!(l.series, crate::config::SeriesSource::None));
    if bare && train.advisories.is_empty() && train.not_before.is_none() {
        return None;
    }
    let checkout = place.config.project.repository.canonicalize().ok()?;
    let inside = file.canonicalize().ok()?.strip_prefix(&checkout).ok()?.to_owned();
    let status = git2::Repository::open(&checkout).ok()?.status_file(&inside).ok()?;
    if status.is_ignored() {
        return None;
    }
    Some((inside.display().to_string(), status.is_wt_new()))
}
