//! The store over the small port of servers, with a server in memory that has the habits of real ones.

#![allow(clippy::unwrap_used, reason = "a test may panic; clippy knows only `#[test]` functions")]

use std::path::Path;
use std::sync::Arc;

use lifeboat::effects::{Area, PutNew, Store, Transfers};
use lifeboat::model::{Digests, StoreName};
use lifeboat::stores::server::{ObjectSource, Server, ServerStore};

use crate::support::kill_points::{Action, KillPoints};
use crate::support::memory_server::{CutServer, Habits, MemoryServer};
use crate::support::store_contract::{Fixture, Interrupted, holds};

fn open(server: Arc<dyn Server>) -> Arc<dyn Store> {
    Arc::new(ServerStore::new(StoreName::new("mirror").unwrap(), "memory://releases/", server, Transfers::usual()))
}

fn fixture(base: &Path, habits: Habits) -> Fixture {
    let scratch = tempfile::tempdir_in(base).unwrap().keep();
    let server = MemoryServer::new(habits);
    let (cut, seen) = (server.clone(), server.clone());
    Fixture {
        store: open(server.clone()),
        second: open(server),
        interrupted: Box::new(move |n| {
            let points = KillPoints::at(n, Action::Fail);
            let store = open(Arc::new(CutServer { inner: cut.clone(), points: points.clone() }));
            Interrupted { store, happened: Box::new(move || points.reached()) }
        }),
        strangers_see: Box::new(move || {
            let mut all = seen.all();
            all.retain(|(key, _)| !key.starts_with(".staging/"));
            all
        }),
        scratch,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_without_faults_passes_the_contract() {
    let base = crate::support::scratch();
    holds(|| fixture(base.path(), Habits::NONE)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_whose_copies_and_uploads_in_parts_overwrite_passes_it_by_claims() {
    let base = crate::support::scratch();
    holds(|| fixture(base.path(), Habits::BUCKET)).await;
}

#[tokio::test]
async fn it_passes_in_one_thread() {
    let base = crate::support::scratch();
    holds(|| fixture(base.path(), Habits::BUCKET)).await;
}

#[tokio::test]
async fn the_probe_finds_out_every_habit() {
    for habits in [
        Habits { create_overwrites: true, ..Habits::NONE },
        Habits { create_looks_first: true, ..Habits::BUCKET },
        Habits { swap_overwrites: true, ..Habits::NONE },
    ] {
        let found = open(MemoryServer::new(habits)).check().await.unwrap();
        let once = !habits.create_overwrites && !habits.create_looks_first;
        assert_eq!(found.put_if_absent, once.into(), "{habits:?}");
        assert_eq!(found.conditional_replace, (!habits.swap_overwrites).into(), "{habits:?}");
    }
    let e = open(MemoryServer::new(Habits { copy_overwrites: true, ..Habits::NONE })).check().await.unwrap_err();
    assert!(e.message().contains("replaces what is there"), "{}", e.report());
}

/// The claim of a machine that died says which bytes it was to put: whoever has them goes on at once.
#[tokio::test]
async fn equal_bytes_go_on_with_a_claim_and_it_goes_when_they_are_there() {
    let base = crate::support::scratch();
    let server = MemoryServer::new(Habits::BUCKET);
    let store = open(server.clone());
    let (source, path) = (base.path().join("source"), "releases/1.0.0/a");
    std::fs::write(&source, "bytes").unwrap();
    let digests = Digests::of(b"bytes");
    let points = KillPoints::at(2, Action::Fail);
    let dying = open(Arc::new(CutServer { inner: server.clone(), points }));
    dying.put_new(&Area::Public, path, &source, &digests).await.unwrap_err();
    let claims = |server: &MemoryServer| server.all().iter().filter(|(key, _)| key.contains("/.claims/")).count();
    assert_eq!((claims(&server), server.all().len()), (1, 1), "it died under its claim");
    let began = std::time::Instant::now();
    assert_eq!(store.put_new(&Area::Public, path, &source, &digests).await.unwrap(), PutNew::Created);
    assert!(began.elapsed() < std::time::Duration::from_secs(5), "it waited for the dead");
    assert_eq!((claims(&server), server.all().len()), (0, 1));
}

/// What is staged under a claim, and holds, are no trains.
#[tokio::test]
async fn only_trains_are_staged() {
    let server = MemoryServer::new(Habits::BUCKET);
    let store = open(server.clone());
    store.hold("branch-1", b"one").await.unwrap();
    server.create(".staging/.claims/x", ObjectSource::Bytes(b"x")).await.unwrap();
    server.create(".staging/train-1/train.json", ObjectSource::Bytes(b"{}")).await.unwrap();
    assert_eq!(store.staged().await.unwrap(), ["train-1"]);
    store.release("branch-1", b"one").await.unwrap();
    assert!(server.all().iter().any(|(key, bytes)| key.ends_with("/.held/branch-1") && bytes == b"free\n"));
}
