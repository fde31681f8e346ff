//! Watches over one job, as a process of its own: it outlives a crash of the program that started it.
//!
//! It takes its orders on standard input, so that no secret stands in an argument or in a file. It leads a session of its
//! own, adopts whatever the job leaves running, masks the log, kills everything at the end or after the time limit, and
//! writes at last, in one piece, how the job ended.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};
use serde::{Deserialize, Serialize};

use super::job_dir::JobDir;
use super::process::{Identity, kill_descendants};
use crate::effects::{Outlives, replace_file};
use crate::runners::mask::Mask;
use crate::runners::private_files::create_private_file;
use crate::runners::{LOG_CUT, LOG_LIMIT, NOT_KILLED, SECRET_PRINTED};
use crate::sandbox::{Sandbox, SandboxView, this_program};

/// The hidden verb by which the program becomes a supervisor: `lifeboat supervise-job <directory>`.
pub const VERB: &str = "supervise-job";
/// What the supervisor says when the job runs.
pub(super) const READY: &str = "ready";
/// How often a job that ends with its owner looks whether that lives.
const OWNER_PAUSE: Duration = Duration::from_millis(200);
/// How long the log may take to end once all processes are gone.
const LOG_PATIENCE: Duration = Duration::from_secs(5);

/// A supervisor's instructions. No `Debug`: it holds secrets.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Orders {
    /// The command line.
    pub(super) command: Vec<String>,
    /// In what it runs; none where the configuration lets jobs have the user's rights.
    pub(super) sandbox: Option<(Sandbox, SandboxView)>,
    /// Who must live for the job to go on; nobody if it outlives its starter.
    pub(super) owner: Option<Identity>,
    /// The job's root.
    pub(super) root: PathBuf,
    /// The whole environment.
    pub(super) env: BTreeMap<String, String>,
    /// Values to mask.
    pub(super) secrets: Vec<String>,
    /// Seconds.
    pub(super) timeout_s: u64,
}

/// How a job ended, as it is written to the job's directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JobExit {
    /// The exit code; 128 and the signal's number if it was killed; none if it reached its time limit.
    pub(super) code: Option<i32>,
    /// What a person should know.
    pub(super) warnings: Vec<String>,
}

/// Runs the supervisor of the job in `dir`; returns the program's exit code, which nobody reads.
///
/// To be called before anything else happens in the program: it changes the umask and leaves the session.
#[must_use]
pub fn supervise(dir: &Path) -> u8 {
    let place = JobDir::at(dir);
    match prepare().and_then(|orders| start(&place, &orders).map(|job| (orders, job))) {
        Err(e) => {
            // The starter reads it; if it is gone, nobody needs it.
            drop(writeln!(io::stdout(), "{e}"));
            1
        }
        Ok((orders, job)) => {
            drop(writeln!(io::stdout(), "{READY}").and_then(|()| io::stdout().flush()));
            let ended = job.watch(Duration::from_secs(orders.timeout_s));
            let written = serde_json::to_vec(&ended).map_err(io::Error::from);
            u8::from(written.and_then(|bytes| replace_file(&place.status(), &bytes, Outlives::PowerLoss)).is_err())
        }
    }
}

/// Leaves the starter's session, turns core dumps off and reads the orders.
fn prepare() -> io::Result<Orders> {
    // Fails only for the leader of a process group, which cannot be reached by its terminal's signals either.
    let _ = rustix::process::setsid();
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let none = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
    rustix::process::setrlimit(rustix::process::Resource::Core, none)?;
    #[cfg(target_os = "linux")]
    {
        rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    }
    let mut bytes = Vec::new();
    io::stdin().read_to_end(&mut bytes)?;
    // If the starter was killed, the orders are cut short and no job starts.
    serde_json::from_slice(&bytes).map_err(io::Error::from)
}

struct RunningJob {
    main: Pid,
    ends: mpsc::Receiver<(Pid, WaitStatus)>,
    log: mpsc::Receiver<io::Result<Log>>,
    owner: Option<Identity>,
}

/// What came of the log.
struct Log {
    secret_found: bool,
    cut: bool,
}

fn start(place: &JobDir, orders: &Orders) -> io::Result<RunningJob> {
    let own = Identity::own().ok_or_else(|| io::Error::other("cannot read /proc: it must be mounted"))?;
    let out = create_private_file(&place.log())?;
    let (reader, writer) = io::pipe()?;
    let mut command = match &orders.sandbox {
        Some((sandbox, view)) => {
            let program = this_program().map_err(io::Error::other)?;
            let mut command = sandbox.command(&program, view.clone(), &orders.env, &orders.command)?;
            command.current_dir("/");
            command
        }
        None => {
            let [program, arguments @ ..] = orders.command.as_slice() else {
                return Err(io::Error::other("there is no command"));
            };
            let mut command = Command::new(program);
            command.args(arguments).env_clear().envs(&orders.env).current_dir(&orders.root).stdin(Stdio::null());
            command
        }
    };
    command.process_group(0).stdout(writer.try_clone()?).stderr(writer);
    // What the job changes has a later time than this file; and whoever finds the supervisor's file finds the job's.
    create_private_file(&place.started())?;
    let own = serde_json::to_vec(&own).map_err(io::Error::from)?;
    replace_file(&place.supervisor(), &own, Outlives::PowerLoss)?;
    let child = command.spawn()?;
    // It holds the write ends of the pipe.
    drop(command);
    let main = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidData)?;

    let (ended, ends) = mpsc::channel();
    std::thread::spawn(move || {
        // Adopted processes are waited for too, until none is left.
        while let Ok(found) = rustix::process::wait(WaitOptions::empty()) {
            if let Some(end) = found
                && ended.send(end).is_err()
            {
                break;
            }
        }
    });
    let (logged, log) = mpsc::channel();
    let secrets = orders.secrets.clone();
    std::thread::spawn(move || logged.send(write_log(reader, out, &secrets)));
    Ok(RunningJob { main, ends, log, owner: orders.owner.clone() })
}

impl RunningJob {
    /// Waits for the end or the time limit, kills what is left, and closes the log.
    fn watch(self, limit: Duration) -> JobExit {
        let mut warnings = Vec::new();
        let mut code = self.wait(limit);
        if code.is_none() {
            // The group dies at once, so that nothing in it can fork away. After a normal end its number may be another's.
            let _ = rustix::process::kill_process_group(self.main, Signal::KILL);
        }
        if !kill_descendants() {
            // They could change what it left while that is read.
            warnings.push(NOT_KILLED.to_owned());
            code = code.map(|c| c.max(1));
        }
        match self.log.recv_timeout(LOG_PATIENCE) {
            Ok(Ok(log)) => {
                if log.secret_found {
                    warnings.push(SECRET_PRINTED.to_owned());
                }
                if log.cut {
                    warnings.push(LOG_CUT.to_owned());
                }
            }
            Ok(Err(e)) => warnings.push(format!("the log is incomplete: {e}")),
            Err(_) => warnings.push("the log is incomplete: something still holds it open".to_owned()),
        }
        JobExit { code, warnings }
    }

    fn wait(&self, limit: Duration) -> Option<i32> {
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let pause = if self.owner.is_some() { left.min(OWNER_PAUSE) } else { left };
            match self.ends.recv_timeout(pause) {
                Ok((pid, status)) if pid == self.main => {
                    let signal = status.terminating_signal().map(|s| 128 + s);
                    return Some(status.exit_status().or(signal).unwrap_or(1));
                }
                Ok(_) => {}
                Err(mpsc::RecvTimeoutError::Timeout) if pause == left => return None,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    if self.owner.as_ref().is_some_and(|owner| !owner.is_alive()) {
                        return None;
                    }
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => return Some(1),
            }
        }
    }
}

fn write_log(mut from: io::PipeReader, to: std::fs::File, secrets: &[String]) -> io::Result<Log> {
    let mut mask = Mask::new(to, secrets);
    let mut buffer = vec![0u8; 64 * 1024];
    let mut total = 0;
    let mut failed = None;
    loop {
        let n = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        total += n as u64;
        // It is read to its end in any case: a job that cannot write would hang or die for the wrong reason.
        if failed.is_none() && total <= LOG_LIMIT {
            failed = mask.take(&buffer[..n]).err();
        }
    }
    if let Some(e) = failed {
        return Err(e);
    }
    let (file, secret_found) = mask.finish()?;
    file.sync_all()?;
    Ok(Log { secret_found, cut: total > LOG_LIMIT })
}
