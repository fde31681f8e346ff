//! Remotes and forges that are looked at and not changed.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Recorded, Recording};
use crate::effects::{Forge, RefUpdate, Remote};
use crate::error::Result;
use crate::model::{Oid, RemoteName};
use crate::step::ForgeRelease;

/// Wraps a remote for a dry run.
pub struct RecordingRemote {
    inner: Arc<dyn Remote>,
    recording: Recording,
    would: Mutex<BTreeMap<String, Oid>>,
}

impl RecordingRemote {
    /// Records the pushes to `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn Remote>, recording: Recording) -> Self {
        Self { inner, recording, would: Mutex::default() }
    }
}

#[async_trait::async_trait]
impl Remote for RecordingRemote {
    fn name(&self) -> &RemoteName {
        self.inner.name()
    }

    async fn probe(&self) -> Result<()> {
        self.inner.probe().await
    }

    async fn observe(&self, refs: &[String]) -> Result<Vec<Option<Oid>>> {
        let there = self.inner.observe(refs).await?;
        let would = self.would.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(refs.iter().zip(there).map(|(name, oid)| would.get(name).cloned().or(oid)).collect())
    }

    async fn push(&self, _repo: &Path, updates: &[RefUpdate]) -> Result<()> {
        let mut would = self.would.lock().unwrap_or_else(PoisonError::into_inner);
        for update in updates {
            self.recording.add(Recorded {
                destination: self.name().to_string(),
                verb: "push",
                what: update.name.clone(),
                size: None,
                digest: Some(update.new.to_string()),
            });
            would.insert(update.name.clone(), update.new.clone());
        }
        Ok(())
    }
}

/// Wraps a forge for a dry run.
pub struct RecordingForge {
    inner: Arc<dyn Forge>,
    recording: Recording,
}

impl RecordingForge {
    /// Records the releases on `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn Forge>, recording: Recording) -> Self {
        Self { inner, recording }
    }
}

#[async_trait::async_trait]
impl Forge for RecordingForge {
    fn name(&self) -> &RemoteName {
        self.inner.name()
    }

    async fn probe(&self) -> Result<()> {
        self.inner.probe().await
    }

    async fn deliver(&self, release: &ForgeRelease) -> Result<String> {
        let (what, destination) = (release.version.to_string(), self.name().to_string());
        self.recording.add(Recorded { destination, verb: "publish", what: what.clone(), size: None, digest: None });
        Ok(format!("{} release {what} (not published: a dry run)", self.name()))
    }
}
