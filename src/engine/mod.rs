//! The engine: `next` decides, `perform` acts, `run` loops, and a resume is nothing else.

pub mod advisory;
pub mod amend;
pub mod approve;
pub mod branches;
pub mod bring;
mod clock;
mod content;
mod converge;
pub mod export;
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
pub mod review;
mod run;
pub mod staged;
mod train;
mod view;

pub use clock::others_agree;
pub use content::{Approvals, approvals, to_approve};
pub(crate) use converge::Race;
pub use facts::Facts;
pub use next::{Next, Question, next};
pub use perform::{NOTE, hidden_from_strangers};
pub use recorded::Recorded;
pub use run::{Ended, run};
pub use train::{Adopted, Train, TrainDir};
pub use view::View;
