//! A store whose staging is real and whose public area only seems to change.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::Recording;
use crate::effects::{Area, Capabilities, Disk, PutNew, STAGED_NOTE, Store, Transfers};
use crate::error::{Context as _, Error, Result};
use crate::formats::digests;
use crate::model::{Digests, Sha256, Stat, StoreName};
use crate::step::Exposure;

/// What the public area would hold now.
#[derive(Clone)]
enum Would {
    Local(PathBuf),
    Staged(String),
    Bytes(Vec<u8>),
}

/// Wraps a store for a dry run.
pub struct RecordingStore {
    inner: Arc<dyn Store>,
    disk: Arc<dyn Disk>,
    recording: Recording,
    would: Mutex<BTreeMap<String, Would>>,
}

impl RecordingStore {
    /// Records the public effects on `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>, disk: Arc<dyn Disk>, recording: Recording) -> Self {
        Self { inner, disk, recording, would: Mutex::default() }
    }

    fn would(&self, path: &str) -> Option<Would> {
        self.would.lock().get(path).cloned()
    }

    fn set(&self, path: &str, would: Would) {
        self.would.lock().insert(path.to_owned(), would);
    }

    async fn there(&self, path: &str) -> Result<bool> {
        Ok(self.would(path).is_some() || self.inner.get(&Area::Public, path).await?.is_some())
    }
}

#[async_trait::async_trait]
impl Store for RecordingStore {
    fn name(&self) -> &StoreName {
        self.inner.name()
    }

    fn staging_exposure(&self) -> Exposure {
        self.inner.staging_exposure()
    }

    fn transfers(&self) -> Arc<Transfers> {
        self.inner.transfers()
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

    async fn seen_by_strangers(&self) -> Result<Option<String>> {
        self.inner.seen_by_strangers().await
    }

    async fn stat(&self, area: &Area, path: &str) -> Result<Option<Stat>> {
        match (area, self.would(path)) {
            (Area::Public, Some(Would::Staged(train))) => self.inner.stat(&Area::Staging(train), path).await,
            (Area::Public, Some(Would::Local(_) | Would::Bytes(_))) => Ok(None),
            _ => self.inner.stat(area, path).await,
        }
    }

    async fn get(&self, area: &Area, path: &str) -> Result<Option<Box<dyn Read + Send>>> {
        match (area, self.would(path)) {
            (Area::Public, Some(Would::Local(file))) => {
                self.disk.open(&file).context(format!("cannot read `{}`", file.display()))
            }
            (Area::Public, Some(Would::Staged(train))) => self.inner.get(&Area::Staging(train), path).await,
            (Area::Public, Some(Would::Bytes(bytes))) => Ok(Some(Box::new(Cursor::new(bytes)))),
            _ => self.inner.get(area, path).await,
        }
    }

    async fn list(&self, area: &Area, prefix: &str) -> Result<Vec<String>> {
        self.inner.list(area, prefix).await
    }

    async fn put_new(&self, area: &Area, path: &str, source: &Path, digests: &Digests) -> Result<PutNew> {
        if matches!(area, Area::Staging(_)) {
            // A rehearsal releases nothing, so it stands in no other train's way.
            if path == STAGED_NOTE {
                return Ok(PutNew::Created);
            }
            return self.inner.put_new(area, path, source, digests).await;
        }
        if self.there(path).await? {
            return Ok(PutNew::Existed);
        }
        self.recording.bytes(self.name().as_str(), "put", path, digests.size, &digests.sha256);
        self.set(path, Would::Local(source.to_owned()));
        Ok(PutNew::Created)
    }

    async fn promote(&self, train: &str, path: &str, _digests: &Digests) -> Result<PutNew> {
        if self.there(path).await? {
            return Ok(PutNew::Existed);
        }
        let staged = self.inner.get(&Area::Staging(train.to_owned()), path).await?;
        let mut staged =
            staged.ok_or_else(|| Error::fatal(format!("`{path}` is not staged in store `{}`", self.name())))?;
        let digests =
            digests::read(&mut *staged).context(format!("cannot read `{path}` in store `{}`", self.name()))?;
        self.recording.bytes(self.name().as_str(), "promote", path, digests.size, &digests.sha256);
        self.set(path, Would::Staged(train.to_owned()));
        Ok(PutNew::Created)
    }

    async fn replace_if(&self, path: &str, old: Option<&Sha256>, bytes: &[u8]) -> Result<bool> {
        let now = match self.get(&Area::Public, path).await? {
            Some(mut source) => Some(digests::read(&mut *source).context(format!("cannot read `{path}`"))?.sha256),
            None => None,
        };
        if now.as_ref() != old {
            return Ok(false);
        }
        self.recording.bytes(self.name().as_str(), "replace", path, bytes.len() as u64, &Sha256::of(bytes));
        self.set(path, Would::Bytes(bytes.to_vec()));
        Ok(true)
    }

    async fn staged(&self) -> Result<Vec<String>> {
        self.inner.staged().await
    }

    /// The staged bytes stay until the dry run is over: what seems public is read from them.
    async fn clear_staging(&self, _train: &str) -> Result<()> {
        Ok(())
    }

    /// A rehearsal does not stand in the way of a train that is on its way to the public, and goes nowhere itself.
    async fn hold(&self, _what: &str, _holder: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }

    async fn release(&self, _what: &str, _holder: &[u8]) -> Result<()> {
        Ok(())
    }
}
