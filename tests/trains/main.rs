//! What holds for a whole train, whatever comes: the plan and its promises, the journal, gates, leaks, layers, verbs at once.

#![allow(unreachable_pub, reason = "a test binary exports nothing")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test may panic and print; clippy knows only `#[test]` functions"
)]

mod black_hole;
mod embargo;
mod encrypted;
mod gate;
mod interleaved;
mod journal;
mod layers;
mod layout;
mod made_up;
mod map;
mod model;
mod moves;
mod parallel;
mod power_loss;
mod quorum;
mod reads;
mod runners;
mod schedule;
mod store_down;
mod stored;
#[path = "../support/mod.rs"]
mod support;
mod together;
mod troubles;
