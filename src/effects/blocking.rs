//! Blocking work beside an asynchronous loop.

use tokio::runtime::{Handle, RuntimeFlavor};

use crate::error::{Context as _, Result};

/// Runs `work`, which blocks on files or on the processor, without holding up the other tasks of a multi-threaded runtime.
///
/// On a current-thread runtime, or none, it runs in place: there the order of system calls is the order of the program.
///
/// # Errors
/// Those of `work`; a panic in it.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match Handle::try_current() {
        Ok(handle) if handle.runtime_flavor() == RuntimeFlavor::MultiThread => {
            handle.spawn_blocking(work).await.context("a worker thread ended early")?
        }
        _ => work(),
    }
}
