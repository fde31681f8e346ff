//! The port to time and chance.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::error::Result;

/// Gives the time, waits for it, and draws random numbers.
#[async_trait::async_trait]
pub trait Clock: Send + Sync {
    /// Now, in UTC.
    fn now(&self) -> Timestamp;

    /// Waits until `when`; returns at once if it has passed.
    async fn sleep_until(&self, when: Timestamp);

    /// Waits this many seconds.
    async fn pause(&self, seconds: u32) {
        if let Ok(until) = self.now().checked_add(SignedDuration::from_secs(i64::from(seconds))) {
            self.sleep_until(until).await;
        }
    }

    /// What the clocks of other machines show that can be asked: whose, and the time. None where there are none.
    async fn elsewhere(&self) -> Vec<(String, Timestamp)> {
        Vec::new()
    }

    /// 16 bytes from the operating system's random source: a train's nonce.
    ///
    /// # Errors
    /// A machine without a random source: never zeros instead.
    fn nonce(&self) -> Result<[u8; 16]>;
}

#[async_trait::async_trait]
impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }

    async fn sleep_until(&self, when: Timestamp) {
        (**self).sleep_until(when).await;
    }

    async fn elsewhere(&self) -> Vec<(String, Timestamp)> {
        (**self).elsewhere().await
    }

    fn nonce(&self) -> Result<[u8; 16]> {
        (**self).nonce()
    }
}
