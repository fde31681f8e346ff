//! The parts of the API's answers that are read (REST API description, version 2022-11-28).

use serde::{Deserialize, Serialize};

use crate::effects::{SeenAsset, SeenRelease};

/// `GET /repos/{owner}/{repo}/git/ref/{ref}`.
#[derive(Debug, Deserialize)]
pub(super) struct GitRef {
    pub(super) object: GitObject,
}

/// What a ref points to.
#[derive(Debug, Deserialize)]
pub(super) struct GitObject {
    pub(super) sha: String,
}

/// A release.
#[derive(Debug, Deserialize)]
pub(super) struct ReleaseAnswer {
    pub(super) id: u64,
    pub(super) tag_name: String,
    pub(super) name: Option<String>,
    pub(super) body: Option<String>,
    pub(super) draft: bool,
    pub(super) prerelease: bool,
    pub(super) html_url: String,
    pub(super) upload_url: String,
}

/// An asset of a release.
#[derive(Debug, Deserialize)]
pub(super) struct Asset {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) state: String,
    pub(super) size: u64,
    pub(super) digest: Option<String>,
}

/// `PATCH /repos/{owner}/{repo}/releases/{release_id}`.
#[derive(Debug, Serialize)]
pub(super) struct ReleaseChange {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) draft: Option<bool>,
    /// Its default is `true`, which would steal `latest` from a newer line: always said.
    pub(super) make_latest: &'static str,
}

impl From<Asset> for SeenAsset {
    fn from(a: Asset) -> Self {
        let digest = a.digest.as_deref().and_then(|d| d.strip_prefix("sha256:")).and_then(|d| d.parse().ok());
        Self { id: a.id, name: a.name, size: a.size, digest, whole: a.state == "uploaded" }
    }
}

impl From<ReleaseAnswer> for SeenRelease {
    fn from(r: ReleaseAnswer) -> Self {
        Self {
            id: r.id,
            tag: r.tag_name,
            title: r.name.unwrap_or_default(),
            notes: r.body.unwrap_or_default(),
            draft: r.draft,
            prerelease: r.prerelease,
            location: r.html_url,
            assets: Vec::new(),
        }
    }
}
