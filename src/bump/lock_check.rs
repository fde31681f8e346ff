//! Cargo's own word on a lock that was rewritten without it.
//!
//! Cargo reads the tree, which can make it execute what the tree names (`build.rustc` in `.cargo/config.toml`): whoever asks
//! runs the command isolated and without network.

use super::Edit;
use super::tree::{file_in, parent};

/// One question to Cargo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockCheck {
    /// The lock, by its path in the tree.
    pub path: String,
    /// The command line for a POSIX shell at the top of the bumped tree.
    pub command: String,
}

/// What Cargo's answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockFit {
    /// The lock is as Cargo would write it.
    Fits,
    /// Cargo would change it.
    Stale,
    /// It cannot be known here: there is no Cargo, or a crate was not fetched ahead.
    Unknown,
}

impl LockCheck {
    /// The questions after a bump: one for each of these manifests whose lock it rewrote. Other locks, such as those of
    /// examples and fuzz targets, are often left stale by their maintainers.
    #[must_use]
    pub fn all(manifests: &[String], edits: &[Edit]) -> Vec<Self> {
        let dirs = manifests.iter().map(|m| parent(m));
        let locks = dirs.map(|dir| (dir, file_in(dir, "Cargo.lock")));
        locks.filter(|(_, lock)| edits.iter().any(|e| e.path == *lock)).map(|(dir, path)| Self::of(dir, path)).collect()
    }

    fn of(dir: &str, path: String) -> Self {
        let ask = "cargo metadata --locked --offline --format-version 1 > /dev/null";
        // There, as a person would: Cargo reads the configuration of the directory in which it is started.
        let command = format!("cd './{}' && {ask}", dir.replace('\'', r"'\''"));
        Self { path, command }
    }
}

impl LockFit {
    /// Of an answer: whether the command ended with 0, and what it printed.
    #[must_use]
    pub fn of(ok: bool, printed: &str) -> Self {
        match ok {
            true => Self::Fits,
            false if ["--locked was passed", "because --locked"].iter().any(|words| printed.contains(words)) => {
                Self::Stale
            }
            false => Self::Unknown,
        }
    }

    /// Why it is [`LockFit::Unknown`], of what was printed: Cargo's error, or else the last line.
    #[must_use]
    pub fn reason(printed: &str) -> &str {
        let lines = || printed.lines().map(str::trim).filter(|l| !l.is_empty());
        lines().find_map(|l| l.strip_prefix("error: ")).or_else(|| lines().next_back()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_the_error_and_not_the_advice_below_it() {
        assert_eq!(
            LockFit::reason("warning: x\nerror: no matching package\nAs a reminder, …\n"),
            "no matching package"
        );
        assert_eq!(LockFit::reason("sh: 1: cargo: not found\n"), "sh: 1: cargo: not found");
    }

    #[test]
    fn locks_beside_the_manifests_are_asked_about_if_they_changed() {
        let edit = |path: &str| Edit { path: path.to_owned(), before: Vec::new(), after: Vec::new() };
        let manifests = ["Cargo.toml".to_owned(), "it's/Cargo.toml".to_owned(), "same/Cargo.toml".to_owned()];
        let asked = LockCheck::all(&manifests, &[edit("Cargo.lock"), edit("it's/Cargo.lock"), edit("fuzz/Cargo.lock")]);
        let paths: Vec<&str> = asked.iter().map(|c| c.path.as_str()).collect();
        assert_eq!(paths, ["Cargo.lock", "it's/Cargo.lock"]);
        assert!(asked[1].command.starts_with(r"cd './it'\''s' && cargo metadata "), "{}", asked[1].command);
    }
}
