//! The submodules of a commit, and where this machine holds their commits.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use git2::{Repository, Tree};

use super::private::{self, open_objects};
use super::program::{Configuration, GitProgram};
use super::to_oid;
use super::tree::{self, SUBMODULE, walk};
use crate::error::Result;
use crate::model::Oid;

/// A submodule of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubmoduleFact {
    /// Its path in the tree.
    pub path: String,
    /// The commit that the tree names.
    pub commit: Oid,
    /// Its address in `.gitmodules`; none if it is not listed there.
    pub url: Option<String>,
    /// A local git directory that has the commit and its tree; none if it is missing.
    pub repository: Option<PathBuf>,
}

/// Where a submodule's repository is looked for.
pub struct Where<'a> {
    /// `modules/` of the user's git directory, by submodule name.
    pub modules: PathBuf,
    /// The user's work tree, for submodules that hold their `.git` directory themselves.
    pub work_tree: Option<PathBuf>,
    /// Repositories given by path of the submodule; they go first.
    pub given: &'a BTreeMap<String, PathBuf>,
}

/// Lists the submodules of `tree`, sorted by path.
pub(super) fn find(
    program: &GitProgram,
    repo: &Repository,
    tree: &Tree<'_>,
    search: &Where<'_>,
) -> Result<Vec<SubmoduleFact>> {
    let mut links = Vec::new();
    walk(repo, tree, &mut |entry| {
        if entry.mode == SUBMODULE {
            links.push((String::from_utf8_lossy(entry.path).into_owned(), entry.oid));
        }
    })?;
    if links.is_empty() {
        return Ok(Vec::new());
    }
    let listed = match tree::read(repo, tree, ".gitmodules")? {
        Some(text) => listed(program, text)?,
        None => BTreeMap::new(),
    };
    links.sort();
    let mut out = Vec::new();
    for (path, oid) in links {
        let entry = listed.get(&path);
        let mut places: Vec<PathBuf> = search.given.get(&path).cloned().into_iter().collect();
        if let Some(name) = entry.map(|e| &e.name).filter(|n| is_plain(n)) {
            places.push(search.modules.join(name));
        }
        if let Some(top) = search.work_tree.as_ref().filter(|_| is_plain(&path)) {
            places.push(top.join(&path).join(".git"));
        }
        let repository = places.iter().find_map(|p| holds(p, oid));
        let url = entry.and_then(|e| e.url.clone());
        out.push(SubmoduleFact { path, commit: to_oid(oid), url, repository });
    }
    Ok(out)
}

/// The git directory at `place` if it has the commit and its tree.
fn holds(place: &Path, commit: git2::Oid) -> Option<PathBuf> {
    // A work tree's submodule has a `.git` file, which `common_directory` follows from the directory above.
    let place = if place.is_file() { place.parent()? } else { place };
    let git_dir = private::common_directory(place).ok()?;
    let repo = open_objects(&git_dir).ok()?;
    repo.find_commit(commit).ok()?.tree().ok()?;
    Some(git_dir)
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Listed {
    name: String,
    url: Option<String>,
}

/// `.gitmodules` by path, as git reads it.
fn listed(program: &GitProgram, text: Vec<u8>) -> Result<BTreeMap<String, Listed>> {
    let out = program
        .call(Configuration::Private)
        .args(["config", "--file", "-", "--null", "--no-includes", "--list"])
        .input(text)
        .run()?
        .checked("cannot read `.gitmodules`")?;
    Ok(by_path(&String::from_utf8_lossy(&out)))
}

/// Reads `submodule.<name>.<key> LF <value> NUL`, any number of times.
fn by_path(list: &str) -> BTreeMap<String, Listed> {
    let mut paths: BTreeMap<&str, &str> = BTreeMap::new();
    let mut urls: BTreeMap<&str, &str> = BTreeMap::new();
    for entry in list.split('\0') {
        let Some((key, value)) = entry.split_once('\n') else { continue };
        let Some((name, key)) = key.strip_prefix("submodule.").and_then(|k| k.rsplit_once('.')) else { continue };
        match key {
            "path" => drop(paths.insert(name, value)),
            "url" => drop(urls.insert(name, value)),
            _ => {}
        }
    }
    paths
        .into_iter()
        .map(|(name, path)| {
            (path.to_owned(), Listed { name: name.to_owned(), url: urls.get(name).map(|u| (*u).to_owned()) })
        })
        .collect()
}

/// Whether a path from outside stays below the directory that it is joined to.
fn is_plain(path: &str) -> bool {
    !path.is_empty() && !path.starts_with('/') && path.split('/').all(|p| !p.is_empty() && p != "." && p != "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gitmodules_as_git_lists_it() {
        let list = "submodule.tests/spec.path\ntests/spec_suite\0submodule.tests/spec.url\nhttps://example.org/spec\0submodule.x.path\nx\0";
        let found = by_path(list);
        assert_eq!(found["tests/spec_suite"].name, "tests/spec");
        assert_eq!(found["tests/spec_suite"].url.as_deref(), Some("https://example.org/spec"));
        assert_eq!(found["x"].url, None);
    }

    #[test]
    fn names_cannot_leave_modules() {
        assert!(is_plain("tests/spec"));
        for bad in ["../x", "/x", "a/../../x", "", "a//b"] {
            assert!(!is_plain(bad), "{bad}");
        }
    }
}
