//! Where programs run that read a project's tree: recipes, the project's own commands, Cargo. They see what they are
//! given and nothing else.
//!
//! unshare(1) of util-linux makes the namespaces; this program, started again inside of them ([`init`]), mounts what the
//! [`View`] lists on an empty root, gives up the rights to change that, runs the command as its child and ends with it. It
//! is the first process of its PID namespace: when it ends, the kernel ends every other process in it. And it ends when
//! whoever started the sandbox ends.

mod caps;
mod hidden;
mod init;
mod loopback;
mod mounts;
mod scope;
mod view;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Context as _, Error, Result};
use crate::subprocess::{Subprocess, SubprocessError};

pub use hidden::{BELOW_HOME, HiddenPaths};
pub use init::{REFUSED, VERB, init, refused};
pub use view::{Mount, SandboxView};

/// How long the probe may take.
const PROBE_LIMIT: Duration = Duration::from_secs(5);
/// Where programs of the system are looked for: a fixed list, so that a caller's `PATH` cannot put others in their place.
const PLACES: [&str; 4] = ["/usr/bin", "/bin", "/usr/local/bin", "/run/current-system/sw/bin"];
/// Namespaces of every sandbox. With `--kill-child` the first process in them dies with unshare.
const ALWAYS: [&str; 6] = ["--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child"];
/// Root needs no user namespace. In one, the command stays the same user; the kept capabilities reach only that namespace.
const WAYS: [&[&str]; 3] = [&[], &["--user", "--map-current-user", "--keep-caps"], &["--user", "--map-root-user"]];
/// In the variable of this name the first process finds what to do.
const ORDERS: &str = "LIFEBOAT_SANDBOX";
/// Variables of the command travel under this prefix: none of the loader's reaches the programs that isolate it.
const PREFIX: &str = "LIFEBOAT_SANDBOX_ENV_";
/// What the probe runs: the process is the second one of its own, and the file that is its argument is not there.
const CHECK: &str = "test -r /proc/self/stat && ! test -e \"$1\"";

/// What the first process in the namespaces does.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Orders {
    view: SandboxView,
}

/// A way to make namespaces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sandbox {
    setpriv: PathBuf,
    unshare: PathBuf,
    way: Vec<String>,
}

impl Sandbox {
    /// Every way that may work, the best one first.
    ///
    /// # Errors
    /// A program of util-linux is missing.
    pub fn ways() -> Result<Vec<Self>> {
        let found = |name: &str| {
            PLACES.iter().map(|dir| Path::new(dir).join(name)).find(|p| p.is_file()).ok_or_else(|| {
                Error::fatal(format!("programs cannot be isolated on this machine: there is no `{name}`"))
                    .hint("install it: `apt-get install util-linux`")
            })
        };
        let (setpriv, unshare) = (found("setpriv")?, found("unshare")?);
        let way = |way: &&[&str]| Self {
            setpriv: setpriv.clone(),
            unshare: unshare.clone(),
            way: way.iter().map(|w| (*w).to_owned()).collect(),
        };
        Ok(WAYS.iter().map(way).collect())
    }

    /// The way that works on this machine, found by trying; `program` is lifeboat.
    ///
    /// # Errors
    /// The system does not let this user isolate programs.
    pub fn probe(program: &Path) -> Result<Self> {
        let mut reasons = Vec::new();
        for way in Self::ways()? {
            match way.works(program) {
                Ok(()) => return Ok(way),
                Err(why) => reasons.push(why),
            }
        }
        Err(cannot(&reasons.pop().unwrap_or_default()))
    }

    /// Checks that this way works.
    fn works(&self, program: &Path) -> Result<(), String> {
        let text = |e: &dyn std::fmt::Display| e.to_string();
        let outside = tempfile::NamedTempFile::new().map_err(|e| text(&e))?;
        let view = SandboxView::system(false).at(Path::new("/"));
        let line = ["/bin/sh", "-c", CHECK, "sh", &outside.path().display().to_string()].map(str::to_owned);
        let mut command = self.command(program, view, &BTreeMap::new(), &line).map_err(|e| text(&e))?;
        command.current_dir("/");
        let ended = match Subprocess::new(command).own_input().limit(Some(PROBE_LIMIT)).run() {
            Err(SubprocessError::Late(_)) => return Err("it did not answer".to_owned()),
            ended => ended.map_err(|e| e.explained("the probe").message().to_owned())?,
        };
        if ended.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&ended.stderr);
        Err(said.lines().next().unwrap_or("the probe saw what it should not").to_owned())
    }

    /// The command line `line` with the environment `env` in a sandbox that shows `view`; whoever spawns it decides where
    /// its output goes. `program` is lifeboat.
    ///
    /// # Errors
    /// `program` cannot be read, or a path is not UTF-8.
    pub fn command(
        &self,
        program: &Path,
        view: SandboxView,
        env: &BTreeMap<String, String>,
        line: &[String],
    ) -> io::Result<Command> {
        let mut command = Command::new(&self.setpriv);
        command.args(["--pdeathsig", "KILL", "--"]).arg(&self.unshare).args(&self.way).args(ALWAYS);
        command.args((!view.network()).then_some("--net")).args(["--", "/proc/self/fd/0", VERB, "--"]).args(line);
        // Opened here and run by its descriptor: the file may be one that the namespace's user cannot reach by a path.
        command.stdin(File::open(program)?).env_clear();
        command.env(ORDERS, serde_json::to_string(&Orders { view })?);
        command.envs(env.iter().map(|(name, value)| (OsString::from(format!("{PREFIX}{name}")), value)));
        Ok(command)
    }
}

/// The one error of a machine that cannot isolate programs, with unshare's reason.
#[must_use]
pub fn cannot(reason: &str) -> Error {
    Error::fatal("this machine cannot isolate programs: it refuses namespaces, or mounts in them")
        .detail(crate::model::escape(reason))
        .hint("allow user namespaces: `sysctl kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0`")
        .hint("in a container, it needs CAP_SYS_ADMIN, or user namespaces and a `/proc` without masked paths")
}

/// This program, to be started again.
///
/// # Errors
/// `/proc` is not mounted.
pub(crate) fn this_program() -> Result<PathBuf> {
    let path = PathBuf::from("/proc/self/exe");
    path.symlink_metadata().context("cannot find this program: `/proc` must be mounted")?;
    Ok(path)
}
