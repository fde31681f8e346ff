//! What several integration tests share: kill points, a disk that loses what was not synced, contract suites.
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(unreachable_pub, reason = "a test binary exports nothing")]

pub mod counting;
pub mod kill_points;
pub mod power_loss;
pub mod store_contract;
pub mod sync_site;
