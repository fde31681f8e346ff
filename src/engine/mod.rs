//! The engine: `next` decides, `perform` acts, `run` loops, and a resume is nothing else.

pub mod advisory;
pub mod approve;
pub mod branches;
mod clock;
mod content;
pub mod index;
mod neighbours;
mod next;
mod perform;
mod pools;
mod reach;
pub mod reconcile;
pub mod release;
pub mod restore;
mod retry;
mod run;
mod train;

pub use next::{Next, Question, next};
pub use perform::hidden_from_strangers;
pub use run::{Ended, run};
pub use train::{Adopted, Train, TrainDir};
