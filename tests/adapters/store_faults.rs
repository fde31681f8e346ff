//! Stores behind a network that cuts, loses, delays and repeats, as two operators use them at once.
//!
//! Each seed is another order of faults. Whatever happens, nobody ever reads half an object or a wrong one, and who tries again
//! until it is done has the same world in the end. A sample of the seeds is always run, and `LIFEBOAT_FAULTS=all` runs all.

use std::collections::BTreeMap;
use std::fs;
use std::future::Future;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use lifeboat::effects::{Area, Clock, PutNew, Store};
use lifeboat::error::{ErrorKind, Result};
use lifeboat::host::HostClock;
use lifeboat::model::{Digests, Sha256};

use crate::support::faulty_proxy::{self, Fault, Seen};
use crate::support::radosgw::Bucket;
use crate::support::servers::{Nginx, USER};
use crate::webdav::{asked, configured_with};

/// How many seeds there are, and how many are always run.
const ALL: u64 = 500;
const SAMPLE: u64 = 4;

/// The machine's clock, on which nobody waits.
struct Leaping(AtomicI64);

#[async_trait::async_trait]
impl Clock for Leaping {
    fn now(&self) -> Timestamp {
        Timestamp::now() + SignedDuration::from_millis(self.0.load(Ordering::SeqCst))
    }

    async fn sleep_until(&self, when: Timestamp) {
        let ahead = self.now().duration_until(when).as_millis().max(0);
        self.0.fetch_add(i64::try_from(ahead).unwrap(), Ordering::SeqCst);
    }

    fn nonce(&self) -> Result<[u8; 16]> {
        HostClock.nonce()
    }
}

/// Numbers that follow from a seed (SplitMix64).
fn mixed(seed: u64, n: u64) -> u64 {
    let mut z = seed.wrapping_mul(0x2545_f491_4f6c_dd1d).wrapping_add(n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// What happens to a request: something to one in five.
fn fault(seed: u64, seen: &Seen) -> Fault {
    let number = mixed(seed, seen.number);
    let some = number >> 32;
    match number % 40 {
        0 => Fault::Reset,
        1 => Fault::CutRequest(some % 200_000),
        2 => Fault::LoseAnswer,
        3 => Fault::CutAnswer(usize::try_from(some % 400).unwrap()),
        4 => Fault::Late(Duration::from_millis(some % 120)),
        5 => Fault::Refuse(503),
        6 => Fault::RefuseAfter(502),
        7 => Fault::Twice,
        _ => Fault::None,
    }
}

/// Tries until it is done, as `reconcile` does; what a person would have to repair fails the test.
async fn again<T, W: Future<Output = Result<T>>>(clock: &Leaping, act: impl Fn() -> W) -> T {
    for _ in 0..200 {
        match act().await {
            Ok(done) => return done,
            Err(e) if matches!(e.kind(), ErrorKind::Transient | ErrorKind::Unreachable) => {
                clock.sleep_until(clock.now() + SignedDuration::from_secs(31)).await;
            }
            Err(e) => panic!("{}", e.report()),
        }
    }
    panic!("it is never done");
}

async fn content(store: &dyn Store, area: &Area, path: &str) -> Result<Option<Vec<u8>>> {
    let Some(mut source) = store.get(area, path).await? else { return Ok(None) };
    let mut bytes = Vec::new();
    source.read_to_end(&mut bytes).map_err(|e| lifeboat::error::Error::transient("reading").because(e))?;
    Ok(Some(bytes))
}

/// The public objects of one world.
fn objects() -> BTreeMap<&'static str, Vec<u8>> {
    BTreeMap::from([
        ("releases/1.0.0/small", b"small".to_vec()),
        ("releases/1.0.0/large", (0..6_000_000_u32).map(|n| (n / 11) as u8).collect()),
        ("releases/1.0.0/empty", Vec::new()),
    ])
}

const POINTER: &str = "releases/index.json";

fn pointer(n: u32) -> Vec<u8> {
    format!("{n} {}", "x".repeat(70_000 + n as usize)).into_bytes()
}

/// Does all that a train does to a store; another operator does the same at the same time.
async fn deliver(store: Arc<dyn Store>, clock: Arc<Leaping>, scratch: std::path::PathBuf, operator: u8) {
    let staging = Area::Staging("train".to_owned());
    for (path, bytes) in objects() {
        let (source, digests) = (scratch.join(path.replace('/', "-")), Digests::of(&bytes));
        again(&clock, || store.put_new(&staging, path, &source, &digests)).await;
        let there = again(&clock, || content(&*store, &staging, path)).await;
        assert!(there.as_ref() == Some(&bytes), "staged `{path}` is wrong");
    }
    for (path, bytes) in objects() {
        let digests = Digests::of(&bytes);
        again(&clock, || store.promote("train", path, &digests)).await;
        assert!(again(&clock, || content(&*store, &Area::Public, path)).await == Some(bytes), "`{path}` is wrong");
    }
    // Both want to move it on, one step at a time; who was too late goes on from there.
    for n in 0..3_u32 {
        let old = n.checked_sub(1).map(|n| Sha256::of(&pointer(n)));
        again(&clock, || async {
            if content(&*store, &Area::Public, POINTER).await?.is_some_and(|now| now.len() >= pointer(n).len()) {
                return Ok(());
            }
            store.replace_if(POINTER, old.as_ref(), &pointer(n)).await.map(drop)?;
            let now = content(&*store, &Area::Public, POINTER).await?.unwrap_or_default();
            assert!(now.len() >= pointer(n).len(), "the pointer went back");
            Ok(())
        })
        .await;
    }
    // What each would have otherwise: one of them is there, whole.
    let own = scratch.join(format!("own-{operator}"));
    let digests = Digests::of(&fs::read(&own).unwrap());
    let put = again(&clock, || store.put_new(&Area::Public, "releases/raced", &own, &digests)).await;
    let there = again(&clock, || content(&*store, &Area::Public, "releases/raced")).await.unwrap();
    assert!(put == PutNew::Existed || Digests::of(&there) == digests, "created, and something else is there");
}

/// What anybody reads at a path.
type Look = Arc<dyn Fn(&str) -> Option<Vec<u8>> + Send + Sync>;

/// Two operators deliver to one store, each by way of a faulty proxy before the port `server`, while strangers look.
async fn world(seed: u64, server: u16, keys: impl Fn(u16) -> String, asked: Look, scratch: &Path) {
    let clock = Arc::new(Leaping(AtomicI64::new(0)));
    let raced: Vec<Vec<u8>> = (0..2_u8).map(|n| vec![b'a' + n; 300_000]).collect();
    for (n, bytes) in raced.iter().enumerate() {
        fs::write(scratch.join(format!("own-{n}")), bytes).unwrap();
    }
    let mut wanted: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
    for (path, bytes) in objects() {
        fs::write(scratch.join(path.replace('/', "-")), &bytes).unwrap();
        wanted.insert(path.to_owned(), vec![bytes]);
    }
    wanted.insert(POINTER.to_owned(), (0..3).map(pointer).collect());
    wanted.insert("releases/raced".to_owned(), raced);
    let over = Arc::new(AtomicBool::new(false));
    let (watched, ended, look) = (wanted.clone(), over.clone(), asked.clone());
    let looks = Arc::new(AtomicU64::new(0));
    let seen = looks.clone();
    let watcher = std::thread::spawn(move || {
        while !ended.load(Ordering::SeqCst) {
            for (path, valid) in &watched {
                if let Some(bytes) = look(path) {
                    assert!(valid.contains(&bytes), "strangers read {} wrong bytes of `{path}`", bytes.len());
                    seen.fetch_add(1, Ordering::SeqCst);
                }
            }
            std::thread::sleep(Duration::from_millis(3));
        }
    });
    let operators = (0..2_u8).map(|operator| {
        let port = faulty_proxy::start(server, move |seen| fault(2 * seed + u64::from(operator), seen));
        deliver(configured_with(&keys(port), clock.clone()), clock.clone(), scratch.to_owned(), operator)
    });
    operators.collect::<tokio::task::JoinSet<()>>().join_all().await;
    over.store(true, Ordering::SeqCst);
    watcher.join().unwrap_or_else(|_| panic!("seed {seed}: what strangers read was wrong"));
    assert!(looks.load(Ordering::SeqCst) > 0, "nobody looked");
    for (path, valid) in &wanted {
        let there = asked(path).unwrap_or_else(|| panic!("seed {seed}: no `{path}`"));
        assert!(if path == POINTER { there == pointer(2) } else { valid.contains(&there) }, "seed {seed}: `{path}`");
    }
}

/// The sample has what was found once: with 70, a pointer was to be created while somebody was replacing it already.
fn seeds() -> impl Iterator<Item = u64> {
    let all = std::env::var("LIFEBOAT_FAULTS").is_ok_and(|which| which == "all");
    let (first, found) = if all { (ALL, &[][..]) } else { (SAMPLE, &[70][..]) };
    (0..first).chain(found.iter().copied())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn webdav_ends_in_the_same_world_whatever_the_network_does() {
    let base = crate::support::scratch();
    // Many answers to `LOCK` are lost, and each lock is waited for.
    let nginx = Nginx::with_locks(base.path(), 3);
    let (dav, public) = (nginx.dav, nginx.public);
    for seed in seeds() {
        let (dir, scratch) = (nginx.root.join(format!("s{seed}")), base.path().join(format!("scratch{seed}")));
        fs::create_dir(&dir).unwrap();
        fs::create_dir(&scratch).unwrap();
        let keys = |port: u16| {
            format!(
                "url = \"dav://127.0.0.1:{port}/releases/s{seed}\"\npublic_url = \"http://127.0.0.1:{public}/s{seed}\"\n\
                 user = \"{USER}\"\npassword = {{ env = \"DAV_PASSWORD\" }}\n"
            )
        };
        let look: Look = Arc::new(move |path| asked(public, &format!("/s{seed}/{path}")));
        world(seed, dav, keys, look, &scratch).await;
        fs::remove_dir_all(dir).unwrap();
        fs::remove_dir_all(scratch).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_bucket_ends_in_the_same_world_whatever_the_network_does() {
    let base = crate::support::scratch();
    for seed in seeds() {
        let (bucket, scratch) = (Bucket::new(), base.path().join(format!("scratch{seed}")));
        fs::create_dir(&scratch).unwrap();
        let server = bucket.endpoint.rsplit(':').next().unwrap().parse().unwrap();
        let keys = |port: u16| {
            format!("url = \"s3://{}\"\n{}", bucket.name, bucket.table(&format!("http://127.0.0.1:{port}")))
        };
        let seen = bucket.clone();
        let look: Look = Arc::new(move |path| seen.as_a_stranger(path).map(|(_, bytes)| bytes));
        world(seed, server, keys, look, &scratch).await;
        fs::remove_dir_all(scratch).unwrap();
    }
}
