//! One answer: its status, what its headers say, its body.

use reqwest::Url;
use reqwest::header::HeaderMap;

use super::answers::Refusal;
use super::limits::Signs;
use crate::model::escape;

/// An answer whose status is not the server's own failure.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|v| v.to_str().ok())
    }

    /// ` (request …)`, for the forge's support.
    pub(super) fn request_id(&self) -> String {
        self.header("x-github-request-id").map(|id| format!(" (request {})", escape(id))).unwrap_or_default()
    }

    pub(super) fn refusal(&self) -> Refusal {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub(super) fn signs(&self) -> Signs<'_> {
        let message = std::str::from_utf8(&self.body).unwrap_or_default();
        Signs {
            status: self.status,
            retry_after: self.header("retry-after"),
            remaining: self.header("x-ratelimit-remaining"),
            reset: self.header("x-ratelimit-reset"),
            message,
        }
    }

    /// The next page (RFC 8288), if it is on the same host: the token goes nowhere else.
    pub(super) fn next_page(&self, from: &Url) -> Option<Url> {
        let link = self.header("link")?;
        let part = link.split(',').find(|p| p.contains("rel=\"next\""))?;
        let address = part.split_once('<')?.1.split_once('>')?.0;
        let url = from.join(address).ok()?;
        (url.origin() == from.origin()).then_some(url)
    }
}
