//! The port to time and chance.

use jiff::Timestamp;

use crate::error::Result;

/// Tells the time, waits for it, and draws random numbers.
#[async_trait::async_trait]
pub trait Clock: Send + Sync {
    /// Now, in UTC.
    fn now(&self) -> Timestamp;

    /// Waits until `when`; returns at once if it has passed.
    async fn sleep_until(&self, when: Timestamp);

    /// 16 bytes from the operating system's random source: a train's nonce.
    ///
    /// # Errors
    /// A machine without a random source: never zeros instead.
    fn nonce(&self) -> Result<[u8; 16]>;
}
