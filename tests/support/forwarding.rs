//! A store in front of another one: every call is passed on, and a test says what happens around single calls.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lifeboat::effects::{Area, Capabilities, Effects, Habits, PutNew, Store, Transfers};
use lifeboat::error::Result;
use lifeboat::model::{Digests, Secret, Sha256, Stat, StoreName};
use lifeboat::step::Exposure;

/// What a test does around the calls that read or change something: each is passed on unless it is overridden.
#[async_trait::async_trait]
pub trait Around: Send + Sync {
    fn transfers(&self, inner: &dyn Store) -> Arc<Transfers> {
        inner.transfers()
    }

    async fn stat(&self, inner: &dyn Store, area: &Area, path: &str) -> Result<Option<Stat>> {
        inner.stat(area, path).await
    }

    async fn get(&self, inner: &dyn Store, area: &Area, path: &str) -> Result<Option<Box<dyn Read + Send>>> {
        inner.get(area, path).await
    }

    async fn put_new(
        &self,
        inner: &dyn Store,
        (area, path): (&Area, &str),
        source: &Path,
        digests: &Digests,
    ) -> Result<PutNew> {
        inner.put_new(area, path, source, digests).await
    }

    async fn promote(&self, inner: &dyn Store, train: &str, path: &str, digests: &Digests) -> Result<PutNew> {
        inner.promote(train, path, digests).await
    }

    async fn replace_if(&self, inner: &dyn Store, path: &str, old: Option<&Sha256>, bytes: &[u8]) -> Result<bool> {
        inner.replace_if(path, old, bytes).await
    }

    async fn hold(&self, inner: &dyn Store, what: &str, holder: &[u8]) -> Result<Option<Vec<u8>>> {
        inner.hold(what, holder).await
    }

    async fn release(&self, inner: &dyn Store, what: &str, holder: &[u8]) -> Result<()> {
        inner.release(what, holder).await
    }
}

/// The store that passes calls on.
pub struct Forwarding<A> {
    inner: Arc<dyn Store>,
    /// What the test does around them.
    pub around: A,
}

impl<A: Around + 'static> Forwarding<A> {
    /// In front of this store.
    pub fn of(inner: Arc<dyn Store>, around: A) -> Arc<Self> {
        Arc::new(Self { inner, around })
    }

    /// In front of the only store of these effects, from now on.
    pub fn before(effects: &mut Effects, around: A) -> Arc<Self> {
        assert_eq!(effects.stores.len(), 1, "which one?");
        let inner = effects.stores.values().next().unwrap().clone();
        let store = Arc::new(Self { inner, around });
        effects.stores = BTreeMap::from([(store.name().clone(), store.clone() as Arc<dyn Store>)]);
        store
    }
}

#[async_trait::async_trait]
impl<A: Around> Store for Forwarding<A> {
    fn name(&self) -> &StoreName {
        self.inner.name()
    }

    fn staging_exposure(&self) -> Exposure {
        self.inner.staging_exposure()
    }

    fn differs(&self) -> bool {
        self.inner.differs()
    }

    fn transfers(&self) -> Arc<Transfers> {
        self.around.transfers(&*self.inner)
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

    async fn habits(&self) -> Result<Habits> {
        self.inner.habits().await
    }

    async fn presign(&self, area: &Area, path: &str, lasts: Duration) -> Result<Option<Secret>> {
        self.inner.presign(area, path, lasts).await
    }

    async fn seen_by_strangers(&self) -> Result<Option<String>> {
        self.inner.seen_by_strangers().await
    }

    async fn stat(&self, area: &Area, path: &str) -> Result<Option<Stat>> {
        self.around.stat(&*self.inner, area, path).await
    }

    async fn get(&self, area: &Area, path: &str) -> Result<Option<Box<dyn Read + Send>>> {
        self.around.get(&*self.inner, area, path).await
    }

    async fn digest_signatures(&self) -> Result<Vec<String>> {
        self.inner.digest_signatures().await
    }

    async fn remove_digest_signature(&self, path: &str) -> Result<()> {
        self.inner.remove_digest_signature(path).await
    }

    async fn list(&self, area: &Area, prefix: &str) -> Result<Vec<String>> {
        self.inner.list(area, prefix).await
    }

    async fn put_new(&self, area: &Area, path: &str, source: &Path, digests: &Digests) -> Result<PutNew> {
        self.around.put_new(&*self.inner, (area, path), source, digests).await
    }

    async fn promote(&self, train: &str, path: &str, digests: &Digests) -> Result<PutNew> {
        self.around.promote(&*self.inner, train, path, digests).await
    }

    async fn replace_if(&self, path: &str, old: Option<&Sha256>, bytes: &[u8]) -> Result<bool> {
        self.around.replace_if(&*self.inner, path, old, bytes).await
    }

    async fn staged(&self) -> Result<Vec<String>> {
        self.inner.staged().await
    }

    async fn clear_staging(&self, train: &str) -> Result<()> {
        self.inner.clear_staging(train).await
    }

    async fn hold(&self, what: &str, holder: &[u8]) -> Result<Option<Vec<u8>>> {
        self.around.hold(&*self.inner, what, holder).await
    }

    async fn release(&self, what: &str, holder: &[u8]) -> Result<()> {
        self.around.release(&*self.inner, what, holder).await
    }
}
