//! The drill, the runbook that walks through it, and every command that is printed to be pasted.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "helpers of tests fail by panicking; clippy exempts test functions only"
)]

mod pasted;
mod runbook;
mod shell;
mod transcript;
mod whole;
