//! This machine: its file system, its clock and its memory, behind the ports of [`crate::effects`].

mod clock;
mod core_dumps;
mod descriptors;
mod disk;
mod size_limits;

pub use clock::HostClock;
pub use core_dumps::forbid_core_dumps;
pub use descriptors::keep_descriptors;
pub use disk::{HostDisk, does};
pub use size_limits::outlive_size_limits;
