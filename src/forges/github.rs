//! GitHub: for now, whether it answers.

use std::error::Error as StdError;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::ForgeSpec;
use crate::effects::Forge;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{RemoteName, escape};
use crate::step::ForgeRelease;

/// Where the REST API is, unless the configuration says otherwise.
const API: &str = "https://api.github.com";
/// Until a connection stands, TLS included.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// Until the head of an answer is there, name look-up included: a forge that drops packets must not hold up a train.
const TOTAL_LIMIT: Duration = Duration::from_secs(3);

/// One repository on GitHub.
struct GitHub {
    name: RemoteName,
    repository: String,
    api: String,
}

/// Makes the forge; touches nothing yet.
pub(super) fn open(spec: &ForgeSpec) -> Result<Arc<dyn Forge>> {
    let api = spec.api.clone().unwrap_or_else(|| API.to_owned());
    Ok(Arc::new(GitHub { name: spec.name.clone(), repository: spec.repository.clone(), api }))
}

/// Made when it is first needed: reading the system's certificates takes longer than most commands.
fn client() -> Result<reqwest::Client> {
    reqwest::Client::builder()
        .user_agent(concat!("lifeboat/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_LIMIT)
        .timeout(TOTAL_LIMIT)
        .redirect(reqwest::redirect::Policy::none())
        .dns_resolver(Arc::new(DetachedLookup))
        .build()
        .map_err(|e| Error::fatal("cannot set up TLS").because(e))
}

#[async_trait::async_trait]
impl Forge for GitHub {
    fn name(&self) -> &RemoteName {
        &self.name
    }

    async fn probe(&self) -> Result<()> {
        let asked = tokio::time::timeout(TOTAL_LIMIT, client()?.get(&self.api).send()).await;
        let reason = match asked {
            Err(_) => format!("no answer within {} s", TOTAL_LIMIT.as_secs()),
            Ok(Err(e)) => plain_reason(&e),
            // It answers even if it refuses us; only its own failures count as down.
            Ok(Ok(answer)) if !answer.status().is_server_error() => return Ok(()),
            Ok(Ok(answer)) => format!("it answers with HTTP status {}", answer.status().as_u16()),
        };
        Err(Error::new(ErrorKind::Unreachable, format!("`{}` ({}) cannot be reached: {reason}", self.name, self.api)))
    }

    async fn deliver(&self, release: &ForgeRelease) -> Result<String> {
        self.probe().await?;
        let text = format!("publishing releases on `{}` is not part of this version yet", self.name);
        Err(Error::new(ErrorKind::Unreachable, text)
            .detail(format!("release: {} of `{}`", release.version, self.repository))
            .hint(format!(
                "by hand: `gh release create <tag> --repo {} --verify-tag --draft <files>` with the files of the public store, \
                 compare them with `sha256sum -c SHA256SUMS`, then publish the draft",
                self.repository
            )))
    }
}

/// Why a request failed, in a person's words.
fn plain_reason(e: &reqwest::Error) -> String {
    let mut causes = Vec::new();
    let mut cause: Option<&(dyn StdError + 'static)> = Some(e);
    while let Some(c) = cause {
        if let Some(io) = c.downcast_ref::<std::io::Error>() {
            match io.kind() {
                std::io::ErrorKind::ConnectionRefused => return "the connection is refused".to_owned(),
                std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::UnexpectedEof => {
                    return "the connection is cut".to_owned();
                }
                std::io::ErrorKind::NetworkUnreachable | std::io::ErrorKind::HostUnreachable => {
                    return "there is no route to it".to_owned();
                }
                _ => {}
            }
        }
        if c.is::<LookupFailed>() {
            return "its name cannot be looked up (DNS)".to_owned();
        }
        causes.push(c.to_string());
        cause = c.source();
    }
    let last = escape(causes.last().map_or("", String::as_str));
    let tls = causes.iter().any(|c| {
        let c = c.to_ascii_lowercase();
        ["tls", "certificate", "handshake", "invalidcontenttype", "corrupt message"].iter().any(|word| c.contains(word))
    });
    if e.is_timeout() {
        format!("no answer within {} s", TOTAL_LIMIT.as_secs())
    } else if tls {
        format!("no secure connection (TLS): {last}")
    } else {
        last
    }
}

/// Looks names up on threads of their own. The usual resolver does so on the runtime's, which then cannot end before the
/// system's resolver has given up: many seconds where a network silently drops everything.
struct DetachedLookup;

/// The name has no address, or nobody answers for it.
#[derive(Debug)]
struct LookupFailed(String);

impl std::fmt::Display for LookupFailed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cannot look up the name: {}", self.0)
    }
}

impl StdError for LookupFailed {}

impl Resolve for DetachedLookup {
    fn resolve(&self, name: Name) -> Resolving {
        let (found, answer) = tokio::sync::oneshot::channel();
        let host = name.as_str().to_owned();
        std::thread::spawn(move || {
            // Port 0 is replaced by the port of the address.
            let addresses = (host.as_str(), 0).to_socket_addrs().map(|a| a.collect::<Vec<SocketAddr>>());
            // Nobody may be waiting any more.
            drop(found.send(addresses));
        });
        Box::pin(async move {
            match answer.await {
                Ok(Ok(addresses)) => Ok(Box::new(addresses.into_iter()) as Addrs),
                Ok(Err(e)) => Err(LookupFailed(e.to_string()).into()),
                Err(e) => Err(LookupFailed(e.to_string()).into()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::time::Instant;

    use super::*;

    async fn probe(api: String) -> (Result<()>, Duration) {
        let spec = ForgeSpec { name: "github".parse().unwrap(), repository: "a/b".into(), api: Some(api) };
        let forge = open(&spec).unwrap();
        let start = Instant::now();
        (forge.probe().await, start.elapsed())
    }

    async fn reason(api: String) -> String {
        let (result, took) = probe(api).await;
        assert!(took < Duration::from_millis(3500), "{took:?}");
        let e = result.unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Unreachable);
        e.message().to_owned()
    }

    fn answering(answer: &'static [u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut stream = stream;
                let mut buffer = [0; 4096];
                drop(stream.read(&mut buffer));
                drop(stream.write_all(answer));
            }
        });
        address.to_string()
    }

    #[tokio::test]
    async fn a_listener_that_never_answers_costs_three_seconds() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        for scheme in ["http", "https"] {
            let text = reason(format!("{scheme}://{address}")).await;
            assert!(text.contains("no answer within 3 s"), "{text}");
        }
    }

    #[tokio::test]
    async fn failures_have_plain_reasons() {
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let text = reason(format!("https://{closed}")).await;
        assert!(text.ends_with("the connection is refused"), "{text}");
        let text = reason("https://no-such-host.invalid".to_owned()).await;
        assert!(text.ends_with("its name cannot be looked up (DNS)"), "{text}");
        let text = reason(format!("https://{}", answering(b"HTTP/1.1 400 Bad Request\r\n\r\n"))).await;
        assert!(text.contains("no secure connection (TLS)"), "{text}");
        let text = reason(format!("http://{}", answering(b"HTTP/1.1 503 Unicorn\r\ncontent-length: 0\r\n\r\n"))).await;
        assert!(text.ends_with("it answers with HTTP status 503"), "{text}");
        let text = reason(format!("http://{}", answering(b""))).await;
        assert!(text.contains("cannot be reached"), "{text}");
    }

    #[tokio::test]
    async fn an_answer_is_enough_and_delivery_says_what_to_do() {
        let api = format!("http://{}", answering(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n"));
        assert!(probe(api.clone()).await.0.is_ok());
        let spec = ForgeSpec { name: "github".parse().unwrap(), repository: "a/b".into(), api: Some(api) };
        let release = ForgeRelease {
            forge: "github".parse().unwrap(),
            branch: "release-1".parse().unwrap(),
            version: "1.2.3".parse().unwrap(),
            checksum: crate::step::StepId::new("checksum", &["1.2.3"]),
            seal: crate::step::StepId::new("seal", &["1.2.3"]),
        };
        let e = open(&spec).unwrap().deliver(&release).await.unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Unreachable);
        assert!(e.report().contains("hint: by hand: `gh release create"), "{}", e.report());
    }
}
