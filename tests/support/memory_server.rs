//! A server in memory, with the habits that real ones have; and any server whose calls are counted and cut off.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lifeboat::effects::PutNew;
use lifeboat::error::{Context as _, Error, Result};
use lifeboat::model::Stat;
use lifeboat::stores::server::{Addresses, Entry, ObjectSource, OpenedObject, Promises, Server};
use parking_lot::Mutex;

use super::kill_points::KillPoints;

/// What it does not do as one would like.
#[derive(Debug, Clone, Copy)]
pub struct Habits {
    /// What it says of itself.
    pub promises: Promises,
    /// A create replaces what is there.
    pub create_overwrites: bool,
    /// A create within its promise's limit, but for two at once: it looks, waits, and writes.
    pub create_looks_first: bool,
    /// A replacement replaces whatever is there.
    pub swap_overwrites: bool,
    /// A copy replaces what is there.
    pub copy_overwrites: bool,
}

impl Habits {
    /// One without a fault.
    pub const NONE: Self = Self {
        promises: Promises::ALL,
        create_overwrites: false,
        create_looks_first: false,
        swap_overwrites: false,
        copy_overwrites: false,
    };

    /// As S3 is: a copy overwrites, and so does the end of an upload in parts.
    pub const BUCKET: Self = Self {
        promises: Promises { creates_once_up_to: 1000, copies_once: false },
        copy_overwrites: true,
        ..Self::NONE
    };
}

/// The server.
pub struct MemoryServer {
    habits: Habits,
    objects: Mutex<BTreeMap<String, (u64, Vec<u8>)>>,
    writes: AtomicU64,
}

impl MemoryServer {
    /// An empty one.
    pub fn new(habits: Habits) -> Arc<Self> {
        Arc::new(Self { habits, objects: Mutex::default(), writes: AtomicU64::new(1) })
    }

    /// Everything that is there.
    pub fn all(&self) -> Vec<(String, Vec<u8>)> {
        self.objects.lock().iter().map(|(key, (_, bytes))| (key.clone(), bytes.clone())).collect()
    }

    fn write(&self, key: &str, bytes: Vec<u8>, overwrites: bool) -> PutNew {
        let mut objects = self.objects.lock();
        if objects.contains_key(key) && !overwrites {
            return PutNew::Existed;
        }
        let write = self.writes.fetch_add(1, Ordering::SeqCst);
        objects.insert(key.to_owned(), (write, bytes));
        PutNew::Created
    }
}

fn stat((write, bytes): &(u64, Vec<u8>)) -> Stat {
    Stat { size: bytes.len() as u64, token: write.to_string() }
}

#[async_trait::async_trait]
impl Server for MemoryServer {
    fn promises(&self) -> Promises {
        self.habits.promises
    }

    async fn is_there(&self) -> Result<()> {
        Ok(())
    }

    async fn stat(&self, key: &str) -> Result<Option<Stat>> {
        Ok(self.objects.lock().get(key).map(stat))
    }

    async fn open(&self, key: &str) -> Result<Option<OpenedObject>> {
        let found = self.objects.lock().get(key).cloned();
        Ok(found.map(|object| OpenedObject { stat: stat(&object), bytes: Box::new(Cursor::new(object.1)) }))
    }

    async fn entries(&self, dir: &str) -> Result<Vec<Entry>> {
        let root = if dir.is_empty() { String::new() } else { format!("{dir}/") };
        let mut out = Vec::new();
        for key in self.objects.lock().keys() {
            let Some(rest) = key.strip_prefix(&root) else { continue };
            let (name, is_dir) = rest.split_once('/').map_or((rest, false), |(name, _)| (name, true));
            out.push(Entry { name: name.to_owned(), is_dir });
        }
        out.sort();
        out.dedup();
        Ok(out)
    }

    async fn create(&self, key: &str, source: ObjectSource<'_>) -> Result<PutNew> {
        let bytes = source.read()?;
        let over = self.habits.create_overwrites || bytes.len() as u64 > self.habits.promises.creates_once_up_to;
        if self.habits.create_looks_first || over {
            let there = self.objects.lock().contains_key(key);
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            return Ok(if there && !over { PutNew::Existed } else { self.write(key, bytes, true) });
        }
        Ok(self.write(key, bytes, false))
    }

    async fn swap(&self, key: &str, old: &Stat, bytes: &[u8]) -> Result<bool> {
        let mut objects = self.objects.lock();
        let same = objects.get(key).is_some_and(|object| stat(object) == *old);
        if same || self.habits.swap_overwrites {
            let write = self.writes.fetch_add(1, Ordering::SeqCst);
            objects.insert(key.to_owned(), (write, bytes.to_vec()));
        }
        Ok(same || self.habits.swap_overwrites)
    }

    async fn copy(&self, from: &str, to: &str) -> Result<PutNew> {
        let bytes = self.objects.lock().get(from).map(|(_, bytes)| bytes.clone());
        let bytes = bytes.ok_or_else(|| Error::fatal(format!("there is no `{from}`")))?;
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        Ok(self.write(to, bytes, self.habits.copy_overwrites))
    }

    async fn delete(&self, key: &str) -> Result<()> {
        self.objects.lock().remove(key);
        Ok(())
    }
}

/// A server whose changing calls are counted, and fail from the chosen one on.
pub struct CutServer {
    /// The server itself.
    pub inner: Arc<dyn Server>,
    /// The count.
    pub points: Arc<KillPoints>,
}

impl CutServer {
    fn tick(&self, call: &str, key: &str) -> Result<()> {
        self.points.tick(|| format!("{call} {key}")).context("cut off")
    }
}

#[async_trait::async_trait]
impl Server for CutServer {
    fn promises(&self) -> Promises {
        self.inner.promises()
    }

    fn addresses(&self) -> Addresses {
        self.inner.addresses()
    }

    async fn is_there(&self) -> Result<()> {
        self.inner.is_there().await
    }

    async fn stat(&self, key: &str) -> Result<Option<Stat>> {
        self.inner.stat(key).await
    }

    async fn open(&self, key: &str) -> Result<Option<OpenedObject>> {
        self.inner.open(key).await
    }

    async fn entries(&self, dir: &str) -> Result<Vec<Entry>> {
        self.inner.entries(dir).await
    }

    async fn list(&self, dir: &str) -> Result<Vec<String>> {
        self.inner.list(dir).await
    }

    async fn create(&self, key: &str, source: ObjectSource<'_>) -> Result<PutNew> {
        self.tick("create", key)?;
        self.inner.create(key, source).await
    }

    async fn swap(&self, key: &str, old: &Stat, bytes: &[u8]) -> Result<bool> {
        self.tick("swap", key)?;
        self.inner.swap(key, old, bytes).await
    }

    async fn copy(&self, from: &str, to: &str) -> Result<PutNew> {
        self.tick("copy", from)?;
        self.inner.copy(from, to).await
    }

    async fn delete(&self, key: &str) -> Result<()> {
        self.tick("delete", key)?;
        self.inner.delete(key).await
    }

    async fn delete_dir(&self, dir: &str) -> Result<()> {
        self.tick("delete_dir", dir)?;
        self.inner.delete_dir(dir).await
    }
}
