//! The journal: what happened to a train, append-only, hash-chained, signed; and the state that folds out of it.

mod disabled_workflows;
mod event;
mod file;
mod fold;
mod jobs;
mod outage;
mod plans;
mod signed;
mod timeline;
mod train_state;

pub use disabled_workflows::SwitchedOff;
pub use event::{Event, FORMAT, FailureClass, Record, StepStatus, transition};
pub use file::Journal;
pub use fold::{LOST, State, StepState};
pub use jobs::{EndedJob, JobEnd, Quarantined, RunnerDown, StepJob};
pub use outage::Outage;
pub use plans::Plans;
pub use signed::{Signatures, check_signatures};
pub use timeline::{Span, SpanEnd, Timeline, TrainMoment};
pub use train_state::TrainState;
