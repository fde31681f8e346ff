//! The end of a dry run that somebody stops, and what one that was killed left behind.

use std::sync::Arc;
use std::time::Duration;

use crate::cli::project::LocalProject;
use crate::effects::NoProgress;
use crate::engine::TrainDir;
use crate::error::{Context as _, Error, Result};

use crate::model::TrainNonce;

/// How often a directory is removed in which something of a killed run still writes, with [`PAUSE`] between.
const TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(100);

/// Waits until somebody asks this process to end; the signal's number.
pub(super) async fn asked() -> i32 {
    use tokio::signal::unix::{SignalKind, signal};
    let wait = |kind: SignalKind| async move {
        match signal(kind) {
            Ok(mut signals) => drop(signals.recv().await),
            // It keeps its usual effect, which ends this process.
            Err(_) => std::future::pending().await,
        }
        kind.as_raw_value()
    };
    tokio::select! {
        s = wait(SignalKind::interrupt()) => s,
        s = wait(SignalKind::terminate()) => s,
        s = wait(SignalKind::hangup()) => s,
    }
}

/// Clears what a dry run that was killed left: its jobs first, which may still run; then its bytes in every store's staging
/// area, which only its own journal can name; at last the scratch directory with that journal.
pub(super) async fn clear_killed(place: &LocalProject, dir: &TrainDir) -> Result<()> {
    if place.disk.entry(dir.path()).context(format!("cannot look at `{}`", dir.path().display()))?.is_none() {
        return Ok(());
    }
    let nonce = killed(place, dir).map_err(|e| {
        e.context("cannot find out what the last dry run left in staging").hint(format!(
            "clear the stores' staging areas of dry runs by hand, then remove `{}`",
            dir.path().display()
        ))
    })?;
    // One that was not adopted has started no job.
    if let Some(nonce) = &nonce {
        for runner in &place.effects_in(dir, Arc::new(NoProgress))?.runners {
            runner.sweep(nonce).await?;
        }
    }
    clear_staging(place, nonce.as_ref()).await?;
    remove(place, dir.path())
}

/// Removes what a dry run staged, from every store.
pub(super) async fn clear_staging(place: &LocalProject, nonce: Option<&TrainNonce>) -> Result<()> {
    let Some(nonce) = nonce else { return Ok(()) };
    for store in place.destinations()?.stores.values() {
        store.clear_staging(nonce.as_str()).await?;
    }
    Ok(())
}

/// Removes a directory; programs that a killed run started may write there for a moment more.
pub(super) fn remove(place: &LocalProject, dir: &std::path::Path) -> Result<()> {
    let mut tries = 0;
    loop {
        match place.disk.remove_dir_all(dir) {
            Err(e) if e.kind() == std::io::ErrorKind::DirectoryNotEmpty && tries < TRIES => {
                tries += 1;
                std::thread::sleep(PAUSE);
            }
            ended => {
                return ended
                    .context(format!("cannot remove `{}`", dir.display()))
                    .map_err(|e| e.hint("something still writes there: `fuser -v` on it names the process"));
            }
        }
    }
}

/// The nonce of the dry run whose scratch state is still there, if it came far enough to have one.
fn killed(place: &LocalProject, dir: &TrainDir) -> Result<Option<TrainNonce>, Error> {
    let path = dir.plan();
    if place.disk.entry(&path).context(format!("cannot look at `{}`", path.display()))?.is_none() {
        return Ok(None);
    }
    Ok(dir.read(&*place.disk)?.state()?.nonce().cloned())
}
