//! One error type for the whole program: what kind of failure it is, what happened, why, and what to do next.

use std::fmt;

/// The result of everything that can fail here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of failure an [`Error`] is; decides the exit code and whether a step is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorKind {
    /// The command line, the configuration or another input is wrong: exit code 2.
    Input,
    /// Something exists with other bytes than ours; a person must decide: exit code 4.
    Conflict,
    /// It may work when tried again (a time-out, a full disk, a busy lock): exit code 5.
    Transient,
    /// A destination cannot be reached; deferrable steps wait for it: exit code 5.
    Unreachable,
    /// A signature, digest or threshold does not hold: exit code 6.
    Verification,
    /// Anything else that ends a step for good: exit code 1.
    Fatal,
}

impl ErrorKind {
    /// The documented exit code of a command that ends with this kind of failure.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Fatal => 1,
            Self::Input => 2,
            Self::Conflict => 4,
            Self::Transient | Self::Unreachable => 5,
            Self::Verification => 6,
        }
    }
}

/// Which part of a destination a failure is about: each fails apart from the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// The API of a forge.
    Api,
    /// The host that takes a forge's assets.
    Uploads,
    /// A git server.
    Git,
    /// A store's files.
    Store,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Api => "api",
            Self::Uploads => "uploads",
            Self::Git => "git",
            Self::Store => "store",
        })
    }
}

/// A failure as a person reads it: a lowercase fragment that names the step and the path, details, a cause, hints.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    details: Vec<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
    hints: Vec<String>,
    part: Option<Part>,
    absent: bool,
}

impl Error {
    /// Makes an error of `kind`; `message` is a lowercase fragment without a full stop.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            details: Vec::new(),
            source: None,
            hints: Vec::new(),
            part: None,
            absent: false,
        }
    }

    /// An [`ErrorKind::Input`] error.
    pub fn input(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Input, message)
    }

    /// An [`ErrorKind::Fatal`] error.
    pub fn fatal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Fatal, message)
    }

    /// An [`ErrorKind::Conflict`] error.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Conflict, message)
    }

    /// An [`ErrorKind::Verification`] error.
    pub fn verification(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Verification, message)
    }

    /// An [`ErrorKind::Transient`] error.
    pub fn transient(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Transient, message)
    }

    /// Adds the error that caused this one.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds a line of detail, shown indented below the message (`step: build/36.0.6/x86_64-linux`).
    #[must_use]
    pub fn detail(mut self, line: impl Into<String>) -> Self {
        self.details.push(line.into());
        self
    }

    /// Adds advice on what to do next, best of all a command.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Takes out the hints for which `unfit` holds.
    #[must_use]
    pub(crate) fn without_hints(mut self, unfit: impl Fn(&String) -> bool) -> Self {
        self.hints.retain(|hint| !unfit(hint));
        self
    }

    /// Puts what was being done before the message: `context: message`.
    #[must_use]
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.message = format!("{context}: {}", self.message);
        self
    }

    /// Puts more after the message: `message more`.
    #[must_use]
    pub fn followed_by(mut self, more: impl fmt::Display) -> Self {
        self.message = format!("{} {more}", self.message);
        self
    }

    /// Says which part of a destination this is about.
    #[must_use]
    pub fn of(mut self, part: Part) -> Self {
        self.part = Some(part);
        self
    }

    /// Which part of a destination this is about, where it is about one.
    #[must_use]
    pub fn part(&self) -> Option<Part> {
        self.part
    }

    /// Says that something is missing there, and nothing that is there is wrong.
    #[must_use]
    pub fn absent(mut self) -> Self {
        self.absent = true;
        self
    }

    /// Whether something is missing, and nothing that is there is wrong.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        self.absent
    }

    /// What kind of failure this is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The message alone, without details, cause and hints.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The hints, in the order in which they were added.
    #[must_use]
    pub fn hints(&self) -> &[String] {
        &self.hints
    }

    /// The lines of detail, in the order in which they were added.
    #[must_use]
    pub fn details(&self) -> &[String] {
        &self.details
    }

    /// The whole report as it stands on a terminal, without a final line end.
    #[must_use]
    pub fn report(&self) -> String {
        let mut out = format!("error: {}", self.message);
        for line in &self.details {
            for part in line.lines() {
                out.push_str("\n  ");
                out.push_str(part);
            }
        }
        let mut cause = std::error::Error::source(self);
        while let Some(c) = cause {
            let text = c.to_string();
            if !self.message.contains(&text) {
                out.push_str("\n  because: ");
                out.push_str(&text);
            }
            cause = c.source();
        }
        if !self.hints.is_empty() {
            out.push('\n');
        }
        for hint in &self.hints {
            out.push_str("\nhint: ");
            out.push_str(hint);
        }
        out
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|e| e as &(dyn std::error::Error + 'static))
    }
}

/// Adds what was being done to a foreign error, which becomes the cause.
pub trait Context<T> {
    /// Turns the error into a fatal [`Error`] that says what was being done.
    fn context(self, what: impl fmt::Display) -> Result<T>;
}

impl<T, E: std::error::Error + Send + Sync + 'static> Context<T> for std::result::Result<T, E> {
    fn context(self, what: impl fmt::Display) -> Result<T> {
        self.map_err(|e| {
            let e: Box<dyn std::error::Error + Send + Sync> = Box::new(e);
            match e.downcast::<Error>() {
                Ok(own) => own.context(what),
                Err(foreign) => {
                    let io = foreign.downcast_ref::<std::io::Error>();
                    let kind = io.map_or(ErrorKind::Fatal, io_kind);
                    let mut out = Error::new(kind, format!("{what}: {foreign}"));
                    if io.is_some_and(|e| e.kind() == std::io::ErrorKind::FileTooLarge) {
                        out = out.hint("this shell limits the size of files, or the disk's file system does: see `ulimit -f`; run the same command again from a shell with `ulimit -f unlimited`");
                    }
                    if io.is_some_and(is_full) {
                        out = out.hint("free some space on that disk and run the same command again: nothing half-written was kept");
                    }
                    out.source = Some(foreign);
                    out
                }
            }
        })
    }
}

/// A disk or a quota has no room left.
fn is_full(e: &std::io::Error) -> bool {
    matches!(e.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
}

/// A full disk, an interrupted call or a connection that broke off may pass when tried again; every other I/O failure is final until
/// fixed.
fn io_kind(e: &std::io::Error) -> ErrorKind {
    use std::io::ErrorKind as Io;
    match e.kind() {
        Io::StorageFull
        | Io::QuotaExceeded
        | Io::TimedOut
        | Io::Interrupted
        | Io::WouldBlock
        | Io::ConnectionAborted => ErrorKind::Transient,
        Io::ConnectionRefused | Io::ConnectionReset | Io::HostUnreachable | Io::NetworkUnreachable => {
            ErrorKind::Unreachable
        }
        _ => ErrorKind::Fatal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn report_shows_everything_once() {
        let e = Error::conflict("cannot promote `a.tar.gz`: object exists with another digest")
            .detail("step: promote/mirror/36.0.6")
            .because(std::io::Error::other("disk on fire"))
            .hint("nothing was overwritten; run `lifeboat status`");
        assert_eq!(
            e.report(),
            "error: cannot promote `a.tar.gz`: object exists with another digest\n  step: promote/mirror/36.0.6\n  because: disk on fire\n\nhint: nothing was overwritten; run `lifeboat status`"
        );
        assert_eq!(e.kind().exit_code(), 4);
    }
}
