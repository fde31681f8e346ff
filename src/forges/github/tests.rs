//! The probe, the reasons of failures, and where the token may go.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::error::ErrorKind;
use crate::host::HostClock;

fn forge(api: String) -> GitHub {
    let (name, repository) = ("github".parse().unwrap(), "a/b".to_owned());
    let spec = ForgeSpec { name, repository, api: Some(api), uploads: None, token: None, app: None };
    let secrets = Arc::new(|_: &crate::model::SecretRef| Err(Error::fatal("no secret here")));
    GitHub::new(&spec, &Surroundings { clock: Arc::new(HostClock), secrets, hosts: BTreeSet::new() })
}

#[tokio::test]
async fn the_token_goes_to_hosts_of_the_trust_root_only() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let api = format!("http://{}", listener.local_addr().unwrap());
    let (name, repository) = ("github".parse().unwrap(), "a/b".to_owned());
    let token = Some(crate::model::SecretRef::Env("TOKEN".into()));
    let spec = ForgeSpec { name, repository, api: Some(api), uploads: None, token, app: None };
    let read = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let seen = read.clone();
    let secrets = Arc::new(move |_: &crate::model::SecretRef| {
        seen.store(true, std::sync::atomic::Ordering::SeqCst);
        Ok(crate::model::Secret::new("canary"))
    });
    let hosts = ["api.github.com".to_owned(), "example.org".to_owned()].into();
    let forge = GitHub::new(&spec, &Surroundings { clock: Arc::new(HostClock), secrets, hosts });
    let e = forge.observe(&"v1.0.0".parse().unwrap()).await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Input);
    assert!(e.message().contains("does not let `127.0.0.1` have credentials"), "{}", e.report());
    assert!(!read.load(std::sync::atomic::Ordering::SeqCst), "the token was read");
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "something was sent");
}

async fn probe(api: String) -> (Result<()>, Duration) {
    let forge = forge(api);
    let start = Instant::now();
    (forge.probe().await, start.elapsed())
}

async fn reason(api: String) -> String {
    let (result, took) = probe(api).await;
    // Three times what the deadline allows: it is there, and a busy machine is not blamed.
    assert!(took < Duration::from_secs(9), "{took:?}");
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
async fn an_answer_is_enough() {
    let api = format!("http://{}", answering(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n"));
    assert!(probe(api).await.0.is_ok());
}

#[tokio::test]
async fn without_a_token_nothing_is_sent() {
    let api = format!("http://{}", answering(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"));
    let e = forge(api).observe(&"v1.0.0".parse().unwrap()).await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Input);
    assert!(e.report().contains("has no token"), "{}", e.report());
}

#[test]
fn the_token_goes_to_the_apis_own_hosts_only() {
    let may = |base: &str, to: &str| may_receive(&Url::parse(base).unwrap(), &Url::parse(to).unwrap());
    assert!(may(API, "https://uploads.github.com/repos/a/b/releases/1/assets"));
    assert!(may("https://ghe.example.org/api/v3", "https://ghe.example.org/api/uploads/repos/a/b/releases/1/assets"));
    assert!(may("http://127.0.0.1:1", "http://127.0.0.1:2/x"));
    assert!(!may(API, "http://uploads.github.com/x"));
    assert!(!may(API, "https://uploads.github.com:444/x"));
    assert!(!may(API, "https://uploads.github.com.example.org/x"));
    assert!(!may("https://ghe.example.org/api/v3", "https://uploads.github.com/x"));
    assert!(!may(API, "http://127.0.0.1:2/x"));
}

#[test]
fn the_host_of_uploads_follows_from_the_apis_address() {
    assert_eq!(uploads_of(API).as_deref(), Some("https://uploads.github.com"));
    assert_eq!(uploads_of("https://ghe.example.org/api/v3").as_deref(), Some("https://ghe.example.org/api/uploads"));
    assert_eq!(uploads_of("http://127.0.0.1:1"), None);
}

#[test]
fn the_end_of_a_token_is_a_time() {
    let end = |text: &str| token_end(text).map(|t| t.to_string());
    assert_eq!(end("2026-12-31 23:59:59 UTC").as_deref(), Some("2026-12-31T23:59:59Z"));
    assert_eq!(end("2026-12-31 23:59:59 -0400").as_deref(), Some("2027-01-01T03:59:59Z"));
    assert_eq!(end("soon"), None);
}

#[tokio::test]
async fn a_token_says_when_it_ends_and_a_refused_one_is_reported() {
    let with = |answer: &'static [u8]| {
        let token = Some(crate::model::SecretRef::Env("TOKEN".into()));
        let (name, api) = ("github".parse().unwrap(), Some(format!("http://{}", answering(answer))));
        let spec = ForgeSpec { name, repository: "a/b".to_owned(), api, uploads: None, token, app: None };
        let secrets = Arc::new(|_: &crate::model::SecretRef| Ok(crate::model::Secret::new("canary")));
        GitHub::new(
            &spec,
            &Surroundings { clock: Arc::new(HostClock), secrets, hosts: ["127.0.0.1".to_owned()].into() },
        )
    };
    let ends = with(
        b"HTTP/1.1 200 OK\r\ngithub-authentication-token-expiration: 2026-12-31 23:59:59 UTC\r\ncontent-length: 2\r\n\r\n{}",
    );
    assert_eq!(ends.credential_expires().await.unwrap(), Some("2026-12-31T23:59:59Z".parse().unwrap()));
    let endless = with(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
    assert_eq!(endless.credential_expires().await.unwrap(), None);
    let refused = with(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\n{}");
    assert_eq!(refused.credential_expires().await.unwrap_err().kind(), ErrorKind::Verification);
}
