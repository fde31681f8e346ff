//! Property tests of the pure core: no plan breaks a promise, no order of events reaches an illegal state, and whatever
//! goes wrong the engine ends, released if it can be.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod changed;
pub(crate) mod configs;
mod driving;
mod events;
mod flips;
mod function;
pub(crate) mod made;
mod plans;
