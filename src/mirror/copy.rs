//! Puts single files into a mirror: where nothing is, and never over other bytes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Mirror;
use crate::effects::{Area, PutNew, Store, files, hash_files};
use crate::engine::{digests_at, same_or_conflict};
use crate::error::Result;
use crate::model::{Digests, Sha256};

/// Puts a local file with these digests; one that is there must have them too. Says how many bytes were put, if any were.
pub(super) async fn put_file(
    to: Arc<dyn Store>,
    path: String,
    (local, digests): (PathBuf, Digests),
) -> Result<Option<u64>> {
    let put = to.put_new(&Area::Public, &path, &local, &digests).await?;
    let found = digests_at(&*to, &Area::Public, &path).await?;
    same_or_conflict((&*to, &Area::Public), &path, &digests, found)?;
    Ok((put == PutNew::Created).then_some(digests.size))
}

/// Compares what is there with these digests; says whether it is there at all.
pub(super) async fn has_file(to: Arc<dyn Store>, path: String, digests: Digests) -> Result<bool> {
    match digests_at(&*to, &Area::Public, &path).await? {
        None => Ok(false),
        found => same_or_conflict((&*to, &Area::Public), &path, &digests, found)
            .map(|()| true)
            .map_err(|e| e.detail("a mirror that was damaged: remove this file there, then mirror again")),
    }
}

/// The digests of a local file.
pub(super) fn digests_of(mirror: &Mirror<'_>, local: &Path) -> Result<Digests> {
    let hashed = hash_files(&*mirror.disk, &[local.to_owned()])?;
    Ok(hashed.first().map_or_else(|| Digests::of(b""), |hashed| *hashed.digests()))
}

/// Puts a small file that has no other bytes under this path.
pub(super) async fn put_bytes(mirror: &Mirror<'_>, path: &str, bytes: &[u8]) -> Result<PutNew> {
    let local = mirror.scratch.join(Sha256::of(bytes).hex());
    files::write_new(&*mirror.disk, &local, 0o600, &mut &*bytes)?;
    mirror.to.put_new(&Area::Public, path, &local, &Digests::of(bytes)).await
}
