//! The effects of a dry run: local and private ones happen, public ones are recorded with their digests and not done.

mod advisories;
mod automation;
mod clock;
mod keys;
mod outward;
mod store;

use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;

use crate::model::Sha256;

pub use clock::LeapingClock;
pub use keys::{Throwaway, throwaway};
pub use outward::{RecordingForge, RecordingRemote};
pub use store::RecordingStore;

/// A public effect that a dry run did not do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecordedEffect {
    /// The destination's name.
    pub destination: String,
    /// What would be done: `put`, `promote`, `replace`, `push`, `publish`.
    pub verb: &'static str,
    /// The path, ref or release.
    pub what: String,
    /// Length in bytes, where bytes are sent.
    pub size: Option<u64>,
    /// SHA-256 of the bytes, or the object id that a ref would have.
    pub digest: Option<String>,
}

/// The public effects of one dry run, in their order.
#[derive(Debug, Clone, Default)]
pub struct Recording(Arc<Mutex<Vec<RecordedEffect>>>, Arc<Mutex<Vec<String>>>);

impl Recording {
    /// Adds one.
    pub fn add(&self, recorded: RecordedEffect) {
        self.0.lock().push(recorded);
    }

    /// Notes what could not be looked at from here, once.
    pub fn leave(&self, what: String) {
        let mut left = self.1.lock();
        if !left.contains(&what) {
            left.push(what);
        }
    }

    /// What could not be looked at from here.
    #[must_use]
    pub fn left(&self) -> Vec<String> {
        self.1.lock().clone()
    }

    /// All so far.
    #[must_use]
    pub fn all(&self) -> Vec<RecordedEffect> {
        self.0.lock().clone()
    }

    fn bytes(&self, destination: &str, verb: &'static str, path: &str, size: u64, digest: &Sha256) {
        let (what, digest) = (path.to_owned(), Some(format!("sha256:{digest}")));
        self.add(RecordedEffect { destination: destination.to_owned(), verb, what, size: Some(size), digest });
    }
}
