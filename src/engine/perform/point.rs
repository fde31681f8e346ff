//! `point`: a store's git repository, indexes and `latest`, last of all and only forward.

mod listed;
mod pages;
mod repository;

use super::{Acting, Perform};
use crate::effects::{Effects, Store, read_public};
use crate::engine::Train;
use crate::engine::branches;
use crate::engine::converge::{Race, replaced};
use crate::error::Result;
use crate::formats::layout;
use crate::formats::openpgp::Certificate;
use crate::journal::StepStatus;
use crate::model::{Fingerprint, Sha256};
use crate::step::{Point, Pointed};
use crate::trust::{self, Root};

impl Perform for Point {
    async fn perform(&self, acting: &Acting<'_>, _before: &StepStatus) -> Result<Pointed> {
        point(acting, self).await
    }

    async fn restore(&self, acting: &Acting<'_>) -> Result<()> {
        point(acting, self).await.map(drop)
    }

    async fn prove(&self, effects: &Effects, train: &Train) -> Option<Result<()>> {
        Some(prove(effects, train, self).await)
    }
}

async fn point(acting: &Acting<'_>, step: &Point) -> Result<Pointed> {
    let store = acting.store(&step.store).await?;
    keys(acting, &*store).await?;
    repository::serve(acting, step, &*store).await?;
    let index = listed::move_index(acting, step, &*store).await?;
    let digest = Sha256::of(&index.to_bytes()?);
    for area in acting.state.staging_areas() {
        store.clear_staging(&area).await?;
    }
    branches::release_in(acting.effects, acting.train, &*store).await?;
    Ok(Pointed { index: digest, counter: Some(index.counter) })
}

/// The trust root and the certificates: for a stranger's keyring, never as evidence. What a machine with a newer root put
/// there stays.
async fn keys(acting: &Acting<'_>, store: &dyn Store) -> Result<()> {
    let trust = acting.train.trust();
    let path = layout::key(trust::FILE);
    if let Some(bytes) = read_public(store, &path).await?
        && Root::from_bytes(&bytes, &path).is_ok_and(|r| r.version > trust.root.version)
    {
        return Ok(());
    }
    for (name, bytes) in &trust.published {
        let path = layout::key(name);
        match name.strip_suffix(".asc").filter(|n| n.parse::<Fingerprint>().is_ok()) {
            Some(_) => merge(store, &path, bytes).await?,
            None => replace(store, &path, bytes).await?,
        }
    }
    Ok(())
}

/// Brings a served certificate to everything that is known of it, here and there: another machine may have seen a revocation,
/// or the signature by which a key counted before its expiry was extended. What is there and no such certificate goes.
async fn merge(store: &dyn Store, path: &str, bytes: &[u8]) -> Result<()> {
    let ours = Certificate::parse(bytes, path)?;
    let mut race = Race::of(&format!("`{path}`"), store);
    loop {
        let there = read_public(store, path).await?;
        let known = there.as_ref().and_then(|b| Certificate::parse(b, path).ok()).and_then(|c| c.merged(&ours).ok());
        let merged = known.as_ref().unwrap_or(&ours).armored()?.into_bytes();
        if replaced(store, path, there.as_deref(), &merged).await? {
            return Ok(());
        }
        race.lost()?;
    }
}

/// Whether this store's index and served refs can be moved on: asked at the gate, while nothing is public yet.
pub(super) async fn readable(acting: &Acting<'_>, step: &Point) -> Result<()> {
    let store = acting.store(&step.store).await?;
    listed::movable(acting, step, &*store).await?;
    repository::servable(acting, step, &*store).await
}

/// Reads what a store serves back: its index lists the releases, and its refs are where the train put them or further.
async fn prove(effects: &Effects, train: &Train, step: &Point) -> Result<()> {
    let store = effects.store(&step.store)?;
    listed::prove(effects, train, step, &*store).await?;
    repository::prove(train, step, &*store).await
}

/// Brings a public object to these bytes; for what is the same whoever writes it.
async fn replace(store: &dyn Store, path: &str, bytes: &[u8]) -> Result<()> {
    let mut race = Race::of(&format!("`{path}`"), store);
    while !replaced(store, path, read_public(store, path).await?.as_deref(), bytes).await? {
        race.lost()?;
    }
    Ok(())
}
