//! One counter of all state-changing calls, which ends the world at the Nth.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// What happens at the chosen call, before it is performed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// `abort()`: as by `kill -9`, for a child process; the call's label goes to standard error first.
    Abort,
    /// This call and all later ones return an error: a process that can do nothing more, for tests in one process.
    Fail,
    /// This call alone returns an error; a sync does so after it took effect.
    Late,
}

/// Counts the calls of every port that it was given to; shared by all of them.
#[derive(Debug)]
pub struct KillPoints {
    at: u64,
    action: Action,
    among: fn(&str) -> bool,
    count: AtomicU64,
    dead: AtomicBool,
    log: Mutex<Vec<String>>,
    reads: Mutex<BTreeMap<PathBuf, u32>>,
}

impl KillPoints {
    /// Counts and never kills: how many kill points there are.
    pub fn counting() -> Arc<Self> {
        Self::at(u64::MAX, Action::Fail)
    }

    /// Kills at call `at`, the first being 1.
    pub fn at(at: u64, action: Action) -> Arc<Self> {
        Self::among(|_| true, at, action)
    }

    /// The same, where only the calls with some labels count.
    pub fn among(among: fn(&str) -> bool, at: u64, action: Action) -> Arc<Self> {
        let (count, dead, log) = (AtomicU64::new(0), AtomicBool::new(false), Mutex::new(Vec::new()));
        Arc::new(Self { at, action, among, count, dead, log, reads: Mutex::default() })
    }

    /// A call that changes state is about to be made.
    pub fn tick(&self, label: impl FnOnce() -> String) -> io::Result<()> {
        let label = label();
        if !(self.among)(&label) {
            return Ok(());
        }
        let n = self.count.fetch_add(1, Ordering::SeqCst) + 1;
        let killed = || io::Error::other(format!("killed before call {n}: {label}"));
        if n == self.at && self.action == Action::Abort {
            eprintln!("{}", killed());
            std::process::abort();
        }
        // Calls of other threads may come after it was killed and before they notice.
        if n == self.at {
            self.dead.store(true, Ordering::SeqCst);
        }
        let dead = self.dead.load(Ordering::SeqCst);
        self.log.lock().unwrap().push(label.clone());
        if n == self.at && self.action == Action::Late {
            self.dead.store(false, Ordering::SeqCst);
            return Err(io::Error::new(io::ErrorKind::TimedOut, killed()));
        }
        if dead { Err(killed()) } else { Ok(()) }
    }

    /// From now on nothing can be done any more.
    pub fn end(&self) {
        self.dead.store(true, Ordering::SeqCst);
    }

    /// How many calls there were, the fatal one and those refused after it included.
    pub fn total(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }

    /// Whether the chosen call was reached.
    pub fn reached(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    /// A file was opened to be read.
    pub fn read(&self, path: &Path) {
        *self.reads.lock().unwrap().entry(path.to_owned()).or_default() += 1;
    }

    /// How often each file was opened to be read.
    pub fn reads(&self) -> BTreeMap<PathBuf, u32> {
        self.reads.lock().unwrap().clone()
    }

    /// The labels of all calls, in order.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }
}
