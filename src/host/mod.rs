//! This machine: its file system and its clock, behind the ports of [`crate::effects`].

mod clock;
mod disk;

pub use clock::HostClock;
pub use disk::HostDisk;
