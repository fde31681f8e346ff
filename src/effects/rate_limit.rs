//! When the next bytes may go: pure.

use jiff::{SignedDuration, Timestamp};

use crate::model::ByteRate;

/// Lets bytes through at a rate. What is let through at once may be more than the rate has for the moment: then what comes next
/// waits for it, so that the rate holds over time whatever the size of the pieces.
#[derive(Debug, Clone)]
pub struct RateLimit {
    rate: ByteRate,
    /// When everything that was let through so far has had its time.
    clear: Option<Timestamp>,
}

impl RateLimit {
    /// Nothing went through yet.
    #[must_use]
    pub fn new(rate: ByteRate) -> Self {
        Self { rate, clear: None }
    }

    /// Takes so many bytes on; says when they may go.
    pub fn take(&mut self, bytes: u64, now: Timestamp) -> Timestamp {
        let go = self.clear.map_or(now, |clear| clear.max(now));
        let nanoseconds = u128::from(bytes) * 1_000_000_000 / u128::from(self.rate.per_second());
        let lasts = SignedDuration::from_nanos(i64::try_from(nanoseconds).unwrap_or(i64::MAX));
        self.clear = Some(go.checked_add(lasts).unwrap_or(Timestamp::MAX));
        go
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(1_780_000_000_000 + milliseconds).unwrap()
    }

    #[test]
    fn the_rate_holds_whatever_the_size_of_the_pieces() {
        let mut limit = RateLimit::new("1 MB/s".parse().unwrap());
        assert_eq!(limit.take(500_000, at(0)), at(0), "the first goes at once");
        assert_eq!(limit.take(2_000_000, at(10)), at(500));
        assert_eq!(limit.take(1, at(20)), at(2500));
        for piece in [1_u64, 1000, 262_144, 5 << 20] {
            let (mut limit, mut now, mut sent) = (RateLimit::new("1 MB/s".parse().unwrap()), at(0), 0);
            while sent < 50 << 20 {
                now = limit.take(piece, now).max(now);
                sent += piece;
                if piece < 1000 && sent > 100_000 {
                    break;
                }
            }
            let seconds = now.duration_since(at(0)).as_secs_f64();
            let least = (sent - piece) as f64 / 1e6;
            assert!(seconds >= least * 0.99 && seconds <= least * 1.01, "{piece}: {seconds} s for {sent} bytes");
        }
    }

    #[test]
    fn time_that_was_not_used_is_not_saved_up() {
        let mut limit = RateLimit::new("1 kB/s".parse().unwrap());
        limit.take(1000, at(0));
        assert_eq!(limit.take(1000, at(60_000)), at(60_000));
        assert_eq!(limit.take(1000, at(60_000)), at(61_000));
        assert_eq!(limit.take(u64::MAX, at(61_000)), at(62_000));
        let century = SignedDuration::from_hours(100 * 365 * 24);
        assert!(limit.take(1, at(62_000)) > at(62_000) + century, "a size that nothing has does not wrap around");
    }
}
