//! Whether destinations that may be down answer: asked once, at the start, beside the work that does not need them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::watch;

use crate::effects::Effects;
use crate::error::{Error, ErrorKind, Result};
use crate::journal::{State, StepStatus};
use crate::model::RemoteName;
use crate::step::Step;

/// The answer so far: none yet, or how the probe ended.
type Answer = Option<Result<(), Arc<Error>>>;

/// What the probes of one run found.
pub(super) struct Reach {
    answers: BTreeMap<String, watch::Receiver<Answer>>,
}

impl Reach {
    /// Starts a probe of every forge and remote for which a step is still to be done; each has a short deadline of its own.
    pub(super) fn probe(effects: &Effects, state: &State) -> Self {
        let wanted = wanted(state);
        let mut answers = BTreeMap::new();
        for (name, forge) in effects.forges.iter().filter(|(n, _)| wanted.contains(n)) {
            let (tell, answer) = watch::channel(None);
            let forge = forge.clone();
            tokio::spawn(async move { tell.send_replace(Some(forge.probe().await.map_err(Arc::new))) });
            answers.insert(name.to_string(), answer);
        }
        for (name, remote) in effects.remotes.iter().filter(|(n, _)| wanted.contains(n)) {
            let (tell, answer) = watch::channel(None);
            let remote = remote.clone();
            tokio::spawn(async move { tell.send_replace(Some(remote.probe().await.map_err(Arc::new))) });
            answers.insert(name.to_string(), answer);
        }
        Self { answers }
    }

    /// Asks nobody: for what goes to stores alone.
    pub(super) fn nobody() -> Self {
        Self { answers: BTreeMap::new() }
    }

    /// Whether a destination answered.
    ///
    /// # Errors
    /// [`ErrorKind::Unreachable`] with the probe's reason.
    pub(super) async fn reachable(&self, name: &str) -> Result<()> {
        let Some(answer) = self.answers.get(name) else { return Ok(()) };
        let mut answer = answer.clone();
        let gone = |_| Error::new(ErrorKind::Unreachable, format!("the probe of `{name}` did not end"));
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

/// The forges and remotes to which this run may turn. A finished train asks nobody: what it asked would only keep the
/// program from ending.
fn wanted(state: &State) -> BTreeSet<&RemoteName> {
    let steps = state.graph().plan().steps.iter().enumerate();
    let open =
        steps.filter(|(i, _)| !matches!(state.at(*i).status, StepStatus::Succeeded(_) | StepStatus::Deferred(_)));
    open.filter_map(|(_, s)| match &s.step {
        Step::PushGit(push) => Some(&push.remote),
        Step::ForgeRelease(s) => Some(&s.forge),
        Step::SeeWorkflows(s) => Some(&s.forge),
        Step::SuppressWorkflows(s) | Step::RestoreWorkflows(s) => Some(&s.forge),
        Step::AwaitRuns(s) => Some(&s.forge),
        Step::DraftAdvisory(s) | Step::PublishAdvisory(s) => Some(&s.forge),
        Step::MergeBack(s) => Some(&s.forge),
        _ => None,
    })
    .collect()
}
