//! HTTP to GitHub: deadlines, breakers by host, rate limits, conditional requests, and errors that say how sure they are.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{Method, Url};

use super::answers::Refusal;
use super::breaker::Breaker;
use super::limits::{Signs, limited};
use super::reason::{DetachedLookup, plain_reason};
use super::upload::Upload;
use crate::error::{Context as _, Error, ErrorKind, Result};
use crate::forges::Surroundings;
use crate::model::{SecretRef, escape};

/// How long each part of a call may take.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// Until a connection stands, TLS included.
    pub connect: Duration,
    /// Until the answer to a read is there.
    pub read: Duration,
    /// Until the answer to a change is there.
    pub write: Duration,
    /// How long an upload may stand still.
    pub stall: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { connect: seconds(3), read: seconds(10), write: seconds(20), stall: seconds(30) }
    }
}

/// How often a read is sent before its host counts as down.
const READS: u32 = 3;

/// How often one call waits for a rate limit to pass.
const WAITS: u32 = 3;

/// A limit that lasts longer than this is not waited for: the delivery is deferred instead.
const PATIENCE: SignedDuration = SignedDuration::from_secs(75);

/// How much of a server's message an error shows.
const MESSAGE_CHARS: usize = 300;

/// Answers above this size are refused, in bytes: a page of releases is far below.
const ANSWER_LIMIT: usize = 32 << 20;

/// Which of GitHub's hosts a call goes to; each fails apart from the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Host {
    Api,
    Uploads,
}

/// Whether a call changes anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Read,
    Write,
}

/// What a call sends.
pub(super) enum Body<'a> {
    None,
    Json(Vec<u8>),
    File(&'a Upload),
}

/// An answer whose status is not the server's own failure.
pub(super) struct Answer {
    pub(super) status: u16,
    headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// A read that was answered before, to be asked conditionally.
struct Kept {
    etag: HeaderValue,
    link: Option<HeaderValue>,
    body: Vec<u8>,
}

/// What is known of one host.
#[derive(Default)]
struct HostState {
    breaker: Breaker,
    resume_at: Option<Timestamp>,
}

/// The client of one repository's forge.
pub(super) struct Client {
    name: String,
    base: String,
    token: Option<SecretRef>,
    around: Surroundings,
    deadlines: Deadlines,
    http: OnceLock<reqwest::Client>,
    bearer: OnceLock<HeaderValue>,
    api: Mutex<HostState>,
    uploads: Mutex<HostState>,
    kept: Mutex<BTreeMap<String, Kept>>,
}

/// How one try ended without an answer.
struct Lost(String);

impl Client {
    pub(super) fn new(name: String, base: String, token: Option<SecretRef>, around: Surroundings) -> Self {
        let deadlines = Deadlines::default();
        let (http, bearer, kept) = (OnceLock::new(), OnceLock::new(), Mutex::default());
        let (api, uploads) = (Mutex::default(), Mutex::default());
        Self { name, base, token, around, deadlines, http, bearer, api, uploads, kept }
    }

    pub(super) fn set_deadlines(&mut self, deadlines: Deadlines) {
        self.deadlines = deadlines;
    }

    /// Made when it is first needed: reading the system's certificates takes longer than most commands.
    pub(super) fn http(&self) -> Result<&reqwest::Client> {
        if let Some(http) = self.http.get() {
            return Ok(http);
        }
        let made = reqwest::Client::builder()
            .user_agent(concat!("lifeboat/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(self.deadlines.connect)
            .redirect(reqwest::redirect::Policy::none())
            .dns_resolver(Arc::new(DetachedLookup))
            .build()
            .map_err(|e| Error::fatal("cannot set up TLS").because(e))?;
        Ok(self.http.get_or_init(|| made))
    }

    /// The token as a header that no `Debug` shows, for a host that the trust root lets have it: the configuration, and what
    /// a server answers, only propose where to go.
    fn bearer(&self, url: &Url) -> Result<&HeaderValue> {
        let host = url.host_str().unwrap_or_default();
        if self.token.is_some() && !self.around.hosts.contains(host) {
            return Err(Error::input(format!("the trust root does not let `{}` have credentials", escape(host)))
                .detail(format!("forge `{}`: the token was not read", self.name))
                .hint("if it is the right host, put it under `hosts` in a new `keys/trust.json`: `lifeboat trust show` says which are there"));
        }
        if let Some(bearer) = self.bearer.get() {
            return Ok(bearer);
        }
        let reference = self.token.as_ref().ok_or_else(|| {
            Error::input(format!("forge `{}` has no token", self.name)).hint(
                "add `token = { env = \"GITHUB_TOKEN\" }` to its table in `lifeboat.toml`, then `lifeboat reconcile`",
            )
        })?;
        let secret =
            (self.around.secrets)(reference).map_err(|e| e.context(format!("token of forge `{}`", self.name)))?;
        // The parser's error would carry nothing of the token, but neither is it needed.
        let mut value = HeaderValue::from_str(&format!("Bearer {}", secret.expose()))
            .map_err(|_| Error::input(format!("the token of forge `{}` is not one line of plain text", self.name)))?;
        value.set_sensitive(true);
        Ok(self.bearer.get_or_init(|| value))
    }

    fn host(&self, host: Host) -> MutexGuard<'_, HostState> {
        let state = match host {
            Host::Api => &self.api,
            Host::Uploads => &self.uploads,
        };
        state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An address below the API's base.
    pub(super) fn url(&self, path: &str) -> Result<Url> {
        Url::parse(&format!("{}{path}", self.base)).context(format!("`{}{path}` is not an address", self.base))
    }

    /// Reads one address; sent again after a pause if the answer is lost, since reading changes nothing.
    pub(super) async fn get(&self, url: &Url) -> Result<Answer> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.call(Host::Api, &Method::GET, url, &Body::None, Kind::Read).await? {
                Ok(answer) => return Ok(answer),
                Err(Lost(why)) if tries == READS => return Err(self.down(Host::Api, &why)),
                Err(Lost(_)) => self.pause(SignedDuration::from_secs(i64::from(tries))).await,
            }
        }
    }

    /// Reads all pages below `path`, an array each.
    pub(super) async fn get_all<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<Option<Vec<T>>> {
        let mut out = Vec::new();
        let mut next = Some(self.url(&format!("{path}?per_page=100"))?);
        while let Some(url) = next {
            let answer = self.get(&url).await?;
            if answer.status == 404 {
                return Ok(None);
            }
            out.extend(self.json::<Vec<T>>(&answer, "GET", &url)?);
            next = answer.next_page(&url);
        }
        Ok(Some(out))
    }

    /// Makes one change. The error's kind says how sure it is: see [`crate::effects::Forge`].
    pub(super) async fn change(&self, host: Host, method: Method, url: &Url, body: Body<'_>) -> Result<Answer> {
        match self.call(host, &method, url, &body, Kind::Write).await? {
            Ok(answer) => Ok(answer),
            Err(Lost(why)) => Err(Error::transient(format!("{method} to `{}`: {why}", self.named(host)))
                .detail("it may have happened all the same: the forge is looked at before it is tried again")),
        }
    }

    /// One call: waits for rate limits, and counts failures for the host's breaker.
    async fn call(
        &self,
        host: Host,
        method: &Method,
        url: &Url,
        body: &Body<'_>,
        kind: Kind,
    ) -> Result<Result<Answer, Lost>> {
        let mut waits = 0;
        loop {
            let now = self.around.clock.now();
            let resume = self.host(host).resume_at.filter(|at| *at > now);
            if let Some(at) = resume {
                self.patient(at, now, &mut waits)?;
                self.around.clock.sleep_until(at).await;
                continue;
            }
            let admitted = self.host(host).breaker.admit(now);
            if let Err(since) = admitted {
                return Err(self.down(host, &format!("it does not answer since {since}")));
            }
            let sent = self.send(host, method, url, body, kind).await?;
            let now = self.around.clock.now();
            match sent {
                Err(lost) => {
                    self.host(host).breaker.failed(now);
                    return Ok(Err(lost));
                }
                Ok(answer) if answer.status >= 500 => {
                    self.host(host).breaker.failed(now);
                    return Ok(Err(Lost(format!("HTTP status {}{}", answer.status, answer.request_id()))));
                }
                Ok(answer) => {
                    self.host(host).breaker.answered();
                    let Some(limit) = limited(&answer.signs(), now) else { return Ok(Ok(answer)) };
                    self.host(host).resume_at = Some(limit.until);
                    if limit.until <= now {
                        self.patient(limit.until, now, &mut waits)?;
                    }
                }
            }
        }
    }

    /// Whether a rate limit is waited for.
    fn patient(&self, until: Timestamp, now: Timestamp, waits: &mut u32) -> Result<()> {
        *waits += 1;
        if *waits > WAITS || now.duration_until(until) > PATIENCE {
            return Err(Error::new(
                ErrorKind::Unreachable,
                format!("`{}` limits the rate of requests until {until}", self.name),
            )
            .hint("`lifeboat reconcile` goes on after that"));
        }
        Ok(())
    }

    async fn send(
        &self,
        host: Host,
        method: &Method,
        url: &Url,
        body: &Body<'_>,
        kind: Kind,
    ) -> Result<Result<Answer, Lost>> {
        let mut request = self
            .http()?
            .request(method.clone(), url.clone())
            .header(header::AUTHORIZATION, self.bearer(url)?.clone())
            .header(header::ACCEPT, "application/vnd.github+json")
            .header("x-github-api-version", "2022-11-28");
        if kind == Kind::Read
            && let Some(kept) = self.kept().get(url.as_str())
        {
            request = request.header(header::IF_NONE_MATCH, kept.etag.clone());
        }
        let limit = if kind == Kind::Read { self.deadlines.read } else { self.deadlines.write };
        let sent = match body {
            Body::None => request.timeout(limit).send().await,
            Body::Json(bytes) => {
                request.header(header::CONTENT_TYPE, "application/json").body(bytes.clone()).timeout(limit).send().await
            }
            Body::File(upload) => match upload.send(request, self.deadlines.stall).await? {
                Some(sent) => sent,
                None => {
                    let stall = self.deadlines.stall.as_secs();
                    return Ok(Err(Lost(format!("the upload stood still for {stall} s"))));
                }
            },
        };
        let lost = |e: reqwest::Error| Lost(plain_reason(&e));
        let mut response = match sent {
            Ok(response) => response,
            Err(e) => return Ok(Err(lost(e))),
        };
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let mut bytes = Vec::new();
        loop {
            match tokio::time::timeout(limit, response.chunk()).await {
                Ok(Ok(Some(chunk))) if bytes.len() + chunk.len() <= ANSWER_LIMIT => bytes.extend_from_slice(&chunk),
                Ok(Ok(Some(_))) => {
                    return Err(Error::fatal(format!(
                        "`{}` answers with more than {ANSWER_LIMIT} bytes",
                        self.named(host)
                    )));
                }
                Ok(Ok(None)) => break,
                Ok(Err(e)) => return Ok(Err(lost(e))),
                Err(_) => return Ok(Err(Lost("the answer does not end".to_owned()))),
            }
        }
        Ok(Ok(self.kept_or_new(url, kind, Answer { status, headers, body: bytes })))
    }

    fn kept(&self) -> MutexGuard<'_, BTreeMap<String, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// "Not modified" costs nothing of the rate limit: the answer is the one that was kept.
    fn kept_or_new(&self, url: &Url, kind: Kind, mut answer: Answer) -> Answer {
        if kind == Kind::Write {
            return answer;
        }
        let mut kept = self.kept();
        if answer.status == 304
            && let Some(before) = kept.get(url.as_str())
        {
            answer.status = 200;
            answer.body.clone_from(&before.body);
            if let Some(link) = &before.link {
                answer.headers.insert(header::LINK, link.clone());
            }
        } else if answer.status == 200
            && let Some(etag) = answer.headers.get(header::ETAG)
        {
            let link = answer.headers.get(header::LINK).cloned();
            kept.insert(url.to_string(), Kept { etag: etag.clone(), link, body: answer.body.clone() });
        }
        answer
    }

    pub(super) async fn pause(&self, wait: SignedDuration) {
        if let Ok(until) = self.around.clock.now().checked_add(wait) {
            self.around.clock.sleep_until(until).await;
        }
    }

    fn named(&self, host: Host) -> String {
        match host {
            Host::Api => self.name.clone(),
            Host::Uploads => format!("{} uploads", self.name),
        }
    }

    fn down(&self, host: Host, why: &str) -> Error {
        Error::new(ErrorKind::Unreachable, format!("`{}` cannot be reached: {why}", self.named(host)))
            .hint("`lifeboat reconcile` goes on once it is back")
    }

    /// Reads a 2xx answer's JSON.
    ///
    /// # Errors
    /// A refusal, or an answer of another shape.
    pub(super) fn json<T: serde::de::DeserializeOwned>(&self, answer: &Answer, verb: &str, url: &Url) -> Result<T> {
        self.accepted(answer, verb, url)?;
        serde_json::from_slice(&answer.body)
            .context(format!("`{}` answers {verb} `{}` in an unknown form", self.name, url.path()))
            .map_err(|e| e.detail(format!("HTTP status {}{}", answer.status, answer.request_id())))
    }

    /// Whether an answer is 2xx.
    ///
    /// # Errors
    /// What the server says, with what would help.
    pub(super) fn accepted(&self, answer: &Answer, verb: &str, url: &Url) -> Result<()> {
        let status = answer.status;
        if (200..300).contains(&status) {
            return Ok(());
        }
        let refusal = answer.refusal();
        let mut says: String = escape(&refusal.message).chars().take(MESSAGE_CHARS).collect();
        for error in refusal.errors.iter().take(3) {
            says.push_str("; ");
            says.extend(escape(&error.to_string()).chars().take(MESSAGE_CHARS));
        }
        let error = |kind| {
            Error::new(kind, format!("`{}` refuses {verb} `{}`: HTTP status {status}", self.name, escape(url.path())))
                .detail(format!("it says: {says}{}", answer.request_id()))
        };
        Err(match status {
            300..=399 => error(ErrorKind::Input).hint("has the repository moved? mend `repository` in `lifeboat.toml`"),
            401 => {
                error(ErrorKind::Input).hint("the token is wrong or has expired: mend it, then `lifeboat reconcile`")
            }
            403 | 404 => error(ErrorKind::Input).hint(
                "GitHub answers 404 for what a token may not see: it needs `contents: write`, and `workflows: write` \
                 where the release's commits change `.github/workflows`; mend it, then `lifeboat reconcile`",
            ),
            _ => error(ErrorKind::Fatal),
        })
    }
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|v| v.to_str().ok())
    }

    /// ` (request …)`, for the forge's support.
    pub(super) fn request_id(&self) -> String {
        self.header("x-github-request-id").map(|id| format!(" (request {})", escape(id))).unwrap_or_default()
    }

    pub(super) fn refusal(&self) -> Refusal {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    fn signs(&self) -> Signs<'_> {
        let message = std::str::from_utf8(&self.body).unwrap_or_default();
        Signs {
            status: self.status,
            retry_after: self.header("retry-after"),
            remaining: self.header("x-ratelimit-remaining"),
            reset: self.header("x-ratelimit-reset"),
            message,
        }
    }

    /// The next page (RFC 8288), if it is on the same host: the token goes nowhere else.
    fn next_page(&self, from: &Url) -> Option<Url> {
        let link = self.header("link")?;
        let part = link.split(',').find(|p| p.contains("rel=\"next\""))?;
        let address = part.split_once('<')?.1.split_once('>')?.0;
        let url = from.join(address).ok()?;
        (url.origin() == from.origin()).then_some(url)
    }
}
