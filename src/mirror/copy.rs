//! Puts single files into a mirror: where nothing is, and never over other bytes.

use std::path::Path;

use super::{Mirror, Mirrored};
use crate::effects::{Area, PutNew, files, hash_files};
use crate::engine::{digests_at, same_or_conflict};
use crate::error::Result;
use crate::model::{Digests, Sha256};

/// Puts a local file with these digests; one that is there must have them too.
pub(super) async fn put_file(
    mirror: &Mirror<'_>,
    path: &str,
    (local, digests): (&Path, &Digests),
    done: &mut Mirrored,
) -> Result<()> {
    if mirror.to.put_new(&Area::Public, path, local, digests).await? == PutNew::Created {
        done.files += 1;
        done.bytes += digests.size;
    }
    let found = digests_at(mirror.to, &Area::Public, path).await?;
    same_or_conflict((mirror.to, &Area::Public), path, digests, found)
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
