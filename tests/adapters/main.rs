//! Each adapter and each port against the real thing: git with its remotes, forges, runners, stores.

#![allow(unreachable_pub, reason = "a test binary exports nothing")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test may panic and print; clippy knows only `#[test]` functions"
)]

mod deliveries;
#[path = "../forgejo_double/mod.rs"]
mod forgejo_double;
mod forges;
mod git;
#[path = "../github_double/mod.rs"]
mod github_double;
mod hostile_server;
mod leaks;
mod public_servers;
mod runner;
mod runner_ssh;
mod s3;
mod s3_train;
mod scene;
mod servers;
mod sftp;
mod store_faults;
mod stores;
#[path = "../support/mod.rs"]
mod support;
mod transfers;
mod webdav;
