//! How a Forgejo or Gitea server is spoken to, beyond what every server has: forms for assets, and attachments.

use std::time::Duration;

use reqwest::{Method, Url};

use super::super::{ForgeSpec, Surroundings};
use crate::effects::AssetFile;
use crate::error::{Context as _, Error, Part, Result};
use crate::http::{Body, Client, Deadlines, Dialect, Form, Host, Upload};
use crate::model::{Sha256, escape};

/// A server of one's own may be slow, and hashes nothing: an upload ends when it is on its disk.
const DEADLINES: Deadlines = Deadlines {
    connect: Duration::from_secs(3),
    read: Duration::from_secs(15),
    write: Duration::from_secs(30),
    stall: Duration::from_secs(30),
};

/// Stands between the parts of an upload, and nowhere in its headers.
const BOUNDARY: &str = "lifeboat-a0f2b6c4-part";

const DIALECT: Dialect = Dialect {
    accept: "application/json",
    version: None,
    scheme: "token",
    token: "add `token = { env = \"FORGEJO_TOKEN\" }` to its table in `lifeboat.toml`, then `lifeboat reconcile`",
    denied: "the token needs `write:repository`; fix it, then `lifeboat reconcile`",
};

pub(super) struct Http {
    name: String,
    api: String,
    client: Client,
}

impl Http {
    pub(super) fn new(spec: &ForgeSpec, api: &str, around: &Surroundings) -> Result<Self> {
        let api = api.trim_end_matches('/').to_owned();
        Url::parse(&api).context(format!("`{api}` is not an address"))?;
        let mut client = Client::new(spec.account(), api.clone(), around.clone(), &DIALECT);
        client.set_deadlines(DEADLINES);
        Ok(Self { name: spec.name.to_string(), api, client })
    }

    pub(super) async fn probe(&self) -> Result<()> {
        self.client.probe(&format!("{}/version", self.api)).await.map_err(|e| e.of(Part::Api))
    }

    /// Reads JSON; none for what is not there.
    pub(super) async fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<Option<T>> {
        let url = self.client.url(path)?;
        let answer = self.client.get(&url).await?;
        if answer.status == 404 { Ok(None) } else { self.client.json(&answer, "GET", &url).map(Some) }
    }

    /// Makes one change with a JSON body.
    pub(super) async fn change(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Result<()> {
        let url = self.client.url(path)?;
        let body = body.map_or(Body::None, Body::Json);
        let answer = self.client.change(Host::Api, method.clone(), &url, body).await?;
        if answer.status == 409 {
            // It is there already, by an earlier try or somebody else: only a read shows it.
            return Err(Error::transient(format!("`{}` has it already: {method} `{}`", self.name, escape(path))));
        }
        self.client.accepted(&answer, method.as_str(), &url)
    }

    /// Removes something; what is gone already is not an error.
    pub(super) async fn remove(&self, path: &str) -> Result<()> {
        let url = self.client.url(path)?;
        let answer = self.client.change(Host::Api, Method::DELETE, &url, Body::None).await?;
        if answer.status == 404 { Ok(()) } else { self.client.accepted(&answer, "DELETE", &url) }
    }

    /// Sends a file as a form with one part, streamed from disk with its length.
    pub(super) async fn upload(&self, path: &str, asset: &AssetFile) -> Result<()> {
        // Names of assets are plain: no quote can end the parameter.
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"attachment\"; filename=\"{}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n",
            asset.name
        );
        let (tail, content_type) =
            (format!("\r\n--{BOUNDARY}--\r\n"), format!("multipart/form-data; boundary={BOUNDARY}"));
        let form = Some(Form { content_type, head, tail });
        let file = Upload { path: asset.path.clone(), size: asset.digests.size, form, hasher: None, flow: None };
        let mut url = self.client.url(path)?;
        url.query_pairs_mut().append_pair("name", &asset.name);
        let answer = self.client.change(Host::Api, Method::POST, &url, Body::File(&file)).await?;
        self.client.accepted(&answer, "POST", &url)
    }

    /// Downloads an attachment, draft or not, and hashes it.
    pub(super) async fn hash(&self, uuid: &str) -> Result<Sha256> {
        // Attachments lie beside the API, not below it.
        let root = self.api.trim_end_matches("/api/v1");
        let text = format!("{root}/attachments/{uuid}");
        let url = Url::parse(&text).context(format!("`{}` is not an address", escape(&text)))?;
        self.client.hash(&url).await
    }
}
