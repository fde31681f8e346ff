//! `await-runs`: the runs of the project's own workflows that a delivery starts, and what they may not have changed.

use super::workflows::automation;
use super::{Acting, Perform, forge_release, prepared};
use crate::effects::{Automation, Effects, Forge, RunState, SeenRun};
use crate::engine::train::Train;
use crate::error::{Error, ErrorKind, Result};
use crate::journal::State;
use crate::model::Oid;
use crate::step::{AwaitRuns, ForgeRelease, PassedRun, RunsPassed, WantedRun};

impl Perform for AwaitRuns {
    async fn perform(&self, acting: &Acting<'_>) -> Result<RunsPassed> {
        let forge = acting.forge(&self.forge).await?;
        let commit = &prepared(&acting.state, &self.prepare)?.head;
        let runs = passed(&*forge, self, commit).await?;
        // What they did to the line's release is compared as well: nothing added, nothing replaced, the tag where it was.
        if let Some(release) = acting.train.plan().step_of(&ForgeRelease::id(&self.forge, &self.branch)) {
            forge_release::prove(acting.effects, acting.train, release).await?;
        }
        Ok(RunsPassed { runs })
    }

    async fn prove(&self, effects: &Effects, train: &Train) -> Option<Result<()>> {
        Some(prove(effects, &train.state(), self).await)
    }
}

/// Reads the runs again: none failed or vanished since.
async fn prove(effects: &Effects, state: &State, step: &AwaitRuns) -> Result<()> {
    let forge = effects.forge(&step.forge)?;
    passed(&*forge, step, &prepared(state, &step.prepare)?.head).await.map(drop)
}

async fn passed(forge: &dyn Forge, step: &AwaitRuns, commit: &Oid) -> Result<Vec<PassedRun>> {
    let automation = automation(forge)?;
    let there = automation.runs(commit).await?;
    let mut out = Vec::new();
    for wanted in &step.runs {
        let ours =
            |r: &&SeenRun| r.commit == *commit && r.file == wanted.file && r.event == wanted.event && r.on == wanted.on;
        // A run that was started again by hand has a higher number: the last one counts.
        let Some(run) = there.iter().filter(ours).max_by_key(|r| r.id) else {
            return Err(none_yet(automation, step, wanted, commit).await?);
        };
        match &run.state {
            RunState::Passed => out.push(PassedRun {
                run: wanted.clone(),
                id: run.id,
                commit: run.commit.clone(),
                location: run.location.clone(),
            }),
            RunState::UnderWay => {
                let what = format!("run {} of workflow `{}` is under way: {}", run.id, wanted.file, run.location);
                return Err(Error::new(ErrorKind::Unreachable, what).hint("`lifeboat reconcile` looks again"));
            }
            RunState::Ended(how) => {
                return Err(Error::conflict(format!(
                    "run {} of workflow `{}` on our commit ended with `{how}`",
                    run.id, wanted.file
                ))
                .detail(format!("see {}", run.location))
                .detail(format!("started by `{}` of `{}`, commit {commit}", wanted.event, wanted.on))
                .hint("what is released stays released; find out why, run it again there, then `lifeboat reconcile`"));
            }
        }
    }
    Ok(out)
}

/// Why there is no run: it has not come yet, or never will.
async fn none_yet(automation: &dyn Automation, step: &AwaitRuns, wanted: &WantedRun, commit: &Oid) -> Result<Error> {
    let off = automation.workflow(&wanted.file).await?.is_some_and(|w| !w.on);
    let what = format!(
        "`{}` shows no run of workflow `{}` for `{}` of `{}` on commit {commit}",
        step.forge, wanted.file, wanted.event, wanted.on
    );
    Ok(if off {
        Error::conflict(what)
            .detail("the workflow is disabled there")
            .hint("enable it and run it for this ref, then `lifeboat reconcile`; next time say `suppress` or `accept`")
    } else {
        Error::new(ErrorKind::Unreachable, what).hint("`lifeboat reconcile` looks again")
    })
}
