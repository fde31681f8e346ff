//! Remotes and forges that are looked at and not changed.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use super::{RecordedEffect, Recording};
use crate::effects::{
    Advisories, AssetFile, Automation, Discard, Forge, ForgeView, MarkLatest, PullRequests, PullText, RefUpdate,
    ReleaseText, Remote, SeenAdvisory, SeenAsset, SeenLatest, SeenRelease, Switch,
};
use crate::error::{Error, Part, Result};
use crate::model::{Oid, RemoteName, TagName};

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
        let would = self.would.lock();
        Ok(refs.iter().zip(there).map(|(name, oid)| would.get(name).cloned().or(oid)).collect())
    }

    async fn holds(&self, repo: &Path, name: &str, commit: &Oid) -> Result<bool> {
        let would = self.would.lock().get(name).cloned();
        match would {
            Some(oid) => Ok(oid == *commit),
            None => self.inner.holds(repo, name, commit).await,
        }
    }

    async fn can_push(&self, repo: &Path, updates: &[RefUpdate]) -> Result<()> {
        // A rehearsal needs nobody's credentials: that a push would be refused from here says nothing of the release.
        if let Err(e) = self.inner.can_push(repo, updates).await {
            self.recording.leave(format!("whether `{}` takes a push: {}", self.name(), e.message()));
        }
        Ok(())
    }

    async fn fetch(&self, repo: &Path, name: &str) -> Result<Option<Oid>> {
        self.inner.fetch(repo, name).await
    }

    async fn push(&self, _repo: &Path, updates: &[RefUpdate]) -> Result<()> {
        let mut would = self.would.lock();
        for update in updates {
            self.recording.add(RecordedEffect {
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

/// Wraps a forge for a dry run: what it would have is what it has, and what was recorded.
pub struct RecordingForge {
    pub(super) inner: Arc<dyn Forge>,
    recording: Recording,
    would: Mutex<Vec<SeenRelease>>,
    pub(super) switched: Mutex<BTreeMap<String, Switch>>,
    pub(super) opened: Mutex<Vec<PullText>>,
    /// The tag that this dry run made latest.
    latest: Mutex<Option<String>>,
    pub(super) written: Mutex<BTreeMap<String, SeenAdvisory>>,
}

/// Numbers of drafts that exist in a dry run only start here, far above those of a real forge.
const FIRST_NUMBER: u64 = 1 << 60;

impl RecordingForge {
    /// Records the releases on `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn Forge>, recording: Recording) -> Self {
        Self {
            inner,
            recording,
            would: Mutex::default(),
            switched: Mutex::default(),
            opened: Mutex::default(),
            latest: Mutex::default(),
            written: Mutex::default(),
        }
    }

    pub(super) fn record(&self, verb: &'static str, what: String, asset: Option<&AssetFile>) {
        self.recording.add(RecordedEffect {
            destination: self.name().to_string(),
            verb,
            what,
            size: asset.map(|a| a.digests.size),
            digest: asset.map(|a| format!("sha256:{}", a.digests.sha256)),
        });
    }

    fn would(&self) -> MutexGuard<'_, Vec<SeenRelease>> {
        self.would.lock()
    }

    /// The tag that this dry run made latest.
    fn made_latest(&self) -> MutexGuard<'_, Option<String>> {
        self.latest.lock()
    }

    /// Changes a release that exists in this dry run only, or one that is really there.
    async fn change(&self, id: u64, change: impl FnOnce(&mut SeenRelease)) -> Result<String> {
        let mut would = self.would();
        let Some(release) = would.iter_mut().find(|r| r.id == id) else {
            return Err(Error::fatal(format!("a dry run of `{}` knows no release {id}", self.name())));
        };
        change(release);
        Ok(release.tag.clone())
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

    async fn parts(&self) -> Vec<(Part, Result<()>)> {
        self.inner.parts().await
    }

    async fn observe(&self, tag: &TagName) -> Result<ForgeView> {
        let mut view = self.inner.observe(tag).await?;
        // The tag would be there by now if the dry run has recorded its push.
        let pushed = self.recording.all().into_iter().rev().find(|r| r.what == format!("refs/tags/{tag}"));
        if let Some(oid) = pushed.and_then(|r| r.digest) {
            view.tag = Some(oid.parse()?);
        }
        let mut would = self.would();
        for there in view.releases {
            if !would.iter().any(|r| r.id == there.id) {
                would.push(there);
            }
        }
        view.releases = would.clone();
        if let (SeenLatest::Made(latest), Some(made)) = (&mut view.latest, self.made_latest().clone()) {
            *latest = Some(made);
        }
        Ok(view)
    }

    async fn create_draft(&self, text: &ReleaseText) -> Result<()> {
        self.record("draft", text.tag.to_string(), None);
        let mut would = self.would();
        let id = FIRST_NUMBER + would.len() as u64;
        would.push(SeenRelease {
            id,
            tag: text.tag.to_string(),
            title: text.title.clone(),
            notes: text.notes.clone(),
            draft: true,
            prerelease: text.prerelease,
            location: format!("{} release {} (not published: a dry run)", self.name(), text.tag),
            assets: Vec::new(),
        });
        Ok(())
    }

    async fn upload(&self, draft: u64, asset: &AssetFile) -> Result<()> {
        let seen = SeenAsset {
            id: 0,
            name: asset.name.clone(),
            size: asset.digests.size,
            digest: Some(asset.digests.sha256),
            whole: true,
        };
        let tag = self.change(draft, |r| r.assets.push(seen)).await?;
        self.record("upload", format!("{tag}/{}", asset.name), Some(asset));
        Ok(())
    }

    async fn discard(&self, what: Discard) -> Result<()> {
        self.record("discard", format!("{what:?}"), None);
        let mut would = self.would();
        match what {
            Discard::Draft(id) => would.retain(|r| r.id != id),
            Discard::Asset(id) => would.iter_mut().for_each(|r| r.assets.retain(|a| a.id != id)),
        }
        Ok(())
    }

    async fn publish(&self, draft: u64, latest: MarkLatest) -> Result<()> {
        let tag = self.change(draft, |r| r.draft = false).await?;
        self.record("publish", tag.clone(), None);
        if latest == MarkLatest::Yes {
            *self.made_latest() = Some(tag);
        }
        Ok(())
    }

    async fn set_latest(&self, release: u64) -> Result<()> {
        let tag = self.change(release, |_| {}).await?;
        self.record("latest", tag.clone(), None);
        *self.made_latest() = Some(tag);
        Ok(())
    }

    fn advisories(&self) -> Option<&dyn Advisories> {
        self.inner.advisories().map(|_| self as &dyn Advisories)
    }

    fn automation(&self) -> Option<&dyn Automation> {
        self.inner.automation().map(|_| self as &dyn Automation)
    }

    fn pull_requests(&self) -> Option<&dyn PullRequests> {
        self.inner.pull_requests().map(|_| self as &dyn PullRequests)
    }
}
