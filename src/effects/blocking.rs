//! Blocking work beside an asynchronous loop: the one way in which asynchronous code blocks.

use rayon::prelude::*;
use tokio::runtime::{Handle, RuntimeFlavor};

use crate::error::Result;

/// Whether other tasks can go on while this one blocks.
fn multi_threaded() -> bool {
    Handle::try_current().is_ok_and(|h| h.runtime_flavor() == RuntimeFlavor::MultiThread)
}

/// Runs `work`, which blocks on files, on children or on the processor, without holding up the other tasks of a
/// multi-threaded runtime. Of its own task nothing else goes on: do not call it beside a deadline in the same task.
///
/// On a current-thread runtime, or none, it runs in place: there one thread makes all system calls, in the program's order.
pub fn blocking<T>(work: impl FnOnce() -> T) -> T {
    if multi_threaded() { tokio::task::block_in_place(work) } else { work() }
}

/// Runs `work`, which only looks and may never end (on a dead mount), on a thread that nobody waits for; `None` if it
/// panicked. So a deadline around it counts. Where there is no multi-threaded runtime it runs in place, as [`blocking`] does.
pub async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    if !multi_threaded() {
        return Some(work());
    }
    let (sender, answer) = tokio::sync::oneshot::channel();
    // Nobody may listen any more when it ends.
    std::thread::spawn(move || drop(sender.send(work())));
    answer.await.ok()
}

/// Runs `work`, which may have effects, for every item, on all processors if the runtime is multi-threaded, and else one
/// after the other on this thread. To be called outside of [`blocking`], or inside it.
///
/// # Errors
/// The first failure that was seen; others may have begun by then.
pub fn each<I: Sync, T: Send>(items: &[I], work: impl Fn(&I) -> Result<T> + Sync + Send) -> Result<Vec<T>> {
    if multi_threaded() { items.par_iter().map(work).collect() } else { items.iter().map(work).collect() }
}
