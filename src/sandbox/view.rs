//! What a program in a sandbox sees: a list of mounts, made from what is there on this machine.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::hidden::HiddenPaths;
use crate::error::{Error, Result};

/// Directories of the system: programs and libraries.
const SYSTEM: [&str; 13] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/opt",
    "/nix/store",
    "/nix/var/nix/profiles",
    "/gnu/store",
    "/run/current-system",
    "/sys/devices/system/cpu",
];
/// What programs need of `/etc` and `/var`, and anybody may read. No keys, no passwords, no service's configuration.
const SETTINGS: [&str; 51] = [
    "/etc/alternatives",
    "/etc/alpine-release",
    "/etc/ca-certificates",
    "/etc/ca-certificates.conf",
    "/etc/crypto-policies",
    "/etc/debian_version",
    "/etc/default/locale",
    "/etc/dpkg/origins",
    "/etc/emacs",
    "/etc/fedora-release",
    "/etc/fonts",
    "/etc/gai.conf",
    "/etc/group",
    "/etc/host.conf",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/inputrc",
    "/etc/java",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/locale.alias",
    "/etc/locale.conf",
    "/etc/localtime",
    "/etc/lsb-release",
    "/etc/magic",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/passwd",
    "/etc/perl",
    "/etc/pki/ca-trust",
    "/etc/pki/java",
    "/etc/pki/tls/cert.pem",
    "/etc/pki/tls/certs",
    "/etc/pki/tls/openssl.cnf",
    "/etc/protocols",
    "/etc/python3",
    "/etc/redhat-release",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/ssl/cert.pem",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/static",
    "/etc/terminfo",
    "/etc/timezone",
    "/etc/xml",
    "/etc/texmf",
    "/var/lib/texmf",
    "/var/lib/dpkg",
];
/// Programs by which a directory of `PATH` is known to hold a toolchain.
const TOOLCHAIN: [&str; 3] = ["cargo", "rustc", "rustup"];

/// One thing that is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mount {
    /// A directory or file of the machine, to be read.
    Read {
        /// On the machine.
        from: PathBuf,
        /// In the sandbox.
        to: PathBuf,
    },
    /// A directory of the machine that may be changed.
    Write {
        /// On the machine.
        from: PathBuf,
        /// In the sandbox.
        to: PathBuf,
    },
    /// A directory of the sandbox's own, in memory.
    Empty {
        /// In the sandbox.
        at: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Nothing, in the place of what another mount would show.
    Hidden {
        /// In the sandbox.
        path: PathBuf,
    },
    /// A symbolic link.
    Link {
        /// In the sandbox.
        path: PathBuf,
        /// What it says.
        to: PathBuf,
    },
    /// A directory of the machine that seems to be changed: what is written goes elsewhere.
    Overlay {
        /// On the machine.
        lower: PathBuf,
        /// On the machine: gets what is written, in a directory `upper`.
        upper: PathBuf,
        /// In the sandbox.
        to: PathBuf,
        /// Where the system has no such layers, the sandbox fails; else what is written is kept in memory, or refused.
        must: bool,
    },
}

/// What a sandbox shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SandboxView {
    mounts: Vec<Mount>,
    network: bool,
    dir: PathBuf,
}

impl SandboxView {
    /// The system's programs, with or without network.
    #[must_use]
    pub fn system(network: bool) -> Self {
        let run = Mount::Empty { at: PathBuf::from("/run"), mode: 0o755 };
        let mut view = Self { mounts: vec![run], network, dir: PathBuf::from("/") };
        for path in SYSTEM {
            view.read(Path::new(path));
        }
        for path in SETTINGS.iter().map(Path::new) {
            // What others may not read is a secret, whatever its name.
            if path.metadata().is_ok_and(|m| m.permissions().mode() & 0o004 != 0) {
                view.read(path);
            }
        }
        view
    }

    /// What it shows, in the order in which it is mounted: directories of temporary files first.
    #[must_use]
    pub fn mounts(&self) -> &[Mount] {
        &self.mounts
    }

    /// Whether the machine's network is there.
    #[must_use]
    pub fn network(&self) -> bool {
        self.network
    }

    /// The directory in which the command starts.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The same, with a command that starts in `dir`. Without a directory for temporary files there is one in memory.
    #[must_use]
    pub fn at(mut self, dir: &Path) -> Self {
        self.dir = dir.to_owned();
        self.temporary(None);
        self
    }

    /// The same, with a command that starts in `dir` and has `tmp` for its temporary files.
    #[must_use]
    pub(crate) fn at_with(mut self, dir: &Path, tmp: &Path) -> Self {
        self.dir = dir.to_owned();
        self.temporary(Some(tmp));
        self
    }

    /// Shows a directory or file where it is, to be read; says whether it is there.
    pub fn read(&mut self, path: &Path) -> bool {
        let Ok(real) = path.canonicalize() else { return false };
        // `/etc/mtab` and the like lead to what the kernel says of this process, which may have ended when the job starts.
        if real.starts_with("/proc") {
            return false;
        }
        if !self.reads(&real) {
            self.mounts.push(Mount::Read { from: real.clone(), to: real.clone() });
        }
        self.named(path, &real);
        true
    }

    /// Shows a directory where it is, to be changed.
    pub fn write(&mut self, path: &Path) {
        self.write_at(path, path);
    }

    /// Shows a directory elsewhere, to be changed.
    pub(crate) fn write_at(&mut self, from: &Path, to: &Path) {
        let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        self.mounts.push(Mount::Write { from: real(from), to: real(to) });
        self.named(to, &real(to));
    }

    /// Shows a directory where it is, to be changed, while what is written goes to `upper`.
    pub fn overlay(&mut self, lower: &Path, upper: &Path, must: bool) {
        let Ok(real) = lower.canonicalize() else { return };
        let upper = upper.canonicalize().unwrap_or_else(|_| upper.to_owned());
        self.mounts.push(Mount::Overlay { lower: real.clone(), upper, to: real.clone(), must });
        self.named(lower, &real);
    }

    /// Hides what is shown so far of these directories and files.
    pub fn hide<'a>(&mut self, paths: impl IntoIterator<Item = &'a Path>) {
        for path in paths {
            if let Ok(real) = path.canonicalize()
                && self.shows(&real)
                && !self.mounts.iter().any(|m| matches!(m, Mount::Read { to, .. } if to.starts_with(&real)))
            {
                self.mounts.push(Mount::Hidden { path: real });
            }
        }
    }

    /// Shows the toolchain that the environment of the command names: what cargo and rustup keep (`CARGO_HOME`,
    /// `RUSTUP_HOME`), without credentials, and the directories of `PATH`; nothing that is kept. Of those in the user's home
    /// only the ones that hold a Rust toolchain: the others are full of what is not for everybody. What cargo writes goes to
    /// `private`.
    ///
    /// # Errors
    /// A home of cargo or rustup that is kept. Directories of `PATH` that are kept are left out.
    pub fn tools(&mut self, env: &BTreeMap<String, String>, private: &Path, kept: &HiddenPaths) -> Result<()> {
        let named = |name: &str| match env.get(name).map(PathBuf::from).filter(|p| p.is_absolute()) {
            None => Ok(None),
            Some(dir) => match kept.forbids(name, &dir) {
                None => Ok(Some(dir)),
                Some(why) => Err(Error::input(format!("a job cannot have `{name}` = `{}`: {why}", dir.display()))
                    .hint(format!("let the recipe take the runner's own: `pass_env = [\"{name}\"]`"))
                    .hint("or name a directory without secrets in `read` of the runner")),
            },
        };
        if let Some(dir) = named("CARGO_HOME")? {
            self.cargo(&dir, private, kept);
        }
        if let Some(dir) = named("RUSTUP_HOME")? {
            self.read(&dir);
            // A toolchain that was linked is a link to where it was built.
            let linked = std::fs::read_dir(dir.join("toolchains")).into_iter().flatten().flatten();
            for toolchain in linked.map(|e| e.path()).filter(|p| p.is_symlink() && kept.never(p).is_none()) {
                self.read(&toolchain);
            }
        }
        for dir in std::env::split_paths(env.get("PATH").map_or("", String::as_str)).filter(|d| d.is_absolute()) {
            let Ok(real) = dir.canonicalize() else { continue };
            let at_home = kept.home().is_some_and(|h| real.starts_with(h));
            let tools: Vec<PathBuf> = TOOLCHAIN.iter().map(|t| dir.join(t)).filter(|t| t.is_file()).collect();
            if kept.forbids("PATH", &real).is_none() && (!at_home || !tools.is_empty()) {
                self.read(&dir);
                for tool in tools.iter().filter(|t| t.is_symlink() && kept.never(t).is_none()) {
                    self.read(tool);
                }
            }
        }
        Ok(())
    }

    /// Cargo's home: programs, registries and checkouts, nothing else.
    fn cargo(&mut self, dir: &Path, private: &Path, kept: &HiddenPaths) {
        let real = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
        self.write_at(&private.join("home"), dir);
        let may = |path: &PathBuf| kept.never(path).is_none();
        for name in ["registry", "git"] {
            let lower = real.join(name);
            if may(&lower) {
                self.overlay(&lower, &private.join(name), false);
            }
        }
        let bin = real.join("bin");
        if may(&bin) {
            self.read(&bin);
        }
        for config in ["config.toml", "config"].map(|name| real.join(name)) {
            if may(&config) && std::fs::read_to_string(&config).is_ok_and(|text| !has_credentials(&text)) {
                self.read(&config);
            }
        }
    }

    /// Makes the real path known by the name by which it was asked for.
    fn named(&mut self, path: &Path, real: &Path) {
        if path != real && path.is_absolute() && !path.parent().is_some_and(|dir| self.shows(dir)) {
            self.mounts.push(Mount::Link { path: path.to_owned(), to: real.to_owned() });
        }
    }

    /// Whether a path is below something shown.
    fn shows(&self, path: &Path) -> bool {
        self.mounts.iter().any(|mount| match mount {
            Mount::Read { to, .. } | Mount::Write { to, .. } | Mount::Overlay { to, .. } => path.starts_with(to),
            Mount::Empty { .. } | Mount::Hidden { .. } | Mount::Link { .. } => false,
        })
    }

    /// Whether the innermost directory around a path that is shown is the machine's, to be read.
    fn reads(&self, path: &Path) -> bool {
        let around = self.mounts.iter().filter_map(|mount| match mount {
            Mount::Read { to, .. } => Some((to, true)),
            Mount::Write { to, .. } | Mount::Overlay { to, .. } | Mount::Hidden { path: to } => Some((to, false)),
            Mount::Empty { .. } | Mount::Link { .. } => None,
        });
        let around = around.filter(|(to, _)| path.starts_with(to)).max_by_key(|(to, _)| to.components().count());
        around.is_some_and(|(_, reads)| reads)
    }

    /// `/tmp` and `/var/tmp`: on the disk with `dir`, unless something else is shown below them.
    fn temporary(&mut self, dir: Option<&Path>) {
        for at in ["/tmp", "/var/tmp"].map(PathBuf::from) {
            let used = self.mounts.iter().any(|mount| match mount {
                Mount::Read { to, .. } | Mount::Write { to, .. } | Mount::Overlay { to, .. } => to.starts_with(&at),
                Mount::Link { path, .. } => path.starts_with(&at),
                Mount::Empty { .. } | Mount::Hidden { .. } => false,
            });
            let mount = match dir.and_then(|d| d.canonicalize().ok()) {
                Some(from) if !used => Mount::Write { from, to: at },
                _ => Mount::Empty { at, mode: 0o1777 },
            };
            self.mounts.insert(0, mount);
        }
    }
}

/// Whether a configuration of cargo may hold a credential.
fn has_credentials(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    ["token", "secret", "password", "@"].iter().any(|word| lower.contains(word))
}
