//! What `see-workflows`, `suppress-workflows` and `restore-workflows` do: the project's own workflows, off around a delivery.
//!
//! What was on is recorded before anything is disabled, so whoever comes after a crash knows what to enable again.

use std::collections::BTreeSet;

use jiff::SignedDuration;

use super::Acting;
use crate::effects::{Automation, Forge, Switch};
use crate::engine::converge::{Assessment, Wanted, Writes, converge};
use crate::engine::other_trains::{self, WorkflowLock};
use crate::error::{Context as _, Error, ErrorKind, Result};
use crate::journal::Event;
use crate::model::RemoteName;
use crate::step::{SeeWorkflows, StepId, StepKey, SuppressWorkflows, SwitchWorkflows};

/// How long after a delivery workflows stay off, in seconds. A forge looks at a push some seconds after it took it, and
/// promises no bound.
const SETTLES: u32 = 60;

/// Which of these workflows are on.
pub(super) async fn see(acting: &Acting<'_>, step: &SeeWorkflows) -> Result<Vec<String>> {
    let forge = acting.forge(&step.forge).await?;
    let automation = automation(&*forge)?;
    let mut on = Vec::new();
    for file in &step.files {
        match automation.workflow(file).await? {
            Some(seen) if seen.on => on.push(file.clone()),
            Some(_) => {}
            None => return Err(unseen(&step.forge, file)),
        }
    }
    Ok(on)
}

fn unseen(forge: &RemoteName, file: &str) -> Error {
    Error::conflict(format!("`{forge}` shows no workflow `{file}`, so it cannot be disabled"))
        .detail("a forge knows the workflows of its default branch, and those that ran once")
        .detail("to a token that may not see workflows it shows none")
        .hint("bring the file to the default branch, or fix the token, then `lifeboat reconcile`; or plan the train with `accept` for it")
}

/// Switches workflows off; which are to be on again afterwards.
pub(super) async fn suppress(acting: &Acting<'_>, step: &SwitchWorkflows) -> Result<Vec<String>> {
    let of = (&acting.step.id, acting.step.key, step);
    switch_off(acting, of).await?;
    Ok(acting.train.state().to_be_restored(step).into_iter().collect())
}

/// Looks again right before a delivery that would start workflows which must not run: they were disabled, perhaps days
/// ago, and somebody may have enabled one since. While what it returns is held, no other train of this machine does.
pub(super) async fn keep_off(acting: &Acting<'_>) -> Result<Vec<WorkflowLock>> {
    let mut held = Vec::new();
    for (planned, SuppressWorkflows(step)) in acting.train.plan().all() {
        if step.starters.contains(&acting.step.id) {
            held.push(other_trains::lock_workflows(acting.effects, acting.train, &step.forge).await?);
            switch_off(acting, (&planned.id, planned.key, step)).await?;
        }
    }
    Ok(held)
}

/// Switches off what is on of them. What nobody saw on before is recorded first: it is to be on again afterwards.
async fn switch_off(acting: &Acting<'_>, (id, key, step): (&StepId, StepKey, &SwitchWorkflows)) -> Result<()> {
    let known = acting.train.state().to_be_restored(step);
    // A plan of an earlier version names those that it saw on, and no others.
    let files = if step.files.is_empty() { &known } else { &step.files };
    let forge = acting.forge(&step.forge).await?;
    let automation = automation(&*forge)?;
    let mut on = Vec::new();
    for file in files {
        match automation.workflow(file).await? {
            Some(there) if there.on => on.push(file.clone()),
            Some(_) => {}
            // It was there: one that the token may not see any more may be on.
            None => return Err(unseen(&step.forge, file)),
        }
    }
    {
        let mut journal = acting.train.journal();
        // Another delivery of this train may have looked at the same moment, and recorded it.
        let known = journal.state().to_be_restored(step);
        let new: BTreeSet<String> = on.iter().filter(|f| !known.contains(*f)).cloned().collect();
        if !new.is_empty() {
            journal.append(Event::FoundOn { step: id.clone(), key, files: new })?;
        }
    }
    switch_all(acting, &step.forge, &on, Switch::Off).await
}

/// Switches on again what was on before; which those are.
pub(super) async fn restore(acting: &Acting<'_>, step: &SwitchWorkflows) -> Result<Vec<String>> {
    let on = acting.train.state().to_be_restored(step);
    if on.is_empty() {
        return Ok(Vec::new());
    }
    let clock = &*acting.effects.clock;
    clock.pause(SETTLES).await;
    // Another train may have begun to deliver meanwhile, and one may act just now.
    let _lock = other_trains::lock_workflows(acting.effects, acting.train, &step.forge).await?;
    let settled =
        clock.now().checked_sub(SignedDuration::from_secs(SETTLES.into())).context("the clock is out of range")?;
    let needed = other_trains::keep_off(&*acting.effects.disk, acting.train.dir(), &step.forge, settled)?;
    let free: Vec<String> = on.iter().filter(|f| !needed.contains_key(*f)).cloned().collect();
    switch_all(acting, &step.forge, &free, Switch::On).await?;
    match on.iter().find_map(|f| needed.get_key_value(f)) {
        None => Ok(free),
        Some((file, train)) => {
            let what = format!("workflow `{file}` of `{}` stays off: train `{train}` still delivers there", step.forge);
            Err(Error::new(ErrorKind::Unreachable, what).hint("`lifeboat reconcile` enables it after that train"))
        }
    }
}

/// Switches until the forge shows that all are as they should be.
async fn switch_all(acting: &Acting<'_>, name: &RemoteName, files: &[String], to: Switch) -> Result<()> {
    let forge = acting.forge(name).await?;
    for file in files {
        let mut switched = Switched { automation: automation(&*forge)?, name, file, to };
        converge(&*acting.effects.clock, Writes::default(), &mut switched).await?;
    }
    Ok(())
}

/// A workflow that is to be on, or off.
struct Switched<'a> {
    automation: &'a dyn Automation,
    name: &'a RemoteName,
    file: &'a str,
    to: Switch,
}

#[async_trait::async_trait]
impl Wanted for Switched<'_> {
    type Act = ();
    type Done = ();

    async fn look(&mut self) -> Result<Assessment<(), ()>> {
        let there = self.automation.workflow(self.file).await?;
        let stands = there.is_some_and(|w| w.on == (self.to == Switch::On));
        Ok(if stands { Assessment::Done(()) } else { Assessment::Lacks(()) })
    }

    fn names(&self, (): &()) -> Vec<String> {
        vec!["the switch".to_owned()]
    }

    async fn act(&mut self, (): (), _writes: &mut Writes) -> Result<()> {
        self.automation.switch(self.file, self.to).await
    }

    fn what(&self) -> String {
        format!("workflow `{}`", self.file)
    }

    fn missing(&self, _name: &str) -> String {
        format!("workflow `{}` of `{}` does not switch", self.file, self.name)
    }
}

pub(super) fn automation(forge: &dyn Forge) -> Result<&dyn Automation> {
    forge.automation().ok_or_else(|| {
        Error::input(format!("lifeboat cannot see or switch workflows of `{}`", forge.name()))
            .hint("say `accept` for them in `triggers` of its table, and plan the train again")
    })
}
