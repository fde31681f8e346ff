//! The store in a bucket, against Ceph's radosgw.

#![allow(clippy::unwrap_used, reason = "a test may panic; clippy knows only `#[test]` functions")]

use std::path::Path;
use std::time::{Duration, Instant};

use lifeboat::effects::{Area, Comparison, Guard, Habits, PutNew, Tried};
use lifeboat::error::ErrorKind;
use lifeboat::model::{Digests, Sha256};

use crate::support::cut_proxy::{CutProxy, When};
use crate::support::radosgw::{Bucket, SECRET_KEY};
use crate::support::store_contract::{Fixture, Interrupted, holds};

fn fixture(base: &Path, when: When) -> Fixture {
    let scratch = tempfile::tempdir_in(base).unwrap().keep();
    let bucket = Bucket::new();
    let (cut, seen) = (bucket.clone(), bucket.clone());
    Fixture {
        store: bucket.store(),
        second: bucket.store(),
        interrupted: Box::new(move |n| {
            let proxy = CutProxy::new(&cut.endpoint, n, when);
            let store = cut.store_through(&proxy.endpoint());
            Interrupted { store, happened: Box::new(move || proxy.has_cut()) }
        }),
        strangers_see: Box::new(move || seen.strangers_see()),
        scratch,
    }
}

/// Each call of a client that dies is cut off before it reaches the server.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_bucket_passes_the_contract() {
    let base = crate::support::scratch();
    holds(|| fixture(base.path(), When::Before)).await;
}

/// Each of its calls has its effect, and its answer is lost; on the runtime of one thread, which readers block.
#[tokio::test]
async fn a_bucket_passes_it_when_answers_are_lost() {
    let base = crate::support::scratch();
    holds(|| fixture(base.path(), When::After)).await;
}

fn staging() -> Area {
    Area::Staging("train-1".to_owned())
}

#[tokio::test]
async fn strangers_are_seen_and_hidden_from() {
    let bucket = Bucket::new();
    assert_eq!(bucket.store().seen_by_strangers().await.unwrap(), None);
    let everything = |action: &str, what: &str| {
        format!(
            "{{\"Version\":\"2012-10-17\",\"Statement\":[{{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":[\"{action}\"],\
             \"Resource\":[\"arn:aws:s3:::{}{what}\"]}}]}}",
            bucket.name
        )
    };
    bucket.set_policy(&everything("s3:GetObject", "/*"));
    let seen = bucket.store().seen_by_strangers().await.unwrap().unwrap();
    assert!(seen.starts_with("a file of the staging area"), "{seen}");
    bucket.set_policy(&everything("s3:ListBucket", ""));
    let seen = bucket.store().seen_by_strangers().await.unwrap().unwrap();
    assert!(seen.starts_with("the names in the staging area"), "{seen}");
    assert_eq!(bucket.keys(""), [""; 0], "the probe is removed");
}

#[tokio::test]
async fn what_is_wrong_is_said_with_what_to_do() {
    let bucket = Bucket::new();
    let open = |name: &str, endpoint: &str, secret: &'static str| {
        crate::support::stores::open(&format!("s3://{name}"), &bucket.table(endpoint), move |variable| {
            if variable == "KEY" { "relkey".to_owned() } else { secret.to_owned() }
        })
    };
    for (store, kind, says, hint) in [
        (
            open("no-such-bucket", &bucket.endpoint, SECRET_KEY),
            ErrorKind::Unreachable,
            "NoSuchBucket",
            "there is no bucket",
        ),
        (
            open(&bucket.name, &bucket.endpoint, "wrong"),
            ErrorKind::Unreachable,
            "SignatureDoesNotMatch",
            "the access key",
        ),
        (open(&bucket.name, "http://127.0.0.1:9", SECRET_KEY), ErrorKind::Unreachable, "the connection is refused", ""),
    ] {
        for e in [store.probe().await.unwrap_err(), store.check().await.unwrap_err()] {
            assert_eq!(e.kind(), kind, "{}", e.report());
            assert!(e.message().contains(says), "{}", e.report());
            assert!(e.hints().iter().any(|h| h.contains(hint)) || hint.is_empty(), "{}", e.report());
            assert!(!e.report().contains("wrong"), "{}", e.report());
        }
    }
}

/// The headers that say what a file is, and how long it may be kept: they survive the promotion.
#[tokio::test]
async fn readers_are_told_what_may_change() {
    let (bucket, dir) = (Bucket::new(), tempfile::tempdir().unwrap());
    let store = bucket.store();
    let (source, digests) = (dir.path().join("source"), Digests::of(b"bytes"));
    std::fs::write(&source, "bytes").unwrap();
    let path = "releases/1.0.0/sample-v1.0.0+build.tar.gz";
    store.put_new(&staging(), path, &source, &digests).await.unwrap();
    store.promote("train-1", path, &digests).await.unwrap();
    assert!(store.replace_if("releases/index.json", None, b"{}").await.unwrap());
    assert!(store.replace_if("releases/index.json", Some(&Sha256::of(b"{}")), b"{ }").await.unwrap());
    for (path, kind, kept) in [
        (path, "application/gzip", "public, max-age=31536000, immutable"),
        ("releases/index.json", "application/json", "public, max-age=60"),
    ] {
        let (headers, _) = bucket.as_a_stranger(path).unwrap();
        assert_eq!(
            (&headers["content-type"], &headers["cache-control"]),
            (&kind.parse().unwrap(), &kept.parse().unwrap())
        );
    }
}

/// Whoever sends it again sends what is not there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_was_killed_goes_on() {
    let (bucket, dir) = (Bucket::new(), tempfile::tempdir().unwrap());
    let bytes: Vec<u8> = (0..(52_u32 << 20) + 7).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let (source, digests) = (dir.path().join("source"), Digests::of(&bytes));
    std::fs::write(&source, &bytes).unwrap();
    let path = "releases/1.0.0/big";
    let mut sent = 0;
    // The claim, the beginning, then parts; each attempt is cut within another one.
    for n in [3, 6, 8] {
        let proxy = CutProxy::new(&bucket.endpoint, n, When::Amid);
        let store = bucket.store_through(&proxy.endpoint());
        store.put_new(&staging(), path, &source, &digests).await.unwrap_err();
        assert!(proxy.has_cut());
        sent += proxy.sent();
        assert_eq!(bucket.keys(".staging/train-1/"), [""; 0], "nothing half is there");
    }
    let proxy = CutProxy::new(&bucket.endpoint, u64::MAX, When::Before);
    let store = bucket.store_through(&proxy.endpoint());
    assert_eq!(store.put_new(&staging(), path, &source, &digests).await.unwrap(), PutNew::Created);
    sent += proxy.sent();
    assert!(proxy.sent() < digests.size, "it began again");
    let most = digests.size * 2;
    assert!(sent < most, "{sent} of {} bytes were sent", digests.size);
    let mut there = store.get(&staging(), path).await.unwrap().unwrap();
    let found = tokio::task::block_in_place(|| lifeboat::formats::digests::read(&mut *there)).unwrap();
    assert_eq!(found, digests);
    assert!(!bucket.signed(reqwest::Method::GET, &[("uploads", "")], "").contains("<Upload>"));
}

/// An upload that nobody ends would cost money for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unfinished_uploads_go_with_the_staging_area() {
    let (bucket, dir) = (Bucket::new(), tempfile::tempdir().unwrap());
    let (bytes, source) = (vec![7; 11 << 20], dir.path().join("source"));
    std::fs::write(&source, &bytes).unwrap();
    let proxy = CutProxy::new(&bucket.endpoint, 4, When::Before);
    let digests = Digests::of(&bytes);
    bucket
        .store_through(&proxy.endpoint())
        .put_new(&staging(), "releases/1.0.0/a", &source, &digests)
        .await
        .unwrap_err();
    let unfinished = || bucket.signed(reqwest::Method::GET, &[("uploads", "")], "").matches("<Upload>").count();
    assert_eq!(unfinished(), 1);
    // Other bytes under the recorded digest: nothing is put, and nothing is left.
    std::fs::write(&source, vec![8; 11 << 20]).unwrap();
    let e = bucket.store().put_new(&staging(), "releases/1.0.0/a", &source, &digests).await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Verification, "{}", e.report());
    assert_eq!(unfinished(), 0);
    std::fs::write(&source, &bytes).unwrap();
    let proxy = CutProxy::new(&bucket.endpoint, 4, When::Before);
    bucket
        .store_through(&proxy.endpoint())
        .put_new(&staging(), "releases/1.0.0/a", &source, &digests)
        .await
        .unwrap_err();
    assert_eq!(unfinished(), 1);
    bucket.store().clear_staging("train-1").await.unwrap();
    assert_eq!(unfinished(), 0);
}

/// What the server is like is found by acting: radosgw as documented, and a bucket that was made to keep versions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn habits_are_found_by_acting() {
    let bucket = Bucket::new();
    let want = Habits {
        comparison: Comparison::BareETag,
        large_files: Guard::Claim,
        copies: Guard::Claim,
        resumes: Tried::Yes,
        presigns: Tried::Yes,
        versions: Tried::No,
    };
    assert_eq!(bucket.store().habits().await.unwrap(), want);
    assert_eq!(bucket.keys(""), [""; 0], "what was tried out is removed");
    assert!(!bucket.signed(reqwest::Method::GET, &[("uploads", "")], "").contains("<Upload>"));
    assert_eq!(bucket.store().check().await.unwrap().versions, Tried::No);
    bucket.keep_versions();
    let found = bucket.store().habits().await.unwrap();
    assert_eq!((found.versions, found.resumes, found.presigns), (Tried::Yes, Tried::Yes, Tried::Yes));
    let can = bucket.store().check().await.unwrap();
    let e = lifeboat::engine::can_release(bucket.store().name(), &can).unwrap_err();
    assert!(e.message().contains("keeps what is replaced or removed"), "{}", e.report());
}

/// Any HTTP client reads one object with it, no other, and not forever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_presigned_address_is_good_for_one_object_and_ends() {
    let (bucket, dir) = (Bucket::new(), tempfile::tempdir().unwrap());
    let (store, source) = (bucket.store(), dir.path().join("source"));
    std::fs::write(&source, "bytes").unwrap();
    for path in ["releases/1.0.0/a", "releases/1.0.0/b"] {
        store.put_new(&staging(), path, &source, &Digests::of(b"bytes")).await.unwrap();
    }
    let area = staging();
    let at = |lasts: u64| store.presign(&area, "releases/1.0.0/a", Duration::from_secs(lasts));
    let url = at(60).await.unwrap().unwrap();
    let read = async |url: &str| {
        let answer = reqwest::get(url).await.unwrap();
        (answer.status().as_u16(), answer.bytes().await.unwrap())
    };
    assert_eq!(read(url.expose()).await, (200, "bytes".into()));
    assert_eq!(read(&url.expose().replace("/a?", "/b?")).await.0, 403);
    assert_eq!(read(url.expose().split('?').next().unwrap()).await.0, 403, "without the signature");
    let (short, begun) = (at(1).await.unwrap().unwrap(), Instant::now());
    while read(short.expose()).await.0 != 403 {
        assert!(begun.elapsed() < Duration::from_secs(60), "it never ends");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
