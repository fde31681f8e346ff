//! Requests to one WebDAV server, with credentials that go nowhere else.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use reqwest::header::{self, HeaderName, HeaderValue};
use reqwest::{Method, Response, Url};

use super::Configured;
use crate::adapter::Around;
use crate::effects::{Breaker, Clock, Failure, SecretResolver};
use crate::error::{Context as _, Error, ErrorKind, Part, Result};
use crate::http::{ANSWER_LIMIT, Deadlines, DetachedLookup, Upload, may_have_credentials, plain_reason, read_again};
use crate::model::escape;

/// How long a server may take to copy an object of any size. That it is gone shows earlier: see `tcp_keepalive` below.
pub(super) const COPYING: Duration = Duration::from_secs(600);

/// One request.
pub(super) struct Request<'a> {
    method: Method,
    key: &'a str,
    headers: Vec<(HeaderName, String)>,
    body: Body<'a>,
    patience: Option<Duration>,
    anonymous: bool,
}

/// What a request sends.
pub(super) enum Body<'a> {
    None,
    Bytes(Vec<u8>),
    Xml(&'static str),
    File(&'a Upload),
}

impl<'a> Request<'a> {
    /// A request for a key: a path below the server's root, with a final slash for a directory.
    pub(super) fn new(method: &str, key: &'a str) -> Result<Self> {
        let method = Method::from_bytes(method.as_bytes()).context("this is not a method of HTTP")?;
        Ok(Self { method, key, headers: Vec::new(), body: Body::None, patience: None, anonymous: false })
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((HeaderName::from_static(name), value.into()));
        self
    }

    pub(super) fn sending(mut self, body: Body<'a>) -> Self {
        self.body = body;
        self
    }

    /// As a stranger sends it: without credentials.
    pub(super) fn anonymous(mut self) -> Self {
        self.anonymous = true;
        self
    }

    pub(super) fn waiting(mut self, patience: Duration) -> Self {
        self.patience = Some(patience);
        self
    }
}

/// The client of one server.
pub(super) struct Client {
    store: Configured,
    clock: Arc<dyn Clock>,
    secrets: SecretResolver,
    hosts: BTreeSet<String>,
    deadlines: Deadlines,
    http: OnceLock<reqwest::Client>,
    authorization: OnceLock<HeaderValue>,
    breaker: Mutex<Breaker>,
}

impl Client {
    pub(super) fn new(store: Configured, around: &Around) -> Result<Self> {
        let (clock, secrets, hosts) = (around.clock.clone(), around.secrets.clone(), around.hosts.clone());
        let (http, authorization, breaker) = (OnceLock::new(), OnceLock::new(), Mutex::default());
        Ok(Self { store, clock, secrets, hosts, deadlines: Deadlines::default(), http, authorization, breaker })
    }

    /// What identifies the store in messages.
    pub(super) fn shown(&self, key: &str) -> String {
        self.at(key).map_or_else(|_| key.to_owned(), |url| url.to_string())
    }

    /// The server's root, with a final slash.
    pub(super) fn base(&self) -> &Url {
        &self.store.base
    }

    fn at(&self, key: &str) -> Result<Url> {
        let base = &self.store.base;
        Url::parse(&format!("{base}{key}")).context(format!("`{base}{key}` is not an address"))
    }

    /// The path of a key, for headers: servers behind a proxy do not know by which name they were asked (RFC 4918 §8.3).
    pub(super) fn path(&self, key: &str) -> Result<String> {
        Ok(self.at(key)?.path().to_owned())
    }

    /// Made when it is first needed: reading the system's certificates takes longer than most commands.
    fn http(&self) -> Result<&reqwest::Client> {
        if let Some(http) = self.http.get() {
            return Ok(http);
        }
        let made = reqwest::Client::builder()
            .user_agent(concat!("lifeboat/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(self.deadlines.connect)
            .tcp_keepalive(self.deadlines.stall)
            .tcp_keepalive_interval(self.deadlines.connect)
            .tcp_keepalive_retries(5)
            .redirect(reqwest::redirect::Policy::none())
            .dns_resolver(Arc::new(DetachedLookup))
            .build()
            .map_err(|e| Error::fatal("cannot set up TLS").because(e))?;
        Ok(self.http.get_or_init(|| made))
    }

    fn authorization(&self) -> Result<HeaderValue> {
        if let Some(header) = self.authorization.get() {
            return Ok(header.clone());
        }
        let name = &self.store.name;
        may_have_credentials(&self.hosts, &self.store.base, &format!("store `{name}`: the password was not read"))?;
        let reference =
            self.store.password.as_ref().ok_or_else(|| Error::input(format!("store `{name}` has no password")))?;
        let password = (self.secrets)(reference).map_err(|e| e.context(format!("password of store `{name}`")))?;
        let pair = STANDARD.encode(format!("{}:{}", self.store.user, password.expose()));
        let mut header = HeaderValue::from_str(&format!("Basic {pair}")).context("credentials fit no header")?;
        header.set_sensitive(true);
        Ok(self.authorization.get_or_init(|| header).clone())
    }

    /// Reads something; sent again after a pause if the answer is lost, since reading changes nothing.
    pub(super) async fn read<'a>(&self, request: impl Fn() -> Result<Request<'a>>) -> Result<Response> {
        let request = &request;
        let send = || async move {
            match self.send(request()?).await {
                Err(e) if e.kind() == ErrorKind::Transient => Ok(Err(e)),
                done => done.map(Ok),
            }
        };
        read_again(&*self.clock, send).await?
    }

    /// Sends one request; an answer says something about the object, and is neither a refusal of the credentials nor the
    /// server's own failure.
    ///
    /// # Errors
    /// [`ErrorKind::Unreachable`]: nothing happened; [`ErrorKind::Transient`]: a change may have happened.
    pub(super) async fn send(&self, request: Request<'_>) -> Result<Response> {
        let Request { method, key, headers, body, patience, anonymous } = request;
        let url = self.at(key)?;
        let doing = format!("{method} `{}`", escape(url.as_str()));
        let now = self.clock.now();
        let admitted = self.breaker.lock().admit(now);
        if let Err(since) = admitted {
            return Err(self.down(&format!("it does not answer since {since}")));
        }
        let is_read = matches!(method.as_str(), "GET" | "HEAD" | "PROPFIND");
        let patience = patience.unwrap_or(if is_read { self.deadlines.read } else { self.deadlines.write });
        let mut sending = self.http()?.request(method, url);
        if !anonymous {
            sending = sending.header(header::AUTHORIZATION, self.authorization()?);
        }
        for (name, value) in headers {
            sending = sending.header(name, value);
        }
        let sending = match body {
            Body::None => sending,
            Body::Bytes(bytes) => sending.header(header::CONTENT_TYPE, "application/octet-stream").body(bytes),
            Body::Xml(text) => sending.header(header::CONTENT_TYPE, "application/xml; charset=utf-8").body(text),
            Body::File(upload) => {
                return match upload.send(sending, self.deadlines).await? {
                    Ok(Ok(response)) => self.answered(&doing, response).await,
                    Ok(Err(e)) => Err(self.lost(&doing, &e)),
                    Err(still) => {
                        Err(self.silent(&doing, &format!("the upload stood still for {} s", still.as_secs())))
                    }
                };
            }
        };
        match tokio::time::timeout(patience, sending.send()).await {
            Ok(Ok(response)) => self.answered(&doing, response).await,
            Ok(Err(e)) => Err(self.lost(&doing, &e)),
            Err(_) => Err(self.silent(&doing, &format!("no answer within {} s", patience.as_secs()))),
        }
    }

    async fn answered(&self, doing: &str, response: Response) -> Result<Response> {
        let status = response.status().as_u16();
        let now = self.clock.now();
        if status < 500 {
            self.breaker.lock().answered();
        } else if status != 507 {
            self.breaker.lock().failed(now, Failure::Immediate);
        }
        let refused = |kind| Error::new(kind, format!("{doing}: HTTP status {status}")).of(Part::Store);
        Err(match status {
            300..=399 => {
                let to = response.headers().get(header::LOCATION).and_then(|l| l.to_str().ok()).unwrap_or_default();
                refused(ErrorKind::Input)
                    .detail(format!("it sends on to `{}`, where no password goes", escape(to)))
                    .hint("write the address that answers itself as the `url` of the store")
            }
            401 => refused(ErrorKind::Input)
                .hint("the user or the password is wrong: fix it, then `lifeboat reconcile` goes on"),
            403 => refused(ErrorKind::Input).hint(
                "the server does not let this user do that: compare its configuration with `docs/stores.md`, section WebDAV",
            ),
            413 => refused(ErrorKind::Input)
                .hint("the server limits the size of uploads: for nginx, write `client_max_body_size 0;`"),
            429 => refused(ErrorKind::Transient).hint("`lifeboat reconcile` goes on later"),
            507 => refused(ErrorKind::Transient).hint("free some space on the server, then `lifeboat reconcile` goes on"),
            500.. => refused(ErrorKind::Transient),
            _ => return Ok(response),
        })
    }

    /// The error of a request whose answer did not come.
    fn lost(&self, doing: &str, e: &reqwest::Error) -> Error {
        if e.is_timeout() {
            return self.silent(doing, &plain_reason(e));
        }
        self.breaker.lock().failed(self.clock.now(), Failure::Immediate);
        if e.is_connect() {
            return self.down(&plain_reason(e));
        }
        Error::transient(format!("{doing}: {}", plain_reason(e))).of(Part::Store)
    }

    fn silent(&self, doing: &str, why: &str) -> Error {
        self.breaker.lock().failed(self.clock.now(), Failure::Silent);
        Error::transient(format!("{doing}: {why}")).of(Part::Store)
    }

    fn down(&self, why: &str) -> Error {
        let host = self.store.base.host_str().unwrap_or_default();
        Error::new(ErrorKind::Unreachable, format!("`{host}` cannot be reached: {why}"))
            .of(Part::Store)
            .hint("`lifeboat reconcile` goes on once it is back")
    }

    /// An answer that nobody expects.
    pub(super) fn unexpected(&self, doing: &str, key: &str, response: &Response) -> Error {
        let status = response.status().as_u16();
        if status == 423 {
            let what = format!("cannot {doing} `{}`: somebody else has it locked", escape(&self.shown(key)));
            return Error::transient(what).of(Part::Store).hint("run `lifeboat ship` again");
        }
        Error::fatal(format!("cannot {doing} `{}`: HTTP status {status}", escape(&self.shown(key)))).of(Part::Store).hint(
            "is it a WebDAV server with locks (RFC 4918, class 2)? `docs/stores.md` has a configuration of nginx that is",
        )
    }

    /// The whole of an answer that is small.
    pub(super) async fn body(&self, mut response: Response) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        loop {
            match tokio::time::timeout(self.deadlines.read, response.chunk()).await {
                Ok(Ok(Some(chunk))) if bytes.len() + chunk.len() <= ANSWER_LIMIT => bytes.extend_from_slice(&chunk),
                Ok(Ok(Some(_))) => {
                    let what = format!("the server answers with more than {ANSWER_LIMIT} bytes");
                    return Err(Error::verification(what).of(Part::Store));
                }
                Ok(Ok(None)) => return Ok(bytes),
                Ok(Err(e)) => return Err(self.lost("reading the answer", &e)),
                Err(_) => return Err(self.silent("reading the answer", "it does not end")),
            }
        }
    }

    /// How long the body of an object may stand still.
    pub(super) fn stall(&self) -> Duration {
        self.deadlines.stall
    }
}
