//! One session of SFTP over the user's own `ssh`, made when it is needed and made anew when it broke.

use std::future::Future;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use openssh_sftp_client::{Error as Sftp3, Sftp, SftpOptions, error::SftpErrorKind};
use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::Address;
use crate::error::{Error, ErrorKind, Part, Result};
use crate::model::escape;

/// Until a session stands: look-up, connection, keys.
const CONNECTING: Duration = Duration::from_secs(20);
/// How long one call may take: sshd answers at once, but a disk may be busy.
const PATIENCE: Duration = Duration::from_secs(60);
/// Given before the user's configuration is read, which thus counts for the rest. Nobody is there to be asked; a connection that
/// died is noticed within 15 s; and nothing is forwarded that the user forwards elsewhere.
const OPTIONS: [&str; 8] = [
    "BatchMode=yes",
    "ConnectTimeout=10",
    "ServerAliveInterval=5",
    "ServerAliveCountMax=3",
    "ForwardAgent=no",
    "ForwardX11=no",
    "ClearAllForwardings=yes",
    "PermitLocalCommand=no",
];
/// How many bytes of a file are sent ahead of the server's answers: what a connection of 160 Mbit/s and 100 ms holds.
const UNANSWERED: usize = 2 << 20;
/// How many of ssh's own lines an error shows.
const SHOWN: usize = 4;

/// Where sessions are made.
pub(super) struct Connection {
    address: Address,
    ssh_config: Option<PathBuf>,
    session: tokio::sync::Mutex<Option<Arc<Session>>>,
}

/// A session that stands.
pub(super) struct Session {
    sftp: Sftp,
    /// Killed when the session is dropped.
    _ssh: Child,
    said: Arc<Mutex<Vec<String>>>,
}

/// What a call found that the server refused: the kinds that callers tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// There is no such file.
    Absent,
    /// SFTP 3 has one word for "it exists", "the disk is full" and others.
    Failure,
}

impl Connection {
    pub(super) fn new(address: Address, ssh_config: Option<PathBuf>) -> Self {
        Self { address, ssh_config, session: tokio::sync::Mutex::default() }
    }

    /// The path of a key on the server.
    pub(super) fn path(&self, key: &str) -> String {
        if key.is_empty() { self.address.root.clone() } else { format!("{}/{key}", self.address.root) }
    }

    /// The session, made if there is none.
    pub(super) async fn session(&self) -> Result<Arc<Session>> {
        let mut kept = self.session.lock().await;
        if let Some(session) = &*kept {
            return Ok(session.clone());
        }
        let session = Arc::new(self.connect().await?);
        *kept = Some(session.clone());
        Ok(session)
    }

    /// Forgets a session that broke, so that the next call makes one.
    async fn forget(&self, broken: &Arc<Session>) {
        let mut kept = self.session.lock().await;
        if kept.as_ref().is_some_and(|session| Arc::ptr_eq(session, broken)) {
            *kept = None;
        }
    }

    async fn connect(&self) -> Result<Session> {
        let Address { user, host, port, .. } = &self.address;
        let mut command = Command::new("ssh");
        command.arg("-T");
        if let Some(file) = &self.ssh_config {
            command.arg("-F").arg(file);
        }
        for option in OPTIONS {
            command.arg(format!("-o{option}"));
        }
        if let Some(port) = port {
            command.args(["-p", &port.to_string()]);
        }
        if let Some(user) = user {
            command.args(["-l", user]);
        }
        command.args(["-s", "--", host, "sftp"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        // Ctrl-C is for the program alone, which ends its calls in order.
        command.process_group(0);
        let mut ssh = command.spawn().map_err(|e| {
            Error::input("cannot run `ssh`")
                .because(e)
                .hint("install OpenSSH's client: `apt-get install openssh-client`")
        })?;
        let said = Arc::new(Mutex::new(Vec::new()));
        let (Some(stdin), Some(stdout), Some(stderr)) = (ssh.stdin.take(), ssh.stdout.take(), ssh.stderr.take()) else {
            return Err(Error::fatal("`ssh` was started without pipes"));
        };
        let heard = said.clone();
        let hearing = tokio::spawn(async move {
            let mut lines = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let mut heard = heard.lock();
                if heard.len() == SHOWN {
                    heard.remove(0);
                }
                heard.push(escape(line.trim()).chars().take(200).collect());
            }
        });
        // Writes go out at once: an act here waits for its answer before the next.
        let options = SftpOptions::new().flush_interval(Duration::ZERO);
        let options =
            NonZeroUsize::new(UNANSWERED).map_or(options, |limit| options.tokio_compat_file_write_limit(limit));
        match tokio::time::timeout(CONNECTING, Sftp::new(stdin, stdout, options)).await {
            Ok(Ok(sftp)) => Ok(Session { sftp, _ssh: ssh, said }),
            Ok(Err(e)) => {
                // What ssh has to say comes just before it ends.
                drop(tokio::time::timeout(Duration::from_secs(1), hearing).await);
                Err(self.unreachable(&said, &e.to_string()))
            }
            Err(_) => Err(self.unreachable(&said, &format!("no session within {} s", CONNECTING.as_secs()))),
        }
    }

    fn unreachable(&self, said: &Mutex<Vec<String>>, otherwise: &str) -> Error {
        let said = said.lock();
        let why = said.last().map_or(otherwise, String::as_str);
        let mut e =
            Error::new(ErrorKind::Unreachable, format!("`{}` cannot be reached by ssh: {why}", self.address.host));
        for line in said.iter().rev().skip(1).rev() {
            e = e.detail(line.clone());
        }
        e.of(Part::Store).hint(format!("`{}` shows what ssh lacks", self.shown()))
    }

    /// A command that tries the same by hand.
    fn shown(&self) -> String {
        let Address { user, host, port, .. } = &self.address;
        let config = self.ssh_config.as_ref().map(|file| format!(" -F {}", file.display())).unwrap_or_default();
        let port = port.map(|port| format!(" -P {port}")).unwrap_or_default();
        let user = user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
        format!("sftp{config}{port} {user}{host}")
    }

    /// Runs one call of SFTP within a deadline. What the server refuses in a way that callers know is an `Ok(Err(…))`.
    ///
    /// # Errors
    /// [`ErrorKind::Transient`] of [`Part::Store`] when the session broke: the call may have happened.
    pub(super) async fn call<T>(
        &self,
        doing: &str,
        session: &Arc<Session>,
        call: impl Future<Output = std::result::Result<T, Sftp3>>,
    ) -> Result<std::result::Result<T, Refused>> {
        let e = match tokio::time::timeout(PATIENCE, call).await {
            Ok(Ok(done)) => return Ok(Ok(done)),
            Ok(Err(e)) => e,
            Err(_) => {
                self.forget(session).await;
                let what = format!("cannot {doing}: no answer within {} s", PATIENCE.as_secs());
                return Err(Error::transient(what).of(Part::Store));
            }
        };
        match e {
            Sftp3::SftpError(SftpErrorKind::NoSuchFile, _) => Ok(Err(Refused::Absent)),
            Sftp3::SftpError(SftpErrorKind::Failure, _) => Ok(Err(Refused::Failure)),
            Sftp3::SftpError(SftpErrorKind::PermDenied, _) => {
                Err(Error::input(format!("cannot {doing}: permission denied"))
                    .of(Part::Store)
                    .hint(format!("this user must be able to write in `{}` on that machine", self.address.root)))
            }
            Sftp3::SftpError(kind, said) => {
                Err(Error::fatal(format!("cannot {doing}: {}", escape(&format!("{kind:?}: {said}")))).of(Part::Store))
            }
            Sftp3::UnsupportedExtension(name) => {
                Err(Error::input(format!("cannot {doing}: the server lacks `{name}`"))
                    .of(Part::Store)
                    .hint("a store needs OpenSSH's sftp-server, or one with `hardlink`, `posix-rename` and `fsync`"))
            }
            broken => {
                self.forget(session).await;
                let said = session.said.lock().last().cloned();
                let why = said.unwrap_or_else(|| escape(&broken.to_string()));
                Err(Error::transient(format!("cannot {doing}: the connection is cut: {why}")).of(Part::Store))
            }
        }
    }
}

impl Session {
    pub(super) fn sftp(&self) -> &Sftp {
        &self.sftp
    }
}
