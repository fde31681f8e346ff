//! The parts of the directory, and who can read them.

use crate::effects::Area;

/// Where only the team can read.
pub(super) const STAGING: &str = ".staging";
// Directories in it; no train has such names.
/// The lock files of writers.
pub(super) const LOCKS: &str = ".locks";
/// What is tried out.
pub(super) const PROBE: &str = ".probe";
/// The names that are held, a file each.
pub(super) const HELD: &str = ".held";

/// Modes of files and directories in an area.
pub(super) fn modes(area: &Area) -> (u32, u32) {
    match area {
        Area::Staging(_) => (0o600, 0o700),
        Area::Public => (0o644, 0o755),
    }
}
