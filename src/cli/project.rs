//! Where a project's trains are on this machine, and which one is meant.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use semver::Version;

use super::Global;
use crate::adapter::{Around, Spec};
use crate::config::{self, Config};
use crate::effects::{
    Clock, Disk, Effects, Keys, LockGuard, Objects, PathKind, Progress, SecretResolver, Signer, files, locks,
};
use crate::engine::index::{ReleaseHistory, StoreRelease};
use crate::engine::{Approvals, Next, Question, Train, TrainDir, TrainRecord, TrainView, approvals, next};
use crate::error::{Context as _, Error, Result};
use crate::gather::Destinations;
use crate::host::{HostClock, HostDisk};
use crate::inputs::InputCache;
use crate::journal::{Record, State, TrainState};
use crate::model::{PersonId, SecretRef, TrainName, counted, escape, whole_seconds};
use crate::plan::Plan;
use crate::signers::ConfiguredKeys;
use crate::wiring::{self, Credentials};

/// The name of the configuration file.
const CONFIG: &str = "lifeboat.toml";

/// A project on this machine: its configuration and its state directory.
pub(super) struct LocalProject {
    pub(super) config: Config,
    /// Where the configuration was read.
    pub(super) path: PathBuf,
    root: PathBuf,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) clock: Arc<dyn Clock>,
}

/// A train as it stands, read without its lock.
pub(super) struct TrainStatus {
    pub(super) state: State,
    pub(super) now: Timestamp,
    /// Whether a review bundle of it was written.
    exported: bool,
}

impl TrainStatus {
    /// The train's name.
    pub(super) fn name(&self) -> &TrainName {
        &self.state.graph().plan().train
    }

    /// Whether it is neither released nor abandoned.
    pub(super) fn under_way(&self) -> bool {
        !matches!(self.state.name(), TrainState::Released | TrainState::Reconciled | TrainState::Abandoned)
    }
}

impl LocalProject {
    /// Reads the configuration and finds the state directory.
    pub(super) fn open(global: &Global) -> Result<Self> {
        let disk: Arc<dyn Disk> = Arc::new(HostDisk);
        let path = match &global.config {
            Some(path) => path.clone(),
            None => find_config(&*disk)?,
        };
        let state = state_dir(global)?;
        let config = config::load(&path, Some(&state), &global.registries, &*disk)?;
        let root = state.join(config.project.name.as_str());
        Ok(Self { config, path, root, disk, clock: Arc::new(HostClock) })
    }

    /// The project's directory in the state directory.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// A train's directory.
    pub(super) fn dir(&self, train: &TrainName) -> TrainDir {
        TrainDir::new(self.root.join("trains").join(train.as_str()))
    }

    /// The directories in which trains are, or were.
    fn directories(&self) -> Result<Vec<PathBuf>> {
        let dir = self.root.join("trains");
        let entries = self.disk.list(&dir).context(format!("cannot list `{}`", dir.display()))?;
        Ok(entries.into_iter().filter(|e| e.kind == PathKind::Dir).map(|e| dir.join(e.name)).collect())
    }

    /// The trains of this project, by name.
    pub(super) fn trains(&self) -> Result<Vec<TrainName>> {
        let dirs = self.directories()?.into_iter();
        let names = dirs.filter_map(|d| TrainName::new(d.file_name()?.to_str()?).ok());
        Ok(names.filter(|n| matches!(self.disk.entry(&self.dir(n).plan()), Ok(Some(_)))).collect())
    }

    /// How one train stands.
    pub(super) fn see(&self, train: &TrainName) -> Result<TrainStatus> {
        let dir = self.dir(train);
        let mut recorded = dir.read(&*self.disk)?;
        if recorded.records.is_empty() {
            let lost = dir.journal_is_not_lost(&self.disk, recorded.plans.first().plan());
            // Another process may have adopted the train, and begun with it, between the two reads.
            recorded = dir.read(&*self.disk)?;
            if recorded.records.is_empty() {
                lost?;
            }
        }
        Ok(TrainStatus { state: recorded.state()?, now: self.clock.now(), exported: self.exported(&dir)? })
    }

    fn exported(&self, dir: &TrainDir) -> Result<bool> {
        let path = dir.exported();
        Ok(self.disk.entry(&path).context(format!("cannot look at `{}`", path.display()))?.is_some())
    }

    /// Whose approvals of a train count, judged by the trust root that is pinned here.
    pub(super) fn approvals(&self, seen: &TrainStatus) -> Result<Approvals> {
        let objects = Objects::new(self.disk.clone(), self.dir(seen.name()).objects());
        approvals(&TrainView::new(seen.state.clone(), objects, self.trust()?), seen.now)
    }

    /// How all trains stand.
    pub(super) fn see_all(&self) -> Result<Vec<TrainStatus>> {
        for entry in self.directories()? {
            TrainDir::new(entry).plan_is_not_lost(&*self.disk)?;
        }
        self.trains()?.iter().map(|t| self.see(t)).collect()
    }

    /// The records of a train's journal, and whether an unfinished one follows them.
    pub(super) fn records(&self, train: &TrainName) -> Result<(Vec<Record>, bool)> {
        let dir = self.dir(train);
        let path = dir.journal();
        let TrainRecord { records, len, .. } = dir.read(&*self.disk)?;
        let entry = self.disk.entry(&path).context(format!("cannot look at `{}`", path.display()))?;
        Ok((records, entry.is_some_and(|e| e.size > len)))
    }

    /// The train that is meant: the one named, the only one under way, or the only one there is.
    pub(super) fn choose(&self, named: Option<&TrainName>) -> Result<TrainName> {
        let trains = self.trains()?;
        if let Some(name) = named {
            if trains.contains(name) {
                return Ok(name.clone());
            }
            self.dir(name).plan_is_not_lost(&*self.disk)?;
            return Err(self.no_such(name, &trains));
        }
        let under_way: Vec<TrainName> =
            self.see_all()?.iter().filter(|s| s.under_way()).map(|s| s.name().clone()).collect();
        match (&under_way[..], &trains[..]) {
            ([one], _) | ([], [one]) => Ok(one.clone()),
            (_, []) => Err(Error::input(format!("there is no train in `{}`", self.root.display()))
                .hint("write a train file and run `lifeboat plan TRAIN.toml`, then `lifeboat ship TRAIN.toml`")),
            ([], many) => Err(which("no train is under way", many)),
            (many, _) => Err(which("several trains are under way", many)),
        }
    }

    fn no_such(&self, name: &TrainName, trains: &[TrainName]) -> Error {
        let error = Error::input(format!("there is no train `{name}` in `{}`", self.root.display()));
        if trains.is_empty() { error } else { error.hint(format!("there are: {}", join(trains))) }
    }

    /// Everything that the engine may do, for one train.
    pub(super) fn effects(&self, train: &TrainName, progress: Arc<dyn Progress>) -> Result<Effects> {
        let dir = self.dir(train);
        let path = dir.plan();
        if self.disk.entry(&path).context(format!("cannot look at `{}`", path.display()))?.is_some() {
            let plan = dir.load_plan(&*self.disk)?;
            self.same_destinations(&plan)?;
            self.same_secrets(&plan)?;
        }
        self.effects_in(&dir, progress)
    }

    /// The same for a train that is abandoned: a runner that is gone keeps nobody from that.
    pub(super) fn effects_to_abandon(&self, train: &TrainName, progress: Arc<dyn Progress>) -> Result<Effects> {
        let dir = self.dir(train);
        let mut plan = dir.load_plan(&*self.disk)?;
        plan.destinations.retain(|pin, _| !pin.is_of_runner());
        self.same_destinations(&plan)?;
        self.same_secrets(&plan)?;
        self.effects_in(&dir, progress)
    }

    /// An adopted train goes where its plan says, whatever the configuration says now.
    fn same_destinations(&self, plan: &Plan) -> Result<()> {
        let now = crate::plan::destinations(&self.config);
        if let Some((name, planned, found)) = crate::plan::elsewhere(&plan.destinations, &now) {
            let file = self.train_file(&plan.train);
            return Err(Error::conflict(format!("{name} is at `{found}` now, the adopted plan says `{planned}`"))
                .hint(format!(
                    "put the configuration back as it was, or, as long as nothing is public, move the train there with \
                     `lifeboat amend {file}`: it goes nowhere but where its plan says"
                )));
        }
        Ok(())
    }

    /// Keys and secrets of an adopted train come from where its plan says. A command among them would run as whoever
    /// ships: one that nobody reviewed must not.
    fn same_secrets(&self, plan: &Plan) -> Result<()> {
        let now = crate::plan::secrets(&self.config);
        if let Some(name) = crate::plan::moved(&plan.secrets, &now).first() {
            let text = |from: Option<&String>| from.map_or("nowhere", String::as_str).to_owned();
            return Err(Error::conflict(format!("`{name}` comes from another place than the adopted plan says"))
                .detail(format!("plan: {}", escape(&text(plan.secrets.get(name)))))
                .detail(format!("now:  {}", escape(&text(now.get(name)))))
                .hint(format!(
                    "nothing of it was read; find out who changed it, and put it back, or, if it did move and nothing is \
                     public yet, run `lifeboat amend {}`",
                    self.train_file(&plan.train)
                )));
        }
        Ok(())
    }

    /// The same, with the train's files in another directory.
    pub(super) fn effects_in(&self, dir: &TrainDir, progress: Arc<dyn Progress>) -> Result<Effects> {
        let credentials = Credentials { secrets: self.secrets(), hosts: self.hosts() };
        wiring::effects(&self.config, &self.root, dir, self.disk.clone(), self.clock.clone(), progress, credentials)
    }

    /// The configured keys, where no train is run.
    pub(super) fn keys(&self) -> Arc<dyn Keys> {
        let around = self.around(self.secrets());
        Arc::new(ConfiguredKeys::new(&self.config.signing, self.root.clone(), around))
    }

    /// The configured keys, but another one of a person.
    pub(super) fn keys_with(&self, effects: &Effects, person: &PersonId, key: Spec<dyn Signer>) -> Arc<dyn Keys> {
        let mut signing = self.config.signing.clone();
        signing.people.insert(person.clone(), key);
        let around = self.around(effects.secrets.clone());
        Arc::new(ConfiguredKeys::new(&signing, self.root.clone(), around).read_by(person))
    }

    /// Reads secrets, but runs a command for one only if a plan with this configuration's sources was adopted here: until
    /// then nobody has looked at them.
    fn secrets(&self) -> SecretResolver {
        let (disk, trains, now) = (self.disk.clone(), self.root.join("trains"), crate::plan::secrets(&self.config));
        Arc::new(move |reference| {
            if matches!(reference, SecretRef::Command(_)) && !reviewed(&*disk, &trains, &now)? {
                return Err(Error::input("a command that prints a secret is not run before its plan is adopted")
                    .hint("look at it with `lifeboat plan TRAIN.toml`, then adopt with `lifeboat ship TRAIN.toml --plan …`")
                    .hint(
                        "for a train under way put the operator's key back to where its plan says: it signs the amendment \
                         too, so it can move to a command only between two trains",
                    ));
            }
            crate::signers::resolve(reference)
        })
    }

    /// The same for who approves by a bundle: a command is run if the bundle's plan shows it, or if it is the one for this
    /// person's own passphrase, and only once the person has agreed to `plan`.
    pub(super) fn secrets_by_bundle(&self, person: &PersonId, plan: Option<&Plan>) -> SecretResolver {
        let key = self.config.signing.people.get(person);
        let own: Vec<SecretRef> = key.into_iter().flat_map(|key| key.secrets()).map(|(_, from)| from.clone()).collect();
        let now = crate::plan::secrets(&self.config);
        let (agreed, shown) = (plan.is_some(), plan.is_some_and(|p| crate::plan::shows_commands(&p.secrets, &now)));
        Arc::new(move |reference| {
            let mine = agreed && own.contains(reference);
            if matches!(reference, SecretRef::Command(_)) && !shown && !mine {
                return Err(Error::input("a command that prints a secret is not run before its plan was reviewed")
                    .hint("if the bundle is encrypted: `gpg --output plain.tar --decrypt BUNDLE`, then approve `plain.tar`")
                    .hint("or use the key that gpg has, with `--gpg`"));
            }
            crate::signers::resolve(reference)
        })
    }

    /// The hosts that may receive credentials; none before a trust root is pinned.
    fn hosts(&self) -> BTreeSet<String> {
        self.trust().map(|t| t.root.hosts.clone()).unwrap_or_default()
    }

    /// Where the trains of this project go.
    pub(super) fn destinations(&self) -> Result<Destinations> {
        wiring::destinations(&self.config, &self.around(self.secrets()))
    }

    /// The addresses at which strangers find this project's releases: its stores' and those that others run.
    pub(super) fn mirrors(&self) -> Result<BTreeSet<String>> {
        let stores = self.destinations()?.stores;
        let stores = stores.values().map(|store| &**store);
        Ok(crate::engine::mirrors::mirrors(stores, &BTreeMap::new(), &self.config.mirrors).into_keys().collect())
    }

    /// What adapters get of this machine where no train is run.
    fn around(&self, secrets: SecretResolver) -> Around {
        Around {
            disk: self.disk.clone(),
            clock: self.clock.clone(),
            secrets,
            hosts: self.hosts(),
            repository: self.config.project.repository.clone(),
            jobs: None,
        }
    }

    /// The trust root that is pinned on this machine.
    pub(super) fn trust(&self) -> Result<Arc<crate::trust::TrustedRoot>> {
        crate::gather::trusted(&self.config, &self.root, &*self.disk, self.clock.now()).map(Arc::new)
    }

    /// Where what builds need from elsewhere is kept.
    pub(super) fn input_cache(&self) -> InputCache {
        InputCache::of(&self.root, self.disk.clone())
    }

    /// Puts what a train's jobs need from elsewhere into its objects. Until that is done it is no step's work, and afterwards
    /// the train needs the cache no more.
    pub(super) fn provide_inputs(&self, train: &Train) -> Result<()> {
        self.input_cache().provide(train.objects(), train.plan().tool_inputs())
    }

    fn claim(&self, version: &Version) -> PathBuf {
        self.root.join("claims").join(version.to_string())
    }

    /// Held while versions are claimed and the plan that claims them is adopted.
    pub(super) fn lock_claims(&self) -> Result<Box<dyn LockGuard>> {
        files::create_dir_all(&*self.disk, &self.root, 0o700)?;
        let busy = "another lifeboat process is adopting a train of this project";
        locks::wait(&*self.disk, &self.root.join("claims.lock"), busy)
    }

    /// Whether a claim's train was never adopted: its process died between the claim and the plan. Ask only under the lock.
    fn left_behind(&self, holder: &str) -> Result<bool> {
        let Ok(train) = TrainName::new(holder) else { return Ok(false) };
        let plan = self.dir(&train).plan();
        Ok(self.disk.entry(&plan).context(format!("cannot look at `{}`", plan.display()))?.is_none())
    }

    /// Claims every version of a plan for its train: two trains cannot make the same release. Takes over claims of trains
    /// that were never adopted; the caller holds [`LocalProject::lock_claims`] until its own plan is.
    pub(super) fn take_claims(&self, plan: &crate::plan::Plan) -> Result<()> {
        files::create_dir_all(&*self.disk, &self.root.join("claims"), 0o700)?;
        let ours = format!("{}\n", plan.train);
        let mut taken = Vec::new();
        for version in plan.releases().filter_map(|l| l.new.as_ref()) {
            let path = self.claim(version);
            if files::write_new(&*self.disk, &path, 0o600, &mut ours.as_bytes())? {
                taken.push(path);
                continue;
            }
            let holder = self.disk.read(&path).context("cannot read a claim")?.unwrap_or_default();
            if holder != ours.as_bytes() {
                let holder = String::from_utf8_lossy(&holder).trim().to_owned();
                if self.left_behind(&holder)? {
                    files::replace(&*self.disk, &path, 0o600, &mut ours.as_bytes())?;
                    taken.push(path);
                    continue;
                }
                // This train is not adopted, so nobody could ever give these up.
                for path in &taken {
                    self.disk.remove_file(path).context("cannot give back a claim")?;
                }
                return Err(Error::conflict(format!("version {version} is claimed by train `{holder}`"))
                    .hint(format!("finish it, give it up with `lifeboat abandon {holder} --reason …`, or name the next version in the train file")));
            }
        }
        Ok(())
    }

    /// What trains of this machine retired and released; the stores' indexes list it.
    pub(super) fn past(&self) -> Result<ReleaseHistory> {
        // A train that cannot be read must not stop another: what an index lists already stays there in any case.
        let seen: Vec<TrainStatus> = self.trains()?.iter().filter_map(|t| self.see(t).ok()).collect();
        let mut retired: BTreeSet<Version> = seen.iter().flat_map(|s| retires(&s.state, s.exported)).collect();
        // What another machine is about to release stays free for it.
        for other in super::remote_trains::with(self, &retired)? {
            retired.retain(|v| !other.note.versions.contains(v));
        }
        Ok(ReleaseHistory {
            retired,
            released: seen.iter().flat_map(|s| StoreRelease::of(&s.state)).collect(),
            floor: 0,
        })
    }

    /// Frees the claims of an abandoned train; versions over which signatures exist stay retired, and are returned.
    pub(super) fn release_claims(&self, train: &Train) -> Result<BTreeSet<Version>> {
        let versions = train.plan().releases().filter_map(|l| l.new.clone());
        let retired = retires(&train.state(), self.exported(train.dir())?);
        if !retired.is_empty() {
            return Ok(retired);
        }
        let ours = format!("{}\n", train.plan().train);
        for version in versions {
            let path = self.claim(&version);
            let what = || format!("cannot free version {version}");
            // Once freed it may be another train's.
            if self.disk.read(&path).context(what())?.is_some_and(|holder| holder == ours.as_bytes()) {
                self.disk.remove_file(&path).context(what())?;
            }
        }
        Ok(retired)
    }
}

/// Whether a plan was adopted that shows every command among these sources of secrets.
fn reviewed(disk: &dyn Disk, trains: &Path, now: &BTreeMap<String, String>) -> Result<bool> {
    let entries = disk.list(trains).context(format!("cannot list `{}`", trains.display()))?;
    let dirs = entries.into_iter().filter(|e| e.kind == PathKind::Dir);
    let plan = |name: String| TrainDir::new(trains.join(name)).load_plan(disk).ok();
    Ok(dirs.filter_map(|e| plan(e.name)).any(|p| crate::plan::shows_commands(&p.secrets, now)))
}

/// What a train retires if it is abandoned: every version over which signatures exist, or may exist with people who approved by
/// its review bundle.
fn retires(state: &State, exported: bool) -> BTreeSet<Version> {
    let signed = exported || !state.approvals().is_empty() || !state.lapsed().is_empty();
    if state.abandoned().is_none() || !signed {
        return BTreeSet::new();
    }
    state.graph().plan().releases().filter_map(|l| l.new.clone()).collect()
}

fn which(what: &str, trains: &[TrainName]) -> Error {
    Error::input(format!("{what}: {}", join(trains))).hint("name the one that you mean")
}

fn join(trains: &[TrainName]) -> String {
    trains.iter().map(TrainName::as_str).collect::<Vec<_>>().join(", ")
}

/// The nearest `lifeboat.toml` from here upwards.
fn find_config(disk: &dyn Disk) -> Result<PathBuf> {
    let here = std::env::current_dir().context("cannot find out the current directory")?;
    let found = here.ancestors().map(|d| d.join(CONFIG)).find(|p| matches!(disk.entry(p), Ok(Some(_))));
    found.ok_or_else(|| {
        Error::input(format!("no `{CONFIG}` in `{}` or above it", here.display()))
            .hint("go to the project's checkout, name a configuration with `--config FILE`, or see one at work with `lifeboat drill`")
    })
}

/// The state directory, as the options and the XDG Base Directory Specification say.
pub(super) fn state_dir(global: &Global) -> Result<PathBuf> {
    if let Some(dir) = &global.state {
        return std::path::absolute(dir).context(format!("cannot find out where `{}` is", dir.display()));
    }
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|h| h.join(".local/state")))
        .map(|p| p.join("lifeboat"))
        .ok_or_else(|| {
            Error::input("neither `XDG_STATE_HOME` nor `HOME` says where to keep state").hint("give `--state DIR`")
        })
}

/// What a person should do next about a train, if these people's approvals count.
pub(super) fn advice(state: &State, approved: &[PersonId], now: Timestamp) -> String {
    let waiting = state.deferred().count();
    let named = |at: usize| &state.graph().at(at).id;
    match next(state, approved, now) {
        Next::Run(_) => "`lifeboat ship` goes on".to_owned(),
        Next::WaitUntil(at, why) => format!("{why} at {}; then `lifeboat ship` goes on", whole_seconds(at)),
        Next::Ask(Question::Approve { have, need }) => {
            format!(
                "{} of {need} people have approved; others run `lifeboat approve --as NAME`, then `lifeboat ship`",
                have.len()
            )
        }
        Next::Stuck(steps) if state.anything_public() => {
            format!("fix what stopped `{}`, then run `lifeboat ship`", named(steps[0]))
        }
        Next::Stuck(steps) => format!(
            "fix what stopped `{}`, then run `lifeboat ship`; a fix in the configuration counts after `lifeboat amend \
             TRAIN.toml`",
            named(steps[0])
        ),
        Next::Short(_) => "`lifeboat ship` goes on when enough stores are up".to_owned(),
        Next::Done if state.abandoned().is_some() => "nothing: the train was abandoned".to_owned(),
        Next::Done if waiting > 0 => {
            format!(
                "{} {}: `lifeboat reconcile` retries and checks every destination, `lifeboat reconcile --list` lists them",
                counted(waiting, "delivery"),
                if waiting == 1 { "waits for its destination" } else { "wait for their destinations" }
            )
        }
        Next::Done => "nothing: every destination has it".to_owned(),
    }
}
