//! Workflows and pull requests of a forge that is looked at and not changed.

use super::RecordingForge;
use crate::effects::{
    Automation, Forge as _, PullRequests, PullState, PullText, SeenPull, SeenRun, SeenWorkflow, Switch,
};
use crate::error::{Error, Result};
use crate::model::{BranchName, Oid};

impl RecordingForge {
    fn real_automation(&self) -> Result<&dyn Automation> {
        self.inner.automation().ok_or_else(|| Error::fatal(format!("`{}` runs no workflows", self.name())))
    }
}

#[async_trait::async_trait]
impl Automation for RecordingForge {
    async fn workflow(&self, file: &str) -> Result<Option<SeenWorkflow>> {
        let there = self.real_automation()?.workflow(file).await?;
        let would = self.switched.lock().get(file).copied();
        Ok(there.map(|w| SeenWorkflow { on: would.map_or(w.on, |s| s == Switch::On), ..w }))
    }

    async fn switch(&self, file: &str, to: Switch) -> Result<()> {
        let verb = if to == Switch::On { "switch on" } else { "switch off" };
        self.record(verb, file.to_owned(), None);
        self.switched.lock().insert(file.to_owned(), to);
        Ok(())
    }

    async fn runs(&self, commit: &Oid) -> Result<Vec<SeenRun>> {
        self.real_automation()?.runs(commit).await
    }
}

#[async_trait::async_trait]
impl PullRequests for RecordingForge {
    async fn pulls(&self, from: &BranchName, into: &BranchName) -> Result<Vec<SeenPull>> {
        let real = self.inner.pull_requests();
        let real = real.ok_or_else(|| Error::fatal(format!("`{}` takes no pull requests", self.name())))?;
        let mut there = real.pulls(from, into).await?;
        let would = self.opened.lock();
        if would.iter().any(|p| p.from == *from && p.into == *into) {
            let location = "not opened: a dry run".to_owned();
            there.push(SeenPull { number: u64::MAX, state: PullState::Open, location });
        }
        Ok(there)
    }

    async fn open_pull(&self, text: &PullText) -> Result<()> {
        self.record("pull request", format!("{} into {}", text.from, text.into), None);
        self.opened.lock().push(text.clone());
        Ok(())
    }
}
