//! Calls of shell scripts on a machine with sshd: each is one channel of a connection that all calls share.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tempfile::TempDir;

use super::{SshHost, shown_lines};
use crate::error::{Context as _, Error, Result};
use crate::model::shell_word;
use crate::subprocess::{Subprocess, SubprocessError};

/// What a script prints before its answer: what the user's profile prints comes earlier.
pub(crate) const MARK: &[u8] = b"--lifeboat--\n";
/// How much a profile may print.
const NOISE: usize = 64 << 10;
/// How much an answer may hold that is kept in memory.
const ANSWER: u64 = 16 << 20;
/// Until a connection stands: look-up, connection, keys.
const CONNECTING: Duration = Duration::from_secs(20);
/// How long a connection that broke may take to end.
const ENDING: Duration = Duration::from_millis(200);
/// How many calls are made at once: sshd allows ten sessions in one connection, unless it is told otherwise.
const AT_ONCE: usize = 8;
/// How long the path of a socket may be, with what ssh adds for a moment.
const SOCKET_LENGTH: usize = 80;

/// A shell script, and what it is given.
pub(crate) struct ScriptCall<'a> {
    /// The text.
    pub(crate) script: &'a str,
    /// `$1` and those after it. Anybody on that machine can read them.
    pub(crate) arguments: &'a [&'a str],
    /// How long it may take once it has its input.
    pub(crate) limit: Duration,
    /// What it reads on standard input after its own text.
    pub(crate) input: Option<ScriptInput<'a>>,
}

/// Writes what a script reads.
pub(crate) type ScriptInput<'a> = Box<dyn FnOnce(&mut ChildStdin) -> io::Result<()> + 'a>;

/// What a script said that was reached.
#[derive(Debug)]
pub(crate) struct ScriptAnswer {
    /// Its exit code, which is not 255.
    pub(crate) code: i32,
    /// What it printed after the mark; nothing if that went elsewhere.
    pub(crate) out: Vec<u8>,
    /// The last lines that it wrote to standard error.
    pub(crate) said: Vec<String>,
}

/// One connection, made when it is needed and made anew when it broke.
pub(crate) struct SharedConnection {
    host: SshHost,
    master: Mutex<Option<Master>>,
    under_way: Mutex<usize>,
    one_ended: Condvar,
}

impl SharedConnection {
    pub(crate) fn new(host: SshHost) -> Self {
        Self { host, master: Mutex::default(), under_way: Mutex::default(), one_ended: Condvar::new() }
    }

    /// Where it leads.
    pub(crate) fn host(&self) -> &SshHost {
        &self.host
    }

    /// Runs a script to its end. Blocks.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Unreachable`] where the connection does not stand or was cut: the script may have run, or may
    /// still run.
    pub(crate) fn run(&self, call: ScriptCall<'_>) -> Result<ScriptAnswer> {
        let kept = Kept::default();
        let mut answer = self.run_to(call, kept.clone(), ANSWER)?;
        answer.out = std::mem::take(&mut *kept.0.lock());
        Ok(answer)
    }

    /// The same; at most so many bytes of the answer are written to `to` as they come.
    ///
    /// # Errors
    /// Those of [`Self::run`]; a longer answer; `to` cannot be written.
    pub(crate) fn run_to(
        &self,
        call: ScriptCall<'_>,
        to: impl Write + Send + 'static,
        at_most: u64,
    ) -> Result<ScriptAnswer> {
        let _place = Place::take(self);
        let ScriptCall { script, arguments, limit, input } = call;
        let mut command = self.host.command();
        command.arg("-S").arg(self.socket()?).args(["-oControlMaster=no", "--", &self.host.host]);
        // Read byte by byte: whoever reads more than the script takes what is meant for it.
        let mut line = format!("exec /bin/sh -c 'eval \"$(dd bs=1 count={} 2>/dev/null)\"' lifeboat", script.len());
        for argument in arguments {
            line.push(' ');
            line.push_str(&shell_word(argument));
        }
        command.arg(line);
        let found = Arc::new(Mutex::new(false));
        let after = AfterMark { held: Vec::new(), found: found.clone(), to };
        let most = at_most.saturating_add((MARK.len() + NOISE) as u64);
        let run = Subprocess::new(command).limit(Some(limit)).output_to(after, most).written(|pipe| {
            pipe.write_all(script.as_bytes())?;
            input.map_or(Ok(()), |input| input(pipe))
        });
        let ended = match run.run() {
            Err(SubprocessError::NotStarted(e)) => return Err(SshHost::not_started(e)),
            ended => ended.map_err(|e| e.explained(&format!("a call on `{}`", self.host.host)))?,
        };
        let said = shown_lines(&ended.stderr);
        // 255 is ssh's own; it is killed with the connection.
        let Some(code) = ended.status.code().filter(|code| *code != 255) else {
            self.forget_what_broke();
            return Err(self.unreachable(&said, "the connection was cut"));
        };
        if !*found.lock() && code == 0 {
            return Err(Error::fatal(format!("`{}` did not run a script as `sh` does", self.host.host))
                .hint("the user there needs a shell, and no forced command"));
        }
        Ok(ScriptAnswer { code, out: Vec::new(), said })
    }

    fn unreachable(&self, said: &[String], otherwise: &str) -> Error {
        let by_hand = self.host.shown("ssh", "-p");
        self.host.unreachable(said, otherwise).hint(format!("`{by_hand} true` shows what ssh lacks"))
    }

    /// The connection's socket; makes the connection if there is none.
    fn socket(&self) -> Result<PathBuf> {
        let mut kept = self.master.lock();
        if let Some(master) = kept.as_mut()
            && master.is_alive()
        {
            return Ok(master.socket.clone());
        }
        *kept = None;
        let master = Master::start(&self.host).map_err(|failed| match failed {
            NotConnected::Said(said) => self.unreachable(&said, "it does not answer"),
            NotConnected::Failed(e) => e,
        })?;
        Ok(kept.insert(master).socket.clone())
    }

    /// The next call makes the connection anew, if it broke. One that stands has other calls: it is left alone, and ends by
    /// itself if nothing comes from the other side.
    fn forget_what_broke(&self) {
        let begun = Instant::now();
        let mut kept = self.master.lock();
        while let Some(master) = kept.as_mut() {
            if !master.is_alive() {
                *kept = None;
            } else if begun.elapsed() > ENDING {
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// One of the calls that may be under way.
struct Place<'a>(&'a SharedConnection);

impl<'a> Place<'a> {
    fn take(of: &'a SharedConnection) -> Self {
        let mut under_way = of.under_way.lock();
        while *under_way >= AT_ONCE {
            of.one_ended.wait(&mut under_way);
        }
        *under_way += 1;
        Self(of)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        *self.0.under_way.lock() -= 1;
        self.0.one_ended.notify_one();
    }
}

/// The `ssh` that has the connection. It ends with this program: its command reads what this one never writes.
struct Master {
    ssh: Child,
    socket: PathBuf,
    _dir: TempDir,
}

/// Why there is no connection.
enum NotConnected {
    /// What ssh said.
    Said(Vec<String>),
    /// Something of this machine.
    Failed(Error),
}

impl Master {
    fn start(host: &SshHost) -> Result<Self, NotConnected> {
        let (mut ssh, dir, heard) = Self::spawn(host).map_err(NotConnected::Failed)?;
        let socket = dir.path().join("s");
        let begun = Instant::now();
        let stands = loop {
            if socket.exists() {
                break true;
            }
            if !matches!(ssh.try_wait(), Ok(None)) || begun.elapsed() > CONNECTING {
                break false;
            }
            thread::sleep(Duration::from_millis(5));
        };
        let master = Self { ssh, socket, _dir: dir };
        if stands {
            return Ok(master);
        }
        let said = std::fs::read(&heard).unwrap_or_default();
        drop(master);
        Err(NotConnected::Said(shown_lines(&said)))
    }

    fn spawn(host: &SshHost) -> Result<(Child, TempDir, PathBuf)> {
        let usual = std::env::temp_dir();
        let short = if usual.as_os_str().len() < SOCKET_LENGTH { usual.as_path() } else { Path::new("/tmp") };
        let what = || format!("cannot make a directory for a connection in `{}`", short.display());
        // Of this user alone: whoever can write to the socket has the connection.
        let dir = tempfile::Builder::new().prefix("lb").tempdir_in(short).context(what())?;
        let heard = dir.path().join("said");
        let errors = File::create(&heard).context(what())?;
        let mut command = host.command();
        command.args(["-M", "-oControlPersist=no", "-S"]).arg(dir.path().join("s"));
        command.args(["--", &host.host, "exec cat"]);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(errors);
        // Ctrl-C is for the program alone, which ends its calls in order.
        command.process_group(0);
        let ssh = command.spawn().map_err(SshHost::not_started)?;
        Ok((ssh, dir, heard))
    }

    fn is_alive(&mut self) -> bool {
        matches!(self.ssh.try_wait(), Ok(None)) && self.socket.exists()
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.ssh.kill());
        drop(self.ssh.wait());
    }
}

/// An answer in memory.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Passes on what comes after the mark.
struct AfterMark<W> {
    held: Vec<u8>,
    found: Arc<Mutex<bool>>,
    to: W,
}

impl<W: Write> Write for AfterMark<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if *self.found.lock() {
            return self.to.write(bytes);
        }
        self.held.extend_from_slice(bytes);
        if let Some(at) = self.held.windows(MARK.len()).position(|w| w == MARK) {
            *self.found.lock() = true;
            self.to.write_all(&self.held[at + MARK.len()..])?;
            self.held = Vec::new();
        } else if self.held.len() > NOISE {
            return Err(io::Error::other("the user's profile there prints too much"));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_profile_prints_is_not_the_answer() {
        for size in [1, 3, 1000] {
            let kept = Kept::default();
            let mut after = AfterMark { held: Vec::new(), found: Arc::default(), to: kept.clone() };
            let sent = b"Welcome!\n--lifeboat--\nyes\n--lifeboat--\n";
            sent.chunks(size).for_each(|piece| after.write_all(piece).unwrap());
            assert_eq!(*kept.0.lock(), b"yes\n--lifeboat--\n", "{size}");
        }
        let mut after = AfterMark { held: Vec::new(), found: Arc::default(), to: io::sink() };
        assert!((0..1000).map(|_| after.write_all(&[b'x'; 1000])).any(|w| w.is_err()));
    }
}
