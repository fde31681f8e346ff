//! Moves the signed index of a store forward: signature first, then the index by comparison, then the signature beside it.

use std::collections::BTreeSet;

use jiff::Timestamp;
use semver::Version;

use super::converge::{replaced, until_ours};
use super::published_keys;
use crate::effects::{Area, Effects, Objects, Role, Store, read_public};
use crate::error::{Context as _, Error, Result};
use crate::formats::index::{FRESH, Index};
use crate::formats::{layout, manifest};
use crate::journal::{State, StepStatus};
use crate::model::{Sha256, StoreName, TrainName, TrainNonce, whole_seconds};
use crate::step::{Point, PointLine};
use crate::trust::{IndexSigners, SignedIndex, TrustedRoot, check_index, read_index};

/// What the trains of this machine did: what the indexes that it signs must say.
#[derive(Debug, Clone, Default)]
pub struct ReleaseHistory {
    /// The versions that abandoned trains retired.
    pub retired: BTreeSet<Version>,
    /// What was released, store by store.
    pub released: Vec<StoreRelease>,
    /// The number after which an index begins where there is none: of a store that is made again.
    pub floor: u64,
}

impl ReleaseHistory {
    /// The same for a store that is made again: nothing is expected to be in it yet.
    #[must_use]
    pub(crate) fn without_store(mut self, store: &StoreName, floor: u64) -> Self {
        self.released.retain(|r| r.store != *store);
        self.floor = floor;
        self
    }
}

/// A release that a train of this machine made in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreRelease {
    /// The store whose index was moved.
    pub store: StoreName,
    /// The version.
    pub version: Version,
    /// The train, as the index names it.
    pub nonce: TrainNonce,
    /// The train, as people name it.
    pub train: TrainName,
}

impl StoreRelease {
    /// What a train has released so far.
    #[must_use]
    pub fn of(state: &State) -> Vec<Self> {
        let (graph, Some(nonce)) = (state.graph(), state.nonce()) else { return Vec::new() };
        let done = (0..graph.len()).filter(|&i| matches!(state.at(i).status, StepStatus::Succeeded(_)));
        let points = done.filter_map(|i| graph.at(i).step.as_a::<Point>());
        let one = |point: &Point, line: &PointLine| Self {
            store: point.store.clone(),
            version: line.version.clone(),
            nonce: nonce.clone(),
            train: graph.plan().train.clone(),
        };
        points.flat_map(|point| point.lines.values().map(move |line| one(point, line))).collect()
    }
}

/// Writes indexes with the freshness key.
#[derive(Clone, Copy)]
pub struct IndexWriter<'a> {
    /// The ports.
    pub effects: &'a Effects,
    /// By which an index counts.
    pub trust: &'a TrustedRoot,
    /// Where signatures are kept on their way.
    pub objects: &'a Objects,
    /// What each index must list.
    pub released: &'a [StoreRelease],
}

impl IndexWriter<'_> {
    /// From now, and until when, an index that is made now counts.
    ///
    /// # Errors
    /// A clock that is wrong.
    pub fn now(&self) -> Result<(Timestamp, Timestamp)> {
        let now = whole_seconds(self.effects.clock.now());
        Ok((now, now.checked_add(FRESH).context("the clock is wrong")?))
    }

    /// Whether the index of a store lists every release that a train of this machine made there: an old one that somebody
    /// put back is signed as well as the newest, and a store that shows none may hide it.
    ///
    /// # Errors
    /// A release that is missing, or another train's.
    pub(crate) fn lists_ours(&self, store: &StoreName, index: Option<&Index>) -> Result<()> {
        let listed =
            |r: &StoreRelease| index.and_then(|i| i.releases.get(&r.version)).is_some_and(|e| e.train == r.nonce);
        match self.released.iter().find(|r| r.store == *store && !listed(r)) {
            None => Ok(()),
            Some(r) => {
                let what = format!("it does not list {}, which train `{}` released there", r.version, r.train);
                Err(Error::verification(what).hint(match index {
                    Some(_) => {
                        "somebody put an older index back, and nothing was signed: compare it with another store"
                            .to_owned()
                    }
                    None => {
                        format!("the store shows no index: if it was lost, run `lifeboat reconcile --restore {store}`")
                    }
                }))
            }
        }
    }

    /// What the index after this one is made from. What a key of an earlier root signed may be a thief's: its number and the
    /// versions that it retires are not taken over (each machine lists those of its own trains again), nor are releases
    /// whose manifest is not in the store.
    pub(crate) async fn base_from(&self, store: &dyn Store, there: &SignedIndex) -> Result<Index> {
        let mut base = there.index.clone();
        if self.by_current_key(there) {
            return Ok(base);
        }
        // Numbers begin again, but never with the one that is there: made in the same second it would be the same bytes, under
        // whose digest the earlier key's signature lies.
        base.counter = u64::from(there.index.counter == 1);
        base.retired.clear();
        for (version, entry) in &there.index.releases {
            let manifest = read_public(store, &layout::release_file(version, manifest::FILE)).await?;
            if manifest.as_deref().map(Sha256::of) != Some(entry.manifest) {
                base.releases.remove(version);
            }
        }
        Ok(base)
    }

    /// Whether readers take the signature: after the freshness key was replaced, what the old one signed is signed again.
    #[must_use]
    pub(crate) fn by_current_key(&self, there: &SignedIndex) -> bool {
        there.by_current_key(self.trust, self.effects.clock.now())
    }

    /// Signs `next` and puts it in place of the index with the bytes `old` (`None`: where there is none); gives the
    /// signature, or `None` if another writer was faster.
    ///
    /// # Errors
    /// A key that does not count, the store's.
    pub async fn put(&self, store: &dyn Store, old: Option<&[u8]>, next: &Index) -> Result<Option<Vec<u8>>> {
        let bytes = next.to_bytes()?;
        let signature = self.effects.keys.signer(&Role::Freshness)?.sign(&mut &bytes[..])?.into_bytes();
        let name = layout::index_signature(&bytes);
        let now = self.effects.clock.now();
        let signed = [(name.clone(), signature.clone())];
        check_index(self.trust, &bytes, &signed, IndexSigners::Current, now).map_err(|e| {
            e.context("the key of `signing.freshness` does not count")
                .hint("name one of role freshness in the trust root: `lifeboat trust show`")
        })?;
        // Index and signature cannot be replaced as one: the signature of each index stands under the index's own digest,
        // before the index does, so a reader finds the one that fits whatever it read.
        let before = store.digest_signatures().await.unwrap_or_default();
        let digests = self.objects.put(&signature)?;
        store.put_new(&Area::Public, &name, &self.objects.path(&digests.sha256), &digests).await?;
        Ok(replace_index(store, old, &bytes, &before).await?.then_some(signature))
    }

    /// Brings `index.json.asc` to the signature of the index that is there; says whether it still is there.
    pub async fn beside(&self, store: &dyn Store, index: &[u8], signature: &[u8]) -> Result<bool> {
        follow(store, index, layout::INDEX_SIGNATURE, signature).await
    }

    /// Sees to it that the index of a store lists these versions as retired, but for those that it lists as released; says
    /// which it had to add. A store without an index gets one.
    ///
    /// # Errors
    /// An index that does not count, or hides a release of ours; the key's, the store's.
    pub async fn retire(&self, store: &dyn Store, versions: &BTreeSet<Version>) -> Result<BTreeSet<Version>> {
        until_ours(store, "the index", || async {
            let there = read_index(store, self.trust, self.effects.clock.now()).await?;
            self.lists_ours(store.name(), there.as_ref().map(|t| &t.index))?;
            let (now, expires) = self.now()?;
            let project = self.trust.root.project.clone();
            let old = match &there {
                Some(there) => self.base_from(store, there).await?,
                None => Index::empty(project, now, expires),
            };
            let new = unlisted(&old, versions);
            if new.is_empty() {
                return Ok(Some(new));
            }
            let next = old.next([], new.clone(), now, expires)?;
            // A stranger follows the root to the key that signs now.
            published_keys::publish(store, self.trust).await?;
            let signature = self.put(store, there.as_ref().map(|t| &t.bytes[..]), &next).await?;
            let Some(signature) = signature else { return Ok(None) };
            Ok(self.beside(store, &next.to_bytes()?, &signature).await?.then_some(new))
        })
        .await
    }
}

/// Puts an index, whose signature is there already, in place of the one with the bytes `old` (`None`: where there is none);
/// says whether it is there, or another writer was faster. Of the signatures that were there `before` its own, those that no
/// reader wants any more are removed.
///
/// # Errors
/// The store's.
pub(crate) async fn replace_index(
    store: &dyn Store,
    old: Option<&[u8]>,
    bytes: &[u8],
    before: &[String],
) -> Result<bool> {
    if old == Some(bytes) {
        return Ok(true);
    }
    if !store.replace_if(layout::INDEX, old.map(Sha256::of).as_ref(), bytes).await? {
        return Ok(false);
    }
    // Whoever put one of these before the index moved here was too late, and makes another; readers on their way may still
    // want that of the index before this one.
    let kept = [Some(layout::index_signature(bytes)), old.map(layout::index_signature)];
    remove_signatures(store, before, &kept).await;
    Ok(true)
}

/// Removes signatures that lie under digests, but for those that are kept, and those of another kind of file.
pub(super) async fn remove_signatures(store: &dyn Store, before: &[String], kept: &[Option<String>]) {
    let kind = |path: &str| path.split('.').next().map(str::to_owned);
    let same = |path: &&String| kept.iter().flatten().any(|k| kind(k) == kind(path));
    for path in before.iter().filter(same).filter(|path| !kept.iter().flatten().any(|k| k == *path)) {
        // It is of no use, and does no harm.
        drop(store.remove_digest_signature(path).await);
    }
}

/// Brings a file that follows from the index to these bytes, unless the index is no longer this one; says whether it is.
/// Whoever moves the index writes such files after it, so what was there before the index was seen is never newer.
///
/// # Errors
/// The store's; another writer who is always faster.
pub async fn follow(store: &dyn Store, index: &[u8], path: &str, bytes: &[u8]) -> Result<bool> {
    until_ours(store, &format!("`{path}`"), || async {
        let there = read_public(store, path).await?;
        if read_public(store, layout::INDEX).await?.as_deref() != Some(index) {
            return Ok(Some(false));
        }
        Ok(replaced(store, path, there.as_deref(), bytes).await?.then_some(true))
    })
    .await
}

/// Those of the versions that an index neither retires nor lists as released: what is released cannot be taken back by it.
#[must_use]
pub(crate) fn unlisted(index: &Index, versions: &BTreeSet<Version>) -> BTreeSet<Version> {
    let new = |v: &&Version| !index.retired.contains(*v) && !index.releases.contains_key(*v);
    versions.iter().filter(new).cloned().collect()
}
