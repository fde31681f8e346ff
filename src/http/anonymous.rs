//! What a stranger sees: requests without any credentials.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::redirect::Policy;
use reqwest::{Client, Response, header};
use tokio::task::JoinSet;

use crate::effects::Clock;
use crate::error::{Context as _, Result};

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long the servers that are asked for the time have, all together: a train at its open gate waits for no time-out of one
/// that is down.
const MOMENT: Duration = Duration::from_secs(1);

/// What is read of an answer.
const LIMIT: usize = 1 << 20;

/// Redirects that are followed, as browsers and `curl -L` do: a server that sends `http` to `https`, or to another host, gives
/// the file all the same.
const REDIRECTS: usize = 5;

async fn ask(url: &str, redirects: Policy) -> Result<Response> {
    let what = format!("cannot read `{url}`");
    let client = Client::builder()
        .user_agent(concat!("lifeboat/", env!("CARGO_PKG_VERSION")))
        .redirect(redirects)
        .referer(false)
        .connect_timeout(PATIENCE)
        .timeout(PATIENCE)
        .build()
        .context("cannot set up HTTP")?;
    client.get(url).send().await.context(what)
}

/// The first bytes that a server gives to anybody at an address; `None` where it refuses.
///
/// # Errors
/// A server that does not answer.
pub(crate) async fn read(url: &str) -> Result<Option<Vec<u8>>> {
    let mut answer = ask(url, Policy::limited(REDIRECTS)).await?;
    if !answer.status().is_success() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    while let Some(piece) = answer.chunk().await.context(format!("cannot read `{url}`"))? {
        bytes.extend_from_slice(&piece);
        if bytes.len() > LIMIT {
            break;
        }
    }
    Ok(Some(bytes))
}

/// The time that a server gives with its answer (RFC 9110 §6.6.1), whatever it answers.
async fn time(url: &str) -> Option<Timestamp> {
    let answer = ask(url, Policy::none()).await.ok()?;
    let date = answer.headers().get(header::DATE)?.to_str().ok()?;
    jiff::fmt::rfc2822::parse(date).ok().map(|zoned| zoned.timestamp())
}

/// A clock that can ask servers for theirs.
pub struct WatchedClock<C> {
    inner: C,
    servers: Vec<(String, String)>,
}

impl<C: Clock> WatchedClock<C> {
    /// `inner`, with these servers: what each is, and its address.
    pub fn new(inner: C, servers: Vec<(String, String)>) -> Self {
        Self { inner, servers }
    }
}

#[async_trait::async_trait]
impl<C: Clock> Clock for WatchedClock<C> {
    fn now(&self) -> Timestamp {
        self.inner.now()
    }

    async fn sleep_until(&self, when: Timestamp) {
        self.inner.sleep_until(when).await;
    }

    async fn elsewhere(&self) -> Vec<(String, Timestamp)> {
        let mut asked = JoinSet::new();
        for (what, url) in self.servers.clone() {
            asked.spawn(async move { time(&url).await.map(|at| (what, at)) });
        }
        let mut times: Vec<(String, Timestamp)> = Vec::new();
        let all = async {
            while let Some(one) = asked.join_next().await {
                times.extend(one.ok().flatten());
            }
        };
        // Who has not answered by then is not a witness.
        drop(tokio::time::timeout(MOMENT, all).await);
        times.sort();
        times
    }

    fn nonce(&self) -> Result<[u8; 16]> {
        self.inner.nonce()
    }
}
