//! Which runner takes a job: the plan fixes what is built, the engine picks where.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::effects::Runner;
use crate::error::{Error, Result};
use crate::model::{Label, RunnerName};
use crate::step::Exposure;

/// The runners that may see embargoed sources, each with its free places.
pub(super) struct RunnerPool {
    runners: Vec<(Arc<dyn Runner>, Arc<Semaphore>)>,
}

/// A slot on a runner, released on drop.
pub(super) struct Slot {
    pub(super) runner: Arc<dyn Runner>,
    _permit: OwnedSemaphorePermit,
}

impl RunnerPool {
    /// The runners whose files and logs no stranger can read.
    pub(super) fn new(runners: &[Arc<dyn Runner>]) -> Self {
        let private = runners.iter().filter(|r| r.exposure() != Exposure::Public);
        Self { runners: private.map(|r| (r.clone(), Arc::new(Semaphore::new(r.slots().max(1))))).collect() }
    }

    /// A runner by its name.
    pub(super) fn named(&self, name: &RunnerName) -> Option<Arc<dyn Runner>> {
        self.runners.iter().find(|(r, _)| r.name() == name).map(|(r, _)| r.clone())
    }

    /// Waits for a place on a runner that has all the labels; the one with most free places first.
    pub(super) async fn take(&self, labels: &[Label]) -> Result<Slot> {
        let fits = |r: &Arc<dyn Runner>| labels.iter().all(|l| r.labels().contains(l));
        let mut fitting: Vec<_> = self.runners.iter().filter(|(r, _)| fits(r)).collect();
        fitting.sort_by_key(|(_, s)| std::cmp::Reverse(s.available_permits()));
        let Some((runner, places)) = fitting.first() else {
            let wanted: Vec<&str> = labels.iter().map(Label::as_str).collect();
            return Err(Error::input(format!("no private runner has the labels `{}`", wanted.join("`, `"))).hint(
                "add them to a `[[runner]]` of the configuration, or run `lifeboat doctor` to see what each has",
            ));
        };
        let closed = |e| Error::fatal("the runners were closed").because(e);
        let permit = places.clone().acquire_owned().await.map_err(closed)?;
        Ok(Slot { runner: runner.clone(), _permit: permit })
    }
}
