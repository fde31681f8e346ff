//! Approvals: by a second person on another machine, asked for on a terminal, and judged in one way.

#![allow(unreachable_pub, reason = "a test binary exports nothing")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod bundle;
mod forged;
pub mod homes;
mod rivals;
mod tampered;
mod terminal;
