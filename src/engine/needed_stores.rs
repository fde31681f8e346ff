//! The stores without which a train does not go on: each required one, and enough of those that count for a quorum.

use std::collections::BTreeSet;

use crate::error::{Error, ErrorKind, Part, Result};
use crate::model::StoreName;
use crate::plan::Plan;
use crate::step::{Has, Point, Quorum};

/// The stores that a train needs, and which of those that count were found to be down.
pub(super) struct NeededStores {
    required: BTreeSet<StoreName>,
    counted: BTreeSet<StoreName>,
    at_least: u32,
    down: Vec<(StoreName, Error)>,
}

impl NeededStores {
    /// Those of a plan.
    pub(super) fn of(plan: &Plan) -> Self {
        let required = plan.all::<Point>().filter(|(step, _)| !step.deferrable).map(|(_, point)| point.store.clone());
        let quorum = plan.all::<Quorum>().map(|(_, quorum)| quorum).find(|quorum| quorum.has == Has::Pointers);
        Self {
            required: required.collect(),
            counted: quorum.map(|q| q.of.keys().cloned().collect()).unwrap_or_default(),
            at_least: quorum.map_or(0, |q| q.at_least),
            down: Vec::new(),
        }
    }

    /// All of them, sorted by name within each kind.
    pub(super) fn names(&self) -> Vec<StoreName> {
        self.required.iter().chain(&self.counted).cloned().collect()
    }

    /// Whether it is one of them.
    pub(super) fn has(&self, store: &StoreName) -> bool {
        self.required.contains(store) || self.counted.contains(store)
    }

    /// Takes in what came of one store: one that counts may be down.
    ///
    /// # Errors
    /// Any other error, and every error of a required store.
    pub(super) fn came(&mut self, store: &StoreName, what: Result<()>) -> Result<()> {
        match what {
            Err(e) if e.kind() == ErrorKind::Unreachable && self.counted.contains(store) => {
                self.down.push((store.clone(), e));
                Ok(())
            }
            other => other,
        }
    }

    /// Whether enough of those that count are left.
    ///
    /// # Errors
    /// [`ErrorKind::Unreachable`], with what was said of each that is down.
    pub(super) fn enough(&self) -> Result<()> {
        let (of, down): (usize, BTreeSet<_>) = (self.counted.len(), self.down.iter().map(|(store, _)| store).collect());
        let up = of - down.len();
        if up as u64 >= u64::from(self.at_least) {
            return Ok(());
        }
        let message = format!("{up} of {of} stores are up, and the train needs {}", self.at_least);
        let error = Error::new(ErrorKind::Unreachable, message).of(Part::Store);
        let why =
            |error: Error, (store, e): &(StoreName, Error)| error.detail(format!("store `{store}`: {}", e.message()));
        Err(self.down.iter().fold(error, why).hint("run `lifeboat ship` again when one more of them is up"))
    }
}
