//! The one place that prints: text for people, JSON for programs, progress for those who wait.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use serde::Serialize;

use super::paint::{self, Color, Stdout};
use super::{Global, progress};
use crate::effects::Progress;
use crate::error::{Context as _, Error, Result};
use crate::model::escape;

/// Where results, progress and failures go.
#[derive(Debug, Clone)]
pub struct Output {
    json: bool,
    quiet: bool,
    verbose: bool,
    heartbeat: std::time::Duration,
    color: Color,
    /// What was given on the command line and is needed by the next command too, as a shell reads it: ` --state DIR`.
    options: String,
}

impl Output {
    /// As the global options say.
    #[must_use]
    pub fn new(global: &Global) -> Self {
        let heartbeat = std::time::Duration::from_secs(global.heartbeat);
        let options = global.repeated();
        let (json, quiet, verbose, color) = (global.json, global.quiet, global.verbose, global.color);
        Self { json, quiet, verbose, heartbeat, color, options }
    }

    /// The commands in a text, each with the options of this one: whoever pastes it means the same project and state. A
    /// command for another machine stands behind "there: " and stays as it is.
    #[must_use]
    pub(crate) fn pasteable(&self, text: &str) -> String {
        const COMMAND: &str = "`lifeboat ";
        if self.options.is_empty() {
            return text.to_owned();
        }
        const ELSEWHERE: &str = "there: ";
        let mut parts = text.split(COMMAND);
        let mut out = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            if out.ends_with(ELSEWHERE) {
                out.push_str(&format!("{COMMAND}{part}"));
                continue;
            }
            let end = part.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(part.len());
            out.push_str(&format!("{COMMAND}{}{}{}", &part[..end], self.options, &part[end..]));
        }
        out
    }

    /// Prints what a verb wrote by itself: text for people, or JSON as it is.
    ///
    /// # Errors
    /// A closed standard output.
    pub(super) fn written(&self, text: &[u8]) -> Result<()> {
        let text = String::from_utf8_lossy(text);
        let (text, color) =
            if self.json { (text.into_owned(), Color::Never) } else { (self.pasteable(&text), self.color) };
        let mut out = Stdout::new(color);
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("cannot write to standard output")
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
        let mut out = Stdout::new(self.color);
        let text = self.pasteable(text.as_ref());
        writeln!(out, "{text}").and_then(|()| out.flush()).context("cannot write to standard output")
    }

    /// Prints the result: `text` for people, `value` as JSON.
    ///
    /// # Errors
    /// A closed standard output.
    pub fn result(&self, text: impl AsRef<str>, value: &impl Serialize) -> Result<()> {
        if !self.json {
            return self.text(text);
        }
        let mut out = Stdout::new(Color::Never);
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
    pub(crate) fn fail_all(&self, errors: &[&Error]) {
        let Some((first, more)) = errors.split_first() else { return };
        let text = if self.json {
            let mut value = self.as_json(first);
            if !more.is_empty() {
                value["more"] = more.iter().map(|e| self.as_json(e)).collect();
            }
            value.to_string()
        } else {
            shown(&self.pasteable(&errors.iter().map(|e| e.report()).collect::<Vec<_>>().join("\n")))
        };
        // With standard error closed there is nowhere left to write.
        if self.json {
            drop(writeln!(std::io::stderr().lock(), "{text}"));
        } else {
            self.say(&text);
        }
    }

    /// Text on standard error.
    fn say(&self, text: &str) {
        let colour = self.color.on(&std::io::stderr());
        let text = if colour { paint::painted(text) } else { text.to_owned() };
        drop(writeln!(std::io::stderr().lock(), "{text}"));
    }

    /// A line beside the result, on standard error, that nobody may miss: with `--quiet` as well.
    pub fn warn(&self, text: &str) {
        self.say(&shown(&self.pasteable(text)));
    }

    /// A line beside the result, on standard error; with `--quiet`, nothing.
    pub fn note(&self, text: &str) {
        if self.quiet {
            return;
        }
        self.say(&shown(&self.pasteable(text)));
    }

    fn as_json(&self, error: &Error) -> serde_json::Value {
        serde_json::json!({
            "error": error.message(),
            "kind": error.kind(),
            "exit_code": error.kind().exit_code(),
            "details": error.details(),
            "hints": error.hints().iter().map(|h| self.pasteable(h)).collect::<Vec<_>>(),
            "report": self.pasteable(&error.report()),
        })
    }

    /// Progress: a bar on a terminal, plain lines and a heartbeat elsewhere, nothing with `--json` or `--quiet`.
    #[must_use]
    pub fn progress(&self) -> Arc<dyn Progress> {
        let colour = self.color.on(&std::io::stderr());
        progress::watch(self.json || self.quiet, self.heartbeat, progress::LineStyle { verbose: self.verbose, colour })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_to_paste_has_the_options_of_the_one_that_said_it() {
        let plain = Global::default();
        let global = Global {
            config: Some("my project/lifeboat.toml".into()),
            state: Some("/srv/state".into()),
            ..plain.clone()
        };
        let said = "fix it, then `lifeboat ship`; or `lifeboat trust pin DIGEST` (`git log keys/`)";
        assert_eq!(
            Output::new(&global).pasteable(said),
            "fix it, then `lifeboat ship --config 'my project/lifeboat.toml' --state /srv/state`; or `lifeboat trust --config \
             'my project/lifeboat.toml' --state /srv/state pin DIGEST` (`git log keys/`)"
        );
        assert_eq!(Output::new(&plain).pasteable(said), said);
        let elsewhere = "ask the operator for a bundle, there: `lifeboat export TRAIN --to FILE`";
        assert_eq!(Output::new(&global).pasteable(elsewhere), elsewhere);
    }
}
