//! The port to time and chance.

use jiff::Timestamp;

/// Tells the time, waits for it, and draws random numbers.
#[async_trait::async_trait]
pub trait Clock: Send + Sync {
    /// Now, in UTC.
    fn now(&self) -> Timestamp;

    /// Waits until `when`; returns at once if it has passed.
    async fn sleep_until(&self, when: Timestamp);

    /// 16 bytes from the operating system's random source: a train's nonce.
    fn nonce(&self) -> [u8; 16];
}
