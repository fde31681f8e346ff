//! Reading over HTTP: bounded in time and size, and never from another origin than the one that was named.

use std::io::Write;
use std::time::Duration;

use reqwest::header::CONTENT_LENGTH;
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Response, StatusCode, Url};
use tokio::time::Instant;

use super::bounds::too_long;
use crate::error::{Context as _, Error, ErrorKind, Result};
use crate::formats::openpgp::{Hashed, SigningHasher};
use crate::model::escape;

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a server may be silent.
const SILENCE: Duration = Duration::from_secs(30);
/// How long a file may take beside what its bytes take at [`SLOWEST`].
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes per second that a file must come with: below, a server could hold this machine forever, byte by byte.
const SLOWEST: u64 = 8 << 10;
/// How many redirects within the origin are followed.
const REDIRECTS: usize = 5;

/// A base address and the client that reads below it.
#[derive(Debug, Clone)]
pub(super) struct Web {
    client: Client,
    base: Url,
    patience: Duration,
}

/// How long an answer may take: the more has come, the longer.
struct Deadline {
    start: Instant,
    patience: Duration,
}

impl Deadline {
    async fn keep<T>(
        &self,
        received: u64,
        what: &str,
        answer: impl Future<Output = Result<T, reqwest::Error>>,
    ) -> Result<T> {
        let at = self.start + self.patience + Duration::from_secs(received / SLOWEST);
        match tokio::time::timeout_at(at, answer).await {
            Ok(answer) => answer.map_err(|e| failed(what, e)),
            Err(_) => Err(Error::new(ErrorKind::Unreachable, format!("{what}: the server is too slow"))
                .detail(format!("{received} bytes in {} seconds", self.start.elapsed().as_secs()))
                .hint("try again later, or verify from a mirror or a local directory")),
        }
    }
}

/// An answer that is being read.
struct Answer {
    response: Response,
    deadline: Deadline,
    received: u64,
    what: String,
}

impl Answer {
    async fn next(&mut self) -> Result<Option<impl AsRef<[u8]> + use<>>> {
        let piece = self.deadline.keep(self.received, &self.what, self.response.chunk()).await?;
        self.received += piece.as_ref().map_or(0, |p| p.len() as u64);
        Ok(piece)
    }
}

impl Web {
    /// Reads below `base`.
    ///
    /// # Errors
    /// An address with credentials, query or fragment.
    pub(super) fn new(base: &str) -> Result<Self> {
        let bad = || {
            Error::input(format!("`{}` is not a valid base address", escape(base)))
                .hint("expected `https://host/path/`, without credentials, `?` and `#`")
        };
        let mut base = Url::parse(base).map_err(|e| bad().because(e))?;
        let odd = base.query().is_some() || base.fragment().is_some() || base.password().is_some();
        if odd || !base.username().is_empty() || base.host_str().is_none() {
            return Err(bad());
        }
        base.set_path(&format!("{}/", base.path().trim_end_matches('/')));
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
        Ok(Self { client, base, patience: PATIENCE })
    }

    /// The base address, normalized.
    pub(super) fn place(&self) -> String {
        self.base.to_string()
    }

    async fn get(&self, path: &str, limit: u64) -> Result<Option<Answer>> {
        let answer = self.ask(Method::GET, path).await?;
        if answer.as_ref().and_then(|a| a.response.content_length()).is_some_and(|n| n > limit) {
            return Err(too_long(path, limit));
        }
        Ok(answer)
    }

    async fn ask(&self, method: Method, path: &str) -> Result<Option<Answer>> {
        let url = self.base.join(path).context(format!("cannot form the address of `{path}`"))?;
        let what = format!("cannot read `{url}`");
        let deadline = Deadline { start: Instant::now(), patience: self.patience };
        let response = deadline.keep(0, &what, self.client.request(method, url).send()).await?;
        match response.status() {
            StatusCode::OK => {}
            // A bucket whose listing is not public answers 403 for what it does not have.
            StatusCode::NOT_FOUND | StatusCode::GONE | StatusCode::FORBIDDEN => return Ok(None),
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                return Err(Error::new(ErrorKind::Unreachable, format!("{what}: the server says {status}"))
                    .hint("try again later, or verify from a mirror"));
            }
            status => return Err(Error::fatal(format!("{what}: the server says {status}"))),
        }
        Ok(Some(Answer { response, deadline, received: 0, what }))
    }

    /// How long a file is, without reading it: `None` if it is absent, and in it if the server does not say.
    pub(super) async fn size(&self, path: &str) -> Result<Option<Option<u64>>> {
        let found = match self.ask(Method::HEAD, path).await {
            Err(e) if e.kind() == ErrorKind::Fatal => self.ask(Method::GET, path).await?,
            found => found?,
        };
        let header = |answer: &Answer| answer.response.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok();
        Ok(found.as_ref().map(header))
    }

    pub(super) async fn read(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let Some(mut answer) = self.get(path, limit).await? else { return Ok(None) };
        let mut out = Vec::new();
        while let Some(piece) = answer.next().await? {
            let piece = piece.as_ref();
            if (out.len() + piece.len()) as u64 > limit {
                return Err(too_long(path, limit));
            }
            out.extend_from_slice(piece);
        }
        Ok(Some(out))
    }

    pub(super) async fn hash(&self, path: &str, limit: u64, out: &mut (dyn Write + Send)) -> Result<Option<Hashed>> {
        let Some(mut answer) = self.get(path, limit).await? else { return Ok(None) };
        let mut hasher = SigningHasher::new()?;
        while let Some(piece) = answer.next().await? {
            let piece = piece.as_ref();
            hasher.update(piece);
            if hasher.size() > limit {
                return Err(too_long(path, limit));
            }
            out.write_all(piece).context("cannot keep what was read")?;
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

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    #[tokio::test]
    async fn a_server_that_drips_is_left() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut web = Web::new(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
        web.patience = Duration::from_millis(300);
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut buffer = [0; 1024];
            let _ = stream.read(&mut buffer);
            let mut open = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
            while open.is_ok() {
                open = stream.write_all(b"x");
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let read = tokio::time::timeout(Duration::from_secs(10), web.read("a", 1 << 20)).await;
        let error = read.expect("it must end by itself").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unreachable);
        assert!(error.message().contains("too slow"), "{}", error.report());
    }
}
