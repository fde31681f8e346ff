//! The steps around a forge's deliveries: workflows off before, on again after, waited for; and pull requests.

use std::collections::{BTreeMap, BTreeSet};

use super::builder::Sketch;
use super::line::ShippedLine;
use super::workflows::{self, ForgeWorkflows, StartedWorkflow, Starter, via};
use crate::config::{Config, ForgeConfig, PushMode, TrainRequest};
use crate::error::{Error, Result};
use crate::model::{BranchName, RemoteName};
use crate::snapshot::Snapshot;
use crate::step::{
    AwaitRuns, ForgeRelease, Importance, MergeBack, PushGit, RestoreWorkflows, SeeWorkflows, StepId, SuppressWorkflows,
    SwitchWorkflows,
};

/// What was decided for each forge.
pub(super) struct ForgeDecisions(BTreeMap<RemoteName, ForgeWorkflows>);

/// The steps that switch workflows off.
#[derive(Default)]
pub(super) struct SwitchSteps {
    seen: BTreeMap<RemoteName, StepId>,
    suppress: BTreeMap<RemoteName, (StepId, BTreeSet<StepId>)>,
    /// Those that *released* needs.
    pub(super) required: Vec<StepId>,
}

impl SwitchSteps {
    /// The steps that switch off what a delivery would start.
    pub(super) fn before(&self, delivery: &StepId) -> impl Iterator<Item = StepId> {
        let needed = self.suppress.values().filter(move |(_, starters)| starters.contains(delivery));
        needed.map(|(suppress, _)| suppress.clone())
    }
}

/// The deliveries that would start a workflow that must not run.
fn starters(forge: &ForgeConfig, of: &ForgeWorkflows, lines: &[ShippedLine]) -> BTreeSet<StepId> {
    let name = &forge.name;
    let release = |branch: &BranchName| {
        let has = lines.iter().any(|l| l.planned.branch == *branch && l.release.is_some());
        has.then(|| ForgeRelease::id(name, branch))
    };
    let step = |(branch, starter): &(BranchName, Starter)| match starter {
        // Where somebody else pushes, the release comes after it: it waits for its tag.
        Starter::Push => push_step(forge).or_else(|| release(branch)),
        Starter::Release => release(branch),
        Starter::MergeBack => Some(MergeBack::id(name, branch)),
    };
    of.starters.iter().filter_map(step).collect()
}

fn push_step(forge: &ForgeConfig) -> Option<StepId> {
    forge.remote.as_ref().map(PushGit::id)
}

impl ForgeDecisions {
    /// Decides about every forge.
    ///
    /// # Errors
    /// A workflow about which nothing is said; a pull request that no forge would take.
    pub(super) fn new(
        config: &Config,
        snapshot: &Snapshot,
        request: &TrainRequest,
        lines: &[ShippedLine],
    ) -> Result<Self> {
        for remote in &config.remotes {
            let asks = lines.iter().find(|l| remote.push_mode(&l.planned.branch) == PushMode::PullRequest);
            let taken = config.forges.iter().any(|f| f.remote.as_ref() == Some(&remote.name));
            if let (Some(line), false) = (asks, taken) {
                return Err(Error::input(format!(
                    "line `{}` goes to remote `{}` by a pull request, which no forge takes",
                    line.planned.branch, remote.name
                ))
                .hint(format!("add `remote = \"{}\"` to the forge's table in `lifeboat.toml`", remote.name)));
            }
        }
        let lines: Vec<_> = lines.iter().zip(&snapshot.lines).collect();
        let mut out = BTreeMap::new();
        for forge in &config.forges {
            out.insert(forge.name.clone(), workflows::decide(config, request, forge, &lines)?);
        }
        Ok(Self(out))
    }

    /// Everything that starts, sorted.
    pub(super) fn started(&self) -> Vec<StartedWorkflow> {
        self.0.values().flat_map(|f| f.started.iter().cloned()).collect()
    }

    /// The steps before any push.
    pub(super) fn plan_suppress(
        &self,
        config: &Config,
        lines: &[ShippedLine],
        shown: &[StepId],
        sketch: &mut Sketch,
    ) -> Result<SwitchSteps> {
        let mut switches = SwitchSteps::default();
        for forge in &config.forges {
            let Some(of) = self.0.get(&forge.name).filter(|f| !f.suppress.is_empty()) else { continue };
            let (files, starters) = (&of.suppress, starters(forge, of, lines));
            let pushed = |s: &StepId| starters.contains(s);
            let remote = config.remotes.iter().find(|r| Some(&r.name) == forge.remote.as_ref());
            let remote = remote.filter(|r| r.required && !forge.required);
            if let Some(remote) = remote.filter(|_| push_step(forge).as_ref().is_some_and(pushed)) {
                return Err(Error::input(format!(
                    "remote `{}` is required, and its push waits until workflows of `[forge.{}]` are off, which is not",
                    remote.name, forge.name
                ))
                .hint("set `required = false` for that `[[remote]]`, or suppress no workflow"));
            }
            let see = SeeWorkflows { forge: forge.name.clone(), files: files.clone() };
            let seen = sketch.add(see, shown.to_vec(), Importance::of(forge.required))?;
            let mut needs = shown.to_vec();
            needs.push(seen.clone());
            let suppress = sketch.add(
                SuppressWorkflows(SwitchWorkflows {
                    forge: forge.name.clone(),
                    seen: seen.clone(),
                    files: files.clone(),
                    starters: starters.clone(),
                }),
                needs,
                Importance::of(forge.required),
            )?;
            if forge.required {
                switches.required.extend([seen.clone(), suppress.clone()]);
            }
            switches.seen.insert(forge.name.clone(), seen);
            switches.suppress.insert(forge.name.clone(), (suppress, starters));
        }
        Ok(switches)
    }

    /// The steps after pushes and releases. None of them is needed for *released*.
    pub(super) fn plan_after(
        &self,
        config: &Config,
        request: &TrainRequest,
        lines: &[ShippedLine],
        (shown, switches): (&[StepId], &SwitchSteps),
        sketch: &mut Sketch,
    ) -> Result<()> {
        for forge in &config.forges {
            let name = &forge.name;
            let released =
                |line: &ShippedLine| line.release.as_ref().map(|_| ForgeRelease::id(name, &line.planned.branch));
            for line in lines {
                let branch = &line.planned.branch;
                let mut needs = shown.to_vec();
                needs.push(line.prepare.clone());
                needs.extend(push_step(forge));
                if config.is_by_pull_request(forge, branch) {
                    let pull = merge_back(request, forge, line)?;
                    let needs = needs.iter().cloned().chain(switches.before(&MergeBack::id(name, branch))).collect();
                    sketch.add(pull, needs, Importance::Deferrable)?;
                }
                let runs = self.0.get(name).and_then(|f| f.adopt.get(branch)).filter(|runs| !runs.is_empty());
                if let Some(runs) = runs {
                    needs.extend(released(line));
                    let pulls = runs.iter().any(|r| r.event == "pull_request");
                    needs.extend(pulls.then(|| MergeBack::id(name, branch)));
                    let await_runs = AwaitRuns {
                        forge: name.clone(),
                        branch: branch.clone(),
                        prepare: line.prepare.clone(),
                        runs: runs.clone(),
                    };
                    sketch.add(await_runs, needs, Importance::Deferrable)?;
                }
            }
            self.plan_restore(forge, (shown, switches), sketch)?;
        }
        Ok(())
    }

    /// On again as soon as nothing is left that would start them, whatever else is still under way.
    fn plan_restore(
        &self,
        forge: &ForgeConfig,
        (shown, switches): (&[StepId], &SwitchSteps),
        sketch: &mut Sketch,
    ) -> Result<()> {
        let name = &forge.name;
        let (Some(seen), Some((suppress, starters)), Some(of)) =
            (switches.seen.get(name), switches.suppress.get(name), self.0.get(name))
        else {
            return Ok(());
        };
        let mut needs = shown.to_vec();
        needs.extend([seen.clone(), suppress.clone()]);
        needs.extend(starters.iter().cloned());
        needs.extend(of.after_runs.iter().map(|branch| AwaitRuns::id(name, branch)));
        let step = SwitchWorkflows {
            forge: name.clone(),
            seen: seen.clone(),
            files: of.suppress.clone(),
            starters: starters.clone(),
        };
        sketch.add(RestoreWorkflows(step), needs, Importance::Deferrable).map(drop)
    }
}

fn merge_back(request: &TrainRequest, forge: &ForgeConfig, line: &ShippedLine) -> Result<MergeBack> {
    let branch = &line.planned.branch;
    let remote = forge.remote.clone().ok_or_else(|| {
        Error::input(format!("forge `{}` names no `remote`, so no branch can be merged there", forge.name))
    })?;
    let what = line.release.as_ref().map_or_else(|| "the fix".to_owned(), |r| r.tag.to_string());
    let text = match &line.release {
        Some(release) => format!(
            "The commits of release `{}`. The tag stays where it is, whichever way this is merged.\n",
            release.tag
        ),
        None => format!("The commits of the fix for `{branch}`.\n"),
    };
    Ok(MergeBack {
        forge: forge.name.clone(),
        remote,
        branch: branch.clone(),
        via: via(request, branch)?,
        base: line.planned.base.clone(),
        prepare: line.prepare.clone(),
        title: format!("Bring {what} into {branch}"),
        text,
    })
}
