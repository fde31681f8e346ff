//! The machine's clock and random source.

use std::time::Duration;

use jiff::Timestamp;

use crate::effects::{Clock, random};
use crate::error::Result;

/// Longest sleep between two reads of the clock: a suspended or corrected machine should notice soon that time has passed.
const NAP: Duration = Duration::from_secs(30);

/// The machine's own clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct HostClock;

#[async_trait::async_trait]
impl Clock for HostClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn sleep_until(&self, when: Timestamp) {
        // Tokio counts monotonic time, which stands still in suspend and does not follow corrections of the wall clock:
        // an embargo ends by the latter.
        loop {
            let left = Timestamp::now().duration_until(when);
            let Ok(left) = Duration::try_from(left) else { return };
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left.min(NAP)).await;
        }
    }

    fn nonce(&self) -> Result<[u8; 16]> {
        random().map(u128::to_be_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sleeps_until_and_not_before() {
        let clock = HostClock;
        let when = clock.now() + jiff::SignedDuration::from_millis(30);
        clock.sleep_until(when).await;
        assert!(clock.now() >= when);
        clock.sleep_until(when - jiff::SignedDuration::from_hours(1)).await;
    }

    #[test]
    fn nonces_differ() {
        assert_ne!(HostClock.nonce().unwrap(), HostClock.nonce().unwrap());
    }
}
