//! Pure conversions between bytes and values; no I/O.

pub mod approval;
pub mod c_header;
pub mod canonical;
pub mod cargo_lock;
pub mod cargo_manifest;
pub mod changelog;
pub mod changelog_dates;
pub mod checksums;
pub mod content;
pub mod digests;
pub mod git_diff;
pub mod git_pack;
pub mod index;
pub mod manifest;
pub mod openpgp;
pub mod requirement;
pub mod series;
pub mod signed;
pub mod splice;
pub mod tag;
pub mod tag_links;
pub mod unified_diff;
pub mod version_text;
pub mod workflow;
pub mod workflow_pattern;
