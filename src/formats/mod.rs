//! Pure conversions between bytes and values; no I/O.

pub mod c_header;
pub mod cargo_lock;
pub mod cargo_manifest;
pub mod changelog;
pub mod changelog_dates;
pub mod requirement;
pub mod splice;
pub mod version_text;
