//! The first process in the namespaces: it makes the view, gives up its rights, and runs the command.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::ffi::OsStringExt as _;
use std::process::{Command, Stdio};

use rustix::process::{DumpableBehavior, Pid, Signal, WaitOptions};

use super::{ORDERS, Orders, PREFIX, caps, loopback, mounts, scope};

/// The hidden verb by which the program becomes the first process of a sandbox: `lifeboat sandbox-init -- COMMAND…`.
pub const VERB: &str = "sandbox-init";
/// The exit code of a sandbox that could not be made.
const FAILED: u8 = 125;
/// How the message of a sandbox that could not be made begins.
pub const REFUSED: &str = "sandbox: ";

/// Whether this exit code and output mean that the sandbox could not be made, so that the command did not run.
#[must_use]
pub fn refused(code: Option<i32>, output: &str) -> bool {
    // Other codes are of setpriv and unshare, which print their own names.
    let of_tool =
        ["setpriv: ", "unshare: "].iter().any(|tool| output.starts_with(tool) || output.contains(&format!("/{tool}")));
    code == Some(i32::from(FAILED)) && output.starts_with(REFUSED) || matches!(code, Some(1 | 126 | 127)) && of_tool
}

/// Runs the command after the arguments `sandbox-init --`; returns the program's exit code.
///
/// To be called before anything else happens in the program: there must be one thread.
#[must_use]
pub fn init(arguments: impl Iterator<Item = OsString>) -> u8 {
    match run(arguments) {
        Ok(code) => code,
        Err(e) => {
            // Whoever started this one reads it; if that is gone, nobody needs it.
            drop(writeln!(io::stderr(), "{REFUSED}{e}"));
            FAILED
        }
    }
}

fn run(mut arguments: impl Iterator<Item = OsString>) -> io::Result<u8> {
    let said =
        |what: &'static str| move |e: rustix::io::Errno| io::Error::other(format!("{what}: {}", io::Error::from(e)));
    let orders = std::env::var(ORDERS).map_err(|_| io::Error::other("there are no orders"))?;
    let Orders { view } = serde_json::from_str(&orders)?;
    let program = arguments.next().ok_or_else(|| io::Error::other("there is no command"))?;
    if rustix::process::getpid() != Pid::INIT {
        return Err(io::Error::other("this is not the first process of a PID namespace"));
    }
    // A terminal that the starter has is out of reach afterwards; fails only for a leader, which has none.
    let _ = rustix::process::setsid();
    if !view.network() {
        loopback::up()?;
    }
    mounts::make(&view)?;
    // No process of the sandbox can trace this one, and so keep it from ending with its parent.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(said("cannot hide from tracing"))?;
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(said("cannot end with the parent"))?;
    caps::drop()?;
    if view.network() {
        scope::no_sockets_of_the_machine()?;
    }
    let mut command = Command::new(&program);
    command.args(arguments).env_clear().envs(environment()).current_dir(view.dir()).stdin(Stdio::null());
    let child = command.spawn().map_err(|e| {
        io::Error::other(format!("cannot start `{}` in `{}`: {e}", program.display(), view.dir().display()))
    })?;
    let main = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    loop {
        // Whatever is left without a parent becomes a child of this process.
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if Some(pid) == main => {
                let signal = status.terminating_signal().map(|s| 128 + s);
                return Ok(status.exit_status().or(signal).and_then(|c| u8::try_from(c).ok()).unwrap_or(1));
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

/// The command's own environment.
fn environment() -> BTreeMap<OsString, OsString> {
    let own = |(name, value): (OsString, OsString)| {
        let name = name.as_bytes().strip_prefix(PREFIX.as_bytes())?.to_vec();
        Some((OsString::from_vec(name), value))
    };
    std::env::vars_os().filter_map(own).collect()
}
