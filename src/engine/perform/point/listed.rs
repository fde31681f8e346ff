//! The signed index of a store.

use std::collections::BTreeMap;

use semver::Version;

use super::super::promote::restoring;
use super::super::{Acting, summed};
use crate::effects::{Effects, Store};
use crate::engine::Train;
use crate::engine::converge::until_ours;
use crate::engine::index::{IndexWriter, unlisted};
use crate::engine::pages::{self, PageWriter};
use crate::error::{Error, Result};
use crate::formats::index::{Index, IndexEntry};
use crate::formats::layout;
use crate::step::Point;
use crate::trust::{SignedIndex, read_index};

/// The index that the store serves, if one of our freshness keys signed it and it hides no release of ours: what anybody
/// else wrote or put back there is never signed on.
pub(super) async fn signed_index(acting: &Acting<'_>, store: &dyn Store) -> Result<Option<SignedIndex>> {
    let there = read_index(store, acting.train.trust(), acting.effects.clock.now()).await.map_err(|e| {
        e.context(format!("store `{}`: `{}`", store.name(), layout::INDEX)).hint(
            "somebody else wrote this index: put the last signed one back (its signature lies beside it), or remove it if \
             nothing was released here yet",
        )
    })?;
    writer(acting)
        .lists_ours(store.name(), there.as_ref().map(|t| &t.index))
        .map_err(|e| e.context(format!("index of store `{}`", store.name())))?;
    Ok(there)
}

/// Whether the index can take this train's releases.
pub(super) async fn movable(acting: &Acting<'_>, step: &Point, store: &dyn Store) -> Result<()> {
    if let Some(there) = signed_index(acting, store).await? {
        let (now, expires) = writer(acting).now()?;
        writer(acting)
            .base_from(store, &there)
            .await?
            .next(entries(acting, step)?, [], now, expires)
            .map_err(|e| e.context(format!("index of store `{}`", step.store)))?;
    }
    Ok(())
}

fn writer<'a>(acting: &'a Acting<'_>) -> IndexWriter<'a> {
    let (trust, objects) = (acting.train.trust(), acting.train.objects());
    IndexWriter { effects: acting.effects, trust, objects, released: &acting.train.past().released }
}

/// What the index says of this train's releases.
fn entries(acting: &Acting<'_>, step: &Point) -> Result<BTreeMap<Version, IndexEntry>> {
    let mut entries = BTreeMap::new();
    for (branch, line) in &step.lines {
        let manifest = summed(&acting.state, &line.checksum)?.manifest.digests.sha256;
        let entry = IndexEntry { line: branch.clone(), train: acting.nonce()?, tag: line.tag.clone(), manifest };
        entries.insert(line.version.clone(), entry);
    }
    Ok(entries)
}

/// Adds the train's releases, and what other trains retired, to the index and signs it; an equal index is left as it is.
pub(super) async fn move_index(acting: &Acting<'_>, step: &Point, store: &dyn Store) -> Result<Index> {
    let (entries, writer) = (entries(acting, step)?, writer(acting));
    let (templates, lines) = (&acting.train.plan().templates, step.lines.keys().cloned().collect());
    let pages = PageWriter { templates, root: acting.train.trust().digest, lines: &lines };
    until_ours(store, "the index", || async {
        let there = signed_index(acting, store).await?;
        let (now, expires) = writer.now()?;
        let old = match &there {
            Some(there) => writer.base_from(store, there).await?,
            None => {
                let floor = acting.train.past().floor;
                Index { counter: floor, ..Index::empty(step.project.clone(), now, expires) }
            }
        };
        let retire = unlisted(&old, &acting.train.past().retired);
        let has_all = retire.is_empty() && entries.iter().all(|(v, e)| old.releases.get(v) == Some(e));
        // Interrupted after the index was moved: only what follows it is left, unless it has expired meanwhile.
        let current = there.as_ref().is_some_and(|t| writer.by_current_key(t));
        let next = if has_all && current && old.expires > now {
            old
        } else {
            old.next(entries.clone(), retire, now, expires)?
        };
        let old = there.as_ref().map(|t| &t.bytes[..]);
        let Some(signature) = writer.put(store, old, &next).await? else { return Ok(None) };
        // Another train may have moved the index meanwhile: then what follows it is that one's, and ours must be in it.
        let bytes = next.to_bytes()?;
        let ours =
            writer.beside(store, &bytes, &signature).await? && pages::write(&pages, store, &next, &bytes).await?;
        Ok(ours.then_some(next))
    })
    .await
}

/// Whether the store's index, which must be signed, lists the train's releases.
pub(super) async fn prove(effects: &Effects, train: &Train, step: &Point, store: &dyn Store) -> Result<()> {
    let there = read_index(store, train.trust(), effects.clock.now()).await?;
    let (state, name) = (train.state(), store.name());
    for (version, line) in step.lines.values().map(|line| (&line.version, line)) {
        let manifest = summed(&state, &line.checksum)?.manifest.digests.sha256;
        let entry = there.as_ref().and_then(|t| t.index.releases.get(version));
        if entry.map(|e| e.manifest) != Some(manifest) {
            return Err(Error::conflict(format!("the index of store `{name}` does not list {version} as released"))
                .detail(format!("manifest: sha256 {manifest}"))
                .hint(match there {
                    Some(_) => {
                        "nothing was changed: find out who changed it, and put the last index back with its signature"
                            .to_owned()
                    }
                    None => restoring(name),
                }));
        }
    }
    Ok(())
}
