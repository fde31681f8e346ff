//! What differs between the servers that the client talks to: patience, headers, and what helps people who use them.

use std::time::Duration;

/// How long each part of a call may take.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// Until a connection stands, TLS included.
    pub connect: Duration,
    /// Until the head of the answer to a read is there, and between two parts of its body.
    pub read: Duration,
    /// The same for a change.
    pub write: Duration,
    /// How long an upload may stand still before all of it is on its way.
    pub stall: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { connect: seconds(3), read: seconds(8), write: seconds(20), stall: seconds(15) }
    }
}

/// What one kind of server wants of every request, and what helps people who use it.
#[derive(Debug)]
pub(crate) struct Dialect {
    /// The media type of its answers.
    pub(crate) accept: &'static str,
    /// The header that says which version of the API is meant, and its value.
    pub(crate) version: Option<(&'static str, &'static str)>,
    /// The word before a token.
    pub(crate) scheme: &'static str,
    /// How its token is configured.
    pub(crate) token: &'static str,
    /// What to do about 403 and 404.
    pub(crate) denied: &'static str,
}
