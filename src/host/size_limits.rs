//! A limit on the size of files (`ulimit -f`) is an error like a full disk, not a death without a word.

use tokio::signal::unix::{SignalKind, signal};

use crate::error::{Context as _, Result};

/// Lets a write beyond the limit fail ("file too large") where the system would end this process. Programs that it starts are
/// not concerned.
pub fn outlive_size_limits() -> Result<()> {
    let what = "cannot set what a limit on the size of files does";
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context(what)?;
    let _within = runtime.enter();
    // What was set stays set for as long as the process lives.
    signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw())).map(drop).context(what)
}
