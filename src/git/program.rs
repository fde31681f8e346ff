//! Runs the user's git program: explicit arguments, an allow-listed environment, a deadline, nothing on a terminal.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::output::GitOutput;
use super::timeouts::{Chosen, SETTINGS};
use crate::error::{Error, Result};
use crate::subprocess::{Subprocess, SubprocessError};

/// Whose configuration git reads beside the repository's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Configuration {
    /// None: for the private repository. No protocol is allowed.
    Private,
    /// The user's and the system's, with the user's credentials and ssh agent: for remotes and for reading the user's
    /// repository.
    User,
}

/// The oldest version that can be used: `git apply --cached --3way` and `GIT_CONFIG_GLOBAL` came with it.
pub const OLDEST_VERSION: (u32, u32) = (2, 32);

/// Major and minor of `git version 2.39.5 (Apple Git-154)`.
fn number(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.strip_prefix("git version ")?.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Variables that the user's git may need to reach a remote as the user does.
const USER_VARIABLES: &[&str] = &[
    "HOME",
    "USER",
    "LOGNAME",
    "XDG_CONFIG_HOME",
    "XDG_RUNTIME_DIR",
    "DBUS_SESSION_BUS_ADDRESS",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "TMPDIR",
    "SSH_AUTH_SOCK",
    "SSH_AGENT_PID",
    "SSH_ASKPASS",
    "SSH_ASKPASS_REQUIRE",
    "GIT_ASKPASS",
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "GIT_SSH_VARIANT",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_SYSTEM",
    "GIT_CONFIG_NOSYSTEM",
    "GIT_CONFIG_PARAMETERS",
    "KRB5CCNAME",
    "GNUPGHOME",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
];

/// The settings in the environment, as git reads them.
fn given(variable: impl Fn(&str) -> Option<OsString>) -> Vec<Setting> {
    let count = variable("GIT_CONFIG_COUNT").and_then(|n| n.to_str()?.trim().parse::<usize>().ok()).unwrap_or_default();
    let one = |n| Some((variable(&format!("GIT_CONFIG_KEY_{n}"))?, variable(&format!("GIT_CONFIG_VALUE_{n}"))?));
    (0..count).map_while(one).collect()
}

/// The git program and the environment that it may get.
#[derive(Debug, Clone)]
pub struct GitProgram {
    path: PathBuf,
    search_path: OsString,
    user: BTreeMap<String, OsString>,
    /// What the user chose for ssh, once it was asked for.
    ssh: Arc<OnceLock<Chosen>>,
    /// Settings that the user gave in the environment (`GIT_CONFIG_COUNT` and its like, git-config(1)).
    given: Vec<Setting>,
    /// The user's clone: what its own configuration says of reaching remotes counts wherever the call runs.
    clone: Option<PathBuf>,
    /// Those settings, once they were asked for.
    transport: Arc<OnceLock<Vec<Setting>>>,
}

/// A setting of git's configuration: its name and its value.
type Setting = (OsString, OsString);

impl GitProgram {
    /// `git` of this process's `PATH`, with the variables of this process that reach a remote as the user does.
    #[must_use]
    pub fn from_env() -> Self {
        let listed = USER_VARIABLES.iter().filter_map(|k| Some(((*k).to_owned(), std::env::var_os(k)?)));
        // `GIT_CONFIG_COUNT` with its pairs: settings such as `safe.directory` that a CI job gives without a file.
        let pair =
            |k: &str| k == "GIT_CONFIG_COUNT" || k.starts_with("GIT_CONFIG_KEY_") || k.starts_with("GIT_CONFIG_VALUE_");
        let pairs = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok().filter(|k| pair(k))?, v)));
        let user = listed.chain(pairs).collect();
        let search_path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
        let given = given(|name| std::env::var_os(name));
        Self {
            path: found(&search_path),
            search_path,
            user,
            ssh: Arc::default(),
            given,
            clone: None,
            transport: Arc::default(),
        }
    }

    /// The same for the remotes of a project: whatever call talks to one goes by the configuration of the user's clone, so
    /// that a read and a push go the same way.
    #[must_use]
    pub fn of_clone(mut self, clone: &Path) -> Self {
        self.clone = Some(clone.to_owned());
        self.ssh = Arc::default();
        self.transport = Arc::default();
        self
    }

    /// What the clone's own configuration says of reaching remotes; what the user's says is read by each call itself.
    fn transport(&self) -> &[Setting] {
        self.transport.get_or_init(|| {
            let Some(clone) = &self.clone else { return Vec::new() };
            let call = self.call(Configuration::User).directory(clone);
            let listed = call.args(["config", "--null", "--show-scope", "--list"]).run();
            // A configuration that cannot be read is reported by the call that needs it.
            listed.map(|out| super::transport::settings(&out.stdout)).unwrap_or_default()
        })
    }

    /// The same, found in these directories.
    #[must_use]
    pub fn with_search_path(mut self, directories: impl Into<OsString>) -> Self {
        self.search_path = directories.into();
        self.path = found(&self.search_path);
        self
    }

    /// The same with one more variable, for the user's git only.
    #[must_use]
    pub fn with_variable(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.user.insert(name.to_owned(), value.into());
        self.ssh = Arc::default();
        self
    }

    /// What the user chose for ssh, in the environment or in what git reads here: the same for every call, so that a push
    /// from the private repository goes the way that a read from the user's clone went.
    fn ssh(&self) -> &Chosen {
        self.ssh.get_or_init(|| {
            let variable = |name| self.user.get(name).cloned();
            let (command, program) = (variable("GIT_SSH_COMMAND"), variable("GIT_SSH"));
            let chosen = Chosen { command, program, variant: variable("GIT_SSH_VARIANT") };
            let call = self.call(Configuration::User).args(["config", "--null", "--get-regexp", SETTINGS]);
            let call = match &self.clone {
                Some(clone) => call.directory(clone),
                None => call,
            };
            // It fails where nothing is set; a configuration that cannot be read is reported by the call that needs it.
            chosen.or_settings(&call.run().map(|out| out.stdout).unwrap_or_default())
        })
    }

    /// The version, as `git version` prints it: `git version 2.47.3`.
    ///
    /// # Errors
    /// There is no such program.
    pub fn version(&self) -> Result<String> {
        let out =
            self.call(Configuration::Private).args(["version"]).run()?.checked("cannot ask git for its version")?;
        Ok(String::from_utf8_lossy(&out).trim().to_owned())
    }

    /// The version, if it has all that is used here: [`OLDEST_VERSION`] or newer.
    ///
    /// # Errors
    /// There is no such program, or it is older.
    pub fn check(&self) -> Result<String> {
        let version = self.version()?;
        if number(&version).is_some_and(|n| n >= OLDEST_VERSION) {
            return Ok(version);
        }
        let (major, minor) = OLDEST_VERSION;
        Err(Error::input(format!(
            "`{}` is too old: git {major}.{minor} or newer is needed",
            crate::model::escape(&version)
        ))
        .hint("install a newer git (Debian 12 and Ubuntu 22.04 have one)"))
    }

    /// Begins a call with this configuration.
    #[must_use]
    pub fn call(&self, configuration: Configuration) -> Call<'_> {
        Call {
            program: self,
            configuration,
            args: Vec::new(),
            repository: None,
            directory: None,
            variables: Vec::new(),
            input: Vec::new(),
            deadline: None,
            cancelled: None,
            still: None,
        }
    }

    fn command(&self, configuration: Configuration) -> Command {
        let mut command = Command::new(&self.path);
        command.env_clear().env("PATH", &self.search_path).envs([
            // Messages are parsed.
            ("LC_ALL", "C"),
            ("TZ", "UTC"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_OPTIONAL_LOCKS", "0"),
            // What `refs/replace/` says would make our commits depend on one person's clone.
            ("GIT_NO_REPLACE_OBJECTS", "1"),
            // A partial clone must not go to the network behind our back.
            ("GIT_NO_LAZY_FETCH", "1"),
            ("GIT_PAGER", "cat"),
            ("GIT_EDITOR", "false"),
        ]);
        match configuration {
            Configuration::Private => {
                command.envs([
                    ("GIT_CONFIG_NOSYSTEM", "1"),
                    ("GIT_CONFIG_GLOBAL", "/dev/null"),
                    ("GIT_ATTR_NOSYSTEM", "1"),
                    ("GIT_ALLOW_PROTOCOL", "none"),
                ]);
            }
            Configuration::User => {
                command.envs(&self.user);
                if !self.user.contains_key("SSH_ASKPASS") {
                    // Without a way to ask, ssh must fail rather than wait at a terminal for a passphrase or a host key.
                    command.env("SSH_ASKPASS", "false").env("SSH_ASKPASS_REQUIRE", "force");
                }
            }
        }
        for setting in [
            "protocol.ext.allow=never",
            "core.hooksPath=/dev/null",
            "core.fsmonitor=false",
            "gc.auto=0",
            "maintenance.auto=false",
        ] {
            command.args(["-c", setting]);
        }
        command
    }
}

/// A call of the git program, to be run.
#[derive(Debug)]
pub struct Call<'a> {
    program: &'a GitProgram,
    configuration: Configuration,
    args: Vec<OsString>,
    repository: Option<PathBuf>,
    directory: Option<PathBuf>,
    variables: Vec<(&'static str, OsString)>,
    input: Vec<u8>,
    deadline: Option<Duration>,
    cancelled: Option<Arc<AtomicBool>>,
    still: Option<Duration>,
}

impl Call<'_> {
    /// Appends arguments. A value from outside must conform to a grammar or stand after `--`.
    #[must_use]
    pub fn args<S: Into<OsString>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets `GIT_DIR`, and runs there.
    #[must_use]
    pub fn repository(mut self, git_dir: &Path) -> Self {
        self.repository = Some(git_dir.to_owned());
        self
    }

    /// Runs in this directory, where git looks for a repository itself.
    #[must_use]
    pub fn directory(mut self, directory: &Path) -> Self {
        self.directory = Some(directory.to_owned());
        self
    }

    /// Sets one more variable.
    #[must_use]
    pub fn variable(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    /// Gives these bytes on standard input.
    #[must_use]
    pub fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = input.into();
        self
    }

    /// Kills git and its children after this time.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Kills git and its children soon after this becomes true.
    #[must_use]
    pub(crate) fn cancelled_by(mut self, cancelled: Arc<AtomicBool>) -> Self {
        self.cancelled = Some(cancelled);
        self
    }

    /// Ends a call after this time, in whole seconds, in which nothing moved: over http by what arrives and leaves
    /// (before the user's `http.lowSpeedLimit`), over ssh by whether the server answers, [as far as the user's ssh
    /// has options for it](super::timeouts).
    #[must_use]
    pub fn still(mut self, still: Duration) -> Self {
        self.still = Some(still);
        self
    }

    /// Runs git to its end.
    ///
    /// # Errors
    /// Git cannot be started; [`ErrorKind::Unreachable`](crate::error::ErrorKind::Unreachable) when the deadline passes.
    pub fn run(mut self) -> Result<GitOutput> {
        let verb = self.args.first().map(|a| a.to_string_lossy().into_owned()).unwrap_or_default();
        let mut command = self.program.command(self.configuration);
        command.args(&self.args).envs(self.variables.iter().map(|(k, v)| (k, v)));
        if let Some(still) = self.still {
            // Less than a byte in a second, for this long.
            command.env("GIT_HTTP_LOW_SPEED_LIMIT", "1").env("GIT_HTTP_LOW_SPEED_TIME", still.as_secs().to_string());
            command.envs(self.program.ssh().variables(still));
        }
        if self.configuration == Configuration::User {
            // The environment's own come last: of settings that count once, the last one does.
            let transport = if self.still.is_some() { self.program.transport() } else { &[] };
            command.envs(super::transport::variables(transport.iter().chain(&self.program.given)));
        }
        if let Some(git_dir) = &self.repository {
            command.env("GIT_DIR", git_dir).current_dir(git_dir);
        }
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        if self.configuration == Configuration::Private && self.repository.is_none() {
            // No repository is meant: neither the user's clone, in which this program may run, nor one above the directory,
            // whose settings would count.
            let directory = self.directory.as_deref().unwrap_or(Path::new("/"));
            command.current_dir(directory);
            command.env("GIT_CEILING_DIRECTORIES", directory.parent().unwrap_or(directory));
        }
        // Diffs and files have no limit of ours; the user's own repository is read.
        let subprocess = Subprocess::new(command).input(std::mem::take(&mut self.input)).keep_all();
        let subprocess = subprocess.limit(self.deadline).cancelled_by(self.cancelled.take());
        let ended = subprocess.run().map_err(|e| match e {
            SubprocessError::NotStarted(e) => not_started(&self, e),
            other => other.explained(&format!("`git {verb}`")),
        })?;
        let stderr = String::from_utf8_lossy(&ended.stderr).into_owned();
        let (code, signal) = (ended.status.code(), ended.status.signal());
        Ok(GitOutput { verb, code, signal, stdout: ended.stdout, stderr })
    }
}

/// The first `git` in these directories, else the bare name. With a path the child is made by `posix_spawn`; a search in the
/// child would need `fork`, which copies the page tables of this process for each of thousands of calls.
fn found(directories: &OsStr) -> PathBuf {
    let program = |path: &PathBuf| path.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0);
    let absolute = std::env::split_paths(directories).filter(|dir| dir.is_absolute());
    absolute.map(|dir| dir.join("git")).find(program).unwrap_or_else(|| "git".into())
}

fn not_started(call: &Call<'_>, e: std::io::Error) -> Error {
    let place = call.repository.as_ref().or(call.directory.as_ref());
    if e.kind() == std::io::ErrorKind::NotFound {
        if let Some(place) = place.filter(|p| !p.is_dir()) {
            return Error::input(format!("there is no directory `{}`", place.display())).because(e);
        }
        return Error::input(format!("cannot run `{}`: there is no such program", call.program.path.display()))
            .because(e)
            .hint("install git (Debian: `apt install git`), then run `lifeboat doctor`");
    }
    Error::fatal(format!("cannot run `{}`: {e}", call.program.path.display())).because(e)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        assert_eq!(number("git version 2.39.5 (Apple Git-154)"), Some((2, 39)));
        assert_eq!(number("git version 2.47.0.windows.2"), Some((2, 47)));
        assert_eq!(number("git version 3.0-rc1"), None);
        assert_eq!(number("git version 3.0.0"), Some((3, 0)));
        assert!(number("git version 2.30.2").is_some_and(|n| n < OLDEST_VERSION));
    }
}
