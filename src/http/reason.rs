//! Why a request failed, in a person's words; and name look-ups that cannot hold a process up.

use std::error::Error as StdError;
use std::net::{SocketAddr, ToSocketAddrs as _};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::model::escape;

/// Why a request failed, in a person's words.
pub(crate) fn plain_reason(e: &reqwest::Error) -> String {
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
        "no answer in time".to_owned()
    } else if tls {
        format!("no secure connection (TLS): {last}")
    } else {
        last
    }
}

/// Looks names up on threads of their own. The usual resolver does so on the runtime's, which then cannot end before the
/// system's resolver has stopped trying: many seconds where a network silently drops everything.
pub(crate) struct DetachedLookup;

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
