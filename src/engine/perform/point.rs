//! `point`: a store's git repository, indexes and `latest`, last of all and only forward.

mod listed;
mod pages;
mod repository;

use super::Acting;
use super::promote::put_public;
use crate::effects::{Effects, Store, read_public};
use crate::engine::Train;
use crate::engine::branches;
use crate::error::{Error, Result};
use crate::formats::openpgp::Certificate;
use crate::model::{Fingerprint, Sha256};
use crate::step::{Outcome, Point};
use crate::trust::{self, Root};

/// How often a file is tried again when another writer was faster.
const RACES: u32 = 5;

pub(super) async fn point(acting: &Acting<'_>, step: &Point) -> Result<Outcome> {
    let store = acting.store(&step.store)?;
    keys(acting, &*store).await?;
    repository::serve(acting, step, &*store).await?;
    let index = listed::move_index(acting, step, &*store).await?;
    let digest = Sha256::of(&index.to_bytes()?);
    for area in acting.state.staging_areas() {
        store.clear_staging(&area).await?;
    }
    branches::release_in(acting.effects, acting.train, &*store).await?;
    Ok(Outcome::Pointed { index: digest, counter: Some(index.counter) })
}

/// The trust root and the certificates: for a stranger's keyring, never as evidence. What a machine with a newer root put
/// there stays.
async fn keys(acting: &Acting<'_>, store: &dyn Store) -> Result<()> {
    let trust = acting.train.trust();
    let path = format!("keys/{}", trust::FILE);
    if let Some(bytes) = read_public(store, &path).await?
        && Root::from_bytes(&bytes, &path).is_ok_and(|r| r.version > trust.root.version)
    {
        return Ok(());
    }
    for (name, bytes) in &trust.published {
        let path = format!("keys/{name}");
        match name.strip_suffix(".asc").filter(|n| n.parse::<Fingerprint>().is_ok()) {
            Some(_) => merge(store, &path, bytes).await?,
            None => replace(acting, store, &path, bytes).await?,
        }
    }
    Ok(())
}

/// Brings a served certificate to everything that is known of it, here and there: another machine may have seen a revocation,
/// or the signature by which a key counted before its expiry was extended. What is there and no such certificate goes.
async fn merge(store: &dyn Store, path: &str, bytes: &[u8]) -> Result<()> {
    for _ in 0..RACES {
        let there = read_public(store, path).await?;
        let ours = Certificate::parse(bytes, path)?;
        let known = there.as_ref().and_then(|b| Certificate::parse(b, path).ok()).and_then(|c| c.merged(&ours).ok());
        let merged = known.unwrap_or(ours).armored()?.into_bytes();
        if there.as_deref() == Some(&merged[..])
            || store.replace_if(path, there.as_deref().map(Sha256::of).as_ref(), &merged).await?
        {
            return Ok(());
        }
    }
    Err(Error::transient(format!("another writer keeps changing `{path}` in store `{}`", store.name())))
}

/// Whether this store's index and served refs can be moved on: asked at the gate, while nothing is public yet.
pub(super) async fn readable(acting: &Acting<'_>, step: &Point) -> Result<()> {
    let store = acting.store(&step.store)?;
    listed::movable(acting, step, &*store).await?;
    repository::servable(acting, step, &*store).await
}

/// Reads what a store serves back: its index lists the releases, and its refs are where the train put them or further.
pub(super) async fn prove(effects: &Effects, train: &Train, step: &Point) -> Result<()> {
    let store = super::stage::store(effects, &step.store)?;
    listed::prove(effects, train, step, &*store).await?;
    repository::prove(train, step, &*store).await
}

/// Brings a public object to these bytes, by comparison and conditional replacement; for what is the same whoever writes it.
async fn replace(acting: &Acting<'_>, store: &dyn Store, path: &str, bytes: &[u8]) -> Result<()> {
    for _ in 0..RACES {
        let there = read_public(store, path).await?;
        if there.as_deref() == Some(bytes) {
            return Ok(());
        }
        if there.is_none() {
            return put_public(acting, store, path, bytes).await;
        }
        if store.replace_if(path, there.as_deref().map(Sha256::of).as_ref(), bytes).await? {
            return Ok(());
        }
    }
    Err(Error::transient(format!("another writer keeps changing `{path}` in store `{}`", store.name())))
}
