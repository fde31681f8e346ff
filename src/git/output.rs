//! What a call of the git program left: its output, how it ended, and the error that it makes.

use crate::error::{Error, ErrorKind, Result};

/// What git printed and how it ended.
#[derive(Debug)]
pub struct GitOutput {
    pub(super) verb: String,
    /// The exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub(super) signal: Option<i32>,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: String,
}

impl GitOutput {
    /// What a failed call leaves, for tests of those who read it.
    #[cfg(test)]
    pub(crate) fn failed(verb: &str, code: i32, stderr: &str) -> Self {
        Self { verb: verb.to_owned(), code: Some(code), signal: None, stdout: Vec::new(), stderr: stderr.to_owned() }
    }

    /// Whether git said that it succeeded.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.code == Some(0)
    }

    /// The standard output of a success.
    ///
    /// # Errors
    /// Git failed: what it said, after `what`.
    pub fn checked(self, what: &str) -> Result<Vec<u8>> {
        if self.succeeded() { Ok(self.stdout) } else { Err(self.failure(what)) }
    }

    /// The error for a failure: `what`, then the last line that git said; all of them as details.
    #[must_use]
    pub fn failure(&self, what: &str) -> Error {
        let full = self.disk_was_full();
        let kind = if full { ErrorKind::Transient } else { ErrorKind::Fatal };
        let lines: Vec<String> =
            self.stderr.lines().filter(|l| !l.trim().is_empty()).map(crate::model::escape).collect();
        let said = lines.iter().rev().find(|l| l.starts_with("fatal:") || l.starts_with("error:")).or(lines.last());
        let limited = self.signal == Some(rustix::process::Signal::XFSZ.as_raw());
        let ended = match (self.code, self.signal) {
            (Some(code), _) => format!("`git {}` ended with code {code}", self.verb),
            _ if limited => format!("`git {}` reached this shell's limit on the size of files", self.verb),
            (_, Some(signal)) => format!("`git {}` was killed by signal {signal}", self.verb),
            _ => format!("`git {}` was killed by a signal", self.verb),
        };
        let mut e = Error::new(kind, format!("{what}: {}", said.cloned().unwrap_or(ended)));
        if limited {
            e = e.hint("run the same command again from a shell with `ulimit -f unlimited`");
        }
        for line in lines.iter().take(20).filter(|l| Some(*l) != said) {
            e = e.detail(format!("git: {line}"));
        }
        if full { crate::effects::files::explained(e) } else { e }
    }

    /// Whether git failed because it could not write; it does not always say why.
    #[must_use]
    pub(super) fn disk_was_full(&self) -> bool {
        const SAID: [&str; 5] =
            ["No space left on device", "Disk quota exceeded", "Out of diskspace", "nable to write", "write error"];
        !self.succeeded() && SAID.iter().any(|t| self.stderr.contains(t))
    }
}
