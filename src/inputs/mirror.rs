//! Puts an input into a store of the project, so that it can still be fetched when its address is gone.

use super::InputCache;
use crate::config::InputConfig;
use crate::effects::{Area, PutNew, Store, blocking};
use crate::error::{Context as _, Error, Result};
use crate::formats::{digests, layout};

/// Puts an input where anybody can read it, and reads it back; says whether it was there already.
///
/// # Errors
/// It is not in the cache, or has other bytes there or in the store; the store's.
pub async fn mirror(cache: &InputCache, input: &InputConfig, store: &dyn Store) -> Result<PutNew> {
    let named = |e: Error| e.context(format!("input `{}`", input.name));
    let ours = blocking(|| cache.check(&input.sha256)).map_err(named)?;
    let ours = ours.ok_or_else(|| {
        named(Error::input("it is not in the cache")).hint("run `lifeboat inputs fetch`, then the same command again")
    })?;
    let path = layout::input(&input.sha256);
    let put = store.put_new(&Area::Public, &path, &cache.path(&input.sha256), &ours).await?;
    let there = store.get(&Area::Public, &path).await?;
    let mut there = there.ok_or_else(|| Error::transient(format!("`{path}` was put and is not there")))?;
    let found = blocking(|| digests::read_to_compare(&mut *there)).context(format!("cannot read `{path}`"))?;
    if found.sha256 != input.sha256 {
        return Err(Error::conflict(format!("`{path}` has other bytes than its name says"))
            .detail(format!("found sha256 {}, {} bytes", found.sha256, found.size))
            .hint("nothing is replaced: find out who wrote it, remove it there, then run the same command again"));
    }
    Ok(put)
}
