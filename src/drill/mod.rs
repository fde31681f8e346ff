//! The drill: a whole train of a sample project in a simulated world, with GitHub unreachable and nothing public touched.

mod black_hole;
pub mod recording;
mod sample;

pub use black_hole::BlackHole;
pub use sample::{LINES, PEOPLE, SampleProject, THRESHOLD};
