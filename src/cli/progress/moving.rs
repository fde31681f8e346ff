//! How far the transfers of a store are, for people: bytes, rate, time left.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::spent;
use crate::effects::{Moved, Transfers};
use crate::model::StoreName;
use crate::site::human_size;

/// Over how long a rate is measured, where there are looks enough.
const WINDOW: Duration = Duration::from_secs(20);

/// The transfers of one store.
pub(super) struct Moving {
    transfers: Arc<Transfers>,
    begun: Instant,
    looks: Looks,
}

impl Moving {
    pub(super) fn new(transfers: Arc<Transfers>) -> Self {
        Self { transfers, begun: Instant::now(), looks: Looks::default() }
    }

    /// Whether these are the transfers.
    pub(super) fn is_of(&self, transfers: &Arc<Transfers>) -> bool {
        Arc::ptr_eq(&self.transfers, transfers)
    }

    /// Looks now; says how far they are, if anything moves.
    pub(super) fn look(&mut self, store: &StoreName) -> Option<String> {
        self.looks.take(self.begun.elapsed(), self.transfers.moved());
        self.looks.text().map(|text| format!("store `{store}`: {text}"))
    }
}

/// What was seen of a transfer, by when.
#[derive(Debug, Default)]
struct Looks {
    seen: VecDeque<(Duration, Moved)>,
}

impl Looks {
    fn take(&mut self, at: Duration, now: Moved) {
        // What moved before is over.
        if self.seen.back().is_some_and(|(_, last)| now.done < last.done || now.total < last.total) {
            self.seen.clear();
        }
        self.seen.push_back((at, now));
        // One look that is older stays: where looks are rare, a rate needs two.
        while self.seen.len() > 2 && self.seen.get(1).is_some_and(|(second, _)| at.saturating_sub(*second) >= WINDOW) {
            self.seen.pop_front();
        }
    }

    /// In bytes a second, once it can be said.
    fn rate(&self) -> Option<u64> {
        let ((first, then), (last, now)) = (self.seen.front()?, self.seen.back()?);
        let seconds = last.saturating_sub(*first).as_secs_f64();
        (seconds >= 1.0).then(|| ((now.done - then.done) as f64 / seconds) as u64)
    }

    fn text(&self) -> Option<String> {
        let (_, now) = self.seen.back().filter(|(_, now)| now.total > 0)?;
        let mut text = format!("{} of {}", human_size(now.done), human_size(now.total));
        if let Some(rate) = self.rate() {
            text += &format!(", {}/s", human_size(rate));
            if rate > 0 {
                text += &format!(", {} left", spent(Duration::from_secs((now.total - now.done).div_ceil(rate))));
            }
        }
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(looks: &[(u64, u64, u64)]) -> Option<String> {
        let mut all = Looks::default();
        for &(seconds, done, total) in looks {
            all.take(Duration::from_secs(seconds), Moved { done: done << 20, total: total << 20 });
        }
        all.text()
    }

    #[test]
    fn bytes_rate_and_time_left() {
        assert_eq!(after(&[(0, 0, 0)]), None);
        assert_eq!(after(&[(0, 10, 2048)]).unwrap(), "10 MiB of 2.0 GiB");
        assert_eq!(after(&[(0, 0, 2048), (2, 100, 2048)]).unwrap(), "100 MiB of 2.0 GiB, 50 MiB/s, 39 s left");
        assert_eq!(after(&[(0, 0, 100), (60, 60, 100)]).unwrap(), "60 MiB of 100 MiB, 1.0 MiB/s, 40 s left");
        assert_eq!(after(&[(0, 5, 100), (2, 5, 100)]).unwrap(), "5.0 MiB of 100 MiB, 0 bytes/s");
    }

    #[test]
    fn the_rate_is_that_of_now() {
        let slow_then_fast = [(0, 0, 9000), (10, 10, 9000), (20, 20, 9000), (30, 2020, 9000), (40, 4020, 9000)];
        assert_eq!(after(&slow_then_fast).unwrap(), "3.9 GiB of 8.8 GiB, 200 MiB/s, 25 s left");
        let another = [(0, 0, 100), (1, 100, 100), (2, 0, 50), (4, 20, 50)];
        assert_eq!(after(&another).unwrap(), "20 MiB of 50 MiB, 10 MiB/s, 3.0 s left");
        assert_eq!(after(&[(0, 50, 100), (5, 0, 0)]), None);
    }
}
