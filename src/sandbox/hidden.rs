//! What no view shows, whoever asks for it: a recipe names directories in its environment, and must not choose with them what
//! it sees of the machine.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Where programs look below `HOME` unless a variable says otherwise: rustup's and cargo's books, "Environment variables".
pub const BELOW_HOME: [(&str, &str); 2] = [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")];

/// The paths that are kept from a command, and the exceptions that whoever starts it makes.
#[derive(Debug, Default)]
pub struct HiddenPaths {
    hidden: Vec<PathBuf>,
    home: Option<PathBuf>,
    /// Directories that this process's own environment names, by variable.
    own: Vec<(&'static str, PathBuf)>,
    /// What the configuration shows.
    read: Vec<PathBuf>,
}

impl HiddenPaths {
    /// Keeps `hidden` and this user's home, but of the home what `read` and this process's environment name.
    #[must_use]
    pub fn new(hidden: &[PathBuf], read: &[PathBuf]) -> Self {
        Self::with(hidden, read, |name| std::env::var_os(name))
    }

    fn with(hidden: &[PathBuf], read: &[PathBuf], var: impl Fn(&str) -> Option<OsString>) -> Self {
        let home = var("HOME").map(PathBuf::from).filter(|h| h.is_absolute());
        let tools = BELOW_HOME.iter().filter_map(|(name, below)| {
            let place = var(name).map(PathBuf::from).or_else(|| Some(home.as_ref()?.join(below)))?;
            Some((*name, place))
        });
        let path = var("PATH").unwrap_or_default();
        let programs = std::env::split_paths(&path).map(|dir| ("PATH", dir));
        let own: Vec<_> = tools.chain(programs).filter(|(_, p)| p.is_absolute()).map(|(n, p)| (n, real(&p))).collect();
        // Credentials that lie beside what is shown of cargo's home.
        let cargo = own.iter().filter(|(name, _)| *name == "CARGO_HOME").map(|(_, dir)| dir);
        let tokens = cargo.flat_map(|dir| ["credentials.toml", "credentials"].map(|name| dir.join(name)));
        Self {
            hidden: hidden.iter().map(|p| real(p)).chain(tokens).collect(),
            // A user whose home is the root has none that could be kept.
            home: home.map(|h| real(&h)).filter(|h| h.parent().is_some()),
            own,
            read: read.iter().map(|p| real(p)).collect(),
        }
    }

    /// The user's home.
    #[must_use]
    pub fn home(&self) -> Option<&Path> {
        self.home.as_deref()
    }

    /// What is hidden wherever it lies.
    pub fn hidden(&self) -> impl Iterator<Item = &Path> {
        self.hidden.iter().map(PathBuf::as_path)
    }

    /// Why the directory that `variable` names is not shown; none if it is.
    #[must_use]
    pub(crate) fn forbids(&self, variable: &str, path: &Path) -> Option<String> {
        let path = real(path);
        let in_home = self.home.as_ref().is_some_and(|home| path.starts_with(home));
        let named = self.own.iter().any(|(name, own)| *name == variable && *own == path)
            || self.read.iter().any(|read| path.starts_with(read));
        let why = || "it lies in the home directory, and the environment of lifeboat does not name it".to_owned();
        self.never(&path).or_else(|| (in_home && !named).then(why))
    }

    /// Why a path is shown to nobody, not even by a link of this machine; none if it may be.
    #[must_use]
    pub fn never(&self, path: &Path) -> Option<String> {
        let path = real(path);
        if path.parent().is_none() {
            return Some("it is the root directory".to_owned());
        }
        if self.home.as_ref().is_some_and(|home| home.starts_with(&path)) {
            return Some("it holds the home directory".to_owned());
        }
        let around = self.hidden.iter().find(|hidden| path.starts_with(hidden))?;
        Some(format!("it lies in `{}`, which no job may see", around.display()))
    }
}

/// The path without links, as far as it is there.
fn real(path: &Path) -> PathBuf {
    let found = path.ancestors().find_map(|dir| Some((dir, dir.canonicalize().ok()?)));
    let Some((dir, real)) = found else { return path.to_owned() };
    match path.strip_prefix(dir) {
        Ok(rest) if !rest.as_os_str().is_empty() => real.join(rest),
        _ => real,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_chooses_nothing_of_what_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| {
            std::fs::create_dir_all(dir.path().join(path)).unwrap();
            dir.path().join(path).canonicalize().unwrap()
        };
        let (home, state) = (at("home"), at("state"));
        let var = |name: &str| match name {
            "HOME" => Some(home.clone().into()),
            "RUSTUP_HOME" => Some(at("home/rust").into()),
            "PATH" => Some(at("home/bin").into()),
            _ => None,
        };
        let kept = HiddenPaths::with(std::slice::from_ref(&state), &[at("home/data")], var);
        std::os::unix::fs::symlink(&state, dir.path().join("link")).unwrap();
        for (variable, path) in [
            ("PATH", Path::new("/")),
            ("RUSTUP_HOME", &home),
            ("RUSTUP_HOME", dir.path()),
            ("RUSTUP_HOME", &state),
            ("RUSTUP_HOME", &at("state/sample")),
            ("CARGO_HOME", &state.join("not there yet")),
            ("PATH", &dir.path().join("link")),
            ("PATH", &at("home/.ssh")),
            // Each by its own name: cargo's home has credentials.
            ("RUSTUP_HOME", &at("home/.cargo")),
            ("RUSTUP_HOME", &at("home/bin")),
        ] {
            assert!(kept.forbids(variable, path).is_some(), "{variable} {}", path.display());
        }
        for (variable, path) in [
            ("RUSTUP_HOME", at("home/rust")),
            ("CARGO_HOME", at("home/.cargo")),
            ("PATH", at("home/bin")),
            ("PATH", at("home/data/bin")),
            ("PATH", at("elsewhere")),
        ] {
            assert_eq!(kept.forbids(variable, &path), None, "{variable} {}", path.display());
        }
        assert!(kept.hidden().any(|p| p == home.join(".cargo/credentials.toml")));
    }
}
