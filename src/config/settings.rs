//! The resolved configuration: every value checked, every default filled in, every path absolute.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::adapter::{ForgeFacts, Spec};
use crate::bump::VersionRules;
use crate::effects::{Forge, Remote, Runner, Signer, Store};
use crate::error::{Error, Result};
use crate::formats::glob;
use crate::model::{
    Advisory, AdvisoryId, BranchName, ByteRate, Ident, InputName, Label, LineKind, PersonId, ProjectName, RemoteName,
    RunnerName, SecretRef, Sha256, Staging, StoreName, TargetName, TrainName, Trigger, VersionStep,
};
use crate::step::Importance;

/// The whole `lifeboat.toml`.
#[derive(Debug, Clone)]
pub struct Config {
    /// `[project]`.
    pub project: Project,
    /// `[version]`.
    pub version: VersionRules,
    /// `[bundle]`.
    pub bundle: BundleConfig,
    /// `[[input]]`, in their order.
    pub inputs: Vec<InputConfig>,
    /// `[[target]]`, in their order.
    pub targets: Vec<TargetConfig>,
    /// `[[assemble]]`, in their order.
    pub assemblies: Vec<AssembleConfig>,
    /// `[[runner]]`; this machine if there is none.
    pub runners: Vec<RunnerConfig>,
    /// `[[store]]`.
    pub stores: Vec<StoreConfig>,
    /// `[release] stores`: how many of the stores that count must have a train before it is *released*.
    pub quorum: Option<u32>,
    /// `[release] mirrors`: base addresses that others run, each with a final slash.
    pub mirrors: BTreeSet<String>,
    /// `[forge.<name>]`.
    pub forges: Vec<ForgeConfig>,
    /// `[[remote]]`.
    pub remotes: Vec<RemoteConfig>,
    /// `[signing]`.
    pub signing: SigningConfig,
    /// `release-templates/` of the project over those built in.
    pub templates: TemplateSet,
}

/// `[project]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Project {
    /// Its name.
    pub name: ProjectName,
    /// A glob over release branches, such as `release-*`.
    pub branches: String,
    /// The user's repository: the directory of `lifeboat.toml` unless said otherwise.
    pub repository: PathBuf,
    /// Who makes the bump commits and tags.
    pub committer: Ident,
    /// Where `trust.json` and the certificates are: `keys/` beside `lifeboat.toml` unless said otherwise.
    pub keys: PathBuf,
    /// Where the project's own templates are: `release-templates/` beside `lifeboat.toml` unless said otherwise.
    pub templates: PathBuf,
}

/// `[bundle]`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BundleConfig {
    /// Whether third-party crates are vendored, from the cargo home given or the user's own.
    pub vendor: bool,
    /// The cargo home into which the crates were fetched ahead.
    pub cargo_home: Option<PathBuf>,
    /// Submodules left out, by path.
    pub without_submodules: Vec<String>,
}

/// `[[input]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputConfig {
    /// Its name.
    pub name: InputName,
    /// Where it is fetched from.
    pub from: InputAddress,
    /// SHA-256 of its bytes.
    pub sha256: Sha256,
    /// Where a job finds it, relative to the root of the source.
    pub path: String,
}

/// Where an input is fetched from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputAddress {
    /// An address on the web, or of this machine.
    Web(String),
    /// A file of this machine.
    File(PathBuf),
}

impl fmt::Display for InputAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Web(address) => f.write_str(address),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// `[[target]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetConfig {
    /// Its name, `{name}` in templates: `base` and `variant` joined.
    pub name: TargetName,
    /// The name without the variant's suffix, `{base}` in templates.
    pub base: String,
    /// The variant's suffix, `{variant}` in templates: `-min`, or empty.
    pub variant: String,
    /// The platform triple, `{triple}` in templates.
    pub triple: String,
    /// What the runner must have.
    pub labels: Vec<Label>,
    /// The environment; values are templates.
    pub env: BTreeMap<String, String>,
    /// Variables taken over from the runner, by name.
    pub pass_env: Vec<String>,
    /// Variables whose values are secrets.
    pub secret_env: BTreeMap<String, SecretRef>,
    /// Command lines; templates over `{name} {base} {variant} {triple} {version} {branch} {project} {tag}`.
    pub run: Vec<String>,
    /// Command lines that test what was built, without network.
    pub test: Vec<String>,
    /// Paths of the artifacts.
    pub artifacts: Vec<ArtifactTemplate>,
    /// The files from elsewhere that it and its tests find.
    pub inputs: Vec<InputName>,
    /// Whether the build may use the network.
    pub network: bool,
    /// Seconds.
    pub timeout_s: u64,
    /// The lines that build it, as globs over branches; all if empty.
    pub branches: Vec<String>,
}

/// The path of an artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactTemplate {
    /// Relative to the root of the source; a template.
    pub path: String,
    /// In an assembly: the target for which it is made, `{from}` in the path; it is not made where that is not built.
    pub from: Option<TargetName>,
}

/// `[[assemble]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct AssembleConfig {
    /// Its name.
    pub name: TargetName,
    /// The targets whose artifacts it takes; those are not published themselves.
    pub from: Vec<AssembleFrom>,
    /// What it runs and leaves; `triple` is empty.
    pub recipe: TargetConfig,
}

/// A target whose artifacts an assembly takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssembleFrom {
    /// The target.
    pub target: TargetName,
    /// The directory into which its artifacts are put, relative to the root of the source; a template with `{from}`.
    pub dir: String,
    /// What holds on a line that does not build the target.
    pub presence: Presence,
}

/// Whether an assembly can do without one of its targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Named in full: a line that makes the assembly must build it.
    Required,
    /// Matched by a pattern: taken where it is built.
    IfBuilt,
}

/// `[[runner]]`.
#[derive(Debug, Clone)]
pub struct RunnerConfig {
    /// Its name.
    pub name: RunnerName,
    /// Its kind: `local`.
    pub kind: String,
    /// What it has.
    pub labels: Vec<Label>,
    /// How long a job stays with it while it does not answer, if that is said.
    pub lease: Option<jiff::SignedDuration>,
    /// What its adapter made of the table.
    pub spec: Spec<dyn Runner>,
}

/// `[[store]]`.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// Its name.
    pub name: StoreName,
    /// Where strangers find it, for pages and messages; its place if none.
    pub public_url: Option<String>,
    /// How what is staged there is kept from strangers.
    pub staging: Staging,
    /// What *released* asks of it.
    pub role: StoreRole,
    /// How fast files move, in both directions together; as fast as it goes if none.
    pub rate: Option<ByteRate>,
    /// What its adapter made of the table.
    pub spec: Spec<dyn Store>,
}

impl StoreConfig {
    /// Whether *released* needs this store: one that only counts for a quorum may be down.
    #[must_use]
    pub(crate) fn importance(&self) -> Importance {
        Importance::of(self.role == StoreRole::Required)
    }
}

/// What *released* asks of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreRole {
    /// It must have the train.
    Required,
    /// It counts for the quorum, and gets the train later if it is down.
    Counted,
    /// It gets the train later if it is down.
    Deferrable,
}

/// `[forge.<name>]`.
#[derive(Debug, Clone)]
pub struct ForgeConfig {
    /// Its name, which names the adapter too.
    pub name: RemoteName,
    /// `owner/name`.
    pub repository: String,
    /// The `[[remote]]` that is this repository's git: releases wait until the tags are pushed there.
    pub remote: Option<RemoteName>,
    /// Its default branch, where the clone does not know it: some events start that branch's copy of a workflow.
    pub default_branch: Option<BranchName>,
    /// What becomes of the project's own workflows that a release would start, by file name.
    pub triggers: BTreeMap<String, Trigger>,
    /// Whether it shows the train's security advisories.
    pub advisories: bool,
    /// When a draft may hold embargoed text.
    pub draft_audience: DraftAudience,
    /// Whether the train is *released* only when this forge has it.
    pub required: bool,
    /// What is known of its kind.
    pub facts: ForgeFacts,
    /// What its adapter made of the table.
    pub spec: Spec<dyn Forge>,
}

/// `[[remote]]`.
#[derive(Debug, Clone)]
pub struct RemoteConfig {
    /// Its name.
    pub name: RemoteName,
    /// What `git push` takes: a path or an address.
    pub url: String,
    /// How branches come there, by pattern; the first that matches decides, and a branch that none matches is pushed.
    pub push: Vec<(String, PushMode)>,
    /// Whether the train is *released* only when this remote has it.
    pub required: bool,
    /// What its adapter made of the table.
    pub spec: Spec<dyn Remote>,
}

/// How a branch comes to a remote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushMode {
    /// It is pushed.
    Direct,
    /// Its commits are pushed under another name, and a pull request merges them: for protected branches.
    PullRequest,
}

/// Who may see drafts on a forge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DraftAudience {
    /// Perhaps everybody: nothing embargoed is put there before the gate.
    #[default]
    Anyone,
    /// Only writers, who are all part of the embargo: advisory drafts are made before the gate.
    Writers,
}

impl Config {
    /// Whether a line reaches a forge's repository by a pull request.
    #[must_use]
    pub(crate) fn is_by_pull_request(&self, forge: &ForgeConfig, branch: &BranchName) -> bool {
        let remote = forge.remote.as_ref().and_then(|name| self.remotes.iter().find(|r| r.name == *name));
        remote.is_some_and(|r| r.push_mode(branch) == PushMode::PullRequest)
    }
}

impl RemoteConfig {
    /// How a branch comes there.
    #[must_use]
    pub(crate) fn push_mode(&self, branch: &BranchName) -> PushMode {
        let found = self.push.iter().find(|(pattern, _)| glob::matches_name(pattern, branch.as_str()));
        found.map_or(PushMode::Direct, |(_, mode)| *mode)
    }
}

/// `[signing]`.
#[derive(Debug, Clone, Default)]
pub struct SigningConfig {
    /// Signs tags and artifacts.
    pub release: Option<Spec<dyn Signer>>,
    /// Signs indexes.
    pub freshness: Option<Spec<dyn Signer>>,
    /// Signs journal records; one is made in the state directory if none is given.
    pub operator: Option<Spec<dyn Signer>>,
    /// Keys with which people approve, on this machine.
    pub people: BTreeMap<PersonId, Spec<dyn Signer>>,
    /// Whether each artifact gets a signature of the release key.
    pub sign_artifacts: bool,
    /// How a key of each kind is written, for messages.
    pub examples: Vec<&'static str>,
}

impl SigningConfig {
    /// Every key, with its place in the table: `release`, `people.alice`.
    pub fn keys(&self) -> impl Iterator<Item = (String, &Spec<dyn Signer>)> {
        let roles = [("release", &self.release), ("freshness", &self.freshness), ("operator", &self.operator)];
        let roles = roles.into_iter().filter_map(|(role, key)| Some((role.to_owned(), key.as_ref()?)));
        roles.chain(self.people.iter().map(|(person, key)| (format!("people.{person}"), key)))
    }

    /// How a key is written at a place, in each way that there is.
    #[must_use]
    pub fn example(&self, place: &str) -> String {
        let written: Vec<String> = self.examples.iter().map(|example| format!("`{place} = {example}`")).collect();
        written.join(" or ")
    }
}

/// Texts with placeholders, by name: `commit.txt`, `tag.txt`, `notes.md`, `release.html`, `index.html`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TemplateSet {
    /// The project's own, over those built in.
    pub texts: BTreeMap<String, String>,
}

/// The train file: what this train is about. It is embargoed.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainRequest {
    /// The train's name.
    pub name: TrainName,
    /// The time stamped into commits, tags and archives.
    pub date: Timestamp,
    /// The end of the embargo.
    pub not_before: Option<Timestamp>,
    /// The advisories that it fixes.
    pub advisories: Vec<AdvisoryId>,
    /// What they say, for forges that show advisories.
    pub advisory_texts: Vec<Advisory>,
    /// The lines, in version order.
    pub lines: Vec<TrainLine>,
}

/// One line of a train file.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainLine {
    /// The branch.
    pub branch: BranchName,
    /// What happens on it.
    pub kind: LineKind,
    /// The step of its version.
    pub to: Option<VersionStep>,
    /// Its patches.
    pub series: SeriesSource,
}

impl TrainLine {
    /// The step of its version: the one that it names, else the usual one of its kind.
    ///
    /// # Errors
    /// A line that gets no version.
    pub fn step(&self) -> Result<VersionStep> {
        let step = self.to.clone().or_else(|| VersionStep::usual(self.kind));
        step.ok_or_else(|| Error::input(format!("line `{}` only carries the fix: it gets no version", self.branch)))
    }
}

/// Where a line's patch series comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SeriesSource {
    /// A directory of mailbox files (`*.patch`, `*.eml`, sorted by name) or one mailbox.
    Mailbox(PathBuf),
    /// The commits of a private remote's branch that the line does not have.
    Remote {
        /// What `git fetch` takes.
        url: String,
        /// The branch there.
        branch: BranchName,
    },
    /// No patches: the version bump alone.
    None,
}
