//! Moves a store's signed list of mirrors forward: the signature first, then the list by comparison.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;

use super::converge::until_ours;
use crate::effects::{Area, Effects, Objects, Role, Store};
use crate::error::{Context as _, Result};
use crate::formats::layout;
use crate::formats::mirrors::{ListedIndex, ListedMirror, MirrorList, base_address};
use crate::model::{Sha256, StoreName, whole_seconds};
use crate::trust::{IndexSigners, TrustedRoot, check_mirrors, read_mirrors};

/// Less than this and it is signed again.
const SOON: SignedDuration = SignedDuration::from_hours(24 * 3);

/// Writes lists of mirrors with the freshness key.
pub struct MirrorListWriter<'a> {
    /// The ports.
    pub effects: &'a Effects,
    /// By which a list counts.
    pub trust: &'a TrustedRoot,
    /// Where signatures are kept on their way.
    pub objects: &'a Objects,
    /// What each list must have.
    pub mirrors: BTreeMap<String, ListedMirror>,
}

/// The mirrors of a project: its stores that strangers read over HTTP, with the indexes that are known of them, and those
/// that others run.
#[must_use]
pub fn mirrors<'a>(
    stores: impl IntoIterator<Item = &'a dyn Store>,
    known: &BTreeMap<StoreName, ListedIndex>,
    others: &BTreeSet<String>,
) -> BTreeMap<String, ListedMirror> {
    let mut out: BTreeMap<_, _> = others.iter().map(|address| (address.clone(), ListedMirror::default())).collect();
    for store in stores {
        if let Some(address) = base_address(&store.public_url("")) {
            out.insert(address, ListedMirror { index: known.get(store.name()).copied() });
        }
    }
    out
}

impl MirrorListWriter<'_> {
    /// Brings the list of a store to these mirrors, unless it has them and is still good for a while. There is none where no
    /// mirror has an address.
    ///
    /// # Errors
    /// The key's, the store's; another writer who is always faster.
    pub async fn write(&self, store: &dyn Store) -> Result<()> {
        if self.mirrors.is_empty() {
            return Ok(());
        }
        until_ours(store, "the list of mirrors", || async {
            let now = whole_seconds(self.effects.clock.now());
            let there = read_mirrors(store, self.trust, now).await?;
            let (old, signed) = there.map_or((None, None), |(bytes, signed)| (Some(bytes), signed));
            let project = self.trust.root.project.clone();
            let before = signed.as_ref().map(|signed| &signed.list);
            let next = MirrorList::after(before, project, self.mirrors.clone(), now)?;
            let soon = now.checked_add(SOON).context("the clock is wrong")?;
            if before.is_some_and(|before| before.mirrors == next.mirrors && before.expires >= soon) {
                return Ok(Some(()));
            }
            let bytes = next.to_bytes()?;
            let signature = self.effects.keys.signer(&Role::Freshness)?.sign(&mut &bytes[..])?.into_bytes();
            check_mirrors(self.trust, &bytes, Some(signature.clone()), IndexSigners::Current, now).map_err(|e| {
                e.context("the key of `signing.freshness` does not count")
                    .hint("name one of role freshness in the trust root: `lifeboat trust show`")
            })?;
            let stale = store.digest_signatures().await.unwrap_or_default();
            let name = layout::mirrors_signature(&bytes);
            let digests = self.objects.put(&signature)?;
            store.put_new(&Area::Public, &name, &self.objects.path(&digests.sha256), &digests).await?;
            Ok(replace_list(store, old.as_deref(), &bytes, &stale).await?.then_some(()))
        })
        .await
    }
}

/// Puts a list, whose signature is there already, in place of the one with the bytes `old` (`None`: where there is none);
/// says whether it is there, or another writer was faster. Of the signatures that were there `before` its own, those that no
/// reader wants any more are removed.
///
/// # Errors
/// The store's.
pub(crate) async fn replace_list(
    store: &dyn Store,
    old: Option<&[u8]>,
    bytes: &[u8],
    before: &[String],
) -> Result<bool> {
    if old != Some(bytes) && !store.replace_if(layout::MIRRORS, old.map(Sha256::of).as_ref(), bytes).await? {
        return Ok(false);
    }
    let kept = [Some(layout::mirrors_signature(bytes)), old.map(layout::mirrors_signature)];
    super::index::remove_signatures(store, before, &kept).await;
    Ok(true)
}
