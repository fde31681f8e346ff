//! An upload in parts: several at once, in bounded memory, and none twice.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use md5::{Digest as _, Md5};
use object_store::multipart::{MultipartStore as _, PartId};
use object_store::path::Path as Key;
use object_store::{PutMultipartOptions, PutPayload};
use tokio::task::JoinSet;

use super::failure::is_no_upload;
use super::uploads::SeenPart;
use super::{Client, headers};
use crate::effects::PutNew;
use crate::error::{Context as _, Error, Result};
use crate::model::{Digests, Sha256};
use crate::stores::server::other_bytes;

/// The size of a part, and of the largest object that is put by one request: the least that S3 takes for a part, because what is
/// under way is in memory, and sent again when a process dies.
pub(super) const PART: u64 = 5 << 20;
/// How many parts an upload may have; S3 takes 10000.
const MOST_PARTS: u64 = 9000;

/// The size of the parts of an object: the same each time.
fn part_size(size: u64) -> u64 {
    let least = size.div_ceil(MOST_PARTS).next_multiple_of(1 << 20);
    least.max(PART)
}

impl Client {
    /// Puts a file in parts, going on with what an earlier attempt sent. The caller sees to it that no other bytes are put there
    /// meanwhile: the end of an upload replaces.
    pub(super) async fn put_in_parts(self: Arc<Self>, key: &str, path: &Path, want: &Digests) -> Result<PutNew> {
        let at = self.key(key)?;
        let (upload, mut there) = match self.latest_upload(key).await? {
            Some(upload) => {
                let there = self.parts(key, &upload).await?;
                (upload, there)
            }
            None => (self.begin(key, &at).await?, BTreeMap::new()),
        };
        let sent = self.send(&at, &upload, path, want, &mut there).await;
        let parts = match sent {
            Ok(parts) => parts,
            Err(e) => {
                if e.kind() == crate::error::ErrorKind::Verification {
                    self.s3
                        .abort_multipart(&at, &upload)
                        .await
                        .map_err(|e| self.failed("cannot abort an upload", e))?;
                }
                return Err(e);
            }
        };
        let Err(e) = self.s3.complete_multipart(&at, &upload, parts).await else { return Ok(PutNew::Created) };
        // Its answer may be lost or odd, or another process completed it.
        match self.stat(key).await? {
            Some(found) if found.size == want.size => Ok(PutNew::Created),
            _ if is_no_upload(&e) => {
                Err(Error::transient(format!("the upload of `{key}` was aborted by somebody else")))
            }
            _ => Err(self.failed(&format!("cannot end the upload of `{key}`"), e)),
        }
    }

    pub(super) async fn begin(&self, key: &str, at: &Key) -> Result<String> {
        let options = PutMultipartOptions { attributes: headers::attributes(key), ..PutMultipartOptions::default() };
        let begun = self.s3.create_multipart_opts(at, options).await;
        begun.map_err(|e| self.failed(&format!("cannot begin an upload of `{key}`"), e))
    }

    /// Sends the parts that are not there yet.
    async fn send(
        self: &Arc<Self>,
        at: &Key,
        upload: &str,
        path: &Path,
        want: &Digests,
        there: &mut BTreeMap<usize, SeenPart>,
    ) -> Result<Vec<PartId>> {
        let what = || format!("cannot read `{}`", path.display());
        let mut file = std::fs::File::open(path).context(what())?;
        let size = part_size(want.size);
        let (mut hasher, mut left) = (sha2::Sha256::new(), want.size);
        let (mut done, mut sending) = (BTreeMap::new(), JoinSet::new());
        let mut finished = |sent: std::result::Result<Result<(usize, PartId)>, tokio::task::JoinError>| {
            let (n, id) = sent.context("an upload ended early")??;
            done.insert(n, id);
            Ok::<_, Error>(())
        };
        let (mut n, flow) = (0, Arc::new(self.transfers.flow()));
        while left > 0 {
            let memory = self.memory(size.min(left)).await?;
            let bytes = tokio::task::block_in_place(|| -> Result<Vec<u8>> {
                let mut bytes = Vec::with_capacity(size.min(left) as usize);
                (&mut file).take(size.min(left)).read_to_end(&mut bytes).context(what())?;
                hasher.update(&bytes);
                Ok(bytes)
            })?;
            if bytes.len() as u64 != size.min(left) {
                return Err(other_bytes(path, want));
            }
            left -= bytes.len() as u64;
            if let Some(id) = there.remove(&n).and_then(|part| part.holds(&bytes)) {
                flow.moved(bytes.len() as u64);
                finished(Ok(Ok((n, id))))?;
            } else {
                while let Some(sent) = sending.try_join_next() {
                    finished(sent)?;
                }
                let (client, at, upload, flow) = (self.clone(), at.clone(), upload.to_owned(), flow.clone());
                sending.spawn(async move {
                    let (length, _memory) = (bytes.len() as u64, memory);
                    flow.admit(length).await;
                    let sent = client.s3.put_part(&at, &upload, n, PutPayload::from(bytes)).await;
                    flow.moved(length);
                    Ok((n, sent.map_err(|e| client.failed(&format!("cannot send part {} of `{at}`", n + 1), e))?))
                });
            }
            n += 1;
        }
        while let Some(sent) = sending.join_next().await {
            finished(sent)?;
        }
        let is_longer = file.read(&mut [0]).context(what())? != 0;
        if is_longer || Sha256(hasher.finalize().into()) != want.sha256 {
            return Err(other_bytes(path, want));
        }
        Ok(done.into_values().collect())
    }
}

impl SeenPart {
    /// Its id, if it has these bytes: the ETag of a part is its MD5, unless the server encrypts; then it is sent again.
    fn holds(&self, bytes: &[u8]) -> Option<PartId> {
        if self.size != bytes.len() as u64 {
            return None;
        }
        let md5: String =
            tokio::task::block_in_place(|| Md5::digest(bytes)).iter().map(|b| format!("{b:02x}")).collect();
        (self.etag.trim_matches('"') == md5).then(|| PartId { content_id: self.etag.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_few_enough_and_the_same_each_time() {
        for size in [1, PART, 2 << 30, 100 << 30, 5 << 40] {
            let part = part_size(size);
            assert!(part >= PART && size.div_ceil(part) <= 10_000, "{size}: {part}");
        }
        assert_eq!(part_size(2 << 30), PART);
    }
}
