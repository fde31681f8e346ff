//! The one place that prints: text for people, JSON for programs, progress for those who wait.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use serde::Serialize;

use super::{Global, progress};
use crate::effects::Progress;
use crate::error::{Context as _, Error, Result};
use crate::model::escape;

/// Where results, progress and failures go.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    json: bool,
    quiet: bool,
    verbose: bool,
    heartbeat: std::time::Duration,
}

impl Output {
    /// As the global options say.
    #[must_use]
    pub fn new(global: &Global) -> Self {
        let heartbeat = std::time::Duration::from_secs(global.heartbeat);
        Self { json: global.json, quiet: global.quiet, verbose: global.verbose, heartbeat }
    }

    /// Whether the result is one JSON value.
    #[must_use]
    pub fn json(&self) -> bool {
        self.json
    }

    /// Prints text for people; with `--json`, nothing.
    ///
    /// # Errors
    /// A closed standard output.
    pub fn text(&self, text: impl AsRef<str>) -> Result<()> {
        if self.json {
            return Ok(());
        }
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", text.as_ref()).and_then(|()| out.flush()).context("cannot write to standard output")
    }

    /// Prints the result: `text` for people, `value` as JSON.
    ///
    /// # Errors
    /// A closed standard output.
    pub fn result(&self, text: impl AsRef<str>, value: &impl Serialize) -> Result<()> {
        if !self.json {
            return self.text(text);
        }
        let mut out = std::io::stdout().lock();
        serde_json::to_writer_pretty(&mut out, value).context("cannot write JSON")?;
        writeln!(out).and_then(|()| out.flush()).context("cannot write to standard output")
    }

    /// Reports a failure on standard error, as JSON with `--json`, and gives its exit code.
    #[must_use]
    pub fn fail(&self, error: &Error) -> ExitCode {
        self.fail_all(&[error]);
        ExitCode::from(error.kind().exit_code())
    }

    /// Reports failures on standard error. With `--json` they are one value: the first failure, the others as its `more`.
    pub fn fail_all(&self, errors: &[&Error]) {
        let Some((first, more)) = errors.split_first() else { return };
        let text = if self.json {
            let mut value = as_json(first);
            if !more.is_empty() {
                value["more"] = more.iter().map(|e| as_json(e)).collect();
            }
            value.to_string()
        } else {
            shown(&errors.iter().map(|e| e.report()).collect::<Vec<_>>().join("\n"))
        };
        // With standard error closed there is nobody left to tell.
        drop(writeln!(std::io::stderr().lock(), "{text}"));
    }

    /// A line beside the result, on standard error; with `--quiet`, nothing.
    pub fn note(&self, text: &str) {
        if self.quiet {
            return;
        }
        drop(writeln!(std::io::stderr().lock(), "{}", shown(text)));
    }

    /// Progress: a bar on a terminal, plain lines and a heartbeat elsewhere, nothing with `--json` or `--quiet`.
    #[must_use]
    pub fn progress(&self) -> Arc<dyn Progress> {
        progress::watch(self.json || self.quiet, self.heartbeat, self.verbose)
    }
}

/// Text of several lines for a terminal: names and values out of a tree may hold what would steer it.
fn shown(text: &str) -> String {
    let parts = text.split_inclusive(['\n', '\t']);
    parts
        .map(|part| {
            let bare = part.trim_end_matches(['\n', '\t']);
            escape(bare) + &part[bare.len()..]
        })
        .collect()
}

fn as_json(error: &Error) -> serde_json::Value {
    serde_json::json!({
        "error": error.message(),
        "kind": error.kind(),
        "exit_code": error.kind().exit_code(),
        "details": error.details(),
        "hints": error.hints(),
        "report": error.report(),
    })
}
