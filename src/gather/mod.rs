//! Sees the facts that a plan is made from: the user's repository, the patch series, the trust root, what was fetched ahead.

mod crates;
mod current_patches;
mod keys;
mod remote_state;
mod workflows;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

pub use current_patches::series_now;
pub use keys::{OwnKey, encrypting, known, own_keys, recipients};
pub use remote_state::Destinations;

use jiff::Timestamp;
use semver::Version;

use crate::bump::{Bump, BumpRequest, SourceTree, bump, pointers_note};
use crate::config::expand::LineValues;
use crate::config::{self, Config, SeriesSource, TrainLine, TrainRequest};
use crate::effects::{Clock, Disk, Git as _, PrivateRepo, Scratch};
use crate::error::{Error, Result};
use crate::formats::glob;
use crate::formats::series::{Patch, Series};
use crate::git::facts::UserRepository;
use crate::git::series::{from_remote, noting_mailbox, on_base};
use crate::git::{GitProgram, LocalGit};
use crate::model::{BranchName, LineKind, Oid, RemoteName, Staging, TagName, VersionStep};
use crate::snapshot::{Fact, LineFacts, PatchFacts, Snapshot, TrustFacts, WorkflowAt, WorkflowFacts};
use crate::step::Submodule;
use crate::trust::{self, RootChoice, TrustedRoot};

/// What planning needs, with the bytes that adopting the plan pins.
pub struct Gathered {
    /// Where the train file is.
    pub file: PathBuf,
    /// The train file.
    pub request: TrainRequest,
    /// The facts.
    pub snapshot: Snapshot,
    /// The pinned patch series of every line, as bytes.
    pub series: Vec<Vec<u8>>,
}

/// Reads a train file and sees everything that its plan depends on.
///
/// # Errors
/// The first thing that cannot be seen and without which there is no plan: names the line and what would resolve it.
pub fn gather(
    config: &Config,
    file: &Path,
    state: &Path,
    to: &Destinations,
    disk: &dyn Disk,
    clock: &dyn Clock,
) -> Result<Gathered> {
    see(config, (file, config::load_train(file, disk)?), None, state, to, disk, clock)
}

/// What a train that was adopted stands on, whatever the branches and the patch files are by now.
pub struct Pinned {
    /// The commit on which each line's series is applied.
    pub bases: BTreeMap<BranchName, Oid>,
    /// Each line's pinned series, as bytes.
    pub series: BTreeMap<BranchName, Vec<u8>>,
}

/// As [`gather`], for a train file that was read, on what its train stands on.
pub(crate) fn gather_pinned(
    config: &Config,
    train: (&Path, TrainRequest),
    pinned: &Pinned,
    state: &Path,
    to: &Destinations,
    disk: &dyn Disk,
    clock: &dyn Clock,
) -> Result<Gathered> {
    see(config, train, Some(pinned), state, to, disk, clock)
}

fn see(
    config: &Config,
    (file, request): (&Path, TrainRequest),
    pinned: Option<&Pinned>,
    state: &Path,
    to: &Destinations,
    disk: &dyn Disk,
    clock: &dyn Clock,
) -> Result<Gathered> {
    let now = clock.now();
    within_reach(&request, now)?;
    let trust = trusted(config, state, disk, now)?;
    trust::check_names(&trust.root)?;
    for key in own_keys(&config.signing, &trust) {
        known(disk, &trust, key, now)?;
    }
    let program = GitProgram::from_env();
    let user = UserRepository::open(&program, &config.project.repository)?;
    if user.is_shallow() {
        return Err(Error::input(format!(
            "`{}` is a shallow clone: strangers could not clone from what it serves",
            config.project.repository.display()
        ))
        .hint("run `git fetch --unshallow` while the remote is up"));
    }
    // Other processes of the project plan at the same time.
    let own = Scratch::new(disk, &state.join("scratch"))?;
    let scratch = own.path();
    let tags: BTreeMap<TagName, Oid> = user.tags().into_iter().map(|t| (t.name, t.object)).collect();
    let default_branches = workflows::default_branches(config, &user)?;
    let (user, program, tags) = (&user, &program, &tags);
    let (workflow_dirs, default_branches) = (&to.workflow_dirs, &default_branches);
    let request_now = &request;
    let seeing =
        Seeing { config, request: request_now, pinned, user, program, scratch, tags, workflow_dirs, default_branches };
    let mut lines = Vec::new();
    let mut all_series = Vec::new();
    let mut unknown = Vec::new();
    for line in &request.lines {
        let (facts, series) =
            seeing.line(line, &mut unknown).map_err(|e| e.context(format!("line `{}`", line.branch)))?;
        lines.push(facts);
        all_series.push(series);
    }
    if user.is_partial() {
        // Any other clone is looked through when its history is packed, before anything is public.
        user.has_history(&lines.iter().map(|l| l.base.clone()).collect::<Vec<_>>())?;
    }
    look_elsewhere(config, to, &mut lines, &trust, now)?;
    if let Some(line) = lines.first() {
        let required: Vec<&RemoteName> = config.remotes.iter().filter(|r| r.required).map(|r| &r.name).collect();
        unknown.extend(remote_state::try_pushes(to, &required, (user.git_dir(), &line.base))?);
    }
    refuse_stale(config, to, user, &lines)?;
    let snapshot = Snapshot {
        repository: user.git_dir().to_owned(),
        lines,
        trust: TrustFacts {
            root: trust.digest,
            threshold: trust.root.roles.approve.threshold,
            hosts: Some(trust.root.hosts.clone()),
            recipients: recipients(config, &trust, now)?,
        },
        missing_inputs: crate::inputs::missing(config, state, disk)?,
        unknown,
    };
    Ok(Gathered { file: file.to_owned(), request, snapshot, series: all_series })
}

/// A train's date is the day of its release. Approvals that are made long before it do not count: better said now than at
/// the gate.
fn within_reach(request: &TrainRequest, now: Timestamp) -> Result<()> {
    let date = request.date;
    if date.saturating_sub(trust::EARLIEST).is_ok_and(|earliest| earliest > now) {
        let days = trust::EARLIEST.as_hours() / 24;
        return Err(Error::input(format!("the train's `date` is {date}: more than {days} days ahead"))
            .hint("it is the day of the release; approvals that are made so long before it would not count"));
    }
    Ok(())
}

/// A base that lacks what a destination serves already would ship a release without an earlier one's fixes.
fn refuse_stale(config: &Config, to: &Destinations, user: &UserRepository, lines: &[LineFacts]) -> Result<()> {
    let branches: Vec<BranchName> = lines.iter().map(|l| l.branch.clone()).collect();
    for (place, name, there) in remote_state::heads(to, &config.project.name, &branches)? {
        let Some(line) = lines.iter().find(|l| name == format!("refs/heads/{}", l.branch)) else { continue };
        if !user.is_ancestor(&there, &line.base)? {
            return Err(Error::conflict(format!("line `{}`: your branch lacks what {place} has", line.branch))
                .detail(format!("there: {there}"))
                .detail(format!("yours: {}", line.base))
                .hint("fetch that branch and merge it into yours by fast-forward; then plan again"));
        }
    }
    Ok(())
}

/// Fills in whether each line's version exists at its destinations.
fn look_elsewhere(
    config: &Config,
    to: &Destinations,
    lines: &mut [LineFacts],
    trust: &TrustedRoot,
    now: Timestamp,
) -> Result<()> {
    let mut versions = Vec::new();
    let mut of_line = Vec::new();
    for (i, line) in lines.iter().enumerate() {
        if let Some((_, new)) = &line.versions {
            versions.push((LineValues::new(config, &line.branch, new)?.tag, new.clone()));
            of_line.push(i);
        }
    }
    for (i, found) in of_line.into_iter().zip(remote_state::look(to, &versions, trust, now)?) {
        lines[i].elsewhere = found;
    }
    if config.stores.iter().any(|store| store.staging == Staging::Encrypted || store.rate.is_some()) {
        let before = |line: &LineFacts| line.versions.as_ref().map(|(old, _)| old.clone());
        let before: Vec<Option<Version>> = lines.iter().map(before).collect();
        for (line, bytes) in lines.iter_mut().zip(remote_state::released_bytes(to, &before)?) {
            line.released_bytes = bytes;
        }
    }
    Ok(())
}

/// The crates of a commit's lock file that were not fetched ahead.
///
/// # Errors
/// A lock file that cannot be read, or no cargo home.
pub fn missing_crates(config: &Config, user: &UserRepository, commit: &Oid) -> Result<Vec<String>> {
    match user.read(commit, crates::LOCK)? {
        Some(lock) => crates::missing(&String::from_utf8_lossy(&lock), &crates::home(config)?),
        None => Ok(Vec::new()),
    }
}

/// The project's trust root: the pinned one, or one that follows from it.
///
/// # Errors
/// No root, none pinned, or another one than the pinned.
pub fn trusted(config: &Config, state: &Path, disk: &dyn Disk, now: Timestamp) -> Result<TrustedRoot> {
    let keys = &config.project.keys;
    let Some(pin) = trust::pinned(disk, state)? else {
        let found = trust::load(disk, keys, Some(&config.project.name), RootChoice::Directory, now)?;
        return Err(Error::verification("no trust root is pinned on this machine")
            .detail(format!("`{}` proposes sha256:{}", keys.display(), found.digest))
            .hint(format!(
                "compare the digest with another maintainer by voice, then `lifeboat trust pin {}`",
                found.digest
            )));
    };
    // Roots and revocations that were seen once are remembered: older copies in the checkout do not bring them back.
    trust::load_remembering(disk, keys, Some(&config.project.name), RootChoice::Pinned(pin), now, state)
}

/// A line's base, and its head once the series is applied; none where there is no series.
struct Patched {
    base: Oid,
    head: Option<Oid>,
}

/// Refuses patches that move the version, unless the line says which version it is to be: a bump on top of them would leave
/// out the version that they name.
fn moved_by_patches(
    base: Option<Version>,
    patched: std::result::Result<Option<Version>, &Error>,
    to: &VersionStep,
) -> Result<()> {
    let (Some(base), false) = (base, matches!(to, VersionStep::Exact(_))) else { return Ok(()) };
    let said = match patched {
        Ok(Some(patched)) if patched == base => return Ok(()),
        Ok(patched) => patched.map_or_else(|| "no version".to_owned(), |v| v.to_string()),
        // The bump says what is wrong with the tree itself.
        Err(_) => return Ok(()),
    };
    Err(Error::input(format!("the patches themselves move the version, from {base} to {said}"))
        .detail("lifeboat makes the commit that moves it, after the patches")
        .hint("take that commit, or that part of it, out of the series")
        .hint(format!(
            "or say which version the release is to have, above {said}: `to = \"X.Y.Z\"` in this `[[line]]`"
        )))
}

struct Seeing<'a> {
    config: &'a Config,
    request: &'a TrainRequest,
    pinned: Option<&'a Pinned>,
    user: &'a UserRepository,
    program: &'a GitProgram,
    scratch: &'a Path,
    tags: &'a BTreeMap<TagName, Oid>,
    workflow_dirs: &'a BTreeMap<RemoteName, &'static [&'static str]>,
    default_branches: &'a BTreeMap<RemoteName, Fact<Oid>>,
}

impl Seeing<'_> {
    fn line(&self, line: &TrainLine, unknown: &mut Vec<String>) -> Result<(LineFacts, Vec<u8>)> {
        if !glob::matches_name(&self.config.project.branches, line.branch.as_str()) && line.kind != LineKind::Carry {
            return Err(Error::input(format!("no release branch: `branches` says `{}`", self.config.project.branches))
                .hint("fix `branches` in `[project]`, or say `kind = \"carry\"` for a branch that gets no release"));
        }
        let base = match self.pinned.and_then(|p| p.bases.get(&line.branch)) {
            Some(base) => base.clone(),
            None => {
                let head = self.user.branch(&line.branch)?;
                unknown.extend(head.warning.iter().map(|w| format!("line `{}`: {w}", line.branch)));
                head.head
            }
        };
        let missing = self.user.missing_files(&base)?;
        if let Some(first) = missing.first() {
            return Err(Error::input(format!(
                "{} of `{base}` not in this clone, among them `{first}`",
                crate::model::counted(missing.len(), "file")
            ))
            .hint("a partial clone lacks blobs: run `git fetch --refetch` while the remote is up"));
        }
        let series = match self.pinned.and_then(|p| p.series.get(&line.branch)) {
            Some(bytes) => Series::from_bytes(bytes)?,
            None => self.series(line, &base, unknown)?,
        };
        let bytes = series.to_bytes()?;
        let patched = self.patched(&base, &series)?;
        let (versions, edits) = match line.kind {
            LineKind::Carry => (None, Some(Vec::new())),
            _ => {
                let (old, made) = self.bumped(line, &base, &patched)?;
                let note = made.unsaid.map(|why| format!("the release notes of {} are empty: {why}", made.version));
                unknown.extend(note.map(|note| format!("line `{}`: {note}", line.branch)));
                let (versions, edits) = ((old, made.version), made.edits.into_iter().map(|e| e.path).collect());
                let note = pointers_note(&*self.tree(&patched)?)?;
                unknown.extend(note.map(|note| format!("line `{}`: {note}", line.branch)));
                (Some(versions), Some(edits).filter(|_| self.config.version.after.is_empty()))
            }
        };
        let workflows = self.workflows(&line.branch, &patched, &series, edits, unknown)?;
        let tag_taken = match &versions {
            Some((_, new)) => {
                let tag = LineValues::new(self.config, &line.branch, new)?.tag;
                self.tags.get(&tag).map(|oid| (tag, oid.clone()))
            }
            None => None,
        };
        let (submodules, missing_submodules) = match line.kind {
            LineKind::Carry => (Vec::new(), Vec::new()),
            _ => self.submodules(&patched, &series)?,
        };
        let missing_crates = match (&versions, self.config.bundle.vendor) {
            (Some(_), true) => self.missing_crates(&patched)?,
            _ => Vec::new(),
        };
        let facts = LineFacts {
            released_bytes: None,
            branch: line.branch.clone(),
            base,
            versions,
            series: series.digest()?,
            patches: series.patches.iter().map(PatchFacts::of).collect(),
            deletes: self.deletes(&patched)?,
            elsewhere: Vec::new(),
            tag_taken,
            submodules,
            missing_submodules,
            missing_crates,
            workflows,
        };
        Ok((facts, bytes))
    }

    /// What pushing the line may start on the forges that run the project's own workflows.
    fn workflows(
        &self,
        branch: &BranchName,
        patched: &Patched,
        series: &Series,
        edits: Option<Vec<String>>,
        unknown: &mut Vec<String>,
    ) -> Result<WorkflowFacts> {
        let messages = series.patches.iter().map(|p| p.message.clone()).collect();
        let touched: BTreeSet<String> = series.patches.iter().flat_map(Patch::touches).collect();
        // Commands of the project may change anything.
        let changed =
            edits.map(|edits| touched.iter().cloned().chain(edits).collect::<BTreeSet<_>>().into_iter().collect());
        let mut facts = WorkflowFacts { files: BTreeMap::new(), messages, changed };
        let all: BTreeSet<&str> = self.workflow_dirs.values().flat_map(|dirs| dirs.iter().copied()).collect();
        if all.is_empty() {
            return Ok(facts);
        }
        let tree = self.tree(patched)?;
        for (forge, dirs) in self.workflow_dirs {
            let mut files = workflows::files(&*tree, dirs, WorkflowAt::Release)?;
            match self.default_branches.get(forge) {
                Some(Fact::Known(head)) => {
                    files.extend(workflows::files(&*self.user.source(head)?, dirs, WorkflowAt::DefaultBranch)?);
                }
                // Where nothing runs at all, nothing can follow, but a pull request and its merge start that branch's own.
                Some(Fact::Unknown(why)) if !files.is_empty() || self.has_pull_request(forge, branch) => {
                    let note = workflows::unknown_default(forge, why);
                    if !unknown.contains(&note) {
                        unknown.push(note);
                    }
                }
                _ => {}
            }
            facts.files.insert(forge.clone(), files);
        }
        Ok(facts)
    }

    fn has_pull_request(&self, forge: &RemoteName, branch: &BranchName) -> bool {
        let forge = self.config.forges.iter().find(|f| f.name == *forge);
        forge.is_some_and(|forge| self.config.is_by_pull_request(forge, branch))
    }

    /// The repository of ours in which series are applied.
    fn repository(&self) -> PrivateRepo {
        PrivateRepo { dir: self.scratch.join("series.git"), borrow: self.user.git_dir().to_owned() }
    }

    /// The commit with the series applied: as `prepare` will make it.
    fn patched(&self, base: &Oid, series: &Series) -> Result<Patched> {
        if series.patches.is_empty() {
            return Ok(Patched { base: base.clone(), head: None });
        }
        let (git, repo) = (LocalGit::new(self.program.clone()), self.repository());
        git.ensure(&repo)?;
        let made = git.apply_series(&repo, base, series, &self.config.project.committer, self.request.date)?;
        Ok(Patched { base: base.clone(), head: made.last().cloned() })
    }

    /// The tree with the series applied.
    fn tree(&self, patched: &Patched) -> Result<Box<dyn SourceTree>> {
        match &patched.head {
            Some(head) => LocalGit::new(self.program.clone()).tree(&self.repository(), head),
            None => self.user.source(&patched.base),
        }
    }

    /// The files that the series deletes.
    fn deletes(&self, patched: &Patched) -> Result<Vec<String>> {
        match &patched.head {
            Some(head) => LocalGit::new(self.program.clone()).deleted(&self.repository(), &patched.base, head),
            None => Ok(Vec::new()),
        }
    }

    fn series(&self, line: &TrainLine, base: &Oid, unknown: &mut Vec<String>) -> Result<Series> {
        let repo = self.repository();
        let imported = match &line.series {
            SeriesSource::None => return Ok(Series { format: 1, patches: Vec::new() }),
            SeriesSource::Mailbox(path) => {
                LocalGit::new(self.program.clone()).ensure(&repo)?;
                let (series, lacks) = noting_mailbox(self.program, path, self.scratch)?;
                // A part of a series may be meant; that a mail was lost is not said by anything else.
                unknown.extend(lacks.map(|lacks| format!("line `{}`: the series has no mail {lacks}", line.branch)));
                series
            }
            SeriesSource::Remote { url, branch } => {
                LocalGit::new(self.program.clone()).ensure(&repo)?;
                from_remote(self.program, &repo, url, branch, base)?
            }
        };
        // What is pinned must give the same commits on an approver's machine, which may lack the blobs of a three-way merge.
        on_base(self.program, &repo, base, &imported)
    }

    /// The version before, and a bump of the patched tree, as `prepare` makes it: what is inconsistent stops the plan.
    fn bumped(&self, line: &TrainLine, base: &Oid, patched: &Patched) -> Result<(Version, Bump)> {
        let to = line.step()?;
        let date = self.request.date.to_zoned(jiff::tz::TimeZone::UTC).date();
        let request = BumpRequest { to, date, tags: BTreeSet::new() };
        let before = |made: &Bump| made.moves.iter().find(|m| m.new == made.version).map(|m| m.old.clone());
        let made = bump(&*self.tree(patched)?, &self.config.version, &request);
        if patched.head.is_some() {
            // A series may move the version itself; what it would be without the series says so.
            let unpatched = bump(&*self.user.source(base)?, &self.config.version, &request);
            moved_by_patches(unpatched.ok().as_ref().and_then(before), made.as_ref().map(before), &request.to)?;
        }
        let made = made?;
        let old = before(&made).ok_or_else(|| Error::input("no crate moves to a new version"))?;
        Ok((old, made))
    }

    fn submodules(&self, patched: &Patched, series: &Series) -> Result<(Vec<Submodule>, Vec<String>)> {
        let listed = |path: &String| path == ".gitmodules";
        let moved = series.patches.iter().any(|p| !p.submodules().is_empty() || p.touches().iter().any(listed));
        let found = match patched.head.as_ref().filter(|_| moved) {
            Some(head) => self.user.submodules_in(&self.repository(), head)?,
            None => self.user.submodules(&patched.base, &BTreeMap::new())?,
        };
        let mut there = Vec::new();
        let mut missing = Vec::new();
        for fact in found {
            if self.config.bundle.without_submodules.contains(&fact.path) {
                continue;
            }
            match fact.repository {
                Some(repository) => {
                    let repository = repository.to_string_lossy().into_owned();
                    there.push(Submodule { path: fact.path, commit: fact.commit, repository });
                }
                None => missing.push(fact.path),
            }
        }
        Ok((there, missing))
    }

    /// The crates of the lock file that were not fetched ahead.
    fn missing_crates(&self, patched: &Patched) -> Result<Vec<String>> {
        // A patch may well bring in another version of a crate: it may be the fix.
        match self.tree(patched)?.read(crates::LOCK)? {
            Some(lock) => crates::missing(&String::from_utf8_lossy(&lock), &crates::home(self.config)?),
            None => Ok(Vec::new()),
        }
    }
}
