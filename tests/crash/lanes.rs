//! Several worlds side by side, one for each processor, so that a sweep takes what the machine has.

use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use crate::everything;

/// What came of a part of a sweep.
#[derive(Debug, Default)]
pub(crate) struct Tried {
    /// How many points there are.
    pub(crate) total: usize,
    /// How many were tried.
    pub(crate) count: usize,
    /// What went wrong, a line for each.
    pub(crate) failed: Vec<String>,
}

impl Tried {
    /// Takes the result of one point in, and prints a failure at once: a whole sweep takes long.
    pub(crate) fn point(&mut self, name: impl FnOnce() -> String, result: Result<(), String>) {
        self.count += 1;
        if let Err(why) = result {
            let why = format!("{}: {why}", name());
            println!("{why}\n");
            self.failed.push(why);
        }
    }

    /// Prints what was reached, and fails if anything went wrong.
    pub(crate) fn report(what: &str, all: &[Self], begun: Instant) {
        let (total, count) = (all.iter().map(|t| t.total).sum::<usize>(), all.iter().map(|t| t.count).sum::<usize>());
        let failed: Vec<&String> = all.iter().flat_map(|t| &t.failed).collect();
        let seconds = begun.elapsed().as_secs_f64();
        println!(
            "{what}: {}/{count} passed, of {total} points{}, in {seconds:.1} s",
            count - failed.len(),
            if everything() { "" } else { " (a sample; `LIFEBOAT_SWEEP=all` tries all)" },
        );
        assert!(failed.is_empty(), "{} of {count} points failed", failed.len());
        assert!(count > 0 && (!everything() || count >= total), "{count} of {total} points were reached");
    }
}

/// Runs `go` for every part, in as many lanes as there are processors; `lane` makes what a lane works with.
pub(crate) fn sweep<P: Send, L, T: Send>(
    parts: impl IntoIterator<Item = P>,
    lane: impl Fn() -> L + Sync,
    go: impl Fn(&mut L, &P) -> T + Sync,
) -> Vec<T> {
    let lanes = thread::available_parallelism().map_or(2, usize::from);
    let left = Mutex::new(parts.into_iter().collect::<Vec<_>>().into_iter());
    let done = Mutex::new(Vec::new());
    thread::scope(|s| {
        for _ in 0..lanes {
            s.spawn(|| {
                let mut mine = None;
                loop {
                    let Some(part) = left.lock().unwrap().next() else { return };
                    let came = go(mine.get_or_insert_with(&lane), &part);
                    done.lock().unwrap().push(came);
                }
            });
        }
    });
    done.into_inner().unwrap()
}
