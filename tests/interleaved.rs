//! Two trains of one project end at one store at the same time: whoever is in between, nothing of the other is lost.
//!
//! The second train runs from its gate to its end just before the Nth call that the first one makes on what both change,
//! for every N there is.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking; clippy exempts test functions only")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use lifeboat::effects::{Area, Capabilities, Clock, Effects, Objects, PutNew, Quiet, Store};
use lifeboat::engine::approve::{approve, review};
use lifeboat::engine::{Ended, Train, TrainDir, run};
use lifeboat::error::Result;
use lifeboat::formats::index::Index;
use lifeboat::gather::{self, Destinations};
use lifeboat::host::HostDisk;
use lifeboat::model::{Digests, PersonId, Sha256, StoreName};
use lifeboat::step::Exposure;
use lifeboat::trust::TrustedRoot;
use lifeboat::wiring;
use support::instant_runner::InstantRunner;
use support::train_world::World;

/// One train of the two, by name, with the line that it ships.
#[derive(Clone, Copy)]
struct Ship {
    name: &'static str,
    branch: &'static str,
    version: &'static str,
}

/// What the store has before: its files are there, so they are replaced and not put.
const FIRST: Ship = Ship { name: "first", branch: "release-1.5.0", version: "1.5.0" };
const OLD: Ship = Ship { name: "old", branch: "release-1.0.0", version: "1.0.5" };
const NEW: Ship = Ship { name: "new", branch: "release-2.0.0", version: "2.0.2" };

/// Time stands still, and each train has a nonce of its own.
struct StillClock {
    now: Timestamp,
    nonce: [u8; 16],
}

#[async_trait::async_trait]
impl Clock for StillClock {
    fn now(&self) -> Timestamp {
        self.now
    }

    async fn sleep_until(&self, _when: Timestamp) {}

    fn nonce(&self) -> Result<[u8; 16]> {
        Ok(self.nonce)
    }
}

/// Runs something before the Nth call on what two trains share.
struct Between {
    inner: Arc<dyn Store>,
    nth: u64,
    calls: AtomicU64,
    act: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Between {
    fn shared(&self, path: &str) {
        let shared = path.starts_with("git/") || path.starts_with("releases/index") || path == "releases/latest";
        if shared && self.calls.fetch_add(1, Ordering::SeqCst) + 1 == self.nth {
            let act = self.act.lock().unwrap().take().unwrap();
            act();
        }
    }
}

#[async_trait::async_trait]
impl Store for Between {
    fn name(&self) -> &StoreName {
        self.inner.name()
    }

    fn staging_exposure(&self) -> Exposure {
        self.inner.staging_exposure()
    }

    fn public_url(&self, path: &str) -> String {
        self.inner.public_url(path)
    }

    async fn check(&self) -> Result<Capabilities> {
        self.inner.check().await
    }

    async fn get(&self, area: &Area, path: &str) -> Result<Option<Box<dyn Read + Send>>> {
        self.shared(path);
        self.inner.get(area, path).await
    }

    async fn list(&self, area: &Area, prefix: &str) -> Result<Vec<String>> {
        self.inner.list(area, prefix).await
    }

    async fn put_new(&self, area: &Area, path: &str, source: &Path, digests: &Digests) -> Result<PutNew> {
        self.shared(path);
        self.inner.put_new(area, path, source, digests).await
    }

    async fn promote(&self, train: &str, path: &str) -> Result<PutNew> {
        self.inner.promote(train, path).await
    }

    async fn replace_if(&self, path: &str, old: Option<&Sha256>, bytes: &[u8]) -> Result<bool> {
        self.shared(path);
        self.inner.replace_if(path, old, bytes).await
    }

    async fn clear_staging(&self, train: &str) -> Result<()> {
        self.inner.clear_staging(train).await
    }
}

impl Ship {
    fn dir(self, world: &World) -> TrainDir {
        TrainDir::new(world.root().join("trains").join(self.name))
    }

    fn file(self, world: &World) -> PathBuf {
        world.dir().join(format!("{}.toml", self.name))
    }

    fn effects(self, world: &World) -> Effects {
        let mut nonce = [7; 16];
        nonce[0] = self.name.as_bytes()[0];
        let clock = Arc::new(StillClock { now: world.now(), nonce });
        let (disk, dir) = (Arc::new(HostDisk), self.dir(world));
        let wired = wiring::effects(
            &world.config(),
            &world.root(),
            &dir,
            disk,
            clock,
            Arc::new(Quiet),
            wiring::Credentials::kept(),
        );
        let mut effects = wired.unwrap();
        effects.runners = vec![InstantRunner::port(dir.jobs())];
        effects
    }

    fn trust(world: &World) -> Arc<TrustedRoot> {
        Arc::new(gather::trusted(&world.config(), &world.root(), &HostDisk, world.now()).unwrap())
    }

    /// A train file with this train's line alone.
    fn write(self, world: &World) {
        let whole = fs::read_to_string(world.train_file()).unwrap();
        let mut parts = whole.split("\n[[line]]\n");
        let head = parts.next().unwrap().replace("\"drill\"", &format!("\"{}\"", self.name));
        let line =
            parts.find(|p| p.contains(self.branch) || (self.name == FIRST.name && p.contains(OLD.branch))).unwrap();
        let line = line.replace(
            &format!("branch = \"{}\"", OLD.branch),
            &format!(
                "branch = \"{}\"\nto = \"{}\"",
                if self.name == FIRST.name { FIRST.branch } else { OLD.branch },
                self.version
            ),
        );
        fs::write(self.file(world), format!("{head}\n[[line]]\n{line}")).unwrap();
    }

    /// Adopts the train, runs to its gate, and has two people approve.
    fn to_the_open_gate(self, world: &World) {
        self.write(world);
        let (effects, dir, config) = (self.effects(world), self.dir(world), world.config());
        let to = Destinations {
            stores: effects.stores.clone(),
            remotes: effects.remotes.clone(),
            workflow_dirs: Default::default(),
        };
        let seen = gather::gather(&config, &self.file(world), &world.root(), &to, &HostDisk, &*effects.clock).unwrap();
        let plan = lifeboat::plan::plan(&config, &seen.snapshot, &seen.request).unwrap();
        for series in &seen.series {
            Objects::new(effects.disk.clone(), dir.objects()).put(series).unwrap();
        }
        let (train, _) = Train::adopt(&effects, Self::trust(world), &dir, &plan).unwrap();
        let train = Arc::new(train);
        let runtime = runtime();
        assert!(matches!(runtime.block_on(run(&effects, train.clone())).unwrap(), Ended::Asks(_)));
        let reviewed = runtime.block_on(review(&effects, &train, &config.project.repository)).unwrap();
        for person in ["alice", "bob"] {
            approve(&effects, &train, &reviewed, &PersonId::new(person).unwrap()).unwrap();
        }
    }

    /// From the gate to the end.
    fn finish(self, world: &World, effects: &Effects) {
        let train = Train::open(effects, Self::trust(world), &self.dir(world)).unwrap();
        match runtime().block_on(run(effects, Arc::new(train))).unwrap() {
            Ended::Done(_) => {}
            Ended::Stuck(errors) => panic!("train {}: {}", self.name, errors[0].1.report()),
            other => panic!("train {}: {other:?}", self.name),
        }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// What `file` lists as `<object> <name>`, peeled lines left out.
fn refs(file: &Path, between: char) -> BTreeMap<String, String> {
    let text = fs::read_to_string(file).unwrap();
    let pairs =
        text.lines().filter_map(|l| l.split_once(between)).filter(|(id, n)| id.len() == 40 && !n.ends_with("^{}"));
    pairs.map(|(id, name)| (name.to_owned(), id.to_owned())).collect()
}

/// The store holds both releases, whole, and every pointer is at the newer one.
#[track_caller]
fn both_are_there(world: &World, when: &str) {
    let git = world.store().join("git/sample.git");
    let served = refs(&git.join("info/refs"), '\t');
    let names: BTreeSet<&str> = served.keys().map(String::as_str).collect();
    let mut all = BTreeSet::new();
    let wanted: Vec<String> = [FIRST, OLD, NEW]
        .iter()
        .flat_map(|s| [format!("refs/heads/{}", s.branch), format!("refs/tags/v{}", s.version)])
        .collect();
    all.extend(wanted.iter().map(String::as_str));
    assert_eq!(names, all, "{when}: served refs");
    assert_eq!(refs(&git.join("packed-refs"), ' '), served, "{when}: packed refs");
    for (name, id) in &served {
        assert_eq!(fs::read_to_string(git.join(name)).unwrap().trim(), id, "{when}: `{name}` beside the packed refs");
    }
    let head = fs::read_to_string(git.join("HEAD")).unwrap();
    assert_eq!(head.trim(), format!("ref: refs/heads/{}", NEW.branch), "{when}: HEAD");
    let listed = fs::read_to_string(git.join("objects/info/packs")).unwrap();
    let there = fs::read_dir(git.join("objects/pack")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    for pack in there.filter(|n| n.ends_with(".pack")) {
        assert!(listed.contains(&pack), "{when}: `{pack}` is not listed");
    }
    let repository = git2::Repository::open_bare(&git).unwrap();
    for id in served.values() {
        repository.find_object(git2::Oid::from_str(id).unwrap(), None).unwrap().peel_to_tree().unwrap();
    }
    let releases = world.store().join("releases");
    let index = Index::from_bytes(&fs::read(releases.join("index.json")).unwrap()).unwrap();
    let versions: Vec<String> = index.releases.keys().map(ToString::to_string).collect();
    assert_eq!(versions, [OLD.version, FIRST.version, NEW.version], "{when}: index");
    assert_eq!(fs::read_to_string(releases.join("latest")).unwrap().trim(), NEW.version, "{when}: latest");
    let page = fs::read_to_string(releases.join("index.html")).unwrap();
    assert!(page.contains(OLD.version) && page.contains(NEW.version), "{when}: the page over all releases");
}

/// Every place in the end of `first` at which all of the end of `second` can happen.
fn every_place(world: &World, first: Ship, second: Ship) -> u64 {
    for nth in 1.. {
        world.restore_from("gates");
        let mut effects = first.effects(world);
        let inner = effects.stores.values().next().unwrap().clone();
        let other = world.clone();
        let act: Box<dyn FnOnce() + Send> = Box::new(move || {
            let run = std::thread::spawn(move || second.finish(&other, &second.effects(&other)));
            run.join().unwrap();
        });
        let between = Arc::new(Between { inner, nth, calls: AtomicU64::new(0), act: Mutex::new(Some(act)) });
        effects.stores = BTreeMap::from([(between.name().clone(), between.clone() as Arc<dyn Store>)]);
        first.finish(world, &effects);
        if between.act.lock().unwrap().is_some() {
            return nth - 1;
        }
        both_are_there(world, &format!("train {} before call {nth} of train {}", second.name, first.name));
    }
    unreachable!("there is always a last call");
}

#[test]
fn no_ref_and_no_release_is_lost() {
    let dir = support::scratch();
    let world = World::create(&dir.path().join("sample"));
    let repository = git2::Repository::open(world.config().project.repository).unwrap();
    let old = repository.find_branch(OLD.branch, git2::BranchType::Local).unwrap().get().peel_to_commit().unwrap();
    repository.branch(FIRST.branch, &old, false).unwrap();
    FIRST.to_the_open_gate(&world);
    FIRST.finish(&world, &FIRST.effects(&world));
    OLD.to_the_open_gate(&world);
    NEW.to_the_open_gate(&world);
    world.keep_as("gates");
    let (old, new) = (every_place(&world, OLD, NEW), every_place(&world, NEW, OLD));
    // Fewer would mean that the store is no longer where the two meet.
    assert!(old > 20 && new > 20, "{old} and {new} places");
}
