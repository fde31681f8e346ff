//! `gate`: waits for people and for time.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Checksum, Kind, Made, Phase, Prepare, Read, StepId};
use crate::model::{PersonId, Sha256};

/// Waits for the threshold of people, and for the end of the embargo.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// How many people must approve.
    pub threshold: u32,
    /// The embargo: nothing is public before.
    pub not_before: Option<Timestamp>,
    /// The steps that wrote each line's sums: what people approve.
    pub checksums: Vec<StepId>,
    /// The `prepare` steps of lines that carry the fix only: their commits are approved too.
    pub carries: Vec<StepId>,
}

/// How [`Gate`] opened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GateOpened {
    /// The digest of the content manifest that was approved.
    pub content: Sha256,
    /// Who approved, sorted.
    pub approved_by: Vec<PersonId>,
}

impl Kind for Gate {
    const NAME: &'static str = "gate";
    type Outcome = GateOpened;

    fn name(&self) -> StepId {
        StepId::of::<Self>(&[])
    }

    fn reads(&self) -> Vec<Read<'_>> {
        let carries = self.carries.iter().map(Read::any::<Prepare>);
        self.checksums.iter().map(Read::any::<Checksum>).chain(carries).collect()
    }

    fn phase(&self) -> Phase {
        Phase::Gate
    }
}

impl Made for GateOpened {}
