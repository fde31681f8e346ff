//! GitHub and GitHub Enterprise Server: releases over the REST API, one method a request or a few.

mod advisories;
mod answers;
mod pulls;
mod table;
#[cfg(test)]
mod tests;
mod workflows;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use parking_lot::Mutex;
use reqwest::{Method, Url};

use self::answers::{Asset, GitRef, ReleaseAnswer, ReleaseChange};
use super::draft::new_draft;
use super::{ForgeSpec, Surroundings};
use crate::adapter::{Adapter, ForgeFacts};
use crate::effects::{
    Advisories, AssetFile, Automation, Discard, Forge, ForgeView, MarkLatest, PullRequests, ReleaseText, SeenLatest,
    SeenRelease,
};
use crate::error::{Context as _, Error, Part, Result};
use crate::http::{Body, Client, Dialect, Host, Upload};
use crate::model::{Oid, RemoteName, TagName, escape};
use crate::table::keys_of;

pub use crate::http::Deadlines;

/// Where the REST API is, unless the configuration says otherwise.
pub(super) const API: &str = "https://api.github.com";
/// Where that API's uploads go.
const UPLOADS: &str = "https://uploads.github.com";

/// When a personal access token ends: GitHub's docs, "Token expiration and revocation".
const EXPIRATION: &str = "github-authentication-token-expiration";

/// How GitHub is spoken to.
const DIALECT: Dialect = Dialect {
    accept: "application/vnd.github+json",
    version: Some(("x-github-api-version", "2022-11-28")),
    scheme: "Bearer",
    token: "add `token = { env = \"GITHUB_TOKEN\" }` or `app = { … }` to its table in `lifeboat.toml`, then `lifeboat reconcile`",
    denied: "GitHub answers 404 for what a token may not see: it needs `contents: write`, and `workflows: write` where the \
             release's commits change `.github/workflows`; fix it, then `lifeboat reconcile`",
};

/// One repository on GitHub.
pub struct GitHub {
    name: RemoteName,
    repository: String,
    api: String,
    /// The host that takes assets, if the configuration names it.
    configured_uploads: Option<String>,
    client: Client,
    /// Where each release takes its assets, as the API said.
    upload_urls: Mutex<BTreeMap<u64, String>>,
}

/// The kind of forge.
pub(super) const ADAPTER: Adapter<dyn Forge> = Adapter {
    kind: "github",
    about: "releases, workflows, pull requests and advisories on github.com or GitHub Enterprise",
    example: "[forge.github]",
    keys: keys_of::<table::RawGitHub>(),
    programs: &[],
    facts: ForgeFacts { workflow_dirs: &[".github/workflows"], automation: true, advisories: true },
    parse: table::parse,
};

impl GitHub {
    /// The repository that `spec` names; touches nothing yet.
    #[must_use]
    pub fn new(spec: &ForgeSpec, around: &Surroundings) -> Self {
        let api = spec.api.clone().unwrap_or_else(|| API.to_owned());
        let client = Client::new(spec.account(), api.clone(), around.clone(), &DIALECT);
        let (name, repository) = (spec.name.clone(), spec.repository.clone());
        Self { name, repository, api, configured_uploads: spec.uploads.clone(), client, upload_urls: Mutex::default() }
    }

    /// The same with other deadlines, for tests and slow lines.
    #[must_use]
    pub fn with_deadlines(mut self, deadlines: Deadlines) -> Self {
        self.client.set_deadlines(deadlines);
        self
    }

    fn path(&self, rest: &str) -> String {
        format!("/repos/{}{rest}", self.repository)
    }

    fn url(&self, rest: &str) -> Result<Url> {
        self.client.url(&self.path(rest))
    }

    async fn tag(&self, tag: &TagName) -> Result<Option<Oid>> {
        let url = self.url(&format!("/git/ref/tags/{tag}"))?;
        let answer = self.client.get(&url).await?;
        if answer.status == 404 {
            return Ok(None);
        }
        let found: GitRef = self.client.json(&answer, "GET", &url)?;
        Ok(Some(found.object.sha.parse()?))
    }

    async fn latest(&self) -> Result<Option<String>> {
        let url = self.url("/releases/latest")?;
        let answer = self.client.get(&url).await?;
        if answer.status == 404 {
            return Ok(None);
        }
        Ok(Some(self.client.json::<ReleaseAnswer>(&answer, "GET", &url)?.tag_name))
    }

    /// Remembers where a release takes its assets.
    fn keep_upload_url(&self, release: &ReleaseAnswer) {
        let url = release.upload_url.split('{').next().unwrap_or_default().to_owned();
        self.upload_urls.lock().insert(release.id, url);
    }

    async fn upload_url(&self, release: u64) -> Result<Url> {
        if let Some(base) = &self.configured_uploads {
            let text = format!("{base}{}", self.path(&format!("/releases/{release}/assets")));
            return Url::parse(&text).context(format!("`{text}` is not an address"));
        }
        let known = self.upload_urls.lock().get(&release).cloned();
        let text = match known {
            Some(url) => url,
            None => {
                let url = self.url(&format!("/releases/{release}"))?;
                let answer = self.client.get(&url).await?;
                let found: ReleaseAnswer = self.client.json(&answer, "GET", &url)?;
                self.keep_upload_url(&found);
                found.upload_url.split('{').next().unwrap_or_default().to_owned()
            }
        };
        let base = self.client.url("")?;
        let url = Url::parse(&text).context(format!("`{}` names an upload address that is none", self.name))?;
        if may_receive(&base, &url) {
            Ok(url)
        } else {
            let shown = escape(url.host_str().unwrap_or_default());
            Err(Error::verification(format!(
                "`{}` wants uploads sent to `{shown}`, which is not its own host",
                self.name
            ))
            .hint("nothing was sent: the token goes to the API's own hosts only; if that host is right, set `uploads` in its table"))
        }
    }
}

/// A tag name that belonged to an immutable release, which somebody removed, is given to no other one.
fn used_tag(forge: &RemoteName, tag: &TagName, says: &str) -> Error {
    Error::conflict(format!("`{forge}` takes no release of tag `{tag}` any more: an immutable one was removed there"))
        .detail(format!("it says: {}", escape(says)))
        .hint("nothing brings that name back: the project's own stores have the release; for this forge, ship the next version")
}

/// The time in [`EXPIRATION`]: `2026-12-31 23:59:59 UTC`, or with an offset such as `-0400`.
fn token_end(text: &str) -> Option<Timestamp> {
    let text = text.trim().replace("UTC", "+0000");
    jiff::fmt::strtime::parse("%Y-%m-%d %H:%M:%S %z", text).ok()?.to_timestamp().ok()
}

/// Where the API at this address says that assets go, as far as the address says.
fn uploads_of(api: &str) -> Option<String> {
    match api.strip_suffix("/api/v3") {
        Some(server) => Some(format!("{server}/api/uploads")),
        None => (api == API).then(|| UPLOADS.to_owned()),
    }
}

/// Whether the token of the API at `base` may be sent to `url`: an answer must not lead it elsewhere.
fn may_receive(base: &Url, url: &Url) -> bool {
    let loopback = |u: &Url| matches!(u.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    let safe = url.scheme() == "https" || (loopback(base) && loopback(url));
    let githubs = || Url::parse(UPLOADS).is_ok_and(|uploads| uploads.origin() == url.origin());
    let related = url.host_str() == base.host_str() || (base.as_str().trim_end_matches('/') == API && githubs());
    safe && related
}

#[async_trait::async_trait]
impl Forge for GitHub {
    fn name(&self) -> &RemoteName {
        &self.name
    }

    async fn probe(&self) -> Result<()> {
        self.client.probe(&self.api).await.map_err(|e| e.of(Part::Api))
    }

    async fn parts(&self) -> Vec<(Part, Result<()>)> {
        let Some(uploads) = self.configured_uploads.clone().or_else(|| uploads_of(&self.api)) else {
            return vec![(Part::Api, self.probe().await)];
        };
        let (api, uploads) = tokio::join!(self.probe(), self.client.probe(&uploads));
        vec![(Part::Api, api), (Part::Uploads, uploads.map_err(|e| e.of(Part::Uploads)))]
    }

    async fn credential_expires(&self) -> Result<Option<Timestamp>> {
        let answer = self.client.get(&self.url("")?).await?;
        if answer.status == 401 {
            return Err(Error::verification(format!("`{}` refuses the token: it has ended or was revoked", self.name))
                .hint("make a new token, and put it where the old one is"));
        }
        let Some(says) = answer.header(EXPIRATION) else { return Ok(None) };
        let ends = token_end(says);
        ends.map(Some).ok_or_else(|| Error::fatal(format!("`{}` is not a date of `{EXPIRATION}`", escape(says))))
    }

    async fn observe(&self, tag: &TagName) -> Result<ForgeView> {
        let object = self.tag(tag).await?;
        let path = self.path("/releases");
        let listed: Vec<ReleaseAnswer> = self.client.get_all(&path).await?.ok_or_else(|| {
            Error::input(format!("`{}` shows no repository `{}`", self.name, self.repository)).hint(
                "GitHub answers 404 for what a token may not see: fix `repository` or the token, then `lifeboat reconcile`",
            )
        })?;
        let mut releases = Vec::with_capacity(listed.len());
        let mut seen = BTreeSet::new();
        // One that slid to the next page while the pages were read is there twice.
        for release in listed.into_iter().filter(|r| seen.insert(r.id)) {
            self.keep_upload_url(&release);
            let mut seen = SeenRelease::from(release);
            if seen.tag == tag.as_str() {
                // One that has none to show was removed since, or this answer is older than the list; if it were left out, a
                // second draft would stay.
                let path = self.path(&format!("/releases/{}/assets", seen.id));
                let assets = self.client.get_all::<Asset>(&path).await?.unwrap_or_default();
                seen.assets = assets.into_iter().map(Into::into).collect();
            }
            releases.push(seen);
        }
        Ok(ForgeView { tag: object, releases, latest: SeenLatest::Made(self.latest().await?) })
    }

    async fn create_draft(&self, text: &ReleaseText) -> Result<()> {
        let url = self.url("/releases")?;
        let body = new_draft(text)?;
        let answer = self.client.change(Host::Api, Method::POST, &url, Body::Json(body)).await?;
        if answer.status == 422 && answer.refusal().says("immutable release") {
            return Err(used_tag(&self.name, &text.tag, &answer.refusal().message));
        }
        let made: ReleaseAnswer = self.client.json(&answer, "POST", &url)?;
        self.keep_upload_url(&made);
        Ok(())
    }

    async fn upload(&self, draft: u64, asset: &AssetFile) -> Result<()> {
        let mut url = self.upload_url(draft).await?;
        url.query_pairs_mut().append_pair("name", &asset.name);
        let file = Upload { path: asset.path.clone(), size: asset.digests.size, form: None, hasher: None, flow: None };
        let answer = self.client.change(Host::Uploads, Method::POST, &url, Body::File(&file)).await?;
        let refusal = answer.refusal();
        if answer.status == 422 && refusal.says("immutable") {
            // The look that asked for it was older than its publication.
            return Err(Error::transient(format!("`{}` has published the release of `{}`", self.name, asset.name)));
        }
        if answer.status == 422 && refusal.has_code("already_exists") {
            // What an earlier try left, perhaps half-made: only a read shows it.
            return Err(Error::transient(format!("`{}` has an asset `{}` already", self.name, asset.name)));
        }
        self.client.accepted(&answer, "POST", &url).map_err(|e| e.context(format!("asset `{}`", asset.name)))
    }

    async fn discard(&self, what: Discard) -> Result<()> {
        let url = match what {
            Discard::Asset(id) => self.url(&format!("/releases/assets/{id}"))?,
            Discard::Draft(id) => self.url(&format!("/releases/{id}"))?,
        };
        let answer = self.client.change(Host::Api, Method::DELETE, &url, Body::None).await?;
        if answer.status == 404 { Ok(()) } else { self.client.accepted(&answer, "DELETE", &url) }
    }

    async fn publish(&self, draft: u64, latest: MarkLatest) -> Result<()> {
        self.change_release(draft, Some(false), latest).await
    }

    async fn set_latest(&self, release: u64) -> Result<()> {
        self.change_release(release, None, MarkLatest::Yes).await
    }

    fn advisories(&self) -> Option<&dyn Advisories> {
        Some(self)
    }

    fn automation(&self) -> Option<&dyn Automation> {
        Some(self)
    }

    fn pull_requests(&self) -> Option<&dyn PullRequests> {
        Some(self)
    }
}

impl GitHub {
    async fn change_release(&self, id: u64, draft: Option<bool>, latest: MarkLatest) -> Result<()> {
        let url = self.url(&format!("/releases/{id}"))?;
        let make_latest = if latest == MarkLatest::Yes { "true" } else { "false" };
        let body =
            serde_json::to_vec(&ReleaseChange { draft, make_latest }).context("cannot write a change as JSON")?;
        let answer = self.client.change(Host::Api, Method::PATCH, &url, Body::Json(body)).await?;
        self.client.accepted(&answer, "PATCH", &url)
    }
}
