//! Planning: the same configuration, snapshot and request make the same plan, byte for byte.

mod advisories;
pub mod amend;
mod automation;
mod builder;
mod check;
mod differences;
mod graph;
mod inputs;
mod line;
mod publish;
mod secrets;
mod upload_again;
mod workflows;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::config::{Config, TemplateSet, TrainRequest};
use crate::error::{Error, Result};
use crate::formats::canonical;
use crate::model::{
    Advisory, AdvisoryId, BranchName, Destination, Label, LineKind, Oid, Pin, ProjectName, Receiver, RemoteName,
    Sha256, StoreName, TagName, TrainName, escape,
};
use crate::site;
use crate::snapshot::{Fact, PatchFacts, Snapshot};
use crate::step::{Kind, PlannedStep, Stage, StepId};

pub(crate) use builder::Sketch;
pub use check::{check, check_graph};
pub use differences::{differences, line_differences};
pub use graph::Graph;
pub use secrets::{moved, secrets, shows_commands};
pub use upload_again::UploadAgain;
pub use workflows::StartedWorkflow;

/// The format of plans that this version writes. Those of every format before are read: what a later one added is absent
/// there, so keys and digests stay as they were.
pub const FORMAT: u32 = 1;

/// SHA-256 of a plan's canonical bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PlanId(pub Sha256);

impl fmt::Display for PlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What people review, adopt, rehearse and execute: one frozen value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Version of this format.
    pub format: u32,
    /// The project.
    pub project: ProjectName,
    /// The train's name.
    pub train: TrainName,
    /// The plan that this one amends.
    pub parent: Option<PlanId>,
    /// The time stamped into commits, tags and archives.
    pub date: Timestamp,
    /// The end of the embargo.
    pub not_before: Option<Timestamp>,
    /// The advisories that the train fixes.
    pub advisories: Vec<AdvisoryId>,
    /// Their texts, where the train file has them: pages and notes say who is affected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub advisory_texts: Vec<Advisory>,
    /// SHA-256 of the trust root by which approvals count.
    pub trust_root: Sha256,
    /// How many people must approve.
    pub threshold: u32,
    /// The git directory whose objects the private repository borrows.
    pub repository: String,
    /// Where the configuration put each destination when the plan was made: a train goes nowhere else.
    pub destinations: BTreeMap<Pin, String>,
    /// Where the configuration said that each key and secret is found when the plan was made; never a value.
    pub secrets: BTreeMap<String, String>,
    /// The lines, in the request's order.
    pub lines: Vec<PlannedLine>,
    /// The project's own workflows that the train starts, and what becomes of each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workflows: Vec<StartedWorkflow>,
    /// The project's own page templates, over those built in.
    pub templates: TemplateSet,
    /// What stores get a second time when it becomes public, because only encrypted files are staged there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub upload_again: BTreeMap<StoreName, UploadAgain>,
    /// The addresses of mirrors that others run, beside the project's own stores.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub mirrors: BTreeSet<String>,
    /// Facts that could not be had when the plan was made.
    pub unknown: Vec<String>,
    /// The steps, sorted by id.
    pub steps: Vec<PlannedStep>,
}

/// A line of a plan, as people review it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedLine {
    /// The branch.
    pub branch: BranchName,
    /// What happens on it.
    pub kind: LineKind,
    /// The commit on which the series is applied.
    pub base: Oid,
    /// The version before.
    pub old: Option<Version>,
    /// The version after.
    pub new: Option<Version>,
    /// The tag.
    pub tag: Option<TagName>,
    /// The pinned series.
    pub series: Sha256,
    /// Its patches.
    pub patches: Vec<PatchFacts>,
    /// The files that its patches delete, by their old names those that are renamed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deletes: Vec<String>,
}

impl Plan {
    /// The canonical bytes.
    ///
    /// # Errors
    /// Never for a plan that [`plan`] made.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        canonical::to_bytes(self)
    }

    /// Reads canonical bytes.
    ///
    /// # Errors
    /// Other bytes, or a newer format.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        struct Head {
            format: u32,
        }
        let broken = |e: serde_json::Error| {
            Error::verification("the stored plan cannot be read").because(e).hint(
                "restore `plan.json` from a backup or another maintainer's copy; without it the train cannot go on",
            )
        };
        let head: Head = serde_json::from_slice(bytes).map_err(broken)?;
        if head.format > FORMAT {
            return Err(Error::fatal(format!(
                "the stored plan has format {}, this version knows {FORMAT}",
                head.format
            ))
            .hint("use the lifeboat version that adopted this train, or a newer one; nothing was changed"));
        }
        serde_json::from_slice(bytes).map_err(broken)
    }

    /// The plan's identity. Where this machine keeps its clone, what could not be seen and how large earlier releases are is not
    /// part of it: another maintainer's machine gives the same plan the same name.
    pub fn id(&self) -> Result<PlanId> {
        let shared =
            Self { repository: String::new(), unknown: Vec::new(), upload_again: BTreeMap::new(), ..self.clone() };
        Ok(PlanId(Sha256::of(&shared.to_bytes()?)))
    }

    /// A step by its id.
    #[must_use]
    pub fn step(&self, id: &StepId) -> Option<&PlannedStep> {
        self.steps.binary_search_by(|s| s.id.cmp(id)).ok().map(|i| &self.steps[i])
    }

    /// Every step of one kind, in the order of their ids.
    pub fn all<K: Kind>(&self) -> impl Iterator<Item = (&PlannedStep, &K)> {
        self.steps.iter().filter_map(|planned| Some((planned, planned.step.as_a()?)))
    }

    /// The first step of one kind that belongs to a line.
    #[must_use]
    pub fn of_line<K: Kind>(&self, line: &BranchName) -> Option<(&PlannedStep, &K)> {
        self.all::<K>().find(|(_, step)| step.line() == Some(line))
    }

    /// A step by its id, if it is of a kind.
    #[must_use]
    pub(crate) fn step_of<K: Kind>(&self, id: &StepId) -> Option<&K> {
        self.step(id)?.step.as_a()
    }

    /// Whether only encrypted files are staged in a store.
    #[must_use]
    pub fn stages_encrypted(&self, store: &StoreName) -> bool {
        self.all().any(|(_, Stage(on))| on.store == *store && on.encrypt.is_some())
    }

    /// The lines that get a version, a tag and artifacts.
    pub fn releases(&self) -> impl Iterator<Item = &PlannedLine> {
        self.lines.iter().filter(|l| l.new.is_some())
    }
}

/// How the note about a forge begins: there is one in each plan with workflows, whatever its settings are.
pub(crate) const FORGE_NOTE: &str = "forge `";

/// What could not be seen, for people; the steps that need it look again.
fn unknown(snapshot: &Snapshot) -> Vec<String> {
    let mut out = snapshot.unknown.clone();
    for line in &snapshot.lines {
        for place in &line.elsewhere {
            if let Fact::Unknown(why) = &place.taken {
                out.push(format!("line `{}`: whether {} has this version already: {why}", line.branch, place.place));
            }
        }
    }
    // Nothing in a tree says anything of these, and a forge that is down cannot be asked.
    let forges: BTreeSet<&RemoteName> = snapshot.lines.iter().flat_map(|line| line.workflows.files.keys()).collect();
    for forge in forges {
        out.push(format!(
            "{FORGE_NOTE}{forge}` may start more than workflow files: check its settings (README, \"Workflows that a release starts\")"
        ));
    }
    out
}

impl Plan {
    /// The repository on each forge, by the forge's name.
    #[must_use]
    pub fn forges(&self) -> BTreeMap<String, String> {
        let named = |(pin, at): (&Pin, &String)| match pin {
            Pin { what: None, of: Receiver::Destination(Destination::Forge(name)) } => {
                Some((name.to_string(), at.clone()))
            }
            _ => None,
        };
        self.destinations.iter().filter_map(named).collect()
    }

    /// Where a destination is, as the plan pins it.
    #[must_use]
    pub(crate) fn place_of(&self, destination: Destination) -> Option<&str> {
        self.destinations.get(&Pin::destination(destination)).map(String::as_str)
    }
}

/// Refuses an adapter that could never work, such as a forge without credentials: the train would never end.
///
/// # Errors
/// The adapter's own: what it lacks.
pub(crate) fn check_adapters(config: &Config) -> Result<()> {
    config.specs().find_map(|table| table.lacks).map_or(Ok(()), Err)
}

/// Refuses an adapter that would send credentials to a host that the trust root does not have: they would never be sent.
///
/// # Errors
/// Names the host and the table.
pub fn check_hosts(config: &Config, trusted: &BTreeSet<String>) -> Result<()> {
    for table in config.specs() {
        if let Some(host) = table.hosts.iter().find(|host| !trusted.contains(*host)) {
            return Err(Error::input(format!("the trust root does not let `{}` have credentials", escape(host)))
                .detail(format!("{} sends them there", table.shown()))
                .hint("if it is the right host, put it under `hosts` in a new `keys/trust.json`: `lifeboat trust show` says which are there"));
        }
    }
    Ok(())
}

/// Where every destination of a configuration is, and every other place that gets bytes, by kind and name.
#[must_use]
pub fn destinations(config: &Config) -> BTreeMap<Pin, String> {
    let mut out = BTreeMap::new();
    for table in config.specs() {
        let Some(of) = table.receiver else { continue };
        let pin = |(what, at): (&str, String)| (Pin { what: Some(what.to_owned()), of: of.clone() }, at);
        out.extend(table.pins.into_iter().map(pin));
        let mut place = table.place;
        if table.may_not_isolate {
            place.push_str(&format!("; {NOT_ISOLATED}"));
        }
        out.insert(Pin::place(of), place);
    }
    out
}

/// What is said of a runner with `same_user`.
const NOT_ISOLATED: &str = "where its system cannot isolate them, recipes have all rights of the user who ships: they can read \
    the signing keys and change every file";

/// The runners of a plan on which recipes may not be isolated, each with what that means.
#[must_use]
pub(crate) fn not_isolated(plan: &Plan) -> Vec<String> {
    let runners = plan.destinations.iter().filter(|(pin, at)| pin.is_of_runner() && at.contains(NOT_ISOLATED));
    runners.map(|(name, _)| format!("{name} (`same_user`): {NOT_ISOLATED}")).collect()
}

/// The first place that is not where an adopted plan says: its name, what the plan says and what is true now. A plan of a
/// version that pinned no runners says nothing of them.
#[must_use]
pub fn elsewhere<'a>(
    planned: &'a BTreeMap<Pin, String>,
    now: &'a BTreeMap<Pin, String>,
) -> Option<(&'a Pin, &'a str, &'a str)> {
    let moved = planned.iter().find(|(pin, at)| now.get(*pin) != Some(at));
    if let Some((pin, at)) = moved {
        return Some((pin, at, now.get(pin).map_or("nowhere", String::as_str)));
    }
    let runners = planned.keys().any(Pin::is_of_runner);
    let added = now.iter().find(|(pin, _)| runners && pin.is_of_runner() && !planned.contains_key(*pin));
    added.map(|(pin, at)| (pin, "nowhere", at.as_str()))
}

/// Makes the plan of a train.
///
/// # Errors
/// Every reason why the train could not ship, found before anything is done: names the line and what would resolve it.
pub fn plan(config: &Config, snapshot: &Snapshot, request: &TrainRequest) -> Result<Plan> {
    if let Some(hook) = config.version.after.iter().find(|h| h.network) {
        return Err(Error::input(format!(
            "`{}` of `after` wants the network, so strangers could learn of the release",
            hook.run
        ))
        .hint("set `network = false` and fetch what it needs ahead, or take it out for embargoed trains"));
    }
    check_adapters(config)?;
    if let Some(hosts) = &snapshot.trust.hosts {
        check_hosts(config, hosts)?;
    }
    // Some are first used after the gate.
    site::check_templates(&config.templates)?;
    let mut sketch = Sketch::default();
    let mut lines = Vec::new();
    let mut shipped = Vec::new();
    for (wanted, facts) in request.lines.iter().zip(&snapshot.lines) {
        let line = line::plan_line(config, request, wanted, (facts, &snapshot.trust), &mut sketch)?;
        lines.push(line.planned.clone());
        shipped.push(line);
    }
    let workflows = publish::plan_publication(config, snapshot, request, &shipped, &mut sketch)?;
    let steps = sketch.finish();
    inputs::refuse_missing(config, snapshot, &steps)?;
    let plan = Plan {
        format: FORMAT,
        project: config.project.name.clone(),
        train: request.name.clone(),
        parent: None,
        date: request.date,
        not_before: request.not_before,
        advisories: request.advisories.clone(),
        advisory_texts: request.advisory_texts.clone(),
        trust_root: snapshot.trust.root,
        threshold: snapshot.trust.threshold,
        destinations: destinations(config),
        secrets: secrets(config),
        repository: snapshot.repository.to_string_lossy().into_owned(),
        lines,
        workflows,
        templates: config.templates.clone(),
        upload_again: upload_again::upload_again(config, snapshot, &shipped),
        mirrors: config.mirrors.clone(),
        unknown: unknown(snapshot),
        steps,
    };
    check(&plan)?;
    labels_are_there(config, &plan)?;
    Ok(plan)
}

/// Refuses a job whose labels no runner has.
fn labels_are_there(config: &Config, plan: &Plan) -> Result<()> {
    let has = |labels: &[Label]| config.runners.iter().any(|r| labels.iter().all(|l| r.labels.contains(l)));
    let mut jobs = plan.steps.iter().filter_map(|step| Some((&step.id, step.step.job()?)));
    let Some((step, job)) = jobs.find(|(_, job)| !has(&job.labels)) else { return Ok(()) };
    let words = |labels: &[Label]| labels.iter().map(Label::as_str).collect::<Vec<_>>().join(" ");
    let error = Error::input(format!("no runner has all labels of `{step}`: {}", words(&job.labels)));
    let error = config
        .runners
        .iter()
        .fold(error, |error, runner| error.detail(format!("runner `{}` has: {}", runner.name, words(&runner.labels))));
    Err(error
        .hint("add a `[[runner]]` with these labels, or the labels to one that has what they mean; `lifeboat doctor` lists both")
        .hint("or leave the target out of this train"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_train_goes_only_where_its_plan_says() {
        let pin = |text: &str| text.parse::<Pin>().unwrap();
        let places = |all: &[(&str, &str)]| -> BTreeMap<Pin, String> {
            all.iter().map(|(name, at)| (pin(name), (*at).to_owned())).collect()
        };
        let old = places(&[("store s", "file:///s")]);
        let new = places(&[("store s", "file:///s"), ("runner here", "local, labels: linux")]);
        assert_eq!(elsewhere(&old, &new), None, "a plan of before says nothing of runners");
        assert_eq!(elsewhere(&new, &old), Some((&pin("runner here"), "local, labels: linux", "nowhere")));
        let mut more = new.clone();
        more.insert(pin("runner there"), "ssh, labels: linux".to_owned());
        assert_eq!(elsewhere(&new, &more), Some((&pin("runner there"), "nowhere", "ssh, labels: linux")));
        let mut moved = new.clone();
        moved.insert(pin("store s"), "file:///t".to_owned());
        assert_eq!(elsewhere(&new, &moved), Some((&pin("store s"), "file:///s", "file:///t")));
    }
}
