//! Pure conversions between bytes and values; no I/O.

pub mod cargo_lock;
pub mod cargo_manifest;
pub mod requirement;
pub mod splice;
