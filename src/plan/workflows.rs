//! The project's own workflows that a train starts on a forge, and what becomes of each: decided before anything is done.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::line::ShippedLine;
use crate::config::{Config, ForgeConfig, PushMode, TrainRequest};
use crate::error::{Error, Result};
use crate::formats::workflow::{Act, Workflow};
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
    /// Files to be switched off.
    pub(super) suppress: BTreeSet<String>,
    /// Runs to be waited for, by line.
    pub(super) adopt: BTreeMap<BranchName, BTreeSet<WantedRun>>,
    /// All that starts, for people.
    pub(super) started: Vec<StartedWorkflow>,
}

/// Events whose runs carry the pushed commit and ref, so that a run can be told to be ours.
const AWAITABLE: &[&str] = &["create", "pull_request", "push", "release"];

/// What a forge takes for the wish that nothing runs for a push or a pull request.
const SKIP_MARKERS: &[&str] =
    &["[skip ci]", "[ci skip]", "[no ci]", "[skip actions]", "[actions skip]", "skip-checks:true", "skip-checks: true"];

/// A bracketed word below this length is no marker that a workflow would look for.
const MARKER_MIN: usize = 6;

/// The branch under which a line is pushed for a pull request.
pub(super) fn via(request: &TrainRequest, branch: &BranchName) -> Result<BranchName> {
    Ok(BranchName::new(format!("lifeboat/{}/{branch}", request.name))?)
}

/// Whether a line reaches a forge's repository by a pull request.
pub(super) fn by_pull_request(config: &Config, forge: &ForgeConfig, branch: &BranchName) -> bool {
    let remote = forge.remote.as_ref().and_then(|name| config.remotes.iter().find(|r| r.name == *name));
    remote.is_some_and(|r| r.push_mode(branch) == PushMode::PullRequest)
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
        chain(forge, &candidates, line, &mut started);
        for (file, by) in &started {
            let Some(trigger) = forge.triggers.get(file) else {
                let why = by.iter().map(|(event, on)| format!("line `{branch}`, {}", said(event, on)));
                undecided.entry(file.clone()).or_default().extend(why);
                continue;
            };
            match trigger {
                Trigger::Accept => {}
                Trigger::Suppress => drop(out.suppress.insert(file.clone())),
                Trigger::Adopt => {
                    let runs = out.adopt.entry(branch.clone()).or_default();
                    for (event, on) in by {
                        runs.insert(awaited(forge, file, event, on)?);
                    }
                }
            }
            out.started.push(StartedWorkflow {
                forge: forge.name.clone(),
                branch: branch.clone(),
                file: file.clone(),
                by: by.iter().map(|(event, on)| said(event, on)).collect(),
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

/// Events with what they are about, by file.
type Started = BTreeMap<String, BTreeSet<(String, String)>>;

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
    let mut acts = Vec::new();
    if by_pull_request(config, forge, &facts.branch) {
        // A branch that is new is compared with what the forge chooses.
        acts.push((Act::Branch { name: via.as_str(), changed: None }, via.as_str()));
        acts.push((Act::Pull { into: branch, changed }, via.as_str()));
    } else {
        acts.push((Act::Branch { name: branch, changed }, branch));
    }
    if let Some(release) = &line.release {
        acts.push((Act::Tag(release.tag.as_str()), release.tag.as_str()));
        acts.push((Act::Release { prerelease: !release.version.pre.is_empty() }, release.tag.as_str()));
    }
    let mut started = Started::new();
    for candidate in candidates.iter().filter(|c| c.at == WorkflowAt::Release) {
        for (act, on) in &acts {
            let events = match &candidate.workflow {
                Some(workflow) => workflow.events(*act),
                // Nobody can tell what starts a file that cannot be read.
                None => vec!["?"],
            };
            for event in events {
                started.entry(candidate.file.to_owned()).or_default().insert((event.to_owned(), (*on).to_owned()));
            }
        }
    }
    Ok(started)
}

/// Adds the workflows that the end of a started one starts, until there are no more.
fn chain(forge: &ForgeConfig, candidates: &[Candidate<'_>], line: &ShippedLine, started: &mut Started) {
    let mut refs = vec![line.planned.branch.as_str()];
    refs.extend(line.release.as_ref().map(|r| r.tag.as_str()));
    loop {
        let runs = |file: &str| started.contains_key(file) && forge.triggers.get(file) != Some(&Trigger::Suppress);
        let names: Vec<&str> = candidates
            .iter()
            .filter(|c| runs(c.file))
            .flat_map(|c| [Some(c.file), c.workflow.as_ref().and_then(|w| w.name.as_deref())])
            .flatten()
            .collect();
        let follows = |c: &&Candidate<'_>| {
            !names.is_empty()
                && !started.contains_key(c.file)
                && c.workflow.as_ref().is_some_and(|w| w.follows(&names, &refs))
        };
        let Some(next) = candidates.iter().find(follows) else { return };
        started.insert(next.file.to_owned(), [("workflow_run".to_owned(), names.join(", "))].into());
    }
}

/// What starts a workflow, in a person's words.
fn said(event: &str, on: &str) -> String {
    match event {
        "?" => format!("the file cannot be read, so it may be started by `{on}`"),
        "workflow_run" => format!("`workflow_run` after {on}"),
        event => format!("`{event}` of `{on}`"),
    }
}

fn awaited(forge: &ForgeConfig, file: &str, event: &str, on: &str) -> Result<WantedRun> {
    if AWAITABLE.contains(&event) {
        return Ok(WantedRun { file: file.to_owned(), event: event.to_owned(), on: on.to_owned() });
    }
    Err(Error::input(format!("`{file}` cannot be adopted: its run cannot be told to be ours ({})", said(event, on)))
        .hint(format!("say `\"{file}\" = \"accept\"` or `\"suppress\"` in `triggers` of `[forge.{}]`", forge.name)))
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
            let looks = candidates.iter().filter(|c| c.at == WorkflowAt::Release && c.text.contains(marker));
            for candidate in looks {
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
        .filter(|inside| inside.len() >= MARKER_MIN && !inside.contains(char::is_whitespace))
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
        "add to `[forge.{}]`: `triggers = {{ {} }}`; instead of `accept`, `suppress` switches one off while the train is \
         delivered, and `adopt` waits for its result",
        forge.name,
        lines.join(", ")
    ))
}
