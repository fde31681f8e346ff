//! The engine: `next` decides, `perform` acts, `run` loops, and a resume is nothing else.

pub mod advisory;
pub mod amend;
pub mod approve;
pub mod branches;
mod clock;
mod content;
mod facts;
pub mod index;
mod neighbours;
mod next;
mod perform;
mod pools;
mod reach;
pub mod reconcile;
mod recorded;
pub mod release;
pub mod restore;
mod retry;
mod run;
mod train;

pub use clock::others_agree;
pub use facts::Facts;
pub use next::{Next, Question, next};
pub use perform::hidden_from_strangers;
pub use recorded::Recorded;
pub use run::{Ended, run};
pub use train::{Adopted, Train, TrainDir};
