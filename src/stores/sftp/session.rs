//! One session of SFTP over the user's own `ssh`, made when it is needed and made anew when it broke.

use std::future::Future;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use openssh_sftp_client::{Error as Sftp3, Sftp, SftpOptions, error::SftpErrorKind};
use tokio::process::Child;

use super::Address;
use crate::error::{Error, Part, Result};
use crate::model::escape;
use crate::ssh::{SaidLines, SshSession};

/// Until a session stands: look-up, connection, keys.
const CONNECTING: Duration = Duration::from_secs(20);
/// How long one call may take: sshd answers at once, but a disk may be busy.
const PATIENCE: Duration = Duration::from_secs(60);
/// How many bytes of a file are sent ahead of the server's answers: what a connection of 160 Mbit/s and 100 ms holds.
const UNANSWERED: usize = 2 << 20;

/// Where sessions are made.
pub(super) struct Connection {
    address: Address,
    session: tokio::sync::Mutex<Option<Arc<Session>>>,
}

/// A session that stands.
pub(super) struct Session {
    sftp: Sftp,
    /// Killed when the session is dropped.
    _ssh: Child,
    said: SaidLines,
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
    pub(super) fn new(address: Address) -> Self {
        Self { address, session: tokio::sync::Mutex::default() }
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
        let SshSession { stdin, stdout, said, hearing, ssh } = self.address.at.subsystem("sftp")?;
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

    fn unreachable(&self, said: &SaidLines, otherwise: &str) -> Error {
        let by_hand = self.address.at.shown("sftp", "-P");
        self.address.at.unreachable(&said.all(), otherwise).hint(format!("`{by_hand}` shows what ssh lacks"))
    }

    /// Runs one call of SFTP within a deadline. What the server refuses in a way that callers know is an `Ok(Err(…))`.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Transient`] of [`Part::Store`] when the session broke: the call may have happened.
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
                let said = session.said.last();
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
