//! A stranger with an address and a digest, and nothing else: an empty home, no checkout, no configuration, no state.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod all_mirrors;
mod attacks;
mod faults;
pub(crate) mod home;
mod hostile_server;
mod mirror_order;
mod mirrors;
mod pages;
mod verifies;
