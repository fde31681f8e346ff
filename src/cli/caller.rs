//! What the verbs work with that need no configuration, and how they say what they found.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use crate::effects::Disk;
use crate::error::{Context as _, Result};
use crate::model::ProjectName;

/// Who calls `verify` or `trust`, and with what.
pub struct Caller<'a> {
    /// Whether JSON is printed.
    pub json: bool,
    /// This machine's files.
    pub disk: &'a Arc<dyn Disk>,
    /// A project's directory in the state directory, if there may be one.
    pub state: &'a dyn Fn(&ProjectName) -> Option<PathBuf>,
    /// The time of checking.
    pub now: Timestamp,
    /// Where the result goes.
    pub out: &'a mut dyn Write,
}

impl Caller<'_> {
    /// Prints a result: as text, or as JSON.
    ///
    /// # Errors
    /// The output's.
    pub(super) fn say(&mut self, text: impl FnOnce() -> String, value: &impl Serialize) -> Result<()> {
        let text = if self.json { serde_json::to_string_pretty(value).context("cannot write JSON")? } else { text() };
        writeln!(self.out, "{text}").context("cannot write the result")
    }
}
