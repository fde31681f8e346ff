//! Stores behind a network that cuts, loses, delays and repeats, as two operators use them at once.
//!
//! Each seed is another order of faults: of requests where the server speaks HTTP, of bytes where what passes is encrypted.
//! Whatever happens, nobody ever reads half an object or a wrong one, and who tries again until it is done has the same world in
//! the end. A sample of the seeds is always run; `LIFEBOAT_FAULTS=all` runs all, and `LIFEBOAT_FAULTS=17` the one with that number.

use std::collections::BTreeMap;
use std::fs;
use std::future::Future;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use lifeboat::effects::{Area, Clock, PutNew, Store};
use lifeboat::error::{Context as _, ErrorKind, Result};
use lifeboat::host::HostClock;
use lifeboat::model::{Digests, Sha256};
use tokio::task::JoinSet;

use crate::support::faulty_proxy::{self, Fault, Seen};
use crate::support::radosgw::Bucket;
use crate::support::servers::{Nginx, Sshd, USER};
use crate::support::stream_proxy::{self, Piece, Verdict};
use crate::webdav::{asked, configured_with};

/// How many seeds there are, and how many are always run.
const ALL: u64 = 500;
const SAMPLE: u64 = 3;

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

/// What happens to the bytes of one way of a connection, which is one of an ssh that is started anew after each fault: as a rule it
/// breaks somewhere between the handshake and the end of the largest file.
fn stream_fault(seed: u64, piece: &Piece) -> Verdict {
    let number = mixed(seed, 2 * piece.connection + u64::from(piece.to_server));
    let at = (1 << (11 + (number >> 32) % 12)) + (number >> 40) % 2048;
    let end = piece.before + piece.length as u64;
    let most = usize::try_from(at.saturating_sub(piece.before)).unwrap();
    match number % 24 {
        0..=7 if end > at => Verdict::Cut(most),
        // Only a session that asks for signs of life notices it, and takes 15 s.
        8 if end > at => Verdict::Silence(most),
        9..=11 => Verdict::Late(Duration::from_millis((number >> 24) % 4)),
        _ => Verdict::Pass,
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
    source.read_to_end(&mut bytes).context(format!("cannot read `{path}`"))?;
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

/// Ends the looking, however a world ends.
#[derive(Default)]
struct Over(Arc<AtomicBool>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// The table of the store whose server is at a port.
type Keys = Box<dyn Fn(u16) -> String + Send + Sync>;

/// Where two operators meet.
struct Place {
    /// Starts a proxy with the faults of a seed in front of the server; gives its port.
    faulty: Box<dyn Fn(u64) -> u16 + Send + Sync>,
    /// See [`Keys`].
    keys: Keys,
    /// What anybody reads there, and how often it is looked at.
    look: Look,
    every: Duration,
}

/// A proxy in front of a server that speaks HTTP.
fn faulty_requests(server: u16) -> Box<dyn Fn(u64) -> u16 + Send + Sync> {
    Box::new(move |seed| faulty_proxy::start(server, move |seen| fault(seed, seen)))
}

/// Two operators deliver to one store, each by way of a faulty proxy, while strangers look.
async fn world(seed: u64, Place { faulty, keys, look: asked, every }: Place, scratch: &Path) {
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
    let over = Over::default();
    let (watched, ended, look) = (wanted.clone(), over.0.clone(), asked.clone());
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
            std::thread::sleep(every);
        }
    });
    let operators = (0..2_u8).map(|operator| {
        let port = faulty(2 * seed + u64::from(operator));
        deliver(configured_with(&keys(port), clock.clone()), clock.clone(), scratch.to_owned(), operator)
    });
    operators.collect::<JoinSet<()>>().join_all().await;
    drop(over);
    watcher.join().unwrap_or_else(|_| panic!("seed {seed}: what strangers read was wrong"));
    assert!(looks.load(Ordering::SeqCst) > 0, "nobody looked");
    for (path, valid) in &wanted {
        let there = asked(path).unwrap_or_else(|| panic!("seed {seed}: no `{path}`"));
        assert!(if path == POINTER { there == pointer(2) } else { valid.contains(&there) }, "seed {seed}: `{path}`");
    }
}

/// The sample has what was found once: with 70, a pointer was to be created while somebody was replacing it already.
fn seeds(found: &[u64]) -> Vec<u64> {
    match std::env::var("LIFEBOAT_FAULTS").as_deref() {
        Ok("all") => (0..ALL).collect(),
        Ok(one) if one.parse::<u64>().is_ok() => vec![one.parse().unwrap()],
        _ => (0..SAMPLE).chain(found.iter().copied()).collect(),
    }
}

/// Goes through all seeds, some at once, and says in the end which of them failed; each has a scratch directory of its own.
async fn each<W: Future<Output = ()> + Send + 'static>(
    seeds: Vec<u64>,
    at_once: usize,
    base: &Path,
    world: impl Fn(u64, PathBuf) -> W,
) {
    let begun = std::time::Instant::now();
    let (count, mut left, mut running, mut failed) = (seeds.len(), seeds.into_iter(), JoinSet::new(), Vec::new());
    loop {
        while running.len() < at_once
            && let Some(seed) = left.next()
        {
            let scratch = base.join(format!("scratch{seed}"));
            fs::create_dir(&scratch).unwrap();
            let world = tokio::spawn(world(seed, scratch.clone()));
            running.spawn(async move {
                let ended = world.await;
                fs::remove_dir_all(scratch).unwrap();
                (seed, ended)
            });
        }
        let Some(done) = running.join_next().await else { break };
        let (seed, ended) = done.unwrap();
        if let Err(why) = ended {
            println!("seed {seed}: {why}");
            failed.push(seed);
        }
    }
    println!("{} of {count} seeds passed in {:.0?}", count - failed.len(), begun.elapsed());
    assert!(failed.is_empty(), "seeds {failed:?} failed: what they found is above; `LIFEBOAT_FAULTS=N` runs one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn webdav_ends_in_the_same_world_whatever_the_network_does() {
    let base = crate::support::scratch();
    // Many answers to `LOCK` are lost, and each lock is waited for.
    let nginx = Nginx::with_locks(base.path(), 3);
    let (dav, public) = (nginx.dav, nginx.public);
    each(seeds(&[70]), 1, base.path(), |seed, scratch| {
        let dir = nginx.root.join(format!("s{seed}"));
        fs::create_dir(&dir).unwrap();
        let keys = move |port: u16| {
            format!(
                "url = \"dav://127.0.0.1:{port}/releases/s{seed}\"\npublic_url = \"http://127.0.0.1:{public}/s{seed}\"\n\
                 user = \"{USER}\"\npassword = {{ env = \"DAV_PASSWORD\" }}\n"
            )
        };
        let look: Look = Arc::new(move |path| asked(public, &format!("/s{seed}/{path}")));
        let place =
            Place { faulty: faulty_requests(dav), keys: Box::new(keys), look, every: Duration::from_millis(3) };
        async move {
            world(seed, place, &scratch).await;
            fs::remove_dir_all(dir).unwrap();
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_bucket_ends_in_the_same_world_whatever_the_network_does() {
    let base = crate::support::scratch();
    each(seeds(&[70]), 1, base.path(), |seed, scratch| {
        let bucket = Bucket::new();
        let server = bucket.endpoint.rsplit(':').next().unwrap().parse().unwrap();
        let (own, seen) = (bucket.clone(), bucket);
        let keys =
            move |port: u16| format!("url = \"s3://{}\"\n{}", own.name, own.table(&format!("http://127.0.0.1:{port}")));
        let look: Look = Arc::new(move |path| seen.as_a_stranger(path).map(|(_, bytes)| bytes));
        let place =
            Place { faulty: faulty_requests(server), keys: Box::new(keys), look, every: Duration::from_millis(3) };
        async move { world(seed, place, &scratch).await }
    })
    .await;
}

/// The connection breaks in the middle of a file that is read as it comes: that is no fault of the file's, and passes.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_read_that_breaks_off_is_tried_again() {
    let base = crate::support::scratch();
    let (nginx, sshd, bucket) = (Nginx::start(base.path()), Sshd::start(base.path()), Bucket::new());
    let (path, source) = ("releases/1.0.0/large", base.path().join("large"));
    let objects = objects();
    let bytes = &objects[path];
    fs::write(&source, bytes).unwrap();
    let (dav, root) = (
        format!("user = \"{USER}\"\npassword = {{ env = \"DAV_PASSWORD\" }}\n"),
        base.path().join("store").display().to_string(),
    );
    fs::create_dir(&root).unwrap();
    let (ssh, name) = (sshd.config.display().to_string(), bucket.name.clone());
    let of_bucket = bucket.clone();
    let stores: [(u16, Keys); 3] = [
        (nginx.dav, Box::new(move |port| format!("url = \"dav://127.0.0.1:{port}/releases\"\n{dav}"))),
        (sshd.port, Box::new(move |port| format!("url = \"sftp://127.0.0.1:{port}{root}\"\nssh_config = \"{ssh}\"\n"))),
        (
            bucket.endpoint.rsplit(':').next().unwrap().parse().unwrap(),
            Box::new(move |port| {
                format!("url = \"s3://{name}\"\n{}", of_bucket.table(&format!("http://127.0.0.1:{port}")))
            }),
        ),
    ];
    for (server, keys) in stores {
        let clock = Arc::new(Leaping(AtomicI64::new(0)));
        let store = configured_with(&keys(server), clock.clone());
        store.put_new(&Area::Public, path, &source, &Digests::of(bytes)).await.unwrap();
        let was_cut = Arc::new(AtomicBool::new(false));
        let cut = was_cut.clone();
        let port = stream_proxy::start(server, move |piece| {
            let is_late = !piece.to_server && piece.before > 3_000_000;
            if is_late && !cut.swap(true, Ordering::SeqCst) { Verdict::Cut(0) } else { Verdict::Pass }
        });
        let store = configured_with(&keys(port), clock.clone());
        let e = content(&*store, &Area::Public, path).await.unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Transient, "{}", e.report());
        assert!(was_cut.load(Ordering::SeqCst));
        assert!(again(&clock, || content(&*store, &Area::Public, path)).await.as_ref() == Some(bytes));
    }
}

/// Whoever dies with a lease leaves it for 20 s, so most of the time is waited, and several worlds go on at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 48)]
async fn a_machine_with_sshd_ends_in_the_same_world_whatever_the_network_does() {
    let base = crate::support::scratch();
    let sshd = Sshd::start(base.path());
    let server = sshd.port;
    each(seeds(&[]), 12, base.path(), |seed, scratch| {
        let root = base.path().join(format!("store{seed}"));
        fs::create_dir(&root).unwrap();
        let (config, at, seen) = (sshd.config.clone(), root.clone(), root.clone());
        let keys = move |port: u16| {
            format!("url = \"sftp://127.0.0.1:{port}{}\"\nssh_config = \"{}\"\n", at.display(), config.display())
        };
        let look: Look = Arc::new(move |path| {
            let file = seen.join(path);
            let is_public = fs::metadata(&file).is_ok_and(|meta| meta.permissions().mode() & 0o004 != 0);
            is_public.then(|| fs::read(&file).unwrap())
        });
        let faulty = move |seed| stream_proxy::start(server, move |piece| stream_fault(seed, piece));
        let (faulty, keys, every) = (Box::new(faulty), Box::new(keys), Duration::from_millis(50));
        async move {
            world(seed, Place { faulty, keys, look, every }, &scratch).await;
            fs::remove_dir_all(root).unwrap();
        }
    })
    .await;
}
