//! One channel over which a subsystem of sshd is spoken to, such as SFTP.

use std::process::Stdio;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::task::JoinHandle;

use super::{SHOWN, SshHost, shown_line};
use crate::error::{Error, Result};

/// The last lines that an `ssh` printed for people.
#[derive(Debug, Clone, Default)]
pub(crate) struct SaidLines(Arc<Mutex<Vec<String>>>);

impl SaidLines {
    /// All of them.
    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().clone()
    }

    /// The last one.
    pub(crate) fn last(&self) -> Option<String> {
        self.0.lock().last().cloned()
    }

    fn add(&self, line: &str) {
        let mut lines = self.0.lock();
        if lines.len() == SHOWN {
            lines.remove(0);
        }
        lines.push(shown_line(line));
    }
}

/// A subsystem that was asked for; its `ssh` is killed when this is dropped.
pub(crate) struct SshSession {
    /// What is sent to it.
    pub(crate) stdin: ChildStdin,
    /// What comes from it.
    pub(crate) stdout: ChildStdout,
    /// What `ssh` says.
    pub(crate) said: SaidLines,
    /// Ends when `ssh` says no more.
    pub(crate) hearing: JoinHandle<()>,
    /// To be kept for as long as the session is used.
    pub(crate) ssh: Child,
}

impl SshHost {
    /// Starts an `ssh` that asks for a subsystem. Whether it gets it shows when it is spoken to.
    ///
    /// # Errors
    /// There is no `ssh`.
    pub(crate) fn subsystem(&self, name: &str) -> Result<SshSession> {
        let mut command = tokio::process::Command::from(self.command());
        command.args(["-s", "--", &self.host, name]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        // Ctrl-C is for the program alone, which ends its calls in order.
        command.process_group(0);
        let mut ssh = command.spawn().map_err(Self::not_started)?;
        let (Some(stdin), Some(stdout), Some(stderr)) = (ssh.stdin.take(), ssh.stdout.take(), ssh.stderr.take()) else {
            return Err(Error::fatal("`ssh` was started without pipes"));
        };
        let said = SaidLines::default();
        let heard = said.clone();
        let hearing = tokio::spawn(async move {
            let mut lines = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                heard.add(&line);
            }
        });
        Ok(SshSession { stdin, stdout, said, hearing, ssh })
    }
}
