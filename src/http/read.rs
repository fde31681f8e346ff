//! Reads of a server: how often each is sent, and how long its answer may be.

use crate::effects::Clock;
use crate::error::Result;

/// How often a read is sent before its host counts as down.
const READS: u32 = 3;

/// Answers above this size are refused, in bytes: a page of a hundred releases with eighty assets each is below, and so is a
/// directory of ten thousand objects.
pub(crate) const ANSWER_LIMIT: usize = 32 << 20;

/// Sends a request that changes nothing; again, after a pause, if its answer is lost. Gives the last loss if all are.
///
/// # Errors
/// What no repetition helps against.
pub(crate) async fn read_again<T, L, F: Future<Output = Result<Result<T, L>>>>(
    clock: &dyn Clock,
    send: impl Fn() -> F,
) -> Result<Result<T, L>> {
    let mut sent = 1;
    loop {
        match send().await? {
            Err(_) if sent < READS => clock.pause(sent).await,
            done => return Ok(done),
        }
        sent += 1;
    }
}
