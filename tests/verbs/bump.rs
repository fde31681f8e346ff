//! The version bump as a whole: decisions on trees in memory, and the program on checkouts.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic where it stands")]

mod checkout;
mod clones;
mod complete;
mod conventions;
mod decisions;
mod fields;
mod hooks;
mod init;
mod output;
mod properties;
mod rewriters;
