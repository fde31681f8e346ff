//! Pure conversions between bytes and values; no I/O.

pub mod canonical;
pub mod digests;
pub mod git_pack;
pub mod series;
