//! What went wrong at a bucket's server, in a person's words.

use object_store::client::{
    ClientOptions, HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody,
    HttpService,
};
use reqwest::StatusCode;
use reqwest::redirect::Policy;
use serde::Deserialize;

use super::table::Spot;
use crate::error::{Context as _, Error, ErrorKind, Part, Result};
use crate::http::{ANSWER_LIMIT, DetachedLookup, plain_reason};
use crate::model::escape;

use std::sync::Arc;
use std::time::Duration;

/// How long a connection may take, and how long a server may say nothing.
const CONNECT: Duration = Duration::from_secs(5);
const SILENCE: Duration = Duration::from_secs(60);
/// A request with more bytes than this may take longer, since nobody sees how many of them have left: as long as a line of
/// this many bytes a second needs.
const LITTLE: u64 = 64 << 10;
const SLOWEST: u64 = 20_000;
/// What is shown of a server's message.
const SHOWN: usize = 200;

/// A refusal of the server: <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    code: String,
    message: String,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the server answers {} {}", self.status.as_u16(), escape(&self.code))?;
        if self.message.is_empty() { Ok(()) } else { write!(f, ": {}", escape(&self.message)) }
    }
}

impl std::error::Error for Refusal {}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let said = quick_xml::de::from_str(&text).unwrap_or(Document { code: String::new(), message: String::new() });
        Self { status, code: said.code, message: said.message.chars().take(SHOWN).collect() }
    }
}

/// Makes the client of the library: it follows no redirect, since credentials are for one host, and says what a server refused.
#[derive(Debug)]
pub(super) struct Connector {
    pub(super) http: reqwest::Client,
    /// The same, for requests whose bytes take their time.
    uploads: reqwest::Client,
    silence: Duration,
}

impl Connector {
    pub(super) fn new() -> Result<Self> {
        Self::with(SILENCE)
    }

    /// With another limit for a server's silence.
    fn with(silence: Duration) -> Result<Self> {
        let client = |silence: Option<Duration>| {
            let builder = reqwest::Client::builder()
                .user_agent(concat!("lifeboat/", env!("CARGO_PKG_VERSION")))
                .redirect(Policy::none())
                .referer(false)
                .connect_timeout(CONNECT)
                .dns_resolver(Arc::new(DetachedLookup))
                .http1_only();
            let builder = match silence {
                Some(silence) => builder.read_timeout(silence),
                None => builder,
            };
            builder.build().context("cannot set up HTTP")
        };
        Ok(Self { http: client(Some(silence))?, uploads: client(None)?, silence })
    }
}

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        let Self { http, uploads, silence } = self;
        Ok(HttpClient::new(Service { http: http.clone(), uploads: uploads.clone(), silence: *silence }))
    }
}

#[derive(Debug)]
struct Service {
    http: reqwest::Client,
    uploads: reqwest::Client,
    silence: Duration,
}

/// Whether its bytes take their time.
fn is_upload(request: &HttpRequest) -> bool {
    request.body().content_length() as u64 > LITTLE
}

impl Service {
    /// Sends a request. The library below counts the time in which a body is sent as the server's silence.
    async fn send(&self, request: HttpRequest) -> std::result::Result<HttpResponse, HttpError> {
        if !is_upload(&request) {
            return self.http.call(request).await;
        }
        let limit = self.silence + Duration::from_secs(request.body().content_length() as u64 / SLOWEST);
        let late = |e| HttpError::new(HttpErrorKind::Timeout, e);
        tokio::time::timeout(limit, self.uploads.call(request)).await.map_err(late)?
    }
}

#[async_trait::async_trait]
impl HttpService for Service {
    async fn call(&self, request: HttpRequest) -> std::result::Result<HttpResponse, HttpError> {
        // Whatever is not an object is small: lists, and what the server says of a write.
        let is_list = request.uri().query().is_some_and(|query| query.contains("list-type="));
        let is_small = is_list || !matches!(request.method().as_str(), "GET" | "HEAD");
        // Nothing else watches over the answer to an upload.
        let patience = if is_upload(&request) { self.silence } else { Duration::MAX };
        let answer = self.send(request).await?;
        let status = answer.status();
        // What the library makes something of.
        let known = [StatusCode::NOT_MODIFIED, StatusCode::PRECONDITION_FAILED, StatusCode::CONFLICT];
        let passes = status.is_success() || known.contains(&status);
        if passes && !is_small {
            return Ok(answer);
        }
        let (parts, body) = answer.into_parts();
        let late = |e| HttpError::new(HttpErrorKind::Timeout, e);
        let body = tokio::time::timeout(patience, small(body)).await.map_err(late)??;
        if passes {
            return Ok(HttpResponse::from_parts(parts, HttpResponseBody::from(body)));
        }
        let refusal = Refusal::new(status, &body);
        if status == StatusCode::NOT_FOUND && refusal.code != "NoSuchBucket" && refusal.code != "NoSuchUpload" {
            return Ok(HttpResponse::from_parts(parts, HttpResponseBody::from(body)));
        }
        Err(HttpError::new(HttpErrorKind::Unknown, refusal))
    }
}

/// An answer that is read whole has no end.
#[derive(Debug)]
struct Endless;

impl std::fmt::Display for Endless {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the server answers with more than {ANSWER_LIMIT} bytes")
    }
}

impl std::error::Error for Endless {}

/// The whole of an answer that is small.
async fn small(body: HttpResponseBody) -> std::result::Result<Vec<u8>, HttpError> {
    let (mut pieces, mut out) = (body.bytes_stream(), Vec::new());
    while let Some(piece) = std::future::poll_fn(|task| pieces.as_mut().poll_next(task)).await {
        out.extend_from_slice(&piece?);
        if out.len() > ANSWER_LIMIT {
            return Err(HttpError::new(HttpErrorKind::Unknown, Endless));
        }
    }
    Ok(out)
}

fn chain<'a>(e: &'a (dyn std::error::Error + 'static)) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(e), |e| e.source())
}

/// Whether an error says that the object is not there; that the bucket is not there is another one.
pub(super) fn is_absent(e: &object_store::Error) -> bool {
    matches!(e, object_store::Error::NotFound { .. })
}

/// Whether an error says that an upload is not known any more: it was completed, or aborted.
pub(super) fn is_no_upload(e: &object_store::Error) -> bool {
    chain(e).any(|e| e.downcast_ref::<Refusal>().is_some_and(|r| r.code == "NoSuchUpload"))
        || matches!(e, object_store::Error::NotFound { .. })
}

/// Whether an answer to a conditional write leaves open what is there now: something else is, two wrote at once, or the server
/// failed. radosgw answers 500 to some that lost a race.
pub(super) fn is_unsure(e: &object_store::Error) -> bool {
    use object_store::Error as E;
    matches!(e, E::AlreadyExists { .. } | E::Precondition { .. } | E::NotModified { .. })
        || chain(e).any(|e| e.downcast_ref::<Refusal>().is_some_and(|r| r.status.is_server_error()))
}

/// An error of the library, with what was being done and where.
pub(super) fn failed(what: &str, spot: &Spot, e: object_store::Error) -> Error {
    if let Some(refusal) = chain(&e).find_map(|e| e.downcast_ref::<Refusal>()) {
        return refused(what, spot, refusal);
    }
    if let Some(endless) = chain(&e).find_map(|e| e.downcast_ref::<Endless>()) {
        return Error::verification(format!("{what}: {endless} ({})", spot.endpoint)).of(Part::Store);
    }
    if let Some(http) = chain(&e).find_map(|e| e.downcast_ref::<HttpError>()) {
        let reason = chain(&e).find_map(|e| e.downcast_ref::<reqwest::Error>()).map(plain_reason);
        let reason = reason.unwrap_or_else(|| escape(&http.to_string()));
        let is_down = http.kind() == HttpErrorKind::Connect;
        let kind = if is_down { ErrorKind::Unreachable } else { ErrorKind::Transient };
        return Error::new(kind, format!("{what}: {reason} ({})", spot.endpoint)).of(Part::Store);
    }
    Error::fatal(format!("{what} in {}: {}", spot.place(), escape(&e.to_string())))
}

/// What a refusal means.
pub(super) fn refused(what: &str, spot: &Spot, refusal: &Refusal) -> Error {
    let status = refusal.status;
    let of_kind = |kind| Error::new(kind, format!("{what}: {refusal}")).of(Part::Store);
    match refusal.code.as_str() {
        "NoSuchBucket" => of_kind(ErrorKind::Unreachable).hint(format!(
            "there is no bucket `{}` at {}: look at `url` and `endpoint`; it is not created by itself",
            spot.bucket, spot.endpoint
        )),
        // Another process ended it: whoever tries again finds the object, or begins an upload of its own.
        "NoSuchUpload" => of_kind(ErrorKind::Transient),
        "RequestTimeTooSkewed" => of_kind(ErrorKind::Unreachable)
            .hint("this machine's clock and the server's differ by more than 15 minutes: set it, such as with `timedatectl`"),
        _ if status == StatusCode::FORBIDDEN || status == StatusCode::UNAUTHORIZED => {
            of_kind(ErrorKind::Unreachable).hint(format!(
                "the access key of store `{}` needs the rights to list the bucket and to get, put and delete objects below \
                 `{}`: look at the key, its secret and its policy",
                spot.name, spot.prefix
            ))
        }
        _ if status.is_redirection() => of_kind(ErrorKind::Unreachable).hint(format!(
            "the bucket is in another region or at another address: look at `endpoint` and `region` of store `{}`",
            spot.name
        )),
        _ if status.is_server_error()
            || status == StatusCode::TOO_MANY_REQUESTS
            || status == StatusCode::REQUEST_TIMEOUT =>
        {
            of_kind(ErrorKind::Transient)
        }
        _ => of_kind(ErrorKind::Fatal),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use object_store::client::HttpRequestBody;

    use super::*;

    /// How much is put: more than the buffers of the system take.
    const BYTES: usize = 32 << 20;

    /// A server that takes a body in `pieces`, with a pause after each; its answer has an end only if `ends`.
    fn server(pieces: usize, ends: bool) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/key", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            let mut piece = vec![0; BYTES / pieces];
            for _ in 0..pieces {
                client.read_exact(&mut piece).unwrap();
                std::thread::sleep(Duration::from_millis(150));
            }
            let length = usize::from(!ends);
            write!(client, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").unwrap();
            std::thread::sleep(Duration::from_secs(20));
        });
        url
    }

    async fn put(url: &str, silence: Duration) -> std::result::Result<StatusCode, HttpErrorKind> {
        let mut request = HttpRequest::new(HttpRequestBody::from(vec![7_u8; BYTES]));
        *request.method_mut() = reqwest::Method::PUT;
        *request.uri_mut() = url.parse().unwrap();
        let client = Connector::with(silence).unwrap().connect(&ClientOptions::new()).unwrap();
        client.execute(request).await.map(|answer| answer.status()).map_err(|e| e.kind())
    }

    #[tokio::test]
    async fn a_slow_line_is_not_a_silent_server() {
        let silence = Duration::from_millis(300);
        assert_eq!(put(&server(8, true), silence).await, Ok(StatusCode::OK), "1.2 s for what is sent");
        assert_eq!(put(&server(1, false), silence).await, Err(HttpErrorKind::Timeout), "the answer never ends");
    }
}
