//! The client: every call goes through its host's breaker and waits for the server's own limits.

mod token;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use parking_lot::{Mutex, MutexGuard};
use reqwest::header::{self, HeaderValue};
use reqwest::{Method, Url};
use sha2::{Digest as _, Sha256 as Hasher};

use super::answer::Answer;
use super::credentials;
use super::dialect::{Deadlines, Dialect};
use super::limits::{exhausted, limited};
use super::pages::pages;
use super::read::{ANSWER_LIMIT, read_again};
use super::reason::{DetachedLookup, plain_reason};
use super::upload::Upload;
use super::{Account, Surroundings};
use crate::effects::{Breaker, Failure};
use crate::error::{Context as _, Error, ErrorKind, Part, Result};
use crate::model::{Sha256, escape};

/// How often one call waits for a rate limit to pass.
const WAITS: u32 = 3;

/// A limit that lasts longer than this is not waited for: the delivery is deferred instead.
const PATIENCE: SignedDuration = SignedDuration::from_secs(75);

/// How much of a server's message an error shows.
const MESSAGE_CHARS: usize = 300;

/// How long the body of an answer may take as a whole, however steadily it comes.
const BODY_LIMIT: Duration = Duration::from_secs(120);

/// Until the head of an answer to a probe is there, name look-up included: a forge that drops packets must not hold up a
/// train.
const PROBE_LIMIT: Duration = Duration::from_secs(3);

/// Which of a forge's hosts a call goes to; each fails apart from the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Host {
    Api,
    Uploads,
}

impl Host {
    fn part(self) -> Part {
        match self {
            Self::Api => Part::Api,
            Self::Uploads => Part::Uploads,
        }
    }
}

/// Whether a call changes anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Read,
    /// A read of any length: its body is hashed, and the answer's body is its SHA-256.
    Hash,
    Write,
}

/// One call.
#[derive(Clone, Copy)]
struct Call<'a> {
    host: Host,
    method: &'a Method,
    url: &'a Url,
    body: &'a Body<'a>,
    kind: Kind,
}

/// What a call sends.
pub(crate) enum Body<'a> {
    None,
    Json(Vec<u8>),
    File(&'a Upload),
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
pub(crate) struct Client {
    account: Account,
    dialect: &'static Dialect,
    base: String,
    around: Surroundings,
    deadlines: Deadlines,
    http: OnceLock<reqwest::Client>,
    bearer: credentials::CachedBearer,
    /// Held while a token is fetched: calls that start together fetch one.
    fetching: tokio::sync::Mutex<()>,
    api: Mutex<HostState>,
    uploads: Mutex<HostState>,
    kept: Mutex<BTreeMap<String, Kept>>,
}

/// How one try ended without an answer.
struct Lost {
    why: String,
    how: Failure,
}

impl Lost {
    fn said(why: String) -> Self {
        Self { why, how: Failure::Immediate }
    }

    fn silent(why: impl Into<String>) -> Self {
        Self { why: why.into(), how: Failure::Silent }
    }
}

impl Client {
    pub(crate) fn new(account: Account, base: String, around: Surroundings, dialect: &'static Dialect) -> Self {
        let (http, bearer, fetching) =
            (OnceLock::new(), credentials::CachedBearer::default(), tokio::sync::Mutex::default());
        let (api, uploads, kept) = (Mutex::default(), Mutex::default(), Mutex::default());
        let deadlines = Deadlines::default();
        Self { account, dialect, base, around, deadlines, http, bearer, fetching, api, uploads, kept }
    }

    pub(crate) fn set_deadlines(&mut self, deadlines: Deadlines) {
        self.deadlines = deadlines;
    }

    /// Made when it is first needed: reading the system's certificates takes longer than most commands.
    pub(crate) fn http(&self) -> Result<&reqwest::Client> {
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

    fn host(&self, host: Host) -> MutexGuard<'_, HostState> {
        let state = match host {
            Host::Api => &self.api,
            Host::Uploads => &self.uploads,
        };
        state.lock()
    }

    /// An address below the API's base.
    pub(crate) fn url(&self, path: &str) -> Result<Url> {
        Url::parse(&format!("{}{path}", self.base)).context(format!("`{}{path}` is not an address", self.base))
    }

    /// Whether a host answers, within a short deadline; no token is sent.
    pub(crate) async fn probe(&self, address: &str) -> Result<()> {
        let asked = tokio::time::timeout(PROBE_LIMIT, self.http()?.get(address).timeout(PROBE_LIMIT).send());
        let late = || format!("no answer within {} s", PROBE_LIMIT.as_secs());
        let reason = match asked.await {
            Err(_) => late(),
            Ok(Err(e)) if e.is_timeout() => late(),
            Ok(Err(e)) => plain_reason(&e),
            // It answers even if it refuses us; only its own failures count as down.
            Ok(Ok(answer)) if !answer.status().is_server_error() => return Ok(()),
            Ok(Ok(answer)) => format!("it answers with HTTP status {}", answer.status().as_u16()),
        };
        Err(Error::new(
            ErrorKind::Unreachable,
            format!("`{}` ({address}) cannot be reached: {reason}", self.account.name),
        ))
    }

    /// Reads one address; sent again after a pause if the answer is lost, since reading changes nothing.
    pub(crate) async fn get(&self, url: &Url) -> Result<Answer> {
        self.read(url, Kind::Read).await
    }

    /// Downloads a file of any length and hashes it.
    pub(crate) async fn hash(&self, url: &Url) -> Result<Sha256> {
        let answer = self.read(url, Kind::Hash).await?;
        self.accepted(&answer, "GET", url)?;
        let digest = answer.body.try_into().map_err(|_| Error::fatal("a download was not hashed"))?;
        Ok(Sha256(digest))
    }

    async fn read(&self, url: &Url, kind: Kind) -> Result<Answer> {
        let call = Call { host: Host::Api, method: &Method::GET, url, body: &Body::None, kind };
        let answered = read_again(&*self.around.clock, || self.call(call)).await?;
        answered.map_err(|lost| self.down(Host::Api, &lost.why))
    }

    /// Reads all pages below `path`, an array each; nothing if it is not there.
    pub(crate) async fn get_all<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<Option<Vec<T>>> {
        Ok(self.list(path, self.url(&format!("{path}?per_page=100"))?).await?.ok())
    }

    /// Reads all pages of a list from its first on, an array each.
    pub(crate) async fn get_list<T: serde::de::DeserializeOwned>(&self, path: &str, first: Url) -> Result<Vec<T>> {
        match self.list(path, first.clone()).await? {
            Ok(all) => Ok(all),
            Err(absent) => self.json(&absent, "GET", &first),
        }
    }

    /// Reads all pages of a list; the answer that says that it is not there, if one does.
    async fn list<T: serde::de::DeserializeOwned>(&self, path: &str, first: Url) -> Result<Result<Vec<T>, Answer>> {
        let read = |url: Url| async move {
            let answer = self.get(&url).await?;
            if answer.status == 404 {
                return Ok((Err(answer), None));
            }
            let page: Vec<T> = self.json(&answer, "GET", &url)?;
            Ok((Ok(page), answer.next_page(&url)?))
        };
        let read = pages((&self.account.name, path), first, read).await?;
        Ok(read.into_iter().collect::<Result<Vec<_>, _>>().map(|all| all.into_iter().flatten().collect()))
    }

    /// Makes one change. The error's kind says how sure it is: see [`crate::effects::Forge`].
    pub(crate) async fn change(&self, host: Host, method: Method, url: &Url, body: Body<'_>) -> Result<Answer> {
        let call = Call { host, method: &method, url, body: &body, kind: Kind::Write };
        match self.call(call).await? {
            Ok(answer) => Ok(answer),
            Err(lost) => Err(Error::transient(format!("{method} to `{}`: {}", self.named(host), lost.why))
                .of(host.part())
                .detail("it may have happened all the same: the forge is looked at before it is tried again")),
        }
    }

    /// One call as the configuration says. A fetched token that is refused is fetched anew, once.
    async fn call(&self, call: Call<'_>) -> Result<Result<Answer, Lost>> {
        let bearer = self.bearer(call.url).await?;
        let called = self.call_as(&bearer, call).await?;
        match called {
            Ok(answer) if answer.status == 401 && self.bearer.forget(&bearer) => {
                let bearer = self.bearer(call.url).await?;
                self.call_as(&bearer, call).await
            }
            called => Ok(called),
        }
    }

    /// One call: waits for rate limits, and counts failures for the host's breaker.
    async fn call_as(&self, authorization: &HeaderValue, call: Call<'_>) -> Result<Result<Answer, Lost>> {
        let host = call.host;
        let mut waits = 0;
        loop {
            let now = self.around.clock.now();
            let resume = self.host(host).resume_at.filter(|at| *at > now);
            if let Some(at) = resume {
                self.patient(host, at, now, &mut waits)?;
                self.around.clock.sleep_until(at).await;
                continue;
            }
            let admitted = self.host(host).breaker.admit(now);
            if let Err(since) = admitted {
                return Err(self.down(host, &format!("it does not answer since {since}")));
            }
            let sent = self.send(authorization, call).await?;
            let now = self.around.clock.now();
            match sent {
                Err(lost) => {
                    self.host(host).breaker.failed(now, lost.how);
                    return Ok(Err(lost));
                }
                Ok(answer) if answer.status >= 500 => {
                    self.host(host).breaker.failed(now, Failure::Immediate);
                    return Ok(Err(Lost::said(format!("HTTP status {}{}", answer.status, answer.request_id()))));
                }
                Ok(answer) => {
                    self.host(host).breaker.answered();
                    let Some(limit) = limited(&answer.signs(), now) else {
                        // The last one that the server allows for now: the next is not sent to be refused.
                        if let Some(until) = exhausted(&answer.signs(), now) {
                            self.host(host).resume_at = Some(until);
                        }
                        return Ok(Ok(answer));
                    };
                    self.host(host).resume_at = Some(limit.until);
                    if limit.until <= now {
                        self.patient(host, limit.until, now, &mut waits)?;
                    }
                }
            }
        }
    }

    /// Whether a rate limit is waited for.
    fn patient(&self, host: Host, until: Timestamp, now: Timestamp, waits: &mut u32) -> Result<()> {
        *waits += 1;
        if *waits > WAITS || now.duration_until(until) > PATIENCE {
            return Err(Error::new(
                ErrorKind::Unreachable,
                format!("`{}` limits the rate of requests until {until}", self.named(host)),
            )
            .of(host.part())
            .hint("`lifeboat reconcile` goes on after that"));
        }
        Ok(())
    }

    async fn send(&self, authorization: &HeaderValue, call: Call<'_>) -> Result<Result<Answer, Lost>> {
        let Call { host, method, url, body, kind } = call;
        let mut request = self
            .http()?
            .request(method.clone(), url.clone())
            .header(header::AUTHORIZATION, authorization.clone())
            .header(header::ACCEPT, self.dialect.accept);
        if let Some((name, value)) = self.dialect.version {
            request = request.header(name, value);
        }
        if kind == Kind::Read
            && let Some(kept) = self.kept().get(url.as_str())
        {
            request = request.header(header::IF_NONE_MATCH, kept.etag.clone());
        }
        let limit = if kind == Kind::Write { self.deadlines.write } else { self.deadlines.read };
        let sent = match body {
            Body::None => tokio::time::timeout(limit, request.send()).await.ok(),
            Body::Json(bytes) => {
                let request = request.header(header::CONTENT_TYPE, "application/json").body(bytes.clone());
                tokio::time::timeout(limit, request.send()).await.ok()
            }
            Body::File(upload) => match upload.send(request, self.deadlines).await? {
                Ok(sent) => Some(sent),
                Err(still) => {
                    return Ok(Err(Lost::silent(format!("the upload stood still for {} s", still.as_secs()))));
                }
            },
        };
        let lost = |e: reqwest::Error| match e.is_timeout() {
            true => Lost::silent(plain_reason(&e)),
            false => Lost::said(plain_reason(&e)),
        };
        let mut response = match sent {
            None => return Ok(Err(Lost::silent("no answer in time"))),
            Some(Ok(response)) => response,
            Some(Err(e)) => return Ok(Err(lost(e))),
        };
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let mut bytes = Vec::new();
        // A file is as long as it is; it only must not stand still.
        let mut hashed = (kind == Kind::Hash && status == 200).then(Hasher::new);
        let (end, limit) = match hashed {
            None => (Some(tokio::time::Instant::now() + BODY_LIMIT), limit),
            Some(_) => (None, self.deadlines.stall),
        };
        loop {
            let by = tokio::time::Instant::now() + limit;
            let by = end.map_or(by, |end| end.min(by));
            match tokio::time::timeout_at(by, response.chunk()).await {
                Ok(Ok(Some(chunk))) => match &mut hashed {
                    Some(hasher) => hasher.update(&chunk),
                    None if bytes.len() + chunk.len() <= ANSWER_LIMIT => bytes.extend_from_slice(&chunk),
                    None => {
                        return Err(Error::fatal(format!(
                            "`{}` answers with more than {ANSWER_LIMIT} bytes",
                            self.named(host)
                        )));
                    }
                },
                Ok(Ok(None)) => break,
                Ok(Err(e)) => return Ok(Err(lost(e))),
                Err(_) => return Ok(Err(Lost::silent("the answer does not end"))),
            }
        }
        if let Some(hasher) = hashed {
            bytes = hasher.finalize().to_vec();
        }
        Ok(Ok(self.kept_or_new(url, kind, Answer { status, headers, body: bytes })))
    }

    fn kept(&self) -> MutexGuard<'_, BTreeMap<String, Kept>> {
        self.kept.lock()
    }

    /// "Not modified" costs nothing of the rate limit: the answer is the one that was kept.
    fn kept_or_new(&self, url: &Url, kind: Kind, mut answer: Answer) -> Answer {
        if kind != Kind::Read {
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

    fn named(&self, host: Host) -> String {
        match host {
            Host::Api => self.account.name.to_string(),
            Host::Uploads => format!("{} uploads", self.account.name),
        }
    }

    fn down(&self, host: Host, why: &str) -> Error {
        Error::new(ErrorKind::Unreachable, format!("`{}` cannot be reached: {why}", self.named(host)))
            .of(host.part())
            .hint("`lifeboat reconcile` goes on once it is back")
    }

    /// Reads a 2xx answer's JSON.
    ///
    /// # Errors
    /// A refusal, or an answer of another shape.
    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self, answer: &Answer, verb: &str, url: &Url) -> Result<T> {
        self.accepted(answer, verb, url)?;
        serde_json::from_slice(&answer.body)
            .context(format!("`{}` answers {verb} `{}` in an unknown form", self.account.name, url.path()))
            .map_err(|e| e.detail(format!("HTTP status {}{}", answer.status, answer.request_id())))
    }

    /// Whether an answer is 2xx.
    ///
    /// # Errors
    /// What the server says, with what would help.
    pub(crate) fn accepted(&self, answer: &Answer, verb: &str, url: &Url) -> Result<()> {
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
            Error::new(
                kind,
                format!("`{}` refuses {verb} `{}`: HTTP status {status}", self.account.name, escape(url.path())),
            )
            .detail(format!("it says: {says}{}", answer.request_id()))
        };
        Err(match status {
            300..=399 => error(ErrorKind::Input).hint("has the repository moved? fix `repository` in `lifeboat.toml`"),
            401 => error(ErrorKind::Input).hint("the token is wrong or has expired: fix it, then `lifeboat reconcile`"),
            403 | 404 => error(ErrorKind::Input).hint(self.dialect.denied),
            _ => error(ErrorKind::Fatal),
        })
    }
}
