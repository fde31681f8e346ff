//! One answer: its status, what its headers say, its body.

use reqwest::Url;
use reqwest::header::HeaderMap;
use serde::Deserialize;

use super::limits::Signs;
use crate::error::{Context as _, Error, Result};
use crate::model::escape;

/// An answer whose status is not the server's own failure.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// A header's value, if it is there and is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|v| v.to_str().ok())
    }

    /// ` (request …)`, for the forge's support, where it names its requests.
    pub(crate) fn request_id(&self) -> String {
        self.header("x-github-request-id").map(|id| format!(" (request {})", escape(id))).unwrap_or_default()
    }

    pub(crate) fn refusal(&self) -> Refusal {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub(crate) fn signs(&self) -> Signs<'_> {
        let message = std::str::from_utf8(&self.body).unwrap_or_default();
        Signs {
            status: self.status,
            retry_after: self.header("retry-after"),
            remaining: self.header("x-ratelimit-remaining"),
            reset: self.header("x-ratelimit-reset"),
            message,
        }
    }

    /// The next page (RFC 8288), if there is one.
    ///
    /// # Errors
    /// It is on another host, where the token does not go; a list that ends there would look whole.
    pub(crate) fn next_page(&self, from: &Url) -> Result<Option<Url>> {
        let part = self.header("link").and_then(|link| link.split(',').find(|p| p.contains("rel=\"next\"")));
        let Some(address) = part.and_then(|p| p.split_once('<')?.1.split_once('>')).map(|(a, _)| a) else {
            return Ok(None);
        };
        let url = from.join(address).context("the address of the next page of a list is none")?;
        if url.origin() == from.origin() {
            return Ok(Some(url));
        }
        let shown = escape(url.host_str().unwrap_or_default());
        Err(Error::verification(format!("a list of the forge goes on at `{shown}`, which is not its own host")).hint(
            "nothing was sent there; is a proxy in between? `api` must be the address that the forge gives itself",
        ))
    }
}

/// The body of a refusal.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Refusal {
    #[serde(default)]
    pub(crate) message: String,
    #[serde(default)]
    pub(crate) errors: Vec<serde_json::Value>,
}

impl Refusal {
    /// Whether its message or one of the errors has these words.
    pub(crate) fn says(&self, words: &str) -> bool {
        self.message.contains(words) || self.errors.iter().any(|e| e.to_string().contains(words))
    }

    /// Whether one of the errors has this code.
    pub(crate) fn has_code(&self, code: &str) -> bool {
        self.errors.iter().any(|e| e.get("code").and_then(|c| c.as_str()) == Some(code))
    }
}
