//! The verbs of the command line: each parses, calls and renders.

pub mod trust;
pub mod verify;
