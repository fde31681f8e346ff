//! A mirror is filled as a train fills a store: several files at once, and what vouches for files after these.

use std::path::Path;
use std::sync::{Arc, Mutex};

use lifeboat::effects::{Area, Clock, NoProgress, PutNew, Store, Transfers};
use lifeboat::error::Result;
use lifeboat::host::{HostClock, HostDisk};
use lifeboat::mirror::{Mirror, mirror};
use lifeboat::model::{Digests, Sha256, TransferLimits};
use lifeboat::trust::{RootChoice, load};
use lifeboat::verify::Source;

use crate::stranger::home::{digest, released};
use crate::support::forwarding::{Around, Forwarding};

/// How many files the store takes at once.
const AT_ONCE: usize = 3;

/// Lets each put take a while, and writes down what began and what ended.
struct Watched {
    transfers: Arc<Transfers>,
    log: Mutex<Vec<(bool, String)>>,
}

impl Watched {
    fn note(&self, ended: bool, path: &str) {
        self.log.lock().unwrap().push((ended, path.to_owned()));
    }
}

#[async_trait::async_trait]
impl Around for Watched {
    fn transfers(&self, _: &dyn Store) -> Arc<Transfers> {
        self.transfers.clone()
    }

    async fn put_new(
        &self,
        inner: &dyn Store,
        (area, path): (&Area, &str),
        source: &Path,
        digests: &Digests,
    ) -> Result<PutNew> {
        self.note(false, path);
        for _ in 0..digests.sha256.0[0] {
            tokio::task::yield_now().await;
        }
        let done = inner.put_new(area, path, source, digests).await?;
        self.note(true, path);
        Ok(done)
    }

    async fn replace_if(&self, inner: &dyn Store, path: &str, old: Option<&Sha256>, bytes: &[u8]) -> Result<bool> {
        self.note(false, path);
        inner.replace_if(path, old, bytes).await
    }
}

/// The place of a release's file in the order: what sums list, the sums, what signs them.
fn rank(name: &str) -> usize {
    match name {
        "manifest.json" | "SHA256SUMS" | "SHA512SUMS" => 1,
        name if name.ends_with(".asc") || name.starts_with("approvals/") || name == "tag.txt" => 2,
        _ => 0,
    }
}

#[test]
fn files_go_side_by_side_and_pointers_last() {
    let (disk, now) = (Arc::new(HostDisk), jiff::Timestamp::now());
    let clock: Arc<dyn Clock> = Arc::new(HostClock);
    let pin = RootChoice::Given(digest().parse().unwrap());
    let trust = load(&*disk, &released().project().join("keys"), None, pin, now).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    let (to, way) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let inner = lifeboat::stores::directory("far".parse().unwrap(), to.path(), disk.clone());
    let transfers = Transfers::new(TransferLimits { at_once: AT_ONCE, rate: None }, &clock);
    let store = Forwarding::of(inner, Watched { transfers, log: Mutex::default() });
    let mirroring = Mirror {
        from: Source::new(released().store().to_str().unwrap(), disk.clone()).unwrap(),
        to: store.clone(),
        trust: &trust,
        templates: &lifeboat::config::TemplateSet::default(),
        disk: disk.clone(),
        scratch: way.path(),
        state_dir: None,
        progress: &NoProgress,
        now,
    };
    let done = runtime.block_on(mirror(&mirroring)).unwrap();
    assert_eq!(done.copied.len(), 2, "{done:?}");
    let log = store.around.log.lock().unwrap();
    let index = log.iter().position(|(_, path)| path == "releases/index.json").unwrap();
    for version in ["1.0.5", "2.0.2"] {
        let of_version = log[..index].iter().filter_map(|(ended, path)| {
            let name = path.strip_prefix(&format!("releases/{version}/"))?;
            // Pages and what they are made from come after the files.
            (!["index.html", "lifeboat-page.json"].contains(&name)).then(|| (*ended, rank(name), name))
        });
        let files: Vec<_> = of_version.collect();
        let (mut moving, mut most) = (0, 0);
        for (ended, ..) in &files {
            moving = if *ended { moving - 1 } else { moving + 1 };
            most = most.max(moving);
        }
        assert!(moving == 0 && (2..=AT_ONCE).contains(&most), "{version}: {most} at once: {files:#?}");
        for rank in [0, 1] {
            let last = files.iter().rposition(|f| f.0 && f.1 == rank).unwrap();
            let first = files.iter().position(|f| !f.0 && f.1 > rank).unwrap();
            assert!(last < first, "{version}: {files:#?}");
        }
    }
}
