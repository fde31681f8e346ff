//! `ship --approval`: approvals that people made on other machines.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::Serialize;

use super::project::LocalProject;
use crate::engine::Train;
use crate::engine::import_approvals::{self, Imported};
use crate::error::{Context as _, Error, Result};
use crate::model::{PersonId, TrainName, escape};
use crate::trust::Carried;

/// What became of the approval in a file.
#[derive(Serialize)]
pub(super) struct ImportedFile {
    person: PersonId,
    file: String,
    became: &'static str,
}

impl ImportedFile {
    /// As a line for people.
    pub(super) fn text(&self) -> String {
        format!("approval of {} ({}): {}", self.person, escape(&self.file), self.became)
    }
}

/// Reads the files.
pub(super) fn read(place: &LocalProject, files: &[PathBuf]) -> Result<Vec<(String, Carried)>> {
    let read = |path: &PathBuf| {
        let name = path.display().to_string();
        let bytes = place.disk.read(path).context(format!("cannot read `{name}`"))?;
        let bytes = bytes.ok_or_else(|| {
            Error::input(format!("there is no file `{name}`"))
                .hint("an approver makes it: `lifeboat approve --bundle FILE --as NAME --out APPROVAL`")
        })?;
        let carried = import_approvals::read(&bytes, &name)?;
        Ok((name, carried))
    };
    files.iter().map(read).collect()
}

/// The train that approvals are for, if it is this machine's.
pub(super) fn train(place: &LocalProject, files: &[(String, Carried)]) -> Result<TrainName> {
    let seen = place.see_all()?;
    for (name, carried) in files {
        if carried.project != place.config.project.name {
            let (theirs, ours) = (&carried.project, &place.config.project.name);
            return Err(Error::verification(format!(
                "`{name}`: this is an approval for project `{theirs}`, not for `{ours}`"
            ))
            .detail("nothing was recorded"));
        }
        if let Some(found) = seen.iter().find(|s| s.state.nonce() == Some(&carried.train)) {
            return Ok(found.name().clone());
        }
    }
    let Some((name, carried)) = files.first() else { return Err(Error::input("there is no approval")) };
    let what = format!("`{name}`: this is an approval of another train: `{}`, nonce {}", carried.name, carried.train);
    let error = seen.iter().fold(Error::verification(what).detail("nothing was recorded"), |e, s| {
        let nonce = s.state.nonce().map_or_else(|| "none".to_owned(), ToString::to_string);
        e.detail(format!("here: train `{}`, nonce {nonce}", s.name()))
    });
    Err(error.hint("record it on the machine that made the bundle"))
}

/// Judges and records them.
pub(super) fn record(train: &Train, files: &[(String, Carried)], now: Timestamp) -> Result<Vec<ImportedFile>> {
    let imported = import_approvals::import(train, files, now)?;
    let words = |became: Imported| match became {
        Imported::Recorded => "recorded",
        Imported::Before => "recorded before",
        Imported::GateIsOpen => "not needed, the gate is open already",
    };
    let imported = imported.into_iter().zip(files);
    Ok(imported
        .map(|((person, became), (file, _))| ImportedFile { person, file: file.clone(), became: words(became) })
        .collect())
}
