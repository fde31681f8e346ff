//! How much is read before something is checked.

use crate::error::Error;

/// The longest artifact that is read.
pub const MAX_SIZE: u64 = 16 << 30;
/// The most artifacts that a release may have.
pub const MAX_COUNT: usize = 4096;

pub(super) fn too_long(path: &str, limit: u64) -> Error {
    Error::verification(format!("`{path}` is longer than the {limit} bytes that it may have"))
}
