//! Two trains of one project end at one store at the same time: whoever is in between, nothing of the other is lost.
//!
//! The second train runs from its gate to its end just before the Nth call that the first one makes on what both change,
//! for every N there is.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking; clippy exempts test functions only")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::support::forwarding::{Around, Forwarding};
use crate::support::instant_runner::InstantRunner;
use crate::support::train_world::World;
use jiff::Timestamp;
use lifeboat::effects::{Area, Clock, Effects, NoProgress, Objects, PutNew, Store};
use lifeboat::engine::approve::{approve, review};
use lifeboat::engine::{Ended, Train, TrainDir, run};
use lifeboat::error::Result;
use lifeboat::formats::index::Index;
use lifeboat::gather::{self, Destinations};
use lifeboat::host::HostDisk;
use lifeboat::model::{Digests, PersonId, Sha256};
use lifeboat::trust::TrustedRoot;
use lifeboat::wiring;

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

/// Two trains on one base: at most one of them can be the next release of that line.
const LEFT: Ship = Ship { name: "left", branch: "release-1.0.0", version: "1.0.6" };
const RIGHT: Ship = Ship { name: "right", branch: "release-1.0.0", version: "1.0.7" };

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
    shared: fn(&str) -> bool,
    nth: u64,
    calls: AtomicU64,
    act: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

/// What trains of different lines both change.
fn pointers(path: &str) -> bool {
    path.starts_with("git/") || path.starts_with("releases/index") || path == "releases/latest"
}

impl Between {
    /// Around the effects' one store, before the Nth call on what is `shared`.
    fn around(
        effects: &mut Effects,
        shared: fn(&str) -> bool,
        nth: u64,
        act: Box<dyn FnOnce() + Send>,
    ) -> Arc<Forwarding<Self>> {
        Forwarding::before(effects, Self { shared, nth, calls: AtomicU64::new(0), act: Mutex::new(Some(act)) })
    }

    fn shared(&self, path: &str) {
        if (self.shared)(path) && self.calls.fetch_add(1, Ordering::SeqCst) + 1 == self.nth {
            let act = self.act.lock().unwrap().take().unwrap();
            act();
        }
    }

    /// Whether the Nth call was not made.
    fn is_over(&self) -> bool {
        self.act.lock().unwrap().is_some()
    }
}

#[async_trait::async_trait]
impl Around for Between {
    async fn get(&self, inner: &dyn Store, area: &Area, path: &str) -> Result<Option<Box<dyn Read + Send>>> {
        self.shared(path);
        inner.get(area, path).await
    }

    async fn put_new(
        &self,
        inner: &dyn Store,
        (area, path): (&Area, &str),
        source: &Path,
        digests: &Digests,
    ) -> Result<PutNew> {
        self.shared(path);
        inner.put_new(area, path, source, digests).await
    }

    async fn promote(&self, inner: &dyn Store, train: &str, path: &str, digests: &Digests) -> Result<PutNew> {
        self.shared(path);
        inner.promote(train, path, digests).await
    }

    async fn replace_if(&self, inner: &dyn Store, path: &str, old: Option<&Sha256>, bytes: &[u8]) -> Result<bool> {
        self.shared(path);
        inner.replace_if(path, old, bytes).await
    }

    async fn hold(&self, inner: &dyn Store, what: &str, holder: &[u8]) -> Result<Option<Vec<u8>>> {
        self.shared(what);
        inner.hold(what, holder).await
    }

    async fn release(&self, inner: &dyn Store, what: &str, holder: &[u8]) -> Result<()> {
        self.shared(what);
        inner.release(what, holder).await
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
            Arc::new(NoProgress),
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

    /// From the gate on, as far as it comes; says what stopped it.
    fn go_on(self, world: &World, effects: &Effects) -> Option<String> {
        let train = Train::open(effects, Self::trust(world), &self.dir(world)).unwrap();
        match runtime().block_on(run(effects, Arc::new(train))).unwrap() {
            Ended::Done(_) => None,
            Ended::Stuck(errors) => Some(errors[0].1.report()),
            other => panic!("train {}: {other:?}", self.name),
        }
    }

    /// From the gate to the end.
    fn finish(self, world: &World, effects: &Effects) {
        if let Some(error) = self.go_on(world, effects) {
            panic!("train {}: {error}", self.name);
        }
    }

    /// Whether anything of it is public, which then must be all of it.
    #[track_caller]
    fn is_public(self, world: &World, when: &str) -> bool {
        let any = world.store().join("releases").join(self.version).exists();
        let index = fs::read(world.store().join("releases/index.json")).ok();
        let index = index.map(|bytes| Index::from_bytes(&bytes).unwrap());
        let listed = index.is_some_and(|i| i.releases.keys().any(|v| v.to_string() == self.version));
        assert_eq!(any, listed, "{when}: {} is public in part", self.version);
        any
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
        let other = world.clone();
        let act: Box<dyn FnOnce() + Send> = Box::new(move || {
            let run = std::thread::spawn(move || second.finish(&other, &second.effects(&other)));
            run.join().unwrap();
        });
        let between = Between::around(&mut effects, pointers, nth, act);
        first.finish(world, &effects);
        if between.around.is_over() {
            return nth - 1;
        }
        both_are_there(world, &format!("train {} before call {nth} of train {}", second.name, first.name));
    }
    unreachable!("there is always a last call");
}

#[test]
fn no_ref_and_no_release_is_lost() {
    let dir = crate::support::scratch();
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

/// Wherever in the gate and the publication of one train the whole of the other happens: one of the two is public, whole,
/// and nothing of the other; and the one that was refused can go on or be planned again.
#[test]
fn of_two_trains_on_one_base_one_is_published() {
    let dir = crate::support::scratch();
    let world = World::create(&dir.path().join("sample"));
    LEFT.to_the_open_gate(&world);
    RIGHT.to_the_open_gate(&world);
    world.keep_as("gates");
    let (mut places, mut refused) = (0, BTreeMap::new());
    for nth in 1.. {
        world.restore_from("gates");
        let when = format!("the other before call {nth}");
        let mut effects = LEFT.effects(&world);
        let (other, result) = (world.clone(), Arc::new(Mutex::new(None)));
        let sender = result.clone();
        let act: Box<dyn FnOnce() + Send> = Box::new(move || {
            let run = std::thread::spawn(move || RIGHT.go_on(&other, &RIGHT.effects(&other)));
            *sender.lock().unwrap() = run.join().unwrap();
        });
        let between = Between::around(&mut effects, |_| true, nth, act);
        let left = LEFT.go_on(&world, &effects);
        if between.around.is_over() {
            assert_eq!(left, None, "alone");
            break;
        }
        places = nth;
        let right = result.lock().unwrap().take();
        let public = (LEFT.is_public(&world, &when), RIGHT.is_public(&world, &when));
        assert!(public.0 != public.1, "{when}: {public:?}; {left:?}; {right:?}");
        let (winner, error) = if public.0 { (left, right) } else { (right, left) };
        assert_eq!(winner, None, "{when}");
        let error = error.unwrap();
        let why = ["is bringing `release-1.0.0` to the public", "would lose commits"];
        let why = why.into_iter().find(|w| error.contains(w)).unwrap_or_else(|| panic!("{when}: {error}"));
        *refused.entry(why).or_insert(0) += 1;
        assert_eq!(
            fs::read_dir(world.store().join(".staging/.held")).map_or(0, Iterator::count),
            0,
            "{when}: still held"
        );
    }
    assert!(places > 20 && refused.len() == 2, "{places} places, {refused:?}");
}
