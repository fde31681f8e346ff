//! The names of the states that a train goes through.

use std::fmt;

use serde::Serialize;

/// The name of a train's state, derived from its steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrainState {
    /// The plan is adopted.
    Drafted,
    /// Every line's commits are made.
    Prepared,
    /// Every artifact is built.
    Built,
    /// Every test passed and every sum is written.
    Verified,
    /// Every required store holds the bytes, read back.
    Staged,
    /// The threshold and the time were reached.
    Approved,
    /// Every required destination is public and points at the release.
    Released,
    /// Every destination is equal.
    Reconciled,
    /// Given up before anything was public.
    Abandoned,
}

impl fmt::Display for TrainState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Drafted => "drafted",
            Self::Prepared => "prepared",
            Self::Built => "built",
            Self::Verified => "verified",
            Self::Staged => "staged",
            Self::Approved => "approved",
            Self::Released => "released",
            Self::Reconciled => "reconciled",
            Self::Abandoned => "abandoned",
        })
    }
}
