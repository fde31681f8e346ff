//! Files on their way to and from every kind of store: at its rate, by a clock of the test.

#![allow(clippy::unwrap_used, reason = "a test may panic; clippy knows only `#[test]` functions")]

use std::path::Path;
use std::sync::Arc;

use lifeboat::effects::{Area, Clock as _, PutNew, Store};
use lifeboat::formats::digests;
use lifeboat::model::Digests;

use crate::support::radosgw::Bucket;
use crate::support::servers::{Nginx, Sshd, USER};
use crate::support::train_world::StandingClock;
use crate::webdav::configured_with;

/// Files of these sizes: of some no other than the whole is sent at once, the last one goes to a bucket in parts.
const SIZES: [usize; 4] = [300_000, 1_000_000, 1, 11_500_000];
/// The largest piece that waits for those before it: a part of a bucket, or a whole file of a directory.
const PIECE: u64 = 5 << 20;

/// Puts files and reads them back; says how many seconds each of it took by the clock, which leaps when somebody waits.
async fn to_and_fro(store: &Arc<dyn Store>, clock: &StandingClock, dir: &Path) -> (f64, f64) {
    let area = Area::Staging("train-1".to_owned());
    let bytes = |n: usize| (0..SIZES[n]).map(|at| (at * 31 + n) as u8).collect::<Vec<u8>>();
    let begun = clock.now();
    for n in 0..SIZES.len() {
        let (source, bytes) = (dir.join(n.to_string()), bytes(n));
        std::fs::write(&source, &bytes).unwrap();
        let path = format!("releases/1.0.0/{n}");
        let put = store.put_new(&area, &path, &source, &Digests::of(&bytes)).await.unwrap();
        assert_eq!(put, PutNew::Created);
    }
    let put = clock.now();
    for n in 0..SIZES.len() {
        let mut there = store.get(&area, &format!("releases/1.0.0/{n}")).await.unwrap().unwrap();
        let found = tokio::task::block_in_place(|| digests::read(&mut *there)).unwrap();
        assert_eq!(found, Digests::of(&bytes(n)));
    }
    (put.duration_since(begun).as_secs_f64(), clock.now().duration_since(put).as_secs_f64())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_store_keeps_to_its_rate() {
    let (dir, bucket) = (crate::support::scratch(), Bucket::new());
    let nginx = Nginx::start(dir.path());
    let sshd = Sshd::start(dir.path());
    let (files, hosted) = (dir.path().join("directory"), dir.path().join("hosted"));
    for dir in [&files, &hosted] {
        std::fs::create_dir(dir).unwrap();
    }
    let total = SIZES.iter().sum::<usize>() as f64;
    for (kind, piece, table) in [
        ("a directory", 11_500_000, format!("url = \"file://{}\"\n", files.display())),
        ("a bucket", PIECE, format!("url = \"s3://{}\"\n{}", bucket.name, bucket.table(&bucket.endpoint))),
        (
            "WebDAV",
            // A piece is read while the one before it waits.
            2 * (256 << 10),
            format!(
                "url = \"dav://127.0.0.1:{}/releases\"\nuser = \"{USER}\"\npassword = {{ env = \"DAV\" }}\n",
                nginx.dav
            ),
        ),
        (
            "SFTP",
            256 << 10,
            format!(
                "url = \"sftp://127.0.0.1:{}{}\"\nssh_config = \"{}\"\n",
                sshd.port,
                hosted.display(),
                sshd.config.display()
            ),
        ),
    ] {
        let clock = StandingClock::at("2026-11-01T12:00:00Z".parse().unwrap());
        let limited = format!("{table}rate_limit = \"100 kB/s\"\n");
        let (put, read) = to_and_fro(&configured_with(&limited, clock.clone()), &clock, dir.path()).await;
        let (whole, piece) = (total / 1e5, piece as f64 / 1e5);
        assert!(put <= whole + 0.01 && put >= whole - piece - 0.01, "{kind}: put in {put} s, not {whole} s");
        // What waits is what comes after the last piece.
        assert!(read <= whole + piece + 0.01 && read >= whole - 3.0, "{kind}: read in {read} s, not {whole} s");
    }
    let clock = StandingClock::at("2026-11-01T12:00:00Z".parse().unwrap());
    let unlimited = dir.path().join("unlimited");
    std::fs::create_dir(&unlimited).unwrap();
    let store = configured_with(&format!("url = \"file://{}\"\n", unlimited.display()), clock.clone());
    assert_eq!(to_and_fro(&store, &clock, dir.path()).await, (0.0, 0.0), "without a limit nobody waits");
}
