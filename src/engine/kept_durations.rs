//! How long a project's jobs took, kept on this machine for the next train too: a help and no more.

use std::path::PathBuf;

use super::schedule::Durations;
use super::train::Train;
use crate::effects::{Effects, Outlives, replace_file};

fn file(train: &Train) -> Option<PathBuf> {
    Some(train.dir().path().parent()?.parent()?.join("durations.json"))
}

/// The durations that earlier runs kept; none if they cannot be read.
pub(super) fn read(effects: &Effects, train: &Train) -> Durations {
    let read = || effects.disk.read(&file(train)?).ok()?;
    read().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

/// Keeps the durations for later runs, if the disk lets us.
pub(super) fn keep(train: &Train, durations: &Durations) {
    if let (Some(path), Ok(bytes)) = (file(train), serde_json::to_vec(durations)) {
        drop(replace_file(&path, &bytes, Outlives::Kill));
    }
}
