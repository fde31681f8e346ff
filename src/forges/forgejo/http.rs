//! HTTP to a Forgejo or Gitea server: deadlines, reads tried again, errors that say how sure they are.

use std::collections::BTreeSet;
use std::io::Cursor;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::SignedDuration;
use reqwest::header::{self, HeaderValue};
use reqwest::{Method, Response, Url};
use sha2::{Digest as _, Sha256 as Hasher};
use tokio::io::AsyncReadExt as _;
use tokio_util::io::ReaderStream;

use super::super::Surroundings;
use crate::effects::{AssetFile, Clock, SecretResolver};
use crate::error::{Context as _, Error, ErrorKind, Result};
use crate::model::{SecretRef, Sha256, escape};

const CONNECT: Duration = Duration::from_secs(3);
const PROBE: Duration = Duration::from_secs(3);
const READ: Duration = Duration::from_secs(15);
const WRITE: Duration = Duration::from_secs(30);
/// How long a download or an upload may stand still.
const STALL: Duration = Duration::from_secs(30);
/// How often a read is sent before the server counts as down.
const READS: u32 = 3;
/// Bytes read from the disk at a time.
const CHUNK: usize = 256 << 10;
/// Stands between the parts of an upload, and nowhere in its headers.
const BOUNDARY: &str = "lifeboat-a0f2b6c4-part";
/// How much of a server's message an error shows.
const MESSAGE_CHARS: usize = 300;

pub(super) struct Http {
    name: String,
    api: String,
    token: Option<SecretRef>,
    secrets: SecretResolver,
    /// Hosts that the trust root lets have credentials; every address that is asked is on the API's own.
    hosts: BTreeSet<String>,
    clock: Arc<dyn Clock>,
    client: OnceLock<reqwest::Client>,
    authorization: OnceLock<HeaderValue>,
}

impl Http {
    pub(super) fn new(name: String, api: &str, token: Option<SecretRef>, around: &Surroundings) -> Result<Self> {
        let api = api.trim_end_matches('/').to_owned();
        Url::parse(&api).context(format!("`{api}` is not an address"))?;
        let (secrets, clock, hosts) = (around.secrets.clone(), around.clock.clone(), around.hosts.clone());
        Ok(Self { name, api, token, secrets, hosts, clock, client: OnceLock::new(), authorization: OnceLock::new() })
    }

    /// Made when it is first needed: reading the system's certificates takes longer than most commands.
    fn client(&self) -> Result<&reqwest::Client> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let made = reqwest::Client::builder()
            .user_agent(concat!("lifeboat/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .read_timeout(STALL)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|e| Error::fatal("cannot set up TLS").because(e))?;
        Ok(self.client.get_or_init(|| made))
    }

    fn authorization(&self) -> Result<&HeaderValue> {
        if let Some(value) = self.authorization.get() {
            return Ok(value);
        }
        let url = Url::parse(&self.api).context("the address of a forge")?;
        let host = url.host_str().unwrap_or_default();
        if !self.hosts.contains(host) {
            return Err(Error::input(format!("the trust root does not let `{}` have credentials", escape(host)))
                .detail(format!("forge `{}`: the token was not read", self.name))
                .hint("if it is the right host, put it under `hosts` in a new `keys/trust.json`: `lifeboat trust show` says which are there"));
        }
        let reference = self.token.as_ref().ok_or_else(|| {
            Error::input(format!("forge `{}` has no token", self.name)).hint(
                "add `token = { env = \"FORGEJO_TOKEN\" }` to its table in `lifeboat.toml`, then `lifeboat reconcile`",
            )
        })?;
        let secret = (self.secrets)(reference).map_err(|e| e.context(format!("token of forge `{}`", self.name)))?;
        let mut value = HeaderValue::from_str(&format!("token {}", secret.expose()))
            .map_err(|_| Error::input(format!("the token of forge `{}` is not one line of plain text", self.name)))?;
        value.set_sensitive(true);
        Ok(self.authorization.get_or_init(|| value))
    }

    pub(super) async fn probe(&self) -> Result<()> {
        let asked = self.client()?.get(format!("{}/version", self.api)).timeout(PROBE).send();
        match tokio::time::timeout(PROBE, asked).await {
            Ok(Ok(answer)) if answer.status().as_u16() < 500 => Ok(()),
            Ok(Ok(answer)) => Err(self.down(&format!("it answers with HTTP status {}", answer.status().as_u16()))),
            Ok(Err(e)) => Err(self.down(&reason(&e))),
            Err(_) => Err(self.down(&format!("no answer within {} s", PROBE.as_secs()))),
        }
    }

    /// Reads JSON; none for what is not there. Sent again after a pause if the answer is lost.
    pub(super) async fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<Option<T>> {
        let url = format!("{}{path}", self.api);
        let mut tries = 0;
        loop {
            tries += 1;
            let request = self.client()?.get(&url).header(header::AUTHORIZATION, self.authorization()?.clone());
            let lost = match request.timeout(READ).send().await {
                Ok(answer) if answer.status() == 404 => return Ok(None),
                Ok(answer) if answer.status().as_u16() < 500 && answer.status() != 429 => {
                    let answer = self.accepted(answer, "GET", path).await?;
                    match answer.bytes().await {
                        Ok(bytes) => {
                            let read = serde_json::from_slice(&bytes);
                            return Ok(Some(
                                read.context(format!("`{}` answers GET `{path}` in an unknown form", self.name))?,
                            ));
                        }
                        Err(e) => reason(&e),
                    }
                }
                Ok(answer) => format!("HTTP status {}", answer.status().as_u16()),
                Err(e) => reason(&e),
            };
            if tries == READS {
                return Err(self.down(&lost));
            }
            if let Ok(until) = self.clock.now().checked_add(SignedDuration::from_secs(i64::from(tries))) {
                self.clock.sleep_until(until).await;
            }
        }
    }

    /// Makes one change with a JSON body.
    pub(super) async fn change(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Result<()> {
        let mut request = self.client()?.request(method.clone(), format!("{}{path}", self.api)).timeout(WRITE);
        if let Some(body) = body {
            request = request.header(header::CONTENT_TYPE, "application/json").body(body);
        }
        let answer = self.sent(request, method.as_str(), path).await?;
        if answer.status() == 409 {
            // It is there already, by an earlier try or somebody else: only a look tells.
            return Err(Error::transient(format!("`{}` has it already: {method} `{path}`", self.name)));
        }
        self.accepted(answer, method.as_str(), path).await.map(drop)
    }

    /// Removes something; what is gone already is no error.
    pub(super) async fn remove(&self, path: &str) -> Result<()> {
        let request = self.client()?.delete(format!("{}{path}", self.api)).timeout(WRITE);
        let answer = self.sent(request, "DELETE", path).await?;
        if answer.status() == 404 { Ok(()) } else { self.accepted(answer, "DELETE", path).await.map(drop) }
    }

    /// Sends a file as a form with one part (RFC 7578), streamed from disk with its length.
    pub(super) async fn upload(&self, path: &str, asset: &AssetFile) -> Result<()> {
        // Names of assets are plain: no quote can end the parameter.
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"attachment\"; filename=\"{}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n",
            asset.name
        );
        let tail = format!("\r\n--{BOUNDARY}--\r\n");
        let file =
            tokio::fs::File::open(&asset.path).await.context(format!("cannot read `{}`", asset.path.display()))?;
        let length = head.len() as u64 + asset.digests.size + tail.len() as u64;
        let whole = Cursor::new(head.into_bytes()).chain(file).chain(Cursor::new(tail.into_bytes()));
        let mut url = Url::parse(&format!("{}{path}", self.api)).context("the address of an upload")?;
        url.query_pairs_mut().append_pair("name", &asset.name);
        let request = self
            .client()?
            .post(url)
            .header(header::CONTENT_TYPE, format!("multipart/form-data; boundary={BOUNDARY}"))
            .header(header::CONTENT_LENGTH, length)
            .body(reqwest::Body::wrap_stream(ReaderStream::with_capacity(whole, CHUNK)));
        let answer = self.sent(request, "POST", path).await?;
        self.accepted(answer, "POST", path).await.map(drop)
    }

    /// Downloads an attachment, draft or not, and hashes it.
    pub(super) async fn hash(&self, uuid: &str) -> Result<Sha256> {
        // Attachments lie beside the API, not below it.
        let root = self.api.trim_end_matches("/api/v1");
        let path = format!("/attachments/{uuid}");
        let request = self.client()?.get(format!("{root}{path}"));
        let mut answer = self.accepted(self.sent(request, "GET", &path).await?, "GET", &path).await?;
        let mut hasher = Hasher::new();
        loop {
            match answer.chunk().await {
                Ok(Some(bytes)) => hasher.update(&bytes),
                Ok(None) => return Ok(Sha256(hasher.finalize().into())),
                Err(e) => return Err(Error::transient(format!("GET to `{}`: {}", self.name, reason(&e)))),
            }
        }
    }

    /// Sends a request that may have happened although its answer is lost.
    async fn sent(&self, request: reqwest::RequestBuilder, verb: &str, path: &str) -> Result<Response> {
        let lost = match request.header(header::AUTHORIZATION, self.authorization()?.clone()).send().await {
            Ok(answer) if answer.status().as_u16() < 500 && answer.status() != 429 => return Ok(answer),
            Ok(answer) => format!("HTTP status {}", answer.status().as_u16()),
            Err(e) => reason(&e),
        };
        Err(Error::transient(format!("{verb} `{}` to `{}`: {lost}", escape(path), self.name))
            .detail("it may have happened all the same: the forge is looked at before it is tried again"))
    }

    /// Whether an answer is 2xx.
    async fn accepted(&self, answer: Response, verb: &str, path: &str) -> Result<Response> {
        let status = answer.status().as_u16();
        if (200..300).contains(&status) {
            return Ok(answer);
        }
        let text = answer.text().await.unwrap_or_default();
        let says: String = escape(&text).chars().take(MESSAGE_CHARS).collect();
        let kind = if matches!(status, 300..=404) { ErrorKind::Input } else { ErrorKind::Fatal };
        let what = format!("`{}` refuses {verb} `{}`: HTTP status {status}", self.name, escape(path));
        let error = Error::new(kind, what).detail(format!("it says: {says}"));
        Err(match status {
            401 => error.hint("the token is wrong or has expired: mend it, then `lifeboat reconcile`"),
            403 | 404 => error.hint("the token needs `write:repository`; mend it, then `lifeboat reconcile`"),
            _ => error,
        })
    }

    fn down(&self, why: &str) -> Error {
        Error::new(ErrorKind::Unreachable, format!("`{}` cannot be reached: {why}", self.name))
            .hint("`lifeboat reconcile` goes on once it is back")
    }
}

/// Why a request failed, without its address, which says nothing new.
fn reason(e: &reqwest::Error) -> String {
    if e.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut cause: &dyn std::error::Error = e;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    escape(&cause.to_string())
}
