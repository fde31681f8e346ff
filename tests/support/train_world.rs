//! A small deterministic train, driven through the library as `ship`, `approve` and `ship` again drive it.
//!
//! Two release lines of the drill's sample project with one target each, whose recipe is one line; one test; one
//! filesystem store; throwaway keys that are made once. Time stands still, six hours ahead, and the train's nonce is always the same, so
//! that two runs differ in nothing but the salt of their signatures.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use lifeboat::config::{self, Config};
use lifeboat::drill::{PEOPLE, SampleProject, THRESHOLD};
use lifeboat::effects::{Clock, Disk, Effects, NoProgress, Objects};
use lifeboat::engine::amend::amend;
use lifeboat::engine::approve::{Reviewing, approve, review, sign};
use lifeboat::engine::{self, Ended, Question, Train, TrainDir, TrainView, export, import_approvals, run};
use lifeboat::error::{Error, Result};
use lifeboat::gather;
use lifeboat::host::HostDisk;
use lifeboat::model::{PersonId, TrainName};
use lifeboat::plan::{Graph, Plan};
use lifeboat::trust::{self, Carried, RootChoice};
use lifeboat::wiring;

/// How far ahead of the real time the train's stands: signatures are dated by the real one, and none may be from the
/// future.
const AHEAD: SignedDuration = SignedDuration::from_hours(6);

/// The configuration that amends the train, beside the one that it is adopted from.
pub const AMENDED: &str = "amended.toml";

/// What a person runs, one process after the other; a train is all of them in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Leg {
    /// Adopts the plan and runs to the gate.
    Ship,
    /// Takes another recipe over and runs to the gate again.
    Amend,
    /// Two people look at everything and approve.
    Approve,
    /// Runs from the gate to the end.
    Finish,
    /// Instead of the two before: records approvals that came from elsewhere ([`World::approve_elsewhere`]), and runs to
    /// the end.
    Bring,
}

impl Leg {
    /// The legs of one train.
    pub const ALL: [Self; 4] = [Self::Ship, Self::Amend, Self::Approve, Self::Finish];

    /// Every leg, also the one that takes the place of others.
    pub const EACH: [Self; 5] = [Self::Finish, Self::Bring, Self::Ship, Self::Amend, Self::Approve];

    /// This leg and those that follow it to the end of a train.
    pub fn to_the_end(self) -> impl Iterator<Item = Self> {
        let own = (self == Self::Bring).then_some(self);
        own.into_iter().chain(Self::ALL.into_iter().filter(move |l| *l >= self))
    }

    /// The leg that begins where this one does.
    fn begins_as(self) -> Self {
        if self == Self::Bring { Self::Approve } else { self }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Ship => "ship",
            Self::Amend => "amend",
            Self::Approve => "approve",
            Self::Finish => "finish",
            Self::Bring => "bring",
        }
    }

    pub fn of(name: &str) -> Self {
        Self::EACH.into_iter().find(|l| l.name() == name).unwrap()
    }
}

/// The project with its patches and keys; `live/` below it holds the state directory and the store, which runs change.
#[derive(Debug, Clone)]
pub struct World {
    dir: PathBuf,
}

impl World {
    /// Makes the project, the keys and the pinned trust root in an empty directory.
    pub fn create(dir: &Path) -> Self {
        let store = Self::at(dir).store();
        Self::create_with(dir, &format!("url = \"file://{}\"", store.display()))
    }

    /// The same with another store; `keys` are those of its table.
    pub fn create_with(dir: &Path, keys: &str) -> Self {
        let now = Timestamp::now();
        let world = Self { dir: dir.to_owned() };
        let toml = Self::toml(keys);
        let sample = SampleProject::create(dir, "http://127.0.0.1:1", now, now).unwrap();
        fs::create_dir_all(world.live().join("store")).unwrap();
        fs::create_dir_all(world.root()).unwrap();
        fs::write(sample.project().join("lifeboat.toml"), &toml).unwrap();
        let (recipe, another) = ("cp sample.in dist/", "sed p sample.in > dist/");
        assert!(toml.contains(recipe));
        fs::write(sample.project().join(AMENDED), toml.replace(recipe, another)).unwrap();
        // The world's clock is ahead of the machine's, which dates signatures: a key made by that clock could not sign yet.
        let made = now - SignedDuration::from_mins(1);
        let operator = lifeboat::signers::openpgp::generate("operator (crash tests, throwaway)", made).unwrap();
        fs::write(dir.join("secret/operator.key"), operator.secret_armored.expose()).unwrap();
        let keys = sample.project().join("keys");
        let root = trust::load(&HostDisk, &keys, None, RootChoice::Directory, now).unwrap();
        trust::pin(&HostDisk, &world.root(), &root.digest).unwrap();
        fs::write(dir.join("now"), (now + AHEAD).as_second().to_string()).unwrap();
        world
    }

    pub fn at(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The time at which everything happens in this world.
    pub fn now(&self) -> Timestamp {
        Timestamp::from_second(fs::read_to_string(self.dir.join("now")).unwrap().parse().unwrap()).unwrap()
    }

    /// All that a run changes.
    pub fn live(&self) -> PathBuf {
        self.dir.join("live")
    }

    pub fn store(&self) -> PathBuf {
        self.live().join("store")
    }

    /// The project's directory in the state directory, which is `live/state`.
    pub fn root(&self) -> PathBuf {
        self.live().join("state/sample")
    }

    pub fn train(&self) -> TrainDir {
        TrainDir::new(self.root().join("trains/drill"))
    }

    pub fn train_file(&self) -> PathBuf {
        SampleProject::at(&self.dir).train_file()
    }

    pub fn config_file(&self) -> PathBuf {
        SampleProject::at(&self.dir).project().join("lifeboat.toml")
    }

    pub fn config(&self) -> Config {
        config::load(&self.config_file(), Some(&self.live().join("state")), &lifeboat::wiring::registries(), &HostDisk)
            .unwrap()
    }

    fn toml(store: &str) -> String {
        let mut text = format!(
            r#"[project]
name = "sample"
branches = "release-*"
committer = "Sample Release Robot <release@example.org>"

[version]
files = [{{ path = "include/sample.h", style = "c-header" }}]
changelog = {{ path = "RELEASES.md", unreleased = "Unreleased.", released = "Released {{date}}.", notes_until = "^-----", missing = "warn" }}

[[target]]
name = "any"
triple = "x86_64-unknown-linux-gnu"
run = ["mkdir dist; cp sample.in dist/sample-v{{version}}.sh"]
test = ["test -s dist/sample-v{{version}}.sh"]
artifacts = ["dist/sample-v{{version}}.sh"]

[[store]]
name = "mirror"
{store}
required = true

[signing]
release = {{ file = "../secret/release.key" }}
freshness = {{ file = "../secret/freshness.key" }}
operator = {{ file = "../secret/operator.key" }}
sign_artifacts = true

[signing.people]
"#
        );
        for person in PEOPLE {
            text.push_str(&format!("{person} = {{ file = \"../secret/{person}.key\" }}\n"));
        }
        text
    }

    /// Keeps what is in `live/` now as the beginning of a leg, and goes on from a copy, as each run that begins there: its
    /// files are others than those that were verified.
    pub fn keep(&self, leg: Leg) {
        self.keep_as(leg.name());
        self.restore(leg);
    }

    /// The same under any name.
    pub fn keep_as(&self, name: &str) {
        self.copy(&self.live(), &self.dir.join("kept").join(name));
    }

    /// Puts the beginning of a leg in place of what is in `live/`.
    pub fn restore(&self, leg: Leg) {
        self.restore_from(leg.begins_as().name());
    }

    /// The same under any name.
    pub fn restore_from(&self, name: &str) {
        self.copy(&self.dir.join("kept").join(name), &self.live());
    }

    /// Modes, times and second names of one file stay as they are.
    fn copy(&self, from: &Path, to: &Path) {
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        // A job that outlived its program may still write.
        for _ in 0..400 {
            if fs::remove_dir_all(to).is_ok() || !to.exists() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let status = Command::new("cp").arg("-a").arg("--").arg(from).arg(to).status().unwrap();
        assert!(status.success(), "cp -a {} {}", from.display(), to.display());
    }

    /// Does what a leg does, whether it is the first time or the same command again after a crash.
    pub fn go(&self, effects: &Effects, leg: Leg) -> Result<Ended> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        self.go_on(&runtime, effects, leg)
    }

    /// The same on threads of one's choice.
    pub fn go_on(&self, runtime: &tokio::runtime::Runtime, effects: &Effects, leg: Leg) -> Result<Ended> {
        if leg == Leg::Amend {
            self.amend(runtime, effects)?;
        }
        let train = Arc::new(self.open(effects)?);
        if leg == Leg::Approve {
            let config = self.config();
            let reviewed = runtime.block_on(review(effects, &train, &config.project.repository))?;
            let have: Vec<_> = train.state().approvals().iter().map(|(a, _)| a.person.to_string()).collect();
            let missing = PEOPLE.iter().filter(|p| have.iter().all(|h| h != *p));
            for person in missing.take(THRESHOLD as usize - have.len()) {
                approve(effects, &train, &reviewed, &PersonId::new(*person)?)?;
            }
            let (have, need) = (Vec::new(), THRESHOLD);
            return Ok(Ended::Asks(Question::Approve { have, need }));
        }
        if leg == Leg::Bring {
            let read = |person: &String| {
                let file = self.approval(person);
                let bytes = fs::read(&file).unwrap();
                Ok((person.clone(), import_approvals::read(&bytes, &file.display().to_string())?))
            };
            let files = self.approvers().iter().map(read).collect::<Result<Vec<_>>>()?;
            import_approvals::import(&train, &files, effects.clock.now())?;
        }
        let ended = runtime.block_on(run(effects, train.clone()));
        assert_eq!(Arc::strong_count(&train), 1, "a step is still at work: {ended:?}");
        let ended = ended?;
        match (ended, leg) {
            (ended @ Ended::Asks(Question::Approve { .. }), Leg::Ship | Leg::Amend)
            | (ended @ Ended::Done(_), Leg::Finish | Leg::Bring) => Ok(ended),
            (Ended::Stuck(mut errors), _) => {
                let (id, error) = errors.remove(0);
                Err(error.context(format!("{id}")))
            }
            (ended, leg) => panic!("{leg:?} ended with {ended:?}"),
        }
    }

    /// As many people as are needed.
    pub fn approvers(&self) -> Vec<String> {
        PEOPLE.iter().take(THRESHOLD as usize).map(ToString::to_string).collect()
    }

    /// The file of an approval that was made elsewhere.
    pub fn approval(&self, person: &str) -> PathBuf {
        self.dir.join("approvals").join(format!("{person}.json"))
    }

    /// Approves the train from a review bundle as people on other machines do: into files outside `live/`, in which
    /// nothing changes.
    pub fn approve_elsewhere(&self) -> Result<()> {
        let disk: Arc<dyn Disk> = Arc::new(HostDisk);
        let clock = StandingClock::at(self.now());
        let trust = || Ok::<_, Error>(Arc::new(gather::trusted(&self.config(), &self.root(), &*disk, self.now())?));
        let (view, recorded) = TrainView::open(&disk, trust()?, &self.train())?;
        let mut bundle = Vec::new();
        export::write(&view, &recorded, false, self.now(), &mut bundle)?;
        fs::create_dir_all(self.dir.join("approvals")).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for person in self.approvers() {
            let desk = self.dir.join("approvals").join(format!("desk-{person}"));
            let opened = export::open(&disk, trust()?, &desk, &mut &bundle[..])?;
            let (kept, here) = (wiring::Credentials::kept(), TrainDir::new(desk.clone()));
            let quiet = Arc::new(NoProgress);
            let effects =
                wiring::effects(&self.config(), &self.root(), &here, disk.clone(), clock.clone(), quiet, kept)?;
            let repository = self.config().project.repository;
            let how = Reviewing { clone: &repository, scratch: &desk.join("review.git"), bundled: true };
            let reviewed = runtime.block_on(engine::review::review(&effects, &opened.view, how))?;
            let (approval, _) = sign(&effects, &opened.view, &reviewed, &PersonId::new(person.as_str())?)?;
            let header = opened.header;
            let carried = Carried::new(header.project, header.train, header.name, approval);
            fs::write(self.approval(&person), carried.to_bytes()?).unwrap();
            fs::remove_dir_all(desk).unwrap();
        }
        Ok(())
    }

    /// Amends the train with the other recipe, unless that was done before.
    fn amend(&self, runtime: &tokio::runtime::Runtime, effects: &Effects) -> Result<()> {
        let file = self.config_file().with_file_name(AMENDED);
        let config = config::load(&file, Some(&self.live().join("state")), &lifeboat::wiring::registries(), &HostDisk)?;
        let trust = Arc::new(gather::trusted(&config, &self.root(), &*effects.disk, effects.clock.now())?);
        let train = Train::open_to_amend(effects, trust, &self.train())?;
        if train.state().generation() > 0 {
            return Ok(());
        }
        let mut child = self.plan(&config, effects)?.0;
        child.parent = Some(train.graph().id());
        let child = Arc::new(Graph::new(Arc::new(child))?);
        runtime.block_on(amend(effects, &train, child, Some("another recipe".to_owned())))
    }

    /// The plan of a configuration, with the series that it pins.
    fn plan(&self, config: &Config, effects: &Effects) -> Result<(Plan, Vec<Vec<u8>>)> {
        let (stores, remotes) = (effects.stores.clone(), effects.remotes.clone());
        let to = gather::Destinations { stores, remotes, ..gather::Destinations::default() };
        let seen = gather::gather(config, &self.train_file(), &self.root(), &to, &*effects.disk, &*effects.clock)?;
        Ok((lifeboat::plan::plan(config, &seen.snapshot, &seen.request)?, seen.series))
    }

    /// The train, adopted now or before.
    pub fn open(&self, effects: &Effects) -> Result<Train> {
        let config = self.config();
        let trust = Arc::new(gather::trusted(&config, &self.root(), &*effects.disk, effects.clock.now())?);
        let dir = self.train();
        if effects.disk.entry(&dir.plan()).unwrap().is_some() {
            return Train::open(effects, trust, &dir);
        }
        let (plan, series) = self.plan(&config, effects)?;
        assert_eq!(plan.train, TrainName::new("drill")?);
        let objects = Objects::new(effects.disk.clone(), dir.objects());
        for series in &series {
            objects.put(series)?;
        }
        Ok(Train::adopt(effects, trust, &dir, &plan)?.0)
    }
}

/// A clock that stands, and leaps when somebody waits; its random numbers are always the same.
#[derive(Debug)]
pub struct StandingClock(std::sync::Mutex<Timestamp>);

impl StandingClock {
    pub fn at(now: Timestamp) -> Arc<Self> {
        Arc::new(Self(std::sync::Mutex::new(now)))
    }
}

#[async_trait::async_trait]
impl Clock for StandingClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    async fn sleep_until(&self, when: Timestamp) {
        let mut now = self.0.lock().unwrap();
        *now = when.max(*now);
    }

    fn nonce(&self) -> Result<[u8; 16]> {
        Ok(*b"sixteen bytes...")
    }
}
