//! Whether destinations that may be down answer: asked once, at the start, beside the work that does not need them.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

use crate::effects::Effects;
use crate::error::{Error, ErrorKind, Result};

/// The answer so far: none yet, or how the probe ended.
type Answer = Option<Result<(), Arc<Error>>>;

/// What the probes of one run found.
pub(super) struct Reach {
    answers: BTreeMap<String, watch::Receiver<Answer>>,
}

impl Reach {
    /// Starts a probe of every forge and remote; each has a short deadline of its own.
    pub(super) fn probe(effects: &Effects) -> Self {
        let mut answers = BTreeMap::new();
        for (name, forge) in &effects.forges {
            let (tell, answer) = watch::channel(None);
            let forge = forge.clone();
            tokio::spawn(async move { tell.send_replace(Some(forge.probe().await.map_err(Arc::new))) });
            answers.insert(name.to_string(), answer);
        }
        for (name, remote) in &effects.remotes {
            let (tell, answer) = watch::channel(None);
            let remote = remote.clone();
            tokio::spawn(async move { tell.send_replace(Some(remote.probe().await.map_err(Arc::new))) });
            answers.insert(name.to_string(), answer);
        }
        Self { answers }
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
            Some(Err(e)) => Err(Error::new(ErrorKind::Unreachable, e.message().to_owned())),
            _ => Ok(()),
        }
    }
}
