//! The version bump as a whole: decisions on trees in memory, and the program on checkouts.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic where it stands")]

#[path = "bump/checkout.rs"]
mod checkout;
#[path = "bump/clones.rs"]
mod clones;
#[path = "bump/complete.rs"]
mod complete;
#[path = "bump/conventions.rs"]
mod conventions;
#[path = "bump/decisions.rs"]
mod decisions;
#[path = "bump/hooks.rs"]
mod hooks;
#[path = "bump/init.rs"]
mod init;
#[path = "bump/output.rs"]
mod output;
#[path = "bump/properties.rs"]
mod properties;
#[path = "bump/rewriters.rs"]
mod rewriters;
