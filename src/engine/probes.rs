//! Whether destinations that may be down answer. Forges and remotes are asked once, at the start, beside the work that does
//! not need them; a store is asked right before a step that needs it: its answer takes no time, and may be another one soon.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::effects::Effects;
use crate::error::{Error, ErrorKind, Part, Result};
use crate::journal::{State, StepStatus};
use crate::model::Destination;

/// How long a store may take to say whether it is there: one on a dead mount never does.
const STORE: Duration = Duration::from_secs(8);

/// The answer so far: none yet, or how the probe ended.
type Answer = Option<Result<(), Arc<Error>>>;

/// What the probes of one run found.
pub(super) struct Probes {
    answers: BTreeMap<Destination, watch::Receiver<Answer>>,
}

impl Probes {
    /// Starts a probe of every forge and remote for which a step is still to be done; each has a short deadline of its own.
    pub(super) fn probe(effects: &Effects, state: &State) -> Self {
        let mut answers = BTreeMap::new();
        for destination in wanted(state) {
            let (sender, answer) = watch::channel(None);
            match &destination {
                Destination::Store(_) => continue,
                Destination::Forge(name) => {
                    let Some(forge) = effects.forges.get(name).cloned() else { continue };
                    tokio::spawn(async move { sender.send_replace(Some(forge.probe().await.map_err(Arc::new))) });
                }
                Destination::Remote(name) => {
                    let Some(remote) = effects.remotes.get(name).cloned() else { continue };
                    tokio::spawn(async move { sender.send_replace(Some(remote.probe().await.map_err(Arc::new))) });
                }
            }
            answers.insert(destination, answer);
        }
        Self { answers }
    }

    /// Asks nobody: for what goes to stores alone.
    pub(super) fn nobody() -> Self {
        Self { answers: BTreeMap::new() }
    }

    /// Whether a destination answers.
    ///
    /// # Errors
    /// [`ErrorKind::Unreachable`] with the probe's reason; a destination that the configuration does not have.
    pub(super) async fn reachable(&self, effects: &Effects, destination: &Destination) -> Result<()> {
        if let Destination::Store(name) = destination {
            let store = effects.store(name)?;
            return tokio::time::timeout(STORE, store.probe()).await.unwrap_or_else(|_| {
                let what = format!("store `{name}` does not answer within {} s", STORE.as_secs());
                Err(Error::new(ErrorKind::Unreachable, what).of(Part::Store))
            });
        }
        let Some(answer) = self.answers.get(destination) else { return Ok(()) };
        let mut answer = answer.clone();
        let gone = |_| Error::new(ErrorKind::Unreachable, format!("the probe of {destination} did not end"));
        let answer = answer.wait_for(Option::is_some).await.map_err(gone)?;
        match &*answer {
            Some(Err(e)) => {
                let again = Error::new(ErrorKind::Unreachable, e.message().to_owned());
                Err(match e.part() {
                    Some(part) => again.of(part),
                    None => again,
                })
            }
            _ => Ok(()),
        }
    }
}

/// The destinations to which this run may turn. A finished train asks nobody: what it asked would only keep the program
/// from ending.
fn wanted(state: &State) -> BTreeSet<Destination> {
    let steps = state.graph().plan().steps.iter().enumerate();
    let open =
        steps.filter(|(i, _)| !matches!(state.at(*i).status, StepStatus::Succeeded(_) | StepStatus::Deferred(_)));
    open.filter_map(|(_, s)| s.step.destination()).collect()
}
