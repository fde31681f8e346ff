//! The plans of a train: the one that was adopted first, and those that amended it, each the child of the one before.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::plan::{Graph, PlanId, amend};

/// A train's plans, the first adopted one first. None of them ever changes.
#[derive(Debug, Clone)]
pub struct Plans {
    first: Arc<Graph>,
    later: Vec<Arc<Graph>>,
}

impl From<Arc<Graph>> for Plans {
    fn from(first: Arc<Graph>) -> Self {
        Self { first, later: Vec::new() }
    }
}

impl Plans {
    /// The plan that was adopted first: the journal begins with it.
    #[must_use]
    pub fn first(&self) -> &Arc<Graph> {
        &self.first
    }

    /// The last one known.
    #[must_use]
    pub fn last(&self) -> &Arc<Graph> {
        self.later.last().unwrap_or(&self.first)
    }

    /// A plan by its identity.
    #[must_use]
    pub fn get(&self, id: PlanId) -> Option<&Arc<Graph>> {
        std::iter::once(&self.first).chain(&self.later).find(|g| g.id() == id)
    }

    /// Learns the child of the last plan. To know it changes nothing: only its record in the journal makes it count.
    ///
    /// # Errors
    /// A plan that cannot amend the last one.
    pub fn learn(&mut self, child: Arc<Graph>) -> Result<()> {
        if self.last().id() == child.id() {
            return Ok(());
        }
        if child.plan().parent != Some(self.last().id()) {
            return Err(Error::verification(format!("plan {} does not amend plan {}", child.id(), self.last().id())));
        }
        if let Some(first) = amend::refusals(self.last().plan(), child.plan()).first() {
            return Err(Error::verification(format!("plan {} cannot amend its parent: {first}", child.id())));
        }
        self.later.push(child);
        Ok(())
    }
}
