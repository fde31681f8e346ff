//! The project's own workflows that a train starts on a forge, and what becomes of each: decided before anything is done.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::line::ShippedLine;
use crate::config::{Config, ForgeConfig, TrainRequest};
use crate::error::{Error, Result};
use crate::formats::workflow::{TriggerEvent, Workflow};
use crate::model::{BranchName, RemoteName, Trigger};
use crate::snapshot::{LineFacts, WorkflowAt, WorkflowFile};
use crate::step::WantedRun;

/// A workflow that a line starts, as people review it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartedWorkflow {
    /// The forge.
    pub forge: RemoteName,
    /// The line.
    pub branch: BranchName,
    /// The workflow file's name.
    pub file: String,
    /// What starts it: `push of tag v1.0.1`.
    pub by: BTreeSet<String>,
    /// What becomes of it.
    pub trigger: Trigger,
}

/// What steps are needed at one forge.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct ForgeWorkflows {
    /// Files to be disabled.
    pub(super) suppress: BTreeSet<String>,
    /// The deliveries that would start one of those, by line.
    pub(super) starters: BTreeSet<(BranchName, Starter)>,
    /// Lines whose awaited runs must have ended before those are on again: their end would start one.
    pub(super) after_runs: BTreeSet<BranchName>,
    /// Runs to be waited for, by line.
    pub(super) adopt: BTreeMap<BranchName, BTreeSet<WantedRun>>,
    /// All that starts, for people.
    pub(super) started: Vec<StartedWorkflow>,
}

/// A delivery that starts workflows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Starter {
    /// The push to the forge's remote.
    Push,
    /// The release.
    Release,
    /// The pull request: its opening, or what people do with it.
    MergeBack,
}

/// Events whose runs carry the pushed commit and ref, by which a run is known to be ours.
const AWAITABLE: &[&str] = &["create", "pull_request", "push", "release"];

/// What a forge takes for the wish that nothing runs for a push or a pull request.
const SKIP_MARKERS: &[&str] =
    &["[skip ci]", "[ci skip]", "[no ci]", "[skip actions]", "[actions skip]", "skip-checks:true", "skip-checks: true"];

/// A bracketed word below this length says too little without its brackets.
const BARE_MIN: usize = 6;

/// What is shorter is not a marker at all, but an index or a list.
const MARKER_MIN: usize = 3;

/// The branch under which a line is pushed for a pull request.
pub(super) fn via(request: &TrainRequest, branch: &BranchName) -> Result<BranchName> {
    Ok(BranchName::new(format!("lifeboat/{}/{branch}", request.name))?)
}

/// One file of a line, read.
struct Candidate<'a> {
    file: &'a str,
    text: &'a str,
    at: WorkflowAt,
    /// None if it cannot be read.
    workflow: Option<Workflow>,
}

/// Decides about every workflow that the train starts at one forge.
///
/// # Errors
/// Every workflow about which the configuration says nothing, with the line to add.
pub(super) fn decide(
    config: &Config,
    request: &TrainRequest,
    forge: &ForgeConfig,
    lines: &[(&ShippedLine, &LineFacts)],
) -> Result<ForgeWorkflows> {
    let mut out = ForgeWorkflows::default();
    let mut undecided: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (line, facts) in lines {
        let branch = &facts.branch;
        let files = facts.workflows.files.get(&forge.name).map_or(&[][..], Vec::as_slice);
        let candidates: Vec<Candidate<'_>> = files.iter().map(candidate).collect();
        let mut started = started_by(config, request, forge, line, facts, &candidates)?;
        let behind = chain(forge, &candidates, &refs(config, request, forge, line)?, &mut started);
        for (file, by) in &started {
            let Some(trigger) = forge.triggers.get(file) else {
                let why = by.iter().map(|cause| format!("line `{branch}`, {}", cause.said()));
                undecided.entry(file.clone()).or_default().extend(why);
                continue;
            };
            match trigger {
                Trigger::Accept => {}
                Trigger::Suppress => {
                    out.suppress.insert(file.clone());
                    for starter in starters(file, &started, &behind) {
                        out.starters.insert((branch.clone(), starter));
                    }
                    if let Some(before) = behind.get(file) {
                        follows_what_is_awaited(forge, file, before)?;
                        out.after_runs.insert(branch.clone());
                    }
                }
                Trigger::Adopt => {
                    let runs = out.adopt.entry(branch.clone()).or_default();
                    runs.extend(awaited(forge, file, by)?);
                }
            }
            out.started.push(StartedWorkflow {
                forge: forge.name.clone(),
                branch: branch.clone(),
                file: file.clone(),
                by: by.iter().map(Cause::said).collect(),
                trigger: *trigger,
            });
        }
        refuse_markers(forge, line, facts, &candidates, &started)?;
    }
    if !undecided.is_empty() {
        return Err(refused(forge, &undecided));
    }
    out.started.sort();
    Ok(out)
}

fn candidate(file: &WorkflowFile) -> Candidate<'_> {
    let name = file.path.rsplit('/').next().unwrap_or(&file.path);
    Candidate { file: name, text: &file.text, at: file.at, workflow: Workflow::parse(&file.text).ok() }
}

/// Why a workflow starts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Cause {
    /// The event; `?` if the file cannot be read.
    event: String,
    /// The branch or tag, or the workflows that it follows.
    on: String,
    /// The delivery; none for one that follows another workflow.
    starter: Option<Starter>,
    /// Whether only people's merge brings it about.
    merged: bool,
}

impl Cause {
    /// In a person's words.
    fn said(&self) -> String {
        let on = &self.on;
        let once = if self.merged { " once it is merged" } else { "" };
        match self.event.as_str() {
            "?" => format!("the file cannot be read, so it may be started by `{on}`{once}"),
            "workflow_run" => format!("`workflow_run` after {on}"),
            event => format!("`{event}` of `{on}`{once}"),
        }
    }
}

/// Why each file starts.
type Started = BTreeMap<String, BTreeSet<Cause>>;

/// Something that a delivery does there.
struct Doing<'a> {
    act: TriggerEvent<'a>,
    on: &'a str,
    starter: Starter,
    merged: bool,
}

/// What the line's own acts start.
fn started_by(
    config: &Config,
    request: &TrainRequest,
    forge: &ForgeConfig,
    line: &ShippedLine,
    facts: &LineFacts,
    candidates: &[Candidate<'_>],
) -> Result<Started> {
    let branch = facts.branch.as_str();
    let changed = facts.workflows.changed.as_deref();
    let via = via(request, &facts.branch)?;
    let doing = |act, on, starter| Doing { act, on, starter, merged: false };
    let mut acts = Vec::new();
    if config.is_by_pull_request(forge, &facts.branch) {
        // A branch that is new is compared with what the forge chooses.
        acts.push(doing(TriggerEvent::Branch { name: via.as_str(), changed: None }, via.as_str(), Starter::Push));
        acts.push(doing(TriggerEvent::Pull { into: branch, changed }, via.as_str(), Starter::MergeBack));
        let merge = TriggerEvent::Branch { name: branch, changed };
        acts.push(Doing { act: merge, on: branch, starter: Starter::MergeBack, merged: true });
        acts.push(Doing { act: TriggerEvent::Removed, on: via.as_str(), starter: Starter::MergeBack, merged: true });
    } else {
        acts.push(doing(TriggerEvent::Branch { name: branch, changed }, branch, Starter::Push));
    }
    if let Some(release) = &line.release {
        let tag = release.tag.as_str();
        acts.push(doing(TriggerEvent::Tag(tag), tag, Starter::Push));
        acts.push(doing(TriggerEvent::Release { prerelease: !release.version.pre.is_empty() }, tag, Starter::Release));
    }
    let mut started = Started::new();
    for candidate in candidates {
        for doing in &acts {
            // Nobody can know what starts a file that cannot be read.
            let events = match (candidate.at, &candidate.workflow) {
                (WorkflowAt::Release, Some(_) | None) if doing.act == TriggerEvent::Removed => vec![],
                (WorkflowAt::Release, Some(workflow)) => workflow.events(doing.act),
                (WorkflowAt::DefaultBranch, Some(workflow)) => workflow.events_of_default_branch(doing.act),
                (_, None) => vec!["?"],
            };
            for event in events {
                // The branch is there already when people merge.
                if doing.merged && event == "create" {
                    continue;
                }
                let (event, on) = (event.to_owned(), doing.on.to_owned());
                let cause = Cause { event, on, starter: Some(doing.starter), merged: doing.merged };
                started.entry(candidate.file.to_owned()).or_default().insert(cause);
            }
        }
    }
    Ok(started)
}

/// The branches and tags on which the started workflows run.
fn refs(config: &Config, request: &TrainRequest, forge: &ForgeConfig, line: &ShippedLine) -> Result<Vec<String>> {
    let branch = &line.planned.branch;
    let mut refs = vec![branch.to_string()];
    if config.is_by_pull_request(forge, branch) {
        refs.push(via(request, branch)?.to_string());
    }
    refs.extend(line.release.as_ref().map(|r| r.tag.to_string()));
    Ok(refs)
}

/// Adds the workflows that the end of a started one starts, until there are no more; says which follows which.
fn chain(
    forge: &ForgeConfig,
    candidates: &[Candidate<'_>],
    refs: &[String],
    started: &mut Started,
) -> BTreeMap<String, BTreeSet<String>> {
    let refs: Vec<&str> = refs.iter().map(String::as_str).collect();
    let mut behind: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    loop {
        let mut found = None;
        for next in candidates {
            let Some(workflow) = &next.workflow else { continue };
            let mut names = BTreeSet::new();
            for before in candidates {
                let runs =
                    started.contains_key(before.file) && forge.triggers.get(before.file) != Some(&Trigger::Suppress);
                let called = before.workflow.as_ref().and_then(|w| w.name.as_deref());
                let known = behind.get(next.file).is_some_and(|b| b.contains(before.file));
                let own: Vec<&str> = [Some(before.file), called].into_iter().flatten().collect();
                if runs && !known && before.file != next.file && workflow.follows(&own, &refs) {
                    names.extend(own);
                    behind.entry(next.file.to_owned()).or_default().insert(before.file.to_owned());
                }
            }
            if !names.is_empty() {
                found = Some((next.file, names));
                break;
            }
        }
        let Some((file, names)) = found else { return behind };
        let on = names.into_iter().collect::<Vec<_>>().join(", ");
        let cause = Cause { event: "workflow_run".to_owned(), on, starter: None, merged: false };
        started.entry(file.to_owned()).or_default().insert(cause);
    }
}

/// The deliveries that start a file, itself or by what it follows.
fn starters(file: &str, started: &Started, behind: &BTreeMap<String, BTreeSet<String>>) -> BTreeSet<Starter> {
    let (mut out, mut seen, mut left) = (BTreeSet::new(), BTreeSet::new(), vec![file]);
    while let Some(file) = left.pop() {
        if seen.insert(file) {
            out.extend(started.get(file).into_iter().flatten().filter_map(|c| c.starter));
            left.extend(behind.get(file).into_iter().flatten().map(String::as_str));
        }
    }
    out
}

/// A workflow that follows another one can only stay off until that one's end if its end is waited for.
fn follows_what_is_awaited(forge: &ForgeConfig, file: &str, before: &BTreeSet<String>) -> Result<()> {
    let awaited = |f: &&String| matches!(forge.triggers.get(*f), None | Some(Trigger::Adopt));
    let Some(other) = before.iter().find(|f| !awaited(f)) else { return Ok(()) };
    Err(Error::input(format!(
        "`{file}` cannot be suppressed: the end of `{other}` starts it, and nobody waits for that"
    ))
    .hint(format!("say `\"{other}\" = \"adopt\"` or `\"suppress\"` in `triggers` of `[forge.{}]`", forge.name)))
}

/// The runs of an adopted file that are waited for.
fn awaited(forge: &ForgeConfig, file: &str, by: &BTreeSet<Cause>) -> Result<Vec<WantedRun>> {
    // A run after people's merge is on a commit that they make.
    let (ours, others): (Vec<&Cause>, Vec<&Cause>) =
        by.iter().partition(|c| !c.merged && AWAITABLE.contains(&c.event.as_str()));
    if let Some(other) = others.iter().find(|c| !c.merged || ours.is_empty()) {
        return Err(Error::input(format!(
            "`{file}` cannot be adopted: its run cannot be known to be ours ({})",
            other.said()
        ))
        .hint(format!("say `\"{file}\" = \"accept\"` or `\"suppress\"` in `triggers` of `[forge.{}]`", forge.name)));
    }
    let run = |c: &Cause| WantedRun { file: file.to_owned(), event: c.event.clone(), on: c.on.clone() };
    Ok(ours.into_iter().map(run).collect())
}

/// Refuses commit messages with words that start or stop what the configuration does not expect.
fn refuse_markers(
    forge: &ForgeConfig,
    line: &ShippedLine,
    facts: &LineFacts,
    candidates: &[Candidate<'_>],
    started: &Started,
) -> Result<()> {
    let bump = line.bump_message.as_deref().into_iter();
    let branch = &facts.branch;
    for message in facts.workflows.messages.iter().map(String::as_str).chain(bump) {
        let subject = message.lines().next().unwrap_or_default();
        let low = message.to_lowercase();
        let adopted = |file: &&String| forge.triggers.get(*file) == Some(&Trigger::Adopt);
        if let Some(marker) = SKIP_MARKERS.iter().find(|m| low.contains(*m))
            && let Some(file) = started.keys().find(adopted)
        {
            return Err(Error::input(format!(
                "line `{branch}`: the commit message `{subject}` has `{marker}`, so `{file}` would never run"
            ))
            .hint(format!("take it out of the message, or do not `adopt` it in `[forge.{}]`", forge.name)));
        }
        for marker in markers(message) {
            for candidate in candidates.iter().filter(|c| c.at == WorkflowAt::Release && c.looks_for(marker)) {
                let trigger = forge.triggers.get(candidate.file);
                if !matches!(trigger, Some(Trigger::Adopt | Trigger::Suppress)) {
                    return Err(Error::input(format!(
                        "line `{branch}`: the commit message `{subject}` has `[{marker}]`, for which `{}` looks",
                        candidate.file
                    ))
                    .hint(format!(
                        "take it out of the message or its template, or say `\"{}\" = \"adopt\"` or `\"suppress\"` in \
                         `triggers` of `[forge.{}]`",
                        candidate.file, forge.name
                    )));
                }
            }
        }
    }
    Ok(())
}

/// What stands in brackets in a message.
fn markers(message: &str) -> impl Iterator<Item = &str> {
    message
        .split('[')
        .skip(1)
        .filter_map(|rest| rest.split_once(']'))
        .map(|(inside, _)| inside)
        .filter(|inside| inside.len() >= MARKER_MIN && inside.chars().any(char::is_alphabetic))
}

impl Candidate<'_> {
    /// Whether the workflow looks for a marker: for `[word]` in one of its texts, as `contains(…)` has it, or for a long word
    /// anywhere. Forges compare without regard to case.
    fn looks_for(&self, marker: &str) -> bool {
        let low = marker.to_lowercase();
        let long = marker.len() >= BARE_MIN && !marker.contains(char::is_whitespace);
        let bracketed = format!("[{low}]");
        match &self.workflow {
            _ if long && self.text.to_lowercase().contains(&low) => true,
            // A list of branches has brackets as well, but they are not part of a text.
            Some(workflow) => workflow.has_text(&bracketed),
            None => self.text.to_lowercase().contains(&bracketed),
        }
    }
}

fn refused(forge: &ForgeConfig, undecided: &BTreeMap<String, BTreeSet<String>>) -> Error {
    let mut error = Error::input(format!(
        "the train would start workflows of `{}` about which the configuration says nothing: `{}`",
        forge.repository,
        undecided.keys().cloned().collect::<Vec<_>>().join("`, `")
    ));
    for (file, why) in undecided {
        for why in why {
            error = error.detail(format!("{file}: {why}"));
        }
    }
    let lines: Vec<String> = undecided.keys().map(|file| format!("\"{file}\" = \"accept\"")).collect();
    error.hint(format!(
        "add to `[forge.{}]`: `triggers = {{ {} }}`; instead of `accept`, `suppress` disables one while the train is \
         delivered, and `adopt` waits for its result",
        forge.name,
        lines.join(", ")
    ))
}
