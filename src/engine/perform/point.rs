//! `point`: a store's git repository, indexes and `latest`, last of all and only forward; then its list of mirrors.

mod listed;
mod repository;

use std::collections::BTreeMap;

use super::{Acting, Perform};
use crate::effects::{Effects, ProgressEvent, Store};
use crate::engine::Train;
use crate::engine::mirrors::{self, MirrorListWriter};
use crate::engine::{branch_holds, published_keys};
use crate::error::Result;
use crate::formats::mirrors::ListedIndex;
use crate::model::Sha256;
use crate::step::{Point, Pointed};

impl Perform for Point {
    async fn perform(&self, acting: &Acting<'_>) -> Result<Pointed> {
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
    published_keys::publish(&*store, acting.train.trust()).await?;
    repository::serve(acting, step, &*store).await?;
    let index = listed::move_index(acting, step, &*store).await?;
    let digest = Sha256::of(&index.to_bytes()?);
    for area in acting.state.staging_areas() {
        store.clear_staging(&area).await?;
    }
    branch_holds::release_in(acting.effects, acting.train, &*store).await?;
    let pointed = Pointed { index: digest, counter: Some(index.counter) };
    if let Err(e) = list_mirrors(acting, &*store, &pointed).await {
        let why = format!("{}: the list of mirrors was not written: {}", step.store, e.message());
        acting.effects.progress.event(ProgressEvent::Note(format!("{why}; `lifeboat refresh` writes it")));
    }
    Ok(pointed)
}

/// Says in the store which mirrors there are, and which index each has as far as the train knows. Nobody needs it to get the
/// release, so nothing waits for it.
async fn list_mirrors(acting: &Acting<'_>, store: &dyn Store, pointed: &Pointed) -> Result<()> {
    let (effects, train) = (acting.effects, acting.train);
    let listed = |made: &Pointed| Some(ListedIndex { counter: made.counter?, sha256: made.index });
    // Other stores may have been pointed at since this step began.
    let (plan, state) = (train.plan(), train.state());
    let before = plan
        .all::<Point>()
        .filter_map(|(step, point)| Some((point.store.clone(), state.made::<Pointed>(&step.id).and_then(listed)?)));
    let mut known: BTreeMap<_, _> = before.collect();
    known.extend(listed(pointed).map(|index| (store.name().clone(), index)));
    let mirrors = mirrors::mirrors(effects.stores.values().map(|store| &**store), &known, &plan.mirrors);
    MirrorListWriter { effects, trust: train.trust(), objects: train.objects(), mirrors }.write(store).await
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
