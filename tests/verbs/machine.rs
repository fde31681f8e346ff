//! What the machine is like, and what it may do to a train: its programs, its disk, its clock, its people's configuration.

mod clock;
mod disk;
mod doctor;
mod git;
