//! Whether one part of a destination is worth asking: closed while it answers, open after failures in a row, half-open by itself.

use jiff::{SignedDuration, Timestamp};

/// Failures in a row after which a host is left alone.
const FAILURES: u32 = 4;

/// How long it is left alone before one call may try it again.
const OPEN_FOR: SignedDuration = SignedDuration::from_secs(30);

/// How a call failed that is the host's own doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The failure was immediate: refused, reset, or an error status.
    Immediate,
    /// Nothing came within a deadline.
    Silent,
}

impl Failure {
    /// As how many failures in a row it counts: by what finding it out costs.
    fn weight(self) -> u32 {
        match self {
            Self::Immediate => 1,
            Self::Silent => 2,
        }
    }
}

/// The state of one host, for adapters of any kind; pure, the caller passes the time.
#[derive(Debug, Clone, Default)]
pub struct Breaker {
    failures: u32,
    /// The first of the failures in a row.
    since: Option<Timestamp>,
    open_until: Option<Timestamp>,
}

impl Breaker {
    /// Whether a call may be made now.
    ///
    /// # Errors
    /// It may not: since when the host is down.
    pub fn admit(&mut self, now: Timestamp) -> Result<(), Timestamp> {
        match self.open_until {
            Some(until) if now < until => Err(self.since.unwrap_or(now)),
            Some(_) => {
                // Half-open: this call tries the host, the others wait for how it ends.
                self.open_until = now.checked_add(OPEN_FOR).ok();
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// A call failed in a way that is the host's own doing.
    pub fn failed(&mut self, now: Timestamp, how: Failure) {
        self.failures = self.failures.saturating_add(how.weight());
        self.since.get_or_insert(now);
        if self.failures >= FAILURES {
            self.open_until = now.checked_add(OPEN_FOR).ok();
        }
    }

    /// It answered, even if only to refuse.
    pub fn answered(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_after_failures_in_a_row_and_half_opens_by_itself() {
        let at = |s: i64| Timestamp::from_second(1_000 + s).unwrap();
        let mut breaker = Breaker::default();
        for s in 0..3 {
            breaker.failed(at(s), Failure::Immediate);
        }
        breaker.answered();
        for s in 0..3 {
            breaker.failed(at(s), Failure::Immediate);
            assert_eq!(breaker.admit(at(s)), Ok(()));
        }
        breaker.failed(at(3), Failure::Immediate);
        assert_eq!(breaker.admit(at(4)), Err(at(0)));
        assert_eq!(breaker.admit(at(33)), Ok(()), "one call tries");
        assert_eq!(breaker.admit(at(34)), Err(at(0)), "the others wait");
        breaker.answered();
        assert_eq!(breaker.admit(at(34)), Ok(()));
    }

    #[test]
    fn silence_opens_it_sooner() {
        let at = |s: i64| Timestamp::from_second(1_000 + s).unwrap();
        let mut breaker = Breaker::default();
        breaker.failed(at(8), Failure::Silent);
        assert_eq!(breaker.admit(at(8)), Ok(()));
        breaker.failed(at(16), Failure::Silent);
        assert_eq!(breaker.admit(at(16)), Err(at(8)));
    }
}
