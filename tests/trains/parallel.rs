//! A train whose files move side by side: never more than its store takes, and readers never see a page before its files.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking; clippy exempts test functions only")]

use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use lifeboat::effects::{Area, Effects, PutNew, STAGED_NOTE, Store, Transfers};
use lifeboat::error::{Error, Result};
use lifeboat::host::HostDisk;
use lifeboat::model::{Digests, Sha256, Stat, TransferLimits};

use crate::support::forwarding::{Around, Forwarding};
use crate::support::instant_runner::InstantRunner;
use crate::support::kill_points::KillPoints;
use crate::support::scratch;
use crate::support::train_ports::{Signatures, effects};
use crate::support::train_world::{Leg, World};

/// How many files this store takes at once.
const AT_ONCE: usize = 3;

/// Lets the calls of a store take a time that a seed chooses, and writes down what began and what ended.
struct Delayed {
    transfers: Arc<Transfers>,
    seed: u64,
    calls: AtomicU64,
    moving: AtomicUsize,
    most: AtomicUsize,
    /// What began and what ended, in its order.
    log: Mutex<Vec<String>>,
    /// The path whose staging fails.
    fails: Option<&'static str>,
}

impl Delayed {
    fn around(effects: &mut Effects, seed: u64, fails: Option<&'static str>) -> Arc<Forwarding<Self>> {
        let transfers = Transfers::new(TransferLimits { at_once: AT_ONCE, rate: None }, &effects.clock);
        let (calls, moving, most, log) = Default::default();
        Forwarding::before(effects, Self { transfers, seed, calls, moving, most, log, fails })
    }

    async fn pause(&self) {
        let n = self.calls.fetch_add(1, Ordering::SeqCst);
        let turns = Sha256::of(format!("{} {n}", self.seed).as_bytes()).0[0] % 64;
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
    }

    /// Counts a file that moves, until the result is dropped.
    fn moves(&self) -> Moves<'_> {
        let now = self.moving.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        Moves(self)
    }

    fn note(&self, what: &str, path: &str) {
        self.log.lock().unwrap().push(format!("{what} {path}"));
    }

    /// When something was written down first, or last.
    #[track_caller]
    fn when(&self, text: &str) -> (usize, usize) {
        let log = self.log.lock().unwrap();
        let first = log.iter().position(|line| line == text);
        let last = log.iter().rposition(|line| line == text);
        first.zip(last).unwrap_or_else(|| panic!("`{text}` is not in {log:#?}"))
    }

    /// The paths after a word, in the order in which they were written down.
    fn paths(&self, what: &str) -> Vec<String> {
        let log = self.log.lock().unwrap();
        log.iter().filter_map(|line| line.strip_prefix(what)?.strip_prefix(' ')).map(str::to_owned).collect()
    }
}

struct Moves<'a>(&'a Delayed);

impl Drop for Moves<'_> {
    fn drop(&mut self) {
        self.0.moving.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait::async_trait]
impl Around for Delayed {
    fn transfers(&self, _: &dyn Store) -> Arc<Transfers> {
        self.transfers.clone()
    }

    async fn stat(&self, inner: &dyn Store, area: &Area, path: &str) -> Result<Option<Stat>> {
        self.pause().await;
        inner.stat(area, path).await
    }

    async fn get(&self, inner: &dyn Store, area: &Area, path: &str) -> Result<Option<Box<dyn Read + Send>>> {
        self.pause().await;
        let found = inner.get(area, path).await?;
        if *area == Area::Public && found.is_some() {
            self.note("read", path);
        }
        Ok(found)
    }

    async fn put_new(
        &self,
        inner: &dyn Store,
        (area, path): (&Area, &str),
        source: &Path,
        digests: &Digests,
    ) -> Result<PutNew> {
        let staged = *area != Area::Public && path != STAGED_NOTE;
        let _moves = staged.then(|| self.moves());
        self.note(if staged { "stage" } else { "put" }, path);
        self.pause().await;
        if staged && self.fails.is_some_and(|name| path.ends_with(name)) {
            return Err(Error::conflict("this one is refused"));
        }
        let done = inner.put_new(area, path, source, digests).await?;
        if *area == Area::Public {
            self.note("public", path);
        }
        Ok(done)
    }

    async fn promote(&self, inner: &dyn Store, train: &str, path: &str, digests: &Digests) -> Result<PutNew> {
        let _moves = self.moves();
        self.note("put", path);
        self.pause().await;
        let done = inner.promote(train, path, digests).await?;
        self.note("public", path);
        Ok(done)
    }

    async fn replace_if(&self, inner: &dyn Store, path: &str, old: Option<&Sha256>, bytes: &[u8]) -> Result<bool> {
        self.note("replace", path);
        self.pause().await;
        inner.replace_if(path, old, bytes).await
    }
}

fn ports(world: &World) -> Effects {
    let runner = InstantRunner::port(world.train().jobs());
    effects(world, Arc::new(HostDisk), &KillPoints::counting(), &Signatures::fresh(), Some(runner))
}

fn threads() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap()
}

#[test]
fn files_come_before_their_page_and_pages_before_the_index_however_long_each_takes() {
    let dir = scratch();
    let world = World::create(dir.path());
    world.keep_as("nothing");
    for seed in 0..4 {
        world.restore_from("nothing");
        let runtime = threads();
        let mut effects = ports(&world);
        let store = Delayed::around(&mut effects, seed, None);
        for leg in [Leg::Ship, Leg::Approve, Leg::Finish] {
            world.go_on(&runtime, &effects, leg).unwrap();
        }
        let store = &store.around;
        let most = store.most.load(Ordering::SeqCst);
        assert!((2..=AT_ONCE).contains(&most), "seed {seed}: {most} files at once");
        let staged = store.paths("stage");
        let (index, _) = store.when("replace releases/index.json");
        for version in ["1.0.5", "2.0.2"] {
            let files: Vec<&String> =
                staged.iter().filter(|path| path.starts_with(&format!("releases/{version}/"))).collect();
            assert!(files.len() > 5, "{files:?}");
            let (page, _) = store.when(&format!("put releases/{version}/index.html"));
            for file in files {
                let public = store.when(&format!("public {file}")).0;
                let read = store.when(&format!("read {file}"));
                assert!(public < read.1 && read.0 < page, "seed {seed}: `{file}` was not read before its page");
            }
            assert!(page < index, "seed {seed}: the index came before the page of {version}");
        }
    }
}

#[test]
fn one_file_that_is_refused_ends_the_others_and_is_named() {
    let dir = scratch();
    let world = World::create(dir.path());
    let mut effects = ports(&world);
    let store = Delayed::around(&mut effects, 7, Some("SHA256SUMS"));
    let e = world.go_on(&threads(), &effects, Leg::Ship).unwrap_err();
    assert!(e.report().contains("this one is refused") && e.report().contains("stage"), "{}", e.report());
    let store = &store.around;
    assert_eq!(store.moving.load(Ordering::SeqCst), 0, "nothing is under way any more");
    assert_eq!(store.transfers.moved(), Default::default(), "nothing is waited for");
}

/// The place of a release's file in the order in which readers may find it: what the sums list, the sums, what signs them.
fn rank(name: &str) -> usize {
    match name {
        "manifest.json" | "SHA256SUMS" | "SHA512SUMS" => 1,
        name if name.ends_with(".asc") || name.starts_with("approvals/") || name == "tag.txt" => 2,
        _ => 0,
    }
}

#[test]
fn sums_follow_what_they_list_and_signatures_follow_sums() {
    for mode in ["private", "encrypted"] {
        let dir = scratch();
        let store = World::at(dir.path()).store();
        let keys = format!("url = \"file://{}\"\nstaging = \"{mode}\"", store.display());
        let world = World::create_with(dir.path(), &keys);
        let mut effects = ports(&world);
        let store = Delayed::around(&mut effects, 3, None);
        let runtime = threads();
        for leg in [Leg::Ship, Leg::Approve, Leg::Finish] {
            world.go_on(&runtime, &effects, leg).unwrap();
        }
        let log = store.around.log.lock().unwrap();
        for version in ["1.0.5", "2.0.2"] {
            // The pages are made after the files.
            let files = log.iter().filter_map(|line| {
                let (act, path) = line.split_once(' ')?;
                let name = path.strip_prefix(&format!("releases/{version}/"))?;
                let page = ["index.html", "lifeboat-page.json"].contains(&name);
                (!page && ["put", "public"].contains(&act)).then(|| (act == "public", rank(name), name))
            });
            let files: Vec<_> = files.collect();
            for rank in [0, 1] {
                let last = files.iter().rposition(|f| f.0 && f.1 == rank).unwrap();
                let first = files.iter().position(|f| !f.0 && f.1 > rank).unwrap();
                assert!(last < first, "{mode}, {version}: {files:#?}");
            }
            let of = |rank: usize| files.iter().filter(|f| f.0 && f.1 == rank).count();
            assert!(of(0) >= 3 && of(1) == 3 && of(2) >= 5, "{mode}, {version}: {files:#?}");
        }
    }
}
