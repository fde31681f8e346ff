//! What every store must do, whatever is behind it. A new adapter passes all of it, against the real server.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lifeboat::effects::{Area, PutNew, Store, Tried};
use lifeboat::error::ErrorKind;
use lifeboat::model::{Digests, Sha256};

/// An empty store, and ways to look at it from outside.
pub struct Fixture {
    /// A client of the store.
    pub store: Arc<dyn Store>,
    /// Another one, as a second maintainer's machine would have.
    pub second: Arc<dyn Store>,
    /// A client whose `n`th state-changing call, and all after it, fail; `None` if there is no such call to be made.
    pub interrupted: Box<dyn Fn(u64) -> Interrupted>,
    /// The names and contents of all that strangers could read now.
    pub strangers_see: Box<dyn Fn() -> Vec<(String, Vec<u8>)>>,
    /// A local directory for sources.
    pub scratch: PathBuf,
}

/// See [`Fixture::interrupted`].
pub struct Interrupted {
    /// The client.
    pub store: Arc<dyn Store>,
    /// Whether it was interrupted.
    pub happened: Box<dyn Fn() -> bool>,
}

const TRAIN: &str = "train-1";
const SECRET: &[u8] = b"the embargoed bytes";

fn staging() -> Area {
    Area::Staging(TRAIN.to_owned())
}

impl Fixture {
    fn source(&self, bytes: &[u8]) -> (PathBuf, Digests) {
        let digests = Digests::of(bytes);
        let path = self.scratch.join(digests.sha256.hex());
        std::fs::write(&path, bytes).unwrap();
        (path, digests)
    }

    async fn put(&self, store: &dyn Store, area: &Area, path: &str, bytes: &[u8]) -> lifeboat::error::Result<PutNew> {
        let (source, digests) = self.source(bytes);
        store.put_new(area, path, &source, &digests).await
    }
}

async fn get(store: &dyn Store, area: &Area, path: &str) -> Option<Vec<u8>> {
    let mut file = store.get(area, path).await.unwrap()?;
    let mut out = Vec::new();
    file.read_to_end(&mut out).unwrap();
    Some(out)
}

/// Runs the whole suite; `new` makes an empty store each time.
pub async fn holds(new: impl Fn() -> Fixture) {
    capabilities(&new()).await;
    puts_once(&new()).await;
    refuses_other_bytes(&new()).await;
    racing_puts(&new()).await;
    replaces_conditionally(&new()).await;
    racing_replacements(&new()).await;
    lists(&new()).await;
    promotes(&new()).await;
    staging_is_closed(&new()).await;
    refuses_paths_that_lead_out(&new()).await;
    holds_for_one(&new()).await;
    interrupted_puts(&new).await;
    interrupted_promotion(&new).await;
    interrupted_replacement(&new).await;
}

async fn capabilities(f: &Fixture) {
    let found = f.store.check().await.unwrap();
    assert_eq!((&found.put_if_absent, &found.conditional_replace), (&Tried::Yes, &Tried::Yes));
    assert_eq!(f.second.check().await.unwrap(), found, "a second probe finds no trace of the first");
    assert!(f.store.list(&Area::Public, "").await.unwrap().is_empty());
    assert!((f.strangers_see)().is_empty());
}

async fn puts_once(f: &Fixture) {
    for area in [staging(), Area::Public] {
        let path = "releases/1.0.0/a.tar.gz";
        assert_eq!(get(&*f.store, &area, path).await, None);
        assert_eq!(f.put(&*f.store, &area, path, b"one").await.unwrap(), PutNew::Created);
        assert_eq!(f.put(&*f.store, &area, path, b"one").await.unwrap(), PutNew::Existed);
        assert_eq!(f.put(&*f.second, &area, path, b"two").await.unwrap(), PutNew::Existed);
        assert_eq!(get(&*f.second, &area, path).await.unwrap(), b"one");
    }
    let big: Vec<u8> = (0..3_000_001u32).map(|n| (n / 7) as u8).collect();
    f.put(&*f.store, &staging(), "releases/1.0.0/big", &big).await.unwrap();
    assert_eq!(get(&*f.second, &staging(), "releases/1.0.0/big").await.unwrap(), big);
    f.put(&*f.store, &staging(), "releases/1.0.0/empty", b"").await.unwrap();
    assert_eq!(get(&*f.store, &staging(), "releases/1.0.0/empty").await.unwrap(), b"");
}

async fn refuses_other_bytes(f: &Fixture) {
    let (source, _) = f.source(b"tampered");
    for other in [Digests::of(b"original"), Digests { size: 9, ..Digests::of(b"tampered") }] {
        let e = f.store.put_new(&staging(), "releases/1.0.0/a", &source, &other).await.unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Verification, "{}", e.report());
    }
    assert_eq!(get(&*f.store, &staging(), "releases/1.0.0/a").await, None);
    let e = f.store.put_new(&staging(), "releases/1.0.0/a", Path::new("/nowhere"), &Digests::of(b"")).await;
    assert!(e.unwrap_err().message().contains("/nowhere"));
    assert!(f.store.list(&staging(), "").await.unwrap().is_empty());
}

/// Of several writers of one path, on two clients, exactly one creates it, and its bytes are the ones that stay.
async fn racing_puts(f: &Fixture) {
    for round in 0..8 {
        let path = format!("releases/1.0.0/raced-{round}");
        let mut racers = tokio::task::JoinSet::new();
        for n in 0..8u8 {
            let store = if n % 2 == 0 { f.store.clone() } else { f.second.clone() };
            let bytes = vec![n; 300_000];
            let (source, digests) = f.source(&bytes);
            let path = path.clone();
            racers.spawn(async move { (bytes, store.put_new(&Area::Public, &path, &source, &digests).await) });
        }
        let done = racers.join_all().await;
        let winners: Vec<_> = done.into_iter().filter(|(_, put)| *put.as_ref().unwrap() == PutNew::Created).collect();
        assert_eq!(winners.len(), 1);
        assert_eq!(get(&*f.store, &Area::Public, &path).await.unwrap(), winners[0].0);
    }
}

async fn replaces_conditionally(f: &Fixture) {
    let path = "releases/index.json";
    let (one, two) = (Sha256::of(b"one"), Sha256::of(b"two"));
    assert!(!f.store.replace_if(path, Some(&one), b"two").await.unwrap(), "there is nothing to replace");
    assert_eq!(get(&*f.store, &Area::Public, path).await, None);
    assert!(f.store.replace_if(path, None, b"one").await.unwrap());
    assert!(!f.second.replace_if(path, None, b"two").await.unwrap(), "it is there already");
    assert!(!f.second.replace_if(path, Some(&two), b"three").await.unwrap());
    assert_eq!(get(&*f.second, &Area::Public, path).await.unwrap(), b"one");
    assert!(f.second.replace_if(path, Some(&one), b"two").await.unwrap());
    assert_eq!(get(&*f.store, &Area::Public, path).await.unwrap(), b"two");
    assert!(f.store.replace_if(path, Some(&two), b"two").await.unwrap(), "the same bytes again");
}

/// A counter that many increase by compare-and-replace loses no increment.
async fn racing_replacements(f: &Fixture) {
    let path = "releases/counter";
    assert!(f.store.replace_if(path, None, b"0").await.unwrap());
    let mut racers = tokio::task::JoinSet::new();
    for n in 0..6 {
        let store = if n % 2 == 0 { f.store.clone() } else { f.second.clone() };
        racers.spawn(async move {
            let mut done = 0;
            while done < 5 {
                let old = get(&*store, &Area::Public, path).await.unwrap();
                let number: u32 = std::str::from_utf8(&old).unwrap().parse().unwrap();
                let new = (number + 1).to_string();
                if store.replace_if(path, Some(&Sha256::of(&old)), new.as_bytes()).await.unwrap() {
                    done += 1;
                }
            }
        });
    }
    racers.join_all().await;
    assert_eq!(get(&*f.store, &Area::Public, path).await.unwrap(), b"30");
}

async fn lists(f: &Fixture) {
    for path in
        ["releases/1.0.0/b", "releases/1.0.0/a", "releases/1.0.1/a", "releases-other/x", ".well-known/security.txt"]
    {
        f.put(&*f.store, &Area::Public, path, b"x").await.unwrap();
    }
    f.put(&*f.store, &staging(), "releases/2.0.0/staged", SECRET).await.unwrap();
    let list = |area: Area, prefix: &'static str| async move { f.second.list(&area, prefix).await.unwrap() };
    assert_eq!(
        list(Area::Public, "").await,
        [".well-known/security.txt", "releases-other/x", "releases/1.0.0/a", "releases/1.0.0/b", "releases/1.0.1/a"]
    );
    assert_eq!(list(Area::Public, "releases/1.0.0").await, ["releases/1.0.0/a", "releases/1.0.0/b"]);
    assert_eq!(list(Area::Public, "releases/1.0.0/").await, ["releases/1.0.0/a", "releases/1.0.0/b"]);
    assert!(list(Area::Public, "releases/3.0.0").await.is_empty());
    assert_eq!(list(staging(), "").await, ["releases/2.0.0/staged"]);
    assert!(list(Area::Staging("train-2".to_owned()), "").await.is_empty(), "another train's staging is its own");
}

async fn promotes(f: &Fixture) {
    let path = "releases/1.0.0/a";
    let (bytes, others) = (Digests::of(b"bytes"), Digests::of(b"other"));
    let e = f.store.promote(TRAIN, path, &bytes).await.unwrap_err();
    assert!(e.message().contains(path), "{}", e.report());
    f.put(&*f.store, &staging(), path, b"bytes").await.unwrap();
    assert_eq!(f.second.promote(TRAIN, path, &bytes).await.unwrap(), PutNew::Created);
    assert_eq!(f.store.promote(TRAIN, path, &bytes).await.unwrap(), PutNew::Existed);
    assert_eq!(get(&*f.store, &Area::Public, path).await.unwrap(), b"bytes");
    assert_eq!((f.strangers_see)(), [(path.to_owned(), b"bytes".to_vec())]);
    // Whatever another train stages under that path stays behind.
    let other = Area::Staging("train-2".to_owned());
    f.put(&*f.store, &other, path, b"other").await.unwrap();
    assert_eq!(f.store.promote("train-2", path, &others).await.unwrap(), PutNew::Existed);
    assert_eq!(get(&*f.store, &Area::Public, path).await.unwrap(), b"bytes");
    // Public bytes outlive the staging area.
    f.store.clear_staging(TRAIN).await.unwrap();
    f.store.clear_staging(TRAIN).await.unwrap();
    assert!(f.store.list(&staging(), "").await.unwrap().is_empty());
    assert_eq!(get(&*f.second, &other, path).await.unwrap(), b"other");
    assert_eq!(f.store.promote(TRAIN, path, &bytes).await.unwrap(), PutNew::Existed);
    assert_eq!(get(&*f.store, &Area::Public, path).await.unwrap(), b"bytes");
}

async fn holds_for_one(f: &Fixture) {
    assert_eq!(f.store.hold("branch-1", b"one").await.unwrap(), None);
    assert_eq!(f.second.hold("branch-1", b"one").await.unwrap(), None, "the same holder, on another machine");
    assert_eq!(f.second.hold("branch-1", b"two").await.unwrap().as_deref(), Some(&b"one"[..]));
    assert_eq!(f.second.hold("branch-2", b"two").await.unwrap(), None, "another name");
    assert!((f.strangers_see)().iter().all(|(name, _)| !name.contains("branch-")), "strangers see who holds");
    f.second.release("branch-1", b"two").await.unwrap();
    assert_eq!(f.second.hold("branch-1", b"two").await.unwrap().as_deref(), Some(&b"one"[..]), "released by another");
    f.second.release("branch-1", b"one").await.unwrap();
    f.second.release("branch-1", b"one").await.unwrap();
    assert_eq!(f.store.hold("branch-1", b"two").await.unwrap(), None);
    // Of several at once one has it, and all of them say so.
    let mut racers = tokio::task::JoinSet::new();
    for n in 0..8_u8 {
        let store = if n % 2 == 0 { f.store.clone() } else { f.second.clone() };
        racers.spawn(async move { (n, store.hold("branch-3", &[n]).await.unwrap()) });
    }
    let found = racers.join_all().await;
    let winners: Vec<u8> = found.iter().filter(|(_, other)| other.is_none()).map(|(n, _)| *n).collect();
    assert_eq!(winners.len(), 1, "{found:?}");
    assert!(found.iter().all(|(_, other)| other.as_ref().is_none_or(|o| *o == winners)), "{found:?}");
    for wrong in ["", "..", ".x", "a/b", "/x"] {
        assert!(f.store.hold(wrong, b"x").await.is_err(), "`{wrong}`");
    }
}

async fn staging_is_closed(f: &Fixture) {
    f.put(&*f.store, &Area::Public, "releases/1.0.0/open", b"open").await.unwrap();
    f.put(&*f.store, &staging(), "releases/1.0.1/a", SECRET).await.unwrap();
    assert_eq!((f.strangers_see)(), [("releases/1.0.0/open".to_owned(), b"open".to_vec())]);
}

async fn refuses_paths_that_lead_out(f: &Fixture) {
    for bad in ["", "/etc/passwd", "../x", "a/../../x", ".staging/train-1/x", "a//b", "a\nb"] {
        assert!(f.put(&*f.store, &Area::Public, bad, b"x").await.is_err(), "{bad:?}");
        assert!(f.put(&*f.store, &staging(), bad, b"x").await.is_err(), "{bad:?}");
        assert!(f.store.get(&Area::Public, bad).await.is_err(), "{bad:?}");
        assert!(f.store.replace_if(bad, None, b"x").await.is_err(), "{bad:?}");
        assert!(f.store.promote(TRAIN, bad, &Digests::of(b"x")).await.is_err(), "{bad:?}");
        if !bad.is_empty() {
            assert!(f.store.list(&Area::Public, bad).await.is_err(), "{bad:?}");
            assert!(f.store.clear_staging(bad).await.is_err(), "{bad:?}");
        }
    }
    assert!(f.store.clear_staging("").await.is_err() && f.store.clear_staging("..").await.is_err());
}

/// Interrupted at any call, a put leaves nothing or all of it, and the next one makes it whole.
async fn interrupted_puts(new: &impl Fn() -> Fixture) {
    for area in [staging(), Area::Public] {
        let path = "releases/1.0.0/a";
        let bytes = vec![7; 600_000];
        for n in 1.. {
            let f = new();
            let cut = (f.interrupted)(n);
            let put = f.put(&*cut.store, &area, path, &bytes).await;
            if !(cut.happened)() {
                put.unwrap();
                break;
            }
            put.unwrap_err();
            let left = get(&*f.store, &area, path).await;
            assert!(left.is_none() || left.as_deref() == Some(&bytes), "half an object after call {n}");
            let listed = f.store.list(&area, "").await.unwrap();
            assert_eq!(listed.len(), usize::from(left.is_some()), "call {n}: {listed:?}");
            let visible = (f.strangers_see)().into_iter().filter(|(_, seen)| *seen == bytes).count();
            assert!(area == Area::Public || visible == 0, "call {n}");
            f.put(&*f.second, &area, path, &bytes).await.unwrap();
            assert_eq!(get(&*f.store, &area, path).await.unwrap(), bytes, "call {n}");
        }
    }
}

async fn interrupted_promotion(new: &impl Fn() -> Fixture) {
    let path = "releases/1.0.0/a";
    let mut seen = BTreeSet::new();
    for n in 1.. {
        let f = new();
        f.put(&*f.store, &staging(), path, SECRET).await.unwrap();
        let cut = (f.interrupted)(n);
        let promoted = cut.store.promote(TRAIN, path, &Digests::of(SECRET)).await;
        if !(cut.happened)() {
            promoted.unwrap();
            break;
        }
        promoted.unwrap_err();
        let public = get(&*f.store, &Area::Public, path).await;
        assert!(public.is_none() || public.as_deref() == Some(SECRET), "call {n}");
        seen.insert(public.is_some());
        f.second.promote(TRAIN, path, &Digests::of(SECRET)).await.unwrap();
        assert_eq!((f.strangers_see)(), [(path.to_owned(), SECRET.to_vec())], "call {n}");
    }
    assert!(!seen.is_empty(), "no call was interrupted");
}

async fn interrupted_replacement(new: &impl Fn() -> Fixture) {
    let path = "releases/index.json";
    let (one, two) = (Sha256::of(b"one"), Sha256::of(b"two"));
    for n in 1.. {
        let f = new();
        assert!(f.store.replace_if(path, None, b"one").await.unwrap());
        let cut = (f.interrupted)(n);
        let replaced = cut.store.replace_if(path, Some(&one), b"two").await;
        if !(cut.happened)() {
            assert!(replaced.unwrap());
            break;
        }
        replaced.unwrap_err();
        let now = get(&*f.store, &Area::Public, path).await.unwrap();
        assert!(now == b"one" || now == b"two", "call {n}");
        assert!(f.second.replace_if(path, Some(if now == b"one" { &one } else { &two }), b"two").await.unwrap());
        assert_eq!(get(&*f.store, &Area::Public, path).await.unwrap(), b"two");
    }
}
