//! Forgejo and Gitea: releases over their common REST API (`/api/v1`, "repository: releases").
//!
//! What differs from others: assets have no digest, so each is downloaded and hashed once in a run; two assets may have one
//! name, so the second counts as half-made; no release can be made `latest`, which is always the newest.

mod http;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;
use reqwest::Method;
use serde::Deserialize;

use self::http::Http;
use super::draft::new_draft;
use super::{ForgeSpec, has_credentials, pinned};
use crate::adapter::{Adapter, Around, ForgeFacts, ForgeTable, Settings, Spec};
use crate::effects::{
    AssetFile, Discard, Forge, ForgeView, MarkLatest, ReleaseText, SeenAsset, SeenLatest, SeenRelease,
};
use crate::error::{Context as _, Error, Result};
use crate::http::{host, pages};
use crate::model::{Oid, RemoteName, SecretRef, Sha256, TagName, escape};
use crate::table::{Faults, RawSecret, Table, Text, keys, keys_of, secrets, server_address};

/// Releases on one page; servers give no more than 50.
const PAGE: usize = 50;

/// One repository on a Forgejo or Gitea server.
struct Forgejo {
    name: RemoteName,
    repository: String,
    http: Http,
    /// The release of each asset that was seen: the API names both.
    releases: Mutex<BTreeMap<u64, u64>>,
    /// What was downloaded and hashed, by the server's own name of the bytes.
    digests: Mutex<BTreeMap<String, Sha256>>,
}

#[derive(Debug, Deserialize)]
struct Release {
    id: u64,
    tag_name: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    body: String,
    draft: bool,
    prerelease: bool,
    html_url: String,
    #[serde(default)]
    assets: Vec<Attachment>,
}

#[derive(Debug, Deserialize)]
struct Attachment {
    id: u64,
    name: String,
    size: u64,
    uuid: String,
}

/// `GET /repos/{owner}/{repo}/git/refs/{ref}`: the one that fits, or all that begin so.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Refs {
    One(Reference),
    Many(Vec<Reference>),
}

#[derive(Debug, Deserialize)]
struct Reference {
    r#ref: String,
    object: Object,
}

#[derive(Debug, Deserialize)]
struct Object {
    sha: String,
}

/// The kind of forge.
pub(super) const ADAPTER: Adapter<dyn Forge> = Adapter {
    kind: "forgejo",
    about: "releases on a Forgejo or Gitea server",
    example: "[forge.forgejo]",
    keys: keys_of::<RawForgejo>(),
    programs: &[],
    facts: ForgeFacts {
        workflow_dirs: &[".forgejo/workflows", ".gitea/workflows", ".github/workflows"],
        automation: false,
        advisories: false,
    },
    parse,
};

keys! {
    /// A repository on a Forgejo or Gitea server.
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct RawForgejo {
        /// The base address of its API, such as `https://forge.example.org/api/v1`.
        api: Text,
        /// Where its token is found.
        token: Option<RawSecret> = "none: `plan` refuses it",
    }
}

fn parse(common: &ForgeTable, table: Table<'_>, faults: &mut Faults) -> Option<Spec<dyn Forge>> {
    let base = table.base().to_owned();
    let raw: RawForgejo = table.read(faults)?;
    let api = Some(server_address(&raw.api, "a forge's API is asked over TLS only", faults));
    let token = raw.token.as_ref().and_then(|t| faults.keep(secrets::reference(t, &base)));
    let (name, repository) = (common.name.clone(), common.repository.clone());
    Some(Arc::new(Configured(ForgeSpec { name, repository, api, uploads: None, token, app: None })))
}

/// A checked table.
#[derive(Debug)]
struct Configured(ForgeSpec);

impl Configured {
    fn api(&self) -> &str {
        self.0.api.as_deref().unwrap_or_default()
    }
}

impl Settings<dyn Forge> for Configured {
    fn place(&self) -> String {
        self.0.repository.clone()
    }

    fn pins(&self) -> Vec<(&'static str, String)> {
        vec![("api", pinned(self.0.api.as_ref())), ("uploads", pinned(None))]
    }

    fn secrets(&self) -> Vec<(&'static str, &SecretRef)> {
        self.0.token.iter().map(|token| ("token", token)).collect()
    }

    fn hosts(&self) -> Vec<String> {
        host(self.api()).into_iter().collect()
    }

    fn lacks_nothing(&self) -> Result<()> {
        has_credentials(&self.0)
    }

    fn clock(&self) -> Option<String> {
        // <https://forgejo.org/docs/latest/user/api-usage/>
        Some(format!("{}/version", self.api().trim_end_matches('/')))
    }

    fn open(&self, around: &Around) -> Result<Arc<dyn Forge>> {
        Ok(Arc::new(Forgejo {
            name: self.0.name.clone(),
            repository: self.0.repository.clone(),
            http: Http::new(&self.0, self.api(), &around.into())?,
            releases: Mutex::default(),
            digests: Mutex::default(),
        }))
    }
}

impl Forgejo {
    fn path(&self, rest: &str) -> String {
        format!("/repos/{}{rest}", self.repository)
    }

    async fn tag(&self, tag: &TagName) -> Result<Option<Oid>> {
        let Some(refs) = self.http.get::<Refs>(&self.path(&format!("/git/refs/tags/{tag}"))).await? else {
            return Ok(None);
        };
        let all = match refs {
            Refs::One(one) => vec![one],
            Refs::Many(many) => many,
        };
        let found = all.into_iter().find(|r| r.r#ref == format!("refs/tags/{tag}"));
        Ok(found.map(|r| r.object.sha.parse()).transpose()?)
    }

    /// The assets as they are to be judged.
    async fn assets(&self, release: u64, attachments: Vec<Attachment>) -> Result<Vec<SeenAsset>> {
        let mut out: Vec<SeenAsset> = Vec::new();
        for a in attachments {
            self.releases.lock().insert(a.id, release);
            // A try whose answer was lost, made again: one of the two is enough.
            let whole = out.iter().all(|other| other.name != a.name);
            let digest = if whole { Some(self.digest(&a).await?) } else { None };
            out.push(SeenAsset { id: a.id, name: a.name, size: a.size, digest, whole });
        }
        Ok(out)
    }

    async fn digest(&self, attachment: &Attachment) -> Result<Sha256> {
        let known = self.digests.lock().get(&attachment.uuid).copied();
        if let Some(known) = known {
            return Ok(known);
        }
        let found = self.http.hash(&attachment.uuid).await?;
        self.digests.lock().insert(attachment.uuid.clone(), found);
        Ok(found)
    }
}

#[async_trait::async_trait]
impl Forge for Forgejo {
    fn name(&self) -> &RemoteName {
        &self.name
    }

    async fn probe(&self) -> Result<()> {
        self.http.probe().await
    }

    async fn observe(&self, tag: &TagName) -> Result<ForgeView> {
        let mut view = ForgeView { tag: self.tag(tag).await?, releases: Vec::new(), latest: SeenLatest::Newest };
        let read = |(page, mut seen): (usize, BTreeSet<u64>)| async move {
            let path = self.path(&format!("/releases?limit={PAGE}&page={page}"));
            let found: Vec<Release> = self.http.get(&path).await?.ok_or_else(|| {
                Error::input(format!("`{}` shows no repository `{}`", self.name, escape(&self.repository))).hint(
                    "check `repository`, and that the token may read it: a server answers 404 for what it may not",
                )
            })?;
            // A server that forgets the page number shows the first one forever.
            if found.iter().all(|r| seen.contains(&r.id)) {
                return Ok((Vec::new(), None));
            }
            seen.extend(found.iter().map(|r| r.id));
            Ok((found, Some((page + 1, seen))))
        };
        let listed = pages((&self.name, "/releases"), (1, BTreeSet::new()), read).await?;
        for release in listed.into_iter().flatten() {
            let ours = release.tag_name == tag.as_str();
            let assets = if ours { self.assets(release.id, release.assets).await? } else { Vec::new() };
            view.releases.push(SeenRelease {
                id: release.id,
                tag: release.tag_name,
                title: release.name,
                notes: release.body,
                draft: release.draft,
                prerelease: release.prerelease,
                location: release.html_url,
                assets,
            });
        }
        Ok(view)
    }

    async fn create_draft(&self, text: &ReleaseText) -> Result<()> {
        self.http.change(Method::POST, &self.path("/releases"), Some(new_draft(text)?)).await
    }

    async fn upload(&self, draft: u64, asset: &AssetFile) -> Result<()> {
        let path = self.path(&format!("/releases/{draft}/assets"));
        self.http.upload(&path, asset).await.map_err(|e| e.context(format!("asset `{}`", asset.name)))
    }

    async fn discard(&self, what: Discard) -> Result<()> {
        let path = match what {
            Discard::Draft(id) => self.path(&format!("/releases/{id}")),
            Discard::Asset(id) => {
                let of = self.releases.lock().get(&id).copied();
                let of = of.ok_or_else(|| Error::fatal(format!("asset {id} of `{}` was never seen", self.name)))?;
                self.path(&format!("/releases/{of}/assets/{id}"))
            }
        };
        self.http.remove(&path).await
    }

    async fn publish(&self, draft: u64, _: MarkLatest) -> Result<()> {
        let body = serde_json::to_vec(&serde_json::json!({"draft": false})).context("cannot write a change as JSON")?;
        self.http.change(Method::PATCH, &self.path(&format!("/releases/{draft}")), Some(body)).await
    }

    async fn set_latest(&self, _: u64) -> Result<()> {
        Ok(())
    }
}
