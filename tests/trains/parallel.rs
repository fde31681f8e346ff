//! A train whose files move side by side: never more than its store takes, and readers never see a page before its files.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking; clippy exempts test functions only")]

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use lifeboat::effects::{Area, Capabilities, Effects, PutNew, STAGED_NOTE, Store, Transfers};
use lifeboat::error::{Error, Result};
use lifeboat::host::HostDisk;
use lifeboat::model::{Digests, Sha256, Stat, StoreName, TransferLimits};
use lifeboat::step::Exposure;

use crate::support::instant_runner::InstantRunner;
use crate::support::kill_points::KillPoints;
use crate::support::scratch;
use crate::support::train_ports::{Signatures, effects};
use crate::support::train_world::{Leg, World};

/// How many files this store takes at once.
const AT_ONCE: usize = 3;

/// A store whose calls take a time that a seed chooses, and which writes down what ended when.
struct Delayed {
    inner: Arc<dyn Store>,
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
    fn around(effects: &mut Effects, seed: u64, fails: Option<&'static str>) -> Arc<Self> {
        let inner = effects.stores.values().next().unwrap().clone();
        let transfers = Transfers::new(TransferLimits { at_once: AT_ONCE, rate: None }, &effects.clock);
        let (calls, moving, most, log) = Default::default();
        let store = Arc::new(Self { inner, transfers, seed, calls, moving, most, log, fails });
        effects.stores = BTreeMap::from([(store.name().clone(), store.clone() as Arc<dyn Store>)]);
        store
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
}

struct Moves<'a>(&'a Delayed);

impl Drop for Moves<'_> {
    fn drop(&mut self) {
        self.0.moving.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait::async_trait]
impl Store for Delayed {
    fn name(&self) -> &StoreName {
        self.inner.name()
    }

    fn staging_exposure(&self) -> Exposure {
        self.inner.staging_exposure()
    }

    fn transfers(&self) -> Arc<Transfers> {
        self.transfers.clone()
    }

    fn public_url(&self, path: &str) -> String {
        self.inner.public_url(path)
    }

    async fn probe(&self) -> Result<()> {
        self.inner.probe().await
    }

    async fn check(&self) -> Result<Capabilities> {
        self.inner.check().await
    }

    async fn stat(&self, area: &Area, path: &str) -> Result<Option<Stat>> {
        self.pause().await;
        self.inner.stat(area, path).await
    }

    async fn get(&self, area: &Area, path: &str) -> Result<Option<Box<dyn Read + Send>>> {
        self.pause().await;
        let found = self.inner.get(area, path).await?;
        if *area == Area::Public && found.is_some() {
            self.note("read", path);
        }
        Ok(found)
    }

    async fn list(&self, area: &Area, prefix: &str) -> Result<Vec<String>> {
        self.inner.list(area, prefix).await
    }

    async fn put_new(&self, area: &Area, path: &str, source: &Path, digests: &Digests) -> Result<PutNew> {
        let staged = *area != Area::Public && path != STAGED_NOTE;
        let _moves = staged.then(|| self.moves());
        self.note(if staged { "stage" } else { "put" }, path);
        self.pause().await;
        if staged && self.fails.is_some_and(|name| path.ends_with(name)) {
            return Err(Error::conflict("this one is refused"));
        }
        self.inner.put_new(area, path, source, digests).await
    }

    async fn promote(&self, train: &str, path: &str, digests: &Digests) -> Result<PutNew> {
        let _moves = self.moves();
        self.pause().await;
        let done = self.inner.promote(train, path, digests).await?;
        self.note("public", path);
        Ok(done)
    }

    async fn replace_if(&self, path: &str, old: Option<&Sha256>, bytes: &[u8]) -> Result<bool> {
        self.note("replace", path);
        self.pause().await;
        self.inner.replace_if(path, old, bytes).await
    }

    async fn staged(&self) -> Result<Vec<String>> {
        self.inner.staged().await
    }

    async fn clear_staging(&self, train: &str) -> Result<()> {
        self.inner.clear_staging(train).await
    }

    async fn hold(&self, what: &str, holder: &[u8]) -> Result<Option<Vec<u8>>> {
        self.inner.hold(what, holder).await
    }

    async fn release(&self, what: &str, holder: &[u8]) -> Result<()> {
        self.inner.release(what, holder).await
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
        let most = store.most.load(Ordering::SeqCst);
        assert!((2..=AT_ONCE).contains(&most), "seed {seed}: {most} files at once");
        let staged: Vec<String> = {
            let log = store.log.lock().unwrap();
            log.iter().filter_map(|line| line.strip_prefix("stage ")).map(str::to_owned).collect()
        };
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
    assert_eq!(store.moving.load(Ordering::SeqCst), 0, "nothing is under way any more");
    assert_eq!(store.transfers.moved(), Default::default(), "nothing is waited for");
}
