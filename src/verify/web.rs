//! Reading over HTTP: bounded in time and size, and never from another origin than the one that was named.

use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode, Url};

use super::source::too_long;
use crate::error::{Context as _, Error, ErrorKind, Result};
use crate::formats::openpgp::{Hashed, SigningHasher};
use crate::model::escape;

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a server may be silent.
const SILENCE: Duration = Duration::from_secs(30);
/// How many redirects within the origin are followed.
const REDIRECTS: usize = 5;

/// A base address and the client that reads below it.
#[derive(Debug, Clone)]
pub struct Web {
    client: Client,
    base: Url,
}

impl Web {
    /// Reads below `base`.
    ///
    /// # Errors
    /// An address with credentials, query or fragment.
    pub(super) fn new(base: &str) -> Result<Self> {
        let bad = || {
            Error::input(format!("`{}` is no base address", escape(base)))
                .hint("valid is `https://host/path/`, without credentials, `?` and `#`")
        };
        let mut base = Url::parse(base).map_err(|e| bad().because(e))?;
        let odd = base.query().is_some() || base.fragment().is_some() || base.password().is_some();
        if odd || !base.username().is_empty() || base.host_str().is_none() {
            return Err(bad());
        }
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let same_origin = Policy::custom(|attempt| {
            let first = attempt.previous().first().map(Url::origin);
            if first.is_some_and(|o| o != attempt.url().origin()) {
                return attempt.error("the server redirects to another origin");
            }
            if attempt.previous().len() > REDIRECTS {
                return attempt.error("the server redirects too often");
            }
            attempt.follow()
        });
        let client = Client::builder()
            .user_agent(concat!("lifeboat/", env!("CARGO_PKG_VERSION")))
            .redirect(same_origin)
            .referer(false)
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .build()
            .context("cannot set up HTTP")?;
        Ok(Self { client, base })
    }

    async fn get(&self, path: &str, limit: u64) -> Result<Option<(Response, String)>> {
        let url = self.base.join(path).context(format!("cannot form the address of `{path}`"))?;
        let what = format!("cannot read `{url}`");
        let response = self.client.get(url).send().await.map_err(|e| failed(&what, e))?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND | StatusCode::GONE => return Ok(None),
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                return Err(Error::new(ErrorKind::Unreachable, format!("{what}: the server says {status}"))
                    .hint("try again later, or verify from a mirror"));
            }
            status => return Err(Error::fatal(format!("{what}: the server says {status}"))),
        }
        if response.content_length().is_some_and(|n| n > limit) {
            return Err(too_long(path, limit));
        }
        Ok(Some((response, what)))
    }

    pub(super) async fn read(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let Some((mut response, what)) = self.get(path, limit).await? else { return Ok(None) };
        let mut out = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|e| failed(&what, e))? {
            if (out.len() + piece.len()) as u64 > limit {
                return Err(too_long(path, limit));
            }
            out.extend_from_slice(&piece);
        }
        Ok(Some(out))
    }

    pub(super) async fn hash(&self, path: &str, limit: u64) -> Result<Option<Hashed>> {
        let Some((mut response, what)) = self.get(path, limit).await? else { return Ok(None) };
        let mut hasher = SigningHasher::new()?;
        while let Some(piece) = response.chunk().await.map_err(|e| failed(&what, e))? {
            hasher.update(&piece);
            if hasher.size() > limit {
                return Err(too_long(path, limit));
            }
        }
        hasher.finish().map(Some)
    }
}

fn failed(what: &str, e: reqwest::Error) -> Error {
    let kind = if e.is_redirect() { ErrorKind::Verification } else { ErrorKind::Unreachable };
    // The outer error only repeats the address; the innermost says what happened.
    let mut cause: &dyn std::error::Error = &e;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    Error::new(kind, what)
        .because(cause.to_string())
        .hint("check the address and the network, or verify from a local directory")
}
