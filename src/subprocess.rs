//! Programs that are run for what they print: started, fed, bounded, ended and waited for in one way.
//!
//! Some are started in another way, each for a reason. A job outlives whoever started it (`runners/local`). The guard of a
//! bump ends after its program (`checkout/apply`). The first process of a sandbox waits for all that are in it
//! (`sandbox/init`). Connections to sshd are kept (`ssh`). What gpg decrypts may be larger than the memory, so it
//! goes in and out at once (`signers/decrypt`).

use std::io::{self, ErrorKind as IoKind, Read, Write};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Context as _, Error, ErrorKind};

/// What each of its two streams may hold, in bytes, unless a call says otherwise.
const MOST: usize = 64 << 20;

/// How long the output of a program with a time limit is waited for after its end: another process that it left behind may
/// hold the pipe open, such as ssh's master of shared connections.
const PATIENCE: Duration = Duration::from_secs(2);

/// Writes a program's input.
type WriteInput<'a> = Box<dyn FnOnce(&mut ChildStdin) -> io::Result<()> + 'a>;

/// What a program reads on its standard input.
enum Input<'a> {
    Nothing,
    /// What the command was given.
    Own,
    Bytes(Vec<u8>),
    Written(WriteInput<'a>),
}

/// How much of the output is kept, in bytes of each stream.
#[derive(Debug, Clone, Copy)]
enum Kept {
    All,
    /// More is an error.
    AtMost(usize),
    /// At least the last ones.
    Last(usize),
}

/// A program to be run to its end.
pub(crate) struct Subprocess<'a> {
    command: Command,
    input: Input<'a>,
    stderr: Stdio,
    kept: Kept,
    output: Option<(Box<dyn Write + Send>, u64)>,
    limit: Option<Duration>,
    cancelled: Option<Arc<AtomicBool>>,
}

/// What a program printed, and how it ended.
#[derive(Debug)]
pub(crate) struct SubprocessOutput {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

/// Why there is no output.
#[derive(Debug)]
pub(crate) enum SubprocessError {
    /// It cannot be started.
    NotStarted(io::Error),
    /// It took longer than this, and was killed.
    Late(Duration),
    /// It was killed because the caller is cancelled.
    Cancelled,
    /// It printed more than this many bytes.
    TooLong(usize),
    /// Its input cannot be read, or written.
    NotFed(io::Error),
    /// Its output or its end cannot be read.
    NotRead(io::Error),
}

impl SubprocessError {
    /// Whether there is no such program.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Self::NotStarted(e) if e.kind() == IoKind::NotFound)
    }

    /// The error of a call of `what`, such as `` `gpg` ``.
    pub(crate) fn explained(self, what: &str) -> Error {
        match self {
            Self::NotStarted(e) if e.kind() == IoKind::NotFound => {
                Error::input(format!("cannot run {what}: there is no such program")).because(e)
            }
            Self::NotStarted(e) => Error::fatal(format!("cannot run {what}: {e}")).because(e),
            Self::Late(limit) => {
                Error::new(ErrorKind::Unreachable, format!("{what} did not finish within {limit:.0?} and was stopped"))
            }
            Self::Cancelled => Error::transient(format!("{what} was stopped")),
            Self::TooLong(most) => Error::fatal(format!("{what} printed more than {} KiB", most >> 10)),
            Self::NotFed(e) => foreign(e, &format!("cannot give {what} its input")),
            Self::NotRead(e) => foreign(e, &format!("cannot read what {what} printed")),
        }
    }
}

fn foreign(e: io::Error, what: &str) -> Error {
    Err(e).context(what).unwrap_or_else(|e| e)
}

impl<'a> Subprocess<'a> {
    /// Runs `command` without input. Its output is caught; at most 64 MiB of each stream.
    pub(crate) fn new(command: Command) -> Self {
        Self {
            command,
            input: Input::Nothing,
            stderr: Stdio::piped(),
            kept: Kept::AtMost(MOST),
            output: None,
            limit: None,
            cancelled: None,
        }
    }

    /// Gives these bytes on standard input. A program may end before it has read them all.
    pub(crate) fn input(mut self, bytes: Vec<u8>) -> Self {
        if !bytes.is_empty() {
            self.input = Input::Bytes(bytes);
        }
        self
    }

    /// Lets `write` give the input. A program may end before it has read all; a time limit counts from when it has.
    pub(crate) fn written(mut self, write: impl FnOnce(&mut ChildStdin) -> io::Result<()> + 'a) -> Self {
        self.input = Input::Written(Box::new(write));
        self
    }

    /// Leaves the standard input as the command has it.
    pub(crate) fn own_input(mut self) -> Self {
        self.input = Input::Own;
        self
    }

    /// Sends standard error there, instead of catching it.
    pub(crate) fn stderr(mut self, to: Stdio) -> Self {
        self.stderr = to;
        self
    }

    /// Lets each stream be this long, in bytes. What prints more is refused.
    pub(crate) fn at_most(mut self, bytes: usize) -> Self {
        self.kept = Kept::AtMost(bytes);
        self
    }

    /// Writes standard output there as it comes, instead of keeping it: at most so many bytes. What prints more is refused.
    pub(crate) fn output_to(mut self, to: impl Write + Send + 'static, at_most: u64) -> Self {
        self.output = Some((Box::new(to), at_most));
        self
    }

    /// Keeps all output, however much it is.
    pub(crate) fn keep_all(mut self) -> Self {
        self.kept = Kept::All;
        self
    }

    /// Keeps the end of each stream, at least this many bytes.
    pub(crate) fn keep_last(mut self, bytes: usize) -> Self {
        self.kept = Kept::Last(bytes);
        self
    }

    /// Kills it, with the processes that it started, after this time.
    pub(crate) fn limit(mut self, limit: Option<Duration>) -> Self {
        self.limit = limit;
        self
    }

    /// Kills it, with the processes that it started, soon after this becomes true.
    pub(crate) fn cancelled_by(mut self, cancelled: Option<Arc<AtomicBool>>) -> Self {
        self.cancelled = cancelled;
        self
    }

    /// Runs it to its end. How it ended is in the output.
    pub(crate) fn run(mut self) -> Result<SubprocessOutput, SubprocessError> {
        self.command.stdout(Stdio::piped()).stderr(self.stderr);
        let stdin = match self.input {
            Input::Nothing => Some(Stdio::null()),
            Input::Own => None,
            Input::Bytes(_) | Input::Written(_) => Some(Stdio::piped()),
        };
        if let Some(stdin) = stdin {
            self.command.stdin(stdin);
        }
        let group = self.limit.is_some() || self.cancelled.is_some();
        if group {
            // One signal must reach what it starts, such as git's ssh.
            self.command.process_group(0);
        }
        let child = self.command.spawn().map_err(SubprocessError::NotStarted)?;
        let mut running = Running { child, group, ended: false };
        let stdout = match self.output.take() {
            Some((to, most)) => drain(running.child.stdout.take(), move |pipe| pass_on(pipe, to, most)),
            None => drain(running.child.stdout.take(), move |pipe| read(pipe, self.kept)),
        };
        let stderr = drain(running.child.stderr.take(), move |pipe| read(pipe, self.kept));
        match (self.input, running.child.stdin.take()) {
            // A program may stop reading when it has found a fault: a broken pipe says nothing that it does not say.
            (Input::Bytes(bytes), Some(mut pipe)) => drop(thread::spawn(move || drop(pipe.write_all(&bytes)))),
            (Input::Written(write), Some(mut pipe)) => match write(&mut pipe) {
                Err(e) if e.kind() != IoKind::BrokenPipe => {
                    // Before it sees the end of its input, which is not the end.
                    drop(running);
                    return Err(SubprocessError::NotFed(e));
                }
                _ => {}
            },
            _ => {}
        }
        let status = running.wait(self.limit, self.cancelled.as_deref())?;
        let patience = self.limit.map(|_| PATIENCE);
        Ok(SubprocessOutput { status, stdout: collect(&stdout, patience)?, stderr: collect(&stderr, patience)? })
    }
}

/// A program that was started: killed when it is dropped before its end.
struct Running {
    child: Child,
    group: bool,
    ended: bool,
}

impl Running {
    fn wait(&mut self, limit: Option<Duration>, cancelled: Option<&AtomicBool>) -> Result<ExitStatus, SubprocessError> {
        let start = Instant::now();
        let mut pause = Duration::from_millis(1);
        loop {
            let ended = if self.group { self.child.try_wait() } else { self.child.wait().map(Some) };
            if let Some(status) = ended.map_err(SubprocessError::NotRead)? {
                self.ended = true;
                return Ok(status);
            }
            if let Some(limit) = limit.filter(|limit| start.elapsed() >= *limit) {
                return Err(SubprocessError::Late(limit));
            }
            if cancelled.is_some_and(|c| c.load(Ordering::Relaxed)) {
                return Err(SubprocessError::Cancelled);
            }
            thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }

    fn kill(&mut self) {
        if self.group {
            let pid = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw);
            let killed = pid.map(|pid| rustix::process::kill_process_group(pid, rustix::process::Signal::KILL));
            if matches!(killed, Some(Ok(()))) {
                return;
            }
        }
        drop(self.child.kill());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            self.kill();
            drop(self.child.wait());
        }
    }
}

type Drained = Result<Vec<u8>, SubprocessError>;

/// Reads a stream to its end on a thread of its own: a program that nobody listens to would stand still.
fn drain<R: Read + Send + 'static>(
    pipe: Option<R>,
    read: impl FnOnce(R) -> Drained + Send + 'static,
) -> Receiver<Drained> {
    let (sender, drained) = mpsc::channel();
    match pipe {
        Some(pipe) => drop(thread::spawn(move || drop(sender.send(read(pipe))))),
        None => drop(sender.send(Ok(Vec::new()))),
    }
    drained
}

fn read(mut pipe: impl Read, kept: Kept) -> Drained {
    let mut out = Vec::new();
    let last = match kept {
        Kept::All => {
            pipe.read_to_end(&mut out).map_err(SubprocessError::NotRead)?;
            return Ok(out);
        }
        Kept::AtMost(most) => {
            let one_more = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
            pipe.take(one_more).read_to_end(&mut out).map_err(SubprocessError::NotRead)?;
            return if out.len() > most { Err(SubprocessError::TooLong(most)) } else { Ok(out) };
        }
        Kept::Last(last) => last,
    };
    let piece = u64::try_from(last).unwrap_or(u64::MAX).max(1);
    while pipe.by_ref().take(piece).read_to_end(&mut out).map_err(SubprocessError::NotRead)? > 0 {
        drop(out.drain(..out.len().saturating_sub(last)));
    }
    Ok(out)
}

fn pass_on(mut pipe: impl Read, mut to: Box<dyn Write + Send>, most: u64) -> Drained {
    let passed = io::copy(&mut pipe.by_ref().take(most), &mut to).map_err(SubprocessError::NotRead)?;
    let more = passed == most && pipe.read(&mut [0]).map_err(SubprocessError::NotRead)? > 0;
    to.flush().map_err(SubprocessError::NotRead)?;
    if more { Err(SubprocessError::TooLong(usize::try_from(most).unwrap_or(usize::MAX))) } else { Ok(Vec::new()) }
}

fn collect(drained: &Receiver<Drained>, patience: Option<Duration>) -> Drained {
    let got = match patience {
        None => drained.recv().ok(),
        Some(patience) => drained.recv_timeout(patience).ok(),
    };
    got.unwrap_or_else(|| Ok(Vec::new()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(line: &str) -> Subprocess<'static> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", line]);
        Subprocess::new(command)
    }

    #[test]
    fn what_goes_in_comes_out_however_much_it_is() {
        let much = vec![b'x'; 1 << 20];
        assert!(shell("cat").input(much.clone()).run().unwrap().stdout == much);
        assert!(shell("cat >&2").written(|to| to.write_all(&much)).run().unwrap().stderr == much);
        // It does not read, and yet ends.
        let deaf = shell("exit 3").written(|to| to.write_all(&much)).run().unwrap();
        assert_eq!((deaf.status.code(), deaf.stdout.len()), (Some(3), 0));
        assert_eq!(shell("cat").run().unwrap().stdout, b"", "no input, and not the one of this program");
    }

    #[test]
    fn input_that_cannot_be_read_ends_the_program() {
        let marker = tempfile::tempdir().unwrap();
        let line = format!("cat >/dev/null; : >'{}/whole'", marker.path().display());
        let failed = shell(&line).written(|_| Err(io::Error::other("a broken disk"))).run().unwrap_err();
        assert!(failed.explained("`cat`").report().contains("a broken disk"));
        assert!(!marker.path().join("whole").exists(), "it took half of the input for all of it");
    }

    #[test]
    fn a_time_limit_ends_it() {
        let late = shell("sleep 1000").limit(Some(Duration::from_millis(10))).run().unwrap_err();
        assert!(matches!(late, SubprocessError::Late(_)), "{late:?}");
        assert!(late.explained("`sleep`").message().contains("`sleep` did not finish within 10ms"));
        let in_time = shell("echo x").limit(Some(Duration::from_secs(600))).run().unwrap();
        assert_eq!(in_time.stdout, b"x\n");
    }

    #[test]
    fn what_it_started_ends_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        // The child of the shell reads it for as long as it lives.
        let line = format!("mkfifo '{0}'; sleep 1000 <>'{0}' & wait", fifo.display());
        let read_by_somebody = move || {
            let write = rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::NONBLOCK;
            rustix::fs::open(&fifo, write, rustix::fs::Mode::empty()).is_ok()
        };
        let until = |wanted: bool| {
            let start = Instant::now();
            while read_by_somebody() != wanted {
                assert!(start.elapsed() < Duration::from_secs(60), "the child of the shell: expected {wanted}");
                thread::sleep(Duration::from_millis(1));
            }
        };
        let cancelled = Arc::new(AtomicBool::new(false));
        let ended = thread::scope(|scope| {
            let ended = scope.spawn(|| shell(&line).cancelled_by(Some(Arc::clone(&cancelled))).run());
            until(true);
            cancelled.store(true, Ordering::Relaxed);
            ended.join().unwrap()
        });
        assert!(matches!(ended, Err(SubprocessError::Cancelled)));
        until(false);
    }

    #[test]
    fn output_is_bounded() {
        assert_eq!(shell("printf 12345").at_most(5).run().unwrap().stdout, b"12345");
        assert!(matches!(shell("printf 123456 >&2").at_most(5).run(), Err(SubprocessError::TooLong(5))));
        // Whoever prints forever is ended by it.
        assert!(matches!(shell("yes").at_most(1 << 16).run(), Err(SubprocessError::TooLong(_))));
        for (line, last) in [("printf 1234567", "4567"), ("printf 123", "123"), ("printf 12345678", "5678")] {
            assert_eq!(shell(line).keep_last(4).run().unwrap().stdout, last.as_bytes());
        }
    }

    #[test]
    fn output_is_passed_on_up_to_a_bound() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let whole = shell("printf 12345").output_to(file.reopen().unwrap(), 5).run().unwrap();
        assert_eq!((whole.stdout.len(), std::fs::read(file.path()).unwrap()), (0, b"12345".to_vec()));
        let longer = shell("printf 123456").output_to(file.reopen().unwrap(), 5).run();
        assert!(matches!(longer, Err(SubprocessError::TooLong(5))));
        assert!(matches!(shell("yes").output_to(io::sink(), 1 << 20).run(), Err(SubprocessError::TooLong(_))));
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        assert!(matches!(shell("yes").output_to(full, 1 << 20).run(), Err(SubprocessError::NotRead(_))));
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let missing = Subprocess::new(Command::new("/nonexistent/program")).run().unwrap_err();
        assert!(missing.is_missing());
        assert!(missing.explained("`program`").message().contains("cannot run `program`: there is no such program"));
        let denied = Subprocess::new(Command::new("/dev/null")).run().unwrap_err();
        assert!(!denied.is_missing());
    }
}
