//! How the files of one store are transferred: how many at once, how fast, and how far they are.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::rate_limit::RateLimit;
use super::{Clock, in_parallel};
use crate::error::Result;
use crate::model::TransferLimits;

/// What all transfers of one store share, whatever steps they belong to.
pub struct Transfers {
    at_once: usize,
    places: Semaphore,
    pace: Option<(Mutex<RateLimit>, Arc<dyn Clock>)>,
    tally: Mutex<Tally>,
    /// What has moved of files that are on their way.
    flying: AtomicU64,
}

/// What was to be moved since nothing was.
#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    batches: usize,
    expected: u64,
    moved: u64,
}

/// How far the transfers of a store are, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Moved {
    /// What has moved, or was there.
    pub done: u64,
    /// All that is to be moved, as far as it is known; 0 if nothing is under way.
    pub total: u64,
}

impl Transfers {
    /// Those of a store with these limits.
    #[must_use]
    pub fn new(limits: TransferLimits, clock: &Arc<dyn Clock>) -> Arc<Self> {
        Self::with(limits.at_once, limits.rate.map(|rate| (Mutex::new(RateLimit::new(rate)), clock.clone())))
    }

    /// Those of a store about which no configuration says anything.
    #[must_use]
    pub fn usual() -> Arc<Self> {
        Self::with(TransferLimits::default().at_once, None)
    }

    fn with(at_once: usize, pace: Option<(Mutex<RateLimit>, Arc<dyn Clock>)>) -> Arc<Self> {
        let (at_once, tally, flying) = (at_once.max(1), Mutex::default(), AtomicU64::new(0));
        Arc::new(Self { at_once, places: Semaphore::new(at_once), pace, tally, flying })
    }

    /// Does `work` for every item, which moves one file; see [`in_parallel`]. `size` says how many bytes that are. `work` must not
    /// call this again.
    ///
    /// # Errors
    /// See [`in_parallel`].
    pub async fn each<T, R, F>(
        self: &Arc<Self>,
        items: Vec<T>,
        size: impl Fn(&T) -> u64 + Send + Sync,
        work: impl Fn(T) -> F + Send + Sync,
    ) -> Result<Vec<R>>
    where
        T: Send,
        R: Send + 'static,
        F: Future<Output = Result<R>> + Send + 'static,
    {
        let batch = Arc::new(Batch::begin(self, items.iter().map(&size).sum()));
        let placed = |item: T| {
            let (bytes, batch, act) = (size(&item), batch.clone(), work(item));
            async move {
                let _place = batch.transfers.place().await;
                let done = act.await?;
                batch.moved(bytes);
                Ok(done)
            }
        };
        in_parallel(items, self.at_once, placed).await
    }

    /// How far they are.
    #[must_use]
    pub fn moved(&self) -> Moved {
        let tally = *self.tally.lock();
        let done = tally.moved.saturating_add(self.flying.load(Ordering::Relaxed));
        Moved { done: done.min(tally.expected), total: tally.expected }
    }

    /// A file that begins to move.
    #[must_use]
    pub fn flow(self: &Arc<Self>) -> Flow {
        Flow { transfers: self.clone(), moved: AtomicU64::new(0), waits: AtomicBool::new(false) }
    }

    /// Whether bytes wait for each other.
    #[must_use]
    pub fn has_rate(&self) -> bool {
        self.pace.is_some()
    }

    /// A place among those that move at once; none is refused, since the semaphore is never closed.
    async fn place(&self) -> Option<SemaphorePermit<'_>> {
        self.places.acquire().await.ok()
    }
}

/// Files that are moved together; what they count for ends with the last batch of the store.
struct Batch {
    transfers: Arc<Transfers>,
    expected: u64,
    moved: AtomicU64,
}

impl Batch {
    fn begin(transfers: &Arc<Transfers>, expected: u64) -> Self {
        let mut tally = transfers.tally.lock();
        tally.batches += 1;
        tally.expected = tally.expected.saturating_add(expected);
        Self { transfers: transfers.clone(), expected, moved: AtomicU64::new(0) }
    }

    fn moved(&self, bytes: u64) {
        self.moved.fetch_add(bytes, Ordering::Relaxed);
        self.transfers.tally.lock().moved += bytes;
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        let mut tally = self.transfers.tally.lock();
        tally.batches -= 1;
        if tally.batches == 0 {
            *tally = Tally::default();
        } else {
            // What failed is not waited for any more.
            tally.expected -= self.expected - self.moved.load(Ordering::Relaxed);
        }
    }
}

/// A file on its way, in whichever direction.
pub struct Flow {
    transfers: Arc<Transfers>,
    moved: AtomicU64,
    waits: AtomicBool,
}

impl Flow {
    /// Waits until so many more bytes may go.
    pub async fn admit(&self, bytes: u64) {
        if let Some(go) = self.take(bytes) {
            self.until(go).await;
        }
    }

    /// Takes so many more bytes on; says when they may go, if they have to wait.
    pub fn take(&self, bytes: u64) -> Option<Timestamp> {
        let (limit, clock) = self.transfers.pace.as_ref()?;
        let now = clock.now();
        Some(limit.lock().take(bytes, now)).filter(|go| *go > now)
    }

    /// Waits for that time.
    pub async fn until(&self, go: Timestamp) {
        if let Some((_, clock)) = &self.transfers.pace {
            self.waits.store(true, Ordering::Relaxed);
            clock.sleep_until(go).await;
            self.waits.store(false, Ordering::Relaxed);
        }
    }

    /// Whether it stands still because of the rate.
    pub fn waits(&self) -> bool {
        self.waits.load(Ordering::Relaxed)
    }

    /// So many bytes have gone.
    pub fn moved(&self, bytes: u64) {
        self.moved.fetch_add(bytes, Ordering::Relaxed);
        self.transfers.flying.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.transfers.flying.fetch_sub(self.moved.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering::SeqCst;

    use super::*;
    use crate::error::Error;

    fn of(at_once: usize) -> Arc<Transfers> {
        Transfers::with(at_once, None)
    }

    /// Batches that begin together, of this many files of 10 bytes each.
    #[tokio::test]
    async fn all_steps_of_a_store_share_its_places() {
        let (transfers, now, most) = (of(3), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut batches = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let (transfers, now, most) = (transfers.clone(), now.clone(), most.clone());
            batches.spawn(async move {
                let work = |_| {
                    let (now, most) = (now.clone(), most.clone());
                    async move {
                        most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
                        for _ in 0..3 {
                            tokio::task::yield_now().await;
                        }
                        now.fetch_sub(1, SeqCst);
                        Ok(())
                    }
                };
                transfers.each((0..10).collect(), |_: &u32| 10, work).await
            });
        }
        for done in batches.join_all().await {
            assert_eq!(done.unwrap().len(), 10);
        }
        assert_eq!(most.load(SeqCst), 3);
    }

    #[tokio::test]
    async fn what_moved_is_counted_while_it_moves_and_forgotten_when_all_is_done() {
        let transfers = of(1);
        assert_eq!(transfers.moved(), Moved::default());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let work = |n: u64| {
            let (transfers, seen) = (transfers.clone(), seen.clone());
            async move {
                let flow = transfers.flow();
                flow.moved(n / 2);
                seen.lock().push(transfers.moved().done);
                drop(flow);
                Ok(())
            }
        };
        let other = Batch::begin(&transfers, 1000);
        transfers.each(vec![10, 20, 30], |n| *n, work).await.unwrap();
        assert_eq!(*seen.lock(), [5, 20, 45], "half of a file, and all before it");
        assert_eq!(transfers.moved(), Moved { done: 60, total: 1060 }, "another step still moves its own");
        drop(other);
        assert_eq!(transfers.moved(), Moved::default());
    }

    #[tokio::test]
    async fn what_failed_is_not_waited_for() {
        let transfers = of(1);
        let other = Batch::begin(&transfers, 1000);
        let work = |n: u64| async move { if n == 20 { Err(Error::conflict("other bytes")) } else { Ok(()) } };
        transfers.each(vec![10, 20, 30], |n| *n, work).await.unwrap_err();
        assert_eq!(transfers.moved(), Moved { done: 10, total: 1010 });
        drop(other);
    }
}
