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
    /// Cargo cannot resolve the tree at all.
    Refused,
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

    /// The questions after a bump of a checkout whose manager wants to know: one for each of these manifests, whether the bump
    /// rewrote its lock or not. `has` says which files there are; where there is no lock, Cargo makes one for the moment.
    pub fn every<E>(manifests: &[String], has: impl Fn(&str) -> Result<bool, E>) -> Result<Vec<Self>, E> {
        let mut out = Vec::new();
        for dir in manifests.iter().map(|m| parent(m)) {
            let lock = file_in(dir, "Cargo.lock");
            if has(&lock)? {
                out.push(Self::of(dir, lock));
            } else {
                let ask = "cargo metadata --offline --format-version 1 > /dev/null; rc=$?; rm -f Cargo.lock; exit $rc";
                let command = format!("cd './{}' && {ask}", dir.replace('\'', r"'\''"));
                out.push(Self { path: file_in(dir, "Cargo.toml"), command });
            }
        }
        Ok(out)
    }

    /// Every question that a bump of these manifests may ask.
    #[must_use]
    pub fn possible(manifests: &[String]) -> Vec<Self> {
        manifests.iter().map(|m| parent(m)).map(|dir| Self::of(dir, file_in(dir, "Cargo.lock"))).collect()
    }

    fn of(dir: &str, path: String) -> Self {
        let ask = "cargo metadata --locked --offline --format-version 1 > /dev/null";
        // There, as a person would: Cargo reads the configuration of the directory in which it is started.
        let command = format!("cd './{}' && {ask}", dir.replace('\'', r"'\''"));
        Self { path, command }
    }
}

/// There is nobody to ask.
const NO_CARGO: [&str; 5] = [
    "cargo: not found",
    "cargo: command not found",
    "could not execute process `rustc",
    "rustup could not choose a version",
    "is not installed",
];
/// Cargo would have asked the network for it.
const NOT_FETCHED: [&str; 3] =
    ["you are in the offline mode (--offline)", "but --offline was specified", "can't be downloaded in offline mode"];

/// Whether a package was looked for in a registry as this machine last fetched it, and not in a directory of the tree.
fn not_in_index(printed: &str) -> bool {
    let offline = printed.contains("you're using offline mode (--offline)");
    let places = || printed.lines().filter_map(|l| l.trim().strip_prefix("location searched: "));
    offline && places().next().is_some() && places().all(|place| !place.starts_with('/'))
}

impl LockFit {
    /// Of an answer: whether the command ended with 0, and what it printed.
    #[must_use]
    pub fn of(ok: bool, printed: &str) -> Self {
        let says = |words: &[&str]| words.iter().any(|w| printed.contains(w));
        match ok {
            true => Self::Fits,
            false if says(&["--locked was passed", "because --locked"]) => Self::Stale,
            false if says(&NO_CARGO) || says(&NOT_FETCHED) || not_in_index(printed) => Self::Unknown,
            false => Self::Refused,
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
    fn only_what_was_not_fetched_is_unknown() {
        let offline =
            "As a reminder, you're using offline mode (--offline) which can sometimes cause surprising failures\n";
        for (printed, fit) in [
            ("error: the lock file /x/Cargo.lock needs to be updated but --locked was passed", LockFit::Stale),
            ("error: cannot update the lock file /x because --locked was passed to prevent this", LockFit::Stale),
            ("error: no matching package named `q` found\nlocation searched: crates.io index\n", LockFit::Unknown),
            ("error: failed to select a version\nlocation searched: /x/a\n", LockFit::Refused),
            ("  can't checkout from 'https://x': you are in the offline mode (--offline)", LockFit::Unknown),
            ("  attempting to make an HTTP request, but --offline was specified", LockFit::Unknown),
            ("error: failed to load manifest for workspace member `/x/b`", LockFit::Refused),
            ("sh: 1: cargo: not found", LockFit::Unknown),
        ] {
            assert_eq!(LockFit::of(false, &format!("{printed}\n{offline}")), fit, "{printed}");
        }
        assert_eq!(LockFit::of(true, ""), LockFit::Fits);
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
