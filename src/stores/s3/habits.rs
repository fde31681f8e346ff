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
use crate::http::plain_reason;
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
        let comparison = match self.swap(&key, &stat, TEXT.to_vec()).await {
            // A bucket that keeps versions may refuse it each time: that it keeps them is what is said then.
            Err(_) if versions == Tried::Yes => Comparison::Unknown,
            swapped => {
                swapped?;
                let bare = self.bare_etags.load(Ordering::Relaxed);
                if bare { Comparison::BareETag } else { Comparison::QuotedETag }
            }
        };
        Ok(Habits {
            comparison,
            resumes: self.resumes(&format!("{dir}/parts")).await.into(),
            presigns: self.presigns(&key).await.into(),
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

    /// Whether an address that was signed gives the object. The address is a secret, so no error shows it.
    async fn presigns(&self, key: &str) -> Result<bool> {
        let url = self.signed(key, MOMENT).await?;
        let lost = |e: reqwest::Error| Error::transient(plain_reason(&e.without_url()));
        let mut answer = self.http.get(url.expose()).send().await.map_err(lost)?;
        let status = answer.status();
        if status.is_server_error() || status == reqwest::StatusCode::TOO_MANY_REQUESTS {
            return Err(Error::transient(format!("the server answers {}", status.as_u16())));
        }
        let mut bytes = Vec::new();
        while bytes.len() <= TEXT.len()
            && let Some(more) = answer.chunk().await.map_err(lost)?
        {
            bytes.extend_from_slice(&more);
        }
        Ok(status.is_success() && bytes == TEXT)
    }

    /// Whether an upload that is not ended is found, with the part that was sent.
    async fn resumes(&self, key: &str) -> Result<bool> {
        let at = self.key(key)?;
        let upload = self.begin(key, &at).await?;
        let found = self.shows_a_part(key, &at, &upload).await;
        let aborted = self.s3.abort_multipart(&at, &upload).await;
        aborted.map_err(|e| self.failed("cannot abort an upload", e))?;
        found
    }

    async fn shows_a_part(&self, key: &str, at: &Key, upload: &str) -> Result<bool> {
        let sent = self.s3.put_part(at, &upload.to_owned(), 0, PutPayload::from_static(TEXT)).await;
        sent.map_err(|e| self.failed("cannot send a part of an upload", e))?;
        Ok(self.latest_upload(key).await?.as_deref() == Some(upload)
            && self.parts(key, upload).await?.get(&0).is_some_and(|part| part.size == TEXT.len() as u64))
    }

    /// Whether the bucket says that it keeps versions. A key that may not ask does not know.
    pub(super) async fn versions(&self) -> Tried {
        match self.ask::<Versioning>(&Key::default(), &[("versioning", "")]).await {
            Ok(Some(found)) => (found.status == "Enabled").into(),
            Ok(None) => Tried::Unknown("the server does not say whether the bucket keeps versions".to_owned()),
            Err(e) => Err(e).into(),
        }
    }
}
