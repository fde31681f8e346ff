//! Each verb of the program as people meet it: its questions, its refusals, its pages, its printed commands.

#![allow(unreachable_pub, reason = "a test binary exports nothing")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test may panic and print; clippy knows only `#[test]` functions"
)]

mod approve;
mod bad_input;
mod bump;
mod drill;
mod inputs;
mod left;
mod machine;
mod outputs;
mod reference;
mod refresh;
mod rehearsal;
#[path = "../release_world/mod.rs"]
mod release_world;
mod report;
mod retired;
mod schemas;
mod secret_sources;
mod shown;
mod stranger;
#[path = "../support/mod.rs"]
mod support;
mod trust;
mod vendored;
mod verifiers;
mod verify;
mod verify_places;
