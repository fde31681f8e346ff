//! What was fetched ahead for vendoring: cargo's own directory, as the Cargo book's chapter "Cargo Home" describes it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::error::{Error, Result};
use crate::formats::cargo_lock::{self, Fetched};

/// The lock file that says what is vendored.
pub(super) const LOCK: &str = "Cargo.lock";

/// The crates of a lock file that are not in the cargo home, as `name version` or `name at commit`.
pub(super) fn missing(lock: &str, home: &Path) -> Result<Vec<String>> {
    let archives: BTreeSet<String> = names(&home.join("registry/cache"))
        .into_iter()
        .flat_map(|registry| names(&registry))
        .filter_map(name)
        .collect();
    let repositories: Vec<PathBuf> = names(&home.join("git/checkouts"));
    let wanted = cargo_lock::fetched_packages(lock)
        .map_err(|e| Error::input(format!("`{LOCK}`, line {}: {}", e.line, e.message)))?;
    let missing = wanted.into_iter().filter_map(|package| match package {
        Fetched::Registry(name, version) => {
            (!archives.contains(&format!("{name}-{version}.crate"))).then(|| format!("{name} {version}"))
        }
        Fetched::Git(repository, commit) => {
            (!checked_out(&repositories, &repository, &commit)).then(|| format!("{repository} at {commit}"))
        }
    });
    // Several crates may come from one commit.
    Ok(missing.collect::<BTreeSet<_>>().into_iter().collect())
}

/// Whether there is `<repository>-<hash>/<the first digits of the commit>`.
fn checked_out(repositories: &[PathBuf], repository: &str, commit: &str) -> bool {
    let of_this = |dir: &&PathBuf| {
        let stem = name((*dir).clone()).and_then(|n| n.rsplit_once('-').map(|(stem, _)| stem.to_owned()));
        // Cargo lowers the names of some hosts.
        stem.is_some_and(|stem| stem.eq_ignore_ascii_case(repository))
    };
    let short = |dir: PathBuf| name(dir).is_some_and(|n| n.len() >= 7 && commit.starts_with(&n));
    repositories.iter().filter(of_this).flat_map(|dir| names(dir)).any(short)
}

/// What is in a directory; nothing if there is none.
fn names(dir: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn name(path: PathBuf) -> Option<String> {
    path.file_name().map(|name| name.to_string_lossy().into_owned())
}

/// Where the crates were fetched ahead.
pub(super) fn home(config: &Config) -> Result<PathBuf> {
    if let Some(home) = &config.bundle.cargo_home {
        return Ok(home.clone());
    }
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    set("CARGO_HOME").or_else(|| set("HOME").map(|h| h.join(".cargo"))).ok_or_else(|| {
        Error::input("neither `CARGO_HOME` nor `HOME` says where crates were fetched to")
            .hint("set `cargo_home` in `[bundle]`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn git_dependencies_are_looked_for_among_the_checkouts() {
        let home = tempfile::tempdir().unwrap();
        let commit = "0123456789abcdef0123456789abcdef01234567";
        let source = format!("git+https://example.org/x/Some-Crate.git?branch=main#{commit}");
        let lock = format!("version = 4\n\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\nsource = \"{source}\"\n");
        let checkouts = home.path().join("git/checkouts");
        let look = || missing(&lock, home.path()).unwrap();
        let absent = [format!("Some-Crate at {commit}")];
        assert_eq!(look(), absent);
        // Another repository, another commit, and an abbreviation that could be anything.
        for other in ["other-00112233/0123456", "some-crate-00112233/1234567", "some-crate-00112233/01"] {
            std::fs::create_dir_all(checkouts.join(other)).unwrap();
            assert_eq!(look(), absent, "{other}");
        }
        std::fs::create_dir_all(checkouts.join("some-crate-00112233/0123456")).unwrap();
        assert_eq!(look(), Vec::<String>::new());
    }
}
