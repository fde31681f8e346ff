//! Locks of the server (RFC 4918 §6): what two machines must not do at once is done under one.
//!
//! A lock ends by itself: who was killed while holding one keeps others waiting for a minute or so, and nobody has to clean up.
//! That is why a holder looks at its own watch before it acts, and leaves it when little of the time is left.

use std::time::{Duration, Instant};

use super::acts::Dav;
use super::client::{Body, Request};
use super::listing::granted;
use crate::error::{Error, Part, Result};
use crate::model::escape;

/// What is asked for: what is done under a lock takes two requests. nginx lets its own configuration decide: a minute, unless it
/// says otherwise.
const ASKED: &str = "Second-20";
/// What a lock lasts whose server does not say so.
const USUAL: Duration = Duration::from_secs(60);
/// How long another one's lock is waited for, longer than the usual one lasts.
const PATIENCE: Duration = Duration::from_secs(75);
const BETWEEN_LOOKS: Duration = Duration::from_millis(40);
const BETWEEN_LATER_LOOKS: Duration = Duration::from_millis(400);

const LOCKINFO: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n\
     <D:lockinfo xmlns:D=\"DAV:\"><D:lockscope><D:exclusive/></D:lockscope><D:locktype><D:write/></D:locktype>\
     <D:owner>lifeboat</D:owner></D:lockinfo>\n";

/// A lock that is held.
pub(super) struct Held<'a> {
    key: &'a str,
    /// `<urn:…>`, as the server wrote it.
    token: String,
    /// When it was asked for, and how long it lasts since then.
    since: Instant,
    lasts: Duration,
    /// Whether there was nothing at the key, so that the server made an empty object of it (RFC 4918 §7.3).
    pub(super) is_new: bool,
}

impl Held<'_> {
    /// The lock's token as a condition of a request on the same key.
    pub(super) fn condition(&self) -> String {
        format!("({})", self.token)
    }

    /// Refuses to act when the lock may end before the act has arrived: nginx takes an ended lock's token, if nobody has
    /// another one since.
    pub(super) fn still(&self) -> Result<()> {
        if self.since.elapsed() < self.lasts / 2 {
            return Ok(());
        }
        Err(Error::transient(format!("the lock of `{}` ended too early", self.key)).of(Part::Store))
    }
}

impl Dav {
    /// Locks a key, which others have no longer than they need.
    pub(super) async fn lock<'a>(&self, key: &'a str) -> Result<Held<'a>> {
        let begun = Instant::now();
        loop {
            let since = Instant::now();
            let request =
                Request::new("LOCK", key)?.with("depth", "0").with("timeout", ASKED).sending(Body::Xml(LOCKINFO));
            let response = self.client.send(request).await?;
            match response.status().as_u16() {
                status @ (200 | 201) => {
                    let token = response.headers().get("lock-token").and_then(|t| t.to_str().ok());
                    let valid = |t: &&str| t.starts_with('<') && t.ends_with('>') && !t[1..].contains(['<', '(', ')']);
                    let Some(token) = token.filter(valid).map(str::to_owned) else {
                        return Err(self.client.unexpected("lock", key, &response));
                    };
                    let lasts = granted(&self.client.body(response).await?)?.unwrap_or(USUAL);
                    return Ok(Held { key, token, since, lasts, is_new: status == 201 });
                }
                423 if begun.elapsed() < PATIENCE => {
                    let early = begun.elapsed() < 10 * BETWEEN_LATER_LOOKS;
                    tokio::time::sleep(if early { BETWEEN_LOOKS } else { BETWEEN_LATER_LOOKS }).await;
                }
                423 => {
                    return Err(Error::transient(format!(
                        "somebody else keeps `{}` locked",
                        escape(&self.client.shown(key))
                    ))
                    .of(Part::Store)
                    .hint("run `lifeboat ship` again"));
                }
                _ => return Err(self.client.unexpected("lock", key, &response)),
            }
        }
    }

    /// Ends a lock. One that cannot be ended now ends by itself.
    pub(super) async fn unlock(&self, held: Held<'_>) {
        let request = Request::new("UNLOCK", held.key).map(|r| r.with("lock-token", held.token));
        if let Ok(request) = request {
            drop(self.client.send(request).await);
        }
    }
}
