//! A train as its directory records it: its plans and its journal, read without the train's lock.

use std::sync::Arc;

use super::train::TrainDir;
use crate::effects::{Disk, Objects};
use crate::error::{Context as _, Error, Result};
use crate::journal::{Event, Journal, Plans, Record, State};
use crate::model::Sha256;
use crate::plan::{Graph, Plan, PlanId, check};

/// What a train's directory records.
pub struct TrainRecord {
    /// The adopted plan, and those that amended it.
    pub plans: Plans,
    /// The journal's records.
    pub records: Vec<Record>,
    /// The length of the whole part of the journal in bytes: an unfinished record may follow.
    pub len: u64,
}

impl TrainRecord {
    /// How the train stands.
    ///
    /// # Errors
    /// A record that cannot follow those before it.
    pub fn state(&self) -> Result<State> {
        State::fold(self.plans.clone(), &self.records)
    }
}

impl TrainDir {
    /// Reads the plans and the journal, and checks both.
    ///
    /// # Errors
    /// A plan that is missing, broken, newer, or breaks a promise; a broken journal.
    pub fn read(&self, disk: &dyn Disk) -> Result<TrainRecord> {
        let first = Arc::new(Graph::new(Arc::new(self.first_plan(disk)?))?);
        let (records, len) = Journal::read(disk, &self.journal(), &first)?;
        let mut plans = Plans::from(first);
        for record in &records {
            if let Event::Amended { plan, object, .. } = &record.what {
                plans.learn(Arc::new(self.child(disk, *plan, object)?))?;
            }
        }
        Ok(TrainRecord { plans, records, len })
    }

    /// The plan that counts now: the adopted one, or the last that amended it.
    pub fn load_plan(&self, disk: &dyn Disk) -> Result<Plan> {
        // Most trains are never amended, and many are asked for their plans alone.
        const AMENDED: &[u8] = b"\"event\":\"amended\"";
        let path = self.journal();
        let bytes = disk.read(&path).context(format!("cannot read `{}`", path.display()))?.unwrap_or_default();
        if bytes.windows(AMENDED.len()).any(|w| w == AMENDED) {
            return Ok(self.read(disk)?.plans.last().plan().as_ref().clone());
        }
        self.first_plan(disk)
    }

    /// A plan that amended another, which the journal names.
    fn child(&self, disk: &dyn Disk, id: PlanId, object: &Sha256) -> Result<Graph> {
        let path = Objects::place(&self.objects(), object);
        let lost = |what: String| {
            Error::verification(format!("plan {id}, which amended the train, {what}"))
                .detail(format!("file: {}", path.display()))
                .hint("restore the file from a backup or another maintainer's copy; nothing was changed")
        };
        let bytes = disk.read(&path).context(format!("cannot read `{}`", path.display()))?;
        let bytes = bytes.ok_or_else(|| lost("is lost".to_owned()))?;
        if Sha256::of(&bytes) != *object {
            return Err(lost("was changed".to_owned()));
        }
        let plan = Plan::from_bytes(&bytes)?;
        check(&plan).map_err(|e| lost(format!("is not valid: {}", e.message())))?;
        let graph = Graph::new(Arc::new(plan))?;
        if graph.id() == id { Ok(graph) } else { Err(lost("is another one".to_owned())) }
    }
}
