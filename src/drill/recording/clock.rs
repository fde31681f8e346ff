//! A clock that does not wait: it leaps.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};

use crate::effects::Clock;
use crate::error::Result;

/// The real clock, except that waiting for a time moves it there at once.
pub struct LeapingClock {
    inner: Arc<dyn Clock>,
    ahead_s: AtomicI64,
}

impl LeapingClock {
    /// Starts at the real time.
    #[must_use]
    pub fn new(inner: Arc<dyn Clock>) -> Self {
        Self { inner, ahead_s: AtomicI64::new(0) }
    }

    /// Moves on to `when`, if that is later than now.
    pub fn leap_to(&self, when: Timestamp) {
        let ahead = when.as_second() - self.inner.now().as_second() + 1;
        self.ahead_s.fetch_max(ahead, Ordering::Relaxed);
    }
}

#[async_trait::async_trait]
impl Clock for LeapingClock {
    fn now(&self) -> Timestamp {
        let now = self.inner.now();
        now.checked_add(SignedDuration::from_secs(self.ahead_s.load(Ordering::Relaxed))).unwrap_or(now)
    }

    async fn sleep_until(&self, when: Timestamp) {
        self.leap_to(when);
    }

    fn nonce(&self) -> Result<[u8; 16]> {
        self.inner.nonce()
    }
}
