//! Uploads that are not complete, as the server lists them. The library has no call for these lists, but signs them.

use std::collections::BTreeMap;
use std::time::Duration;

use object_store::multipart::MultipartStore as _;
use object_store::path::Path as Key;
use object_store::signer::{SignedUrlOptions, Signer as _};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Client;
use super::failure::{Refusal, is_no_upload, refused};
use crate::error::{Context as _, Error, Part, Result};
use crate::http::{ANSWER_LIMIT, plain_reason};

/// How long a signed request may take to be sent.
const VALID: Duration = Duration::from_secs(60);
/// How many pages of a list are read at most.
const PAGES: usize = 100;

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListMultipartUploads.html>
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Uploads {
    #[serde(default)]
    is_truncated: bool,
    #[serde(default)]
    next_key_marker: String,
    #[serde(default)]
    next_upload_id_marker: String,
    #[serde(default, rename = "Upload")]
    uploads: Vec<Upload>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Upload {
    key: String,
    upload_id: String,
    #[serde(default)]
    initiated: String,
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListParts.html>
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Parts {
    #[serde(default)]
    is_truncated: bool,
    #[serde(default)]
    next_part_number_marker: String,
    #[serde(default, rename = "Part")]
    parts: Vec<ListedPart>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListedPart {
    part_number: usize,
    #[serde(rename = "ETag")]
    etag: String,
    size: u64,
}

/// A part that the server has.
#[derive(Debug, Clone)]
pub(super) struct SeenPart {
    pub(super) etag: String,
    pub(super) size: u64,
}

impl Client {
    /// The upload of this key that was begun last.
    pub(super) async fn latest_upload(&self, key: &str) -> Result<Option<String>> {
        let at = self.key(key)?;
        let mut found = self.uploads(at.as_ref()).await?;
        found.retain(|upload| upload.key == at.as_ref());
        found.sort_by(|a, b| a.initiated.cmp(&b.initiated));
        Ok(found.pop().map(|upload| upload.upload_id))
    }

    /// Aborts every upload of a key that begins so.
    pub(super) async fn abort_uploads(&self, prefix: &str) -> Result<()> {
        for Upload { key, upload_id, .. } in self.uploads(&format!("{}{prefix}", self.spot.prefix)).await? {
            let at = Key::parse(&key).context(format!("`{key}` cannot be a key"))?;
            match self.s3.abort_multipart(&at, &upload_id).await {
                Err(e) if !is_no_upload(&e) => {
                    return Err(self.failed(&format!("cannot abort an upload of `{key}`"), e));
                }
                _ => {}
            }
        }
        Ok(())
    }

    async fn uploads(&self, prefix: &str) -> Result<Vec<Upload>> {
        let (mut found, mut markers) = (Vec::new(), (String::new(), String::new()));
        for _ in 0..PAGES {
            let mut query = vec![("uploads", ""), ("prefix", prefix)];
            if !markers.0.is_empty() {
                query.extend([("key-marker", &*markers.0), ("upload-id-marker", &*markers.1)]);
            }
            let Some(page) = self.ask::<Uploads>(&Key::default(), &query).await? else { break };
            found.extend(page.uploads);
            if !page.is_truncated {
                break;
            }
            markers = (page.next_key_marker, page.next_upload_id_marker);
        }
        Ok(found)
    }

    /// The parts of an upload that the server has, by their position.
    pub(super) async fn parts(&self, key: &str, upload: &str) -> Result<BTreeMap<usize, SeenPart>> {
        let (at, mut found, mut marker) = (self.key(key)?, BTreeMap::new(), String::new());
        for _ in 0..PAGES {
            let mut query = vec![("uploadId", upload)];
            if !marker.is_empty() {
                query.push(("part-number-marker", &marker));
            }
            let Some(page) = self.ask::<Parts>(&at, &query).await? else { break };
            let parts = page.parts.into_iter().filter(|part| part.part_number > 0);
            found.extend(parts.map(|p| (p.part_number - 1, SeenPart { etag: p.etag, size: p.size })));
            if !page.is_truncated {
                break;
            }
            marker = page.next_part_number_marker;
        }
        Ok(found)
    }

    /// Reads what the library has no call for; `None` if there is no such thing.
    pub(super) async fn ask<T: DeserializeOwned>(&self, at: &Key, query: &[(&str, &str)]) -> Result<Option<T>> {
        let what = "cannot read what the bucket says of itself";
        let options = SignedUrlOptions::new().with_query(query.iter().copied());
        let signed = self.s3.signed_url_opts(reqwest::Method::GET, at, VALID, &options).await;
        let url = signed.map_err(|e| self.failed(what, e))?;
        let lost = |e: reqwest::Error| {
            let reason = plain_reason(&e.without_url());
            Error::transient(format!("{what}: {reason} ({})", self.spot.endpoint)).of(Part::Store)
        };
        let mut answer = self.http.get(url).send().await.map_err(lost)?;
        let (status, mut body) = (answer.status(), Vec::new());
        while let Some(piece) = answer.chunk().await.map_err(lost)? {
            body.extend_from_slice(&piece);
            if body.len() > ANSWER_LIMIT {
                let why = format!("{what}: the server answers with more than {ANSWER_LIMIT} bytes");
                return Err(Error::verification(why).of(Part::Store));
            }
        }
        if status == reqwest::StatusCode::NOT_FOUND {
            return Ok(None);
        }
        if !status.is_success() {
            return Err(refused(what, &self.spot, &Refusal::new(status, &body)));
        }
        let text = String::from_utf8_lossy(&body);
        quick_xml::de::from_str(&text).map(Some).context(format!("{what}: the server's list cannot be read"))
    }
}
