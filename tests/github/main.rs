//! GitHub as one destination: the client against the double, deliveries, reconcile, and every failure at every call.

#![allow(unreachable_pub, reason = "a test binary exports nothing")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may panic and print; clippy knows only `#[test]` functions"
)]

mod advisories;
mod app;
mod black_holes;
mod by_hand;
mod canary;
mod decisions;
mod deliveries;
mod essence;
mod faults;
#[path = "../forgejo_double/mod.rs"]
mod forgejo_double;
mod git_faults;
#[path = "../github_double/mod.rs"]
mod github_double;
mod lag;
mod order;
mod other_trains;
mod pull_requests;
mod reconcile;
#[path = "../release_world/mod.rs"]
mod release_world;
mod second_forge;
#[path = "../support/mod.rs"]
mod support;
mod train;
mod whole;
mod workflows;
