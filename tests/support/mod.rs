//! What several integration tests share: kill points, a disk that loses what was not synced, contract suites.
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(unreachable_pub, missing_docs, reason = "a test binary exports nothing")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test may panic and print; clippy knows only `#[test]` functions"
)]

pub mod canary;
pub mod counting;
pub mod cut_proxy;
pub mod faulty_proxy;
pub mod forwarding;
pub mod instant_runner;
pub mod kill_points;
pub mod memory_server;
pub mod namespaces;
pub mod power_loss;
pub mod radosgw;
pub mod runner_contract;
pub mod sample_train;
pub mod scripted_runner;
pub mod servers;
pub mod snapshots;
pub mod store_contract;
pub mod stores;
pub mod stream_proxy;
pub mod sync_site;
pub mod tap;
pub mod train_ends;
pub mod train_ports;
pub mod train_world;

/// A scratch directory in memory where the system has room there: half of what a train costs on a disk is the disk's, for
/// files that are synced and soon removed.
pub fn scratch() -> tempfile::TempDir {
    const ENOUGH: u64 = 1 << 30;
    let memory = std::path::Path::new("/dev/shm");
    let roomy = rustix::fs::statvfs(memory).is_ok_and(|fs| fs.f_bavail * fs.f_frsize > ENOUGH);
    if roomy { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}
