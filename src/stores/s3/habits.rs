//! What servers of buckets differ in beside what a train needs: found by acting.

use std::sync::atomic::Ordering;
use std::time::Duration;

use object_store::PutPayload;
use object_store::multipart::MultipartStore as _;
use object_store::path::Path as Key;
use object_store::signer::{SignedUrlOptions, Signer as _};
use serde::Deserialize;

use super::Client;
use crate::effects::{Comparison, Habits, Tried};
use crate::error::{Error, Result};
use crate::model::Secret;

/// How long the address is good that is tried out.
const MOMENT: Duration = Duration::from_secs(60);
/// What is put.
const TEXT: &[u8] = b"habits\n";

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketVersioning.html>
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Versioning {
    #[serde(default)]
    status: String,
}

impl Client {
    /// Tries everything out below a directory that is removed afterwards.
    pub(super) async fn habits(&self, dir: &str) -> Result<Habits> {
        let key = format!("{dir}/habits");
        self.put_small(&key, TEXT.to_vec()).await?;
        let shown = Error::fatal("the server does not show what was just put there");
        let stat = self.stat(&key).await?.ok_or(shown)?;
        let versions = self.versions().await;
        match self.swap(&key, &stat, TEXT.to_vec()).await {
            // A bucket that keeps versions never does it: that is what is said then.
            Err(_) if versions == Tried::Yes => {}
            swapped => drop(swapped?),
        }
        let bare = self.bare_etags.load(Ordering::Relaxed);
        Ok(Habits {
            comparison: if bare { Comparison::BareETag } else { Comparison::QuotedETag },
            resumes: self.resumes(&format!("{dir}/parts")).await?,
            presigns: self.presigns(&key).await?,
            versions,
            ..Habits::default()
        })
    }

    /// An address at which anybody can read an object for so long.
    pub(super) async fn signed(&self, key: &str, lasts: Duration) -> Result<Secret> {
        let options = SignedUrlOptions::new();
        let signed = self.s3.signed_url_opts(reqwest::Method::GET, &self.key(key)?, lasts, &options).await;
        Ok(Secret::new(signed.map_err(|e| self.failed(&format!("cannot sign an address of `{key}`"), e))?.as_str()))
    }

    async fn presigns(&self, key: &str) -> Result<Tried> {
        let url = self.signed(key, MOMENT).await?;
        let Ok(mut answer) = self.http.get(url.expose()).send().await else { return Ok(Tried::Unknown) };
        let mut bytes = Vec::new();
        while bytes.len() <= TEXT.len()
            && let Ok(Some(more)) = answer.chunk().await
        {
            bytes.extend_from_slice(&more);
        }
        let gave = answer.status().is_success() && bytes == TEXT;
        Ok(if gave { Tried::Yes } else { Tried::No })
    }

    /// Whether an upload that is not ended is found, with the part that was sent.
    async fn resumes(&self, key: &str) -> Result<Tried> {
        let at = self.key(key)?;
        let upload = self.begin(key, &at).await?;
        let sent = self.s3.put_part(&at, &upload, 0, PutPayload::from_static(TEXT)).await;
        let found = match sent {
            Ok(_) => {
                self.latest_upload(key).await? == Some(upload.clone())
                    && self.parts(key, &upload).await?.get(&0).is_some_and(|part| part.size == TEXT.len() as u64)
            }
            Err(_) => false,
        };
        let aborted = self.s3.abort_multipart(&at, &upload).await;
        aborted.map_err(|e| self.failed("cannot abort an upload", e))?;
        Ok(if found { Tried::Yes } else { Tried::No })
    }

    /// Whether the bucket says that it keeps versions. A key that may not ask does not know.
    async fn versions(&self) -> Tried {
        match self.ask::<Versioning>(&Key::default(), &[("versioning", "")]).await {
            Ok(Some(found)) if found.status == "Enabled" => Tried::Yes,
            Ok(Some(_)) => Tried::No,
            Ok(None) | Err(_) => Tried::Unknown,
        }
    }
}
