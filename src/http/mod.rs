//! HTTP to a server with a REST API, for whoever talks to one: a forge, or a runner that a forge has; and the parts of it that
//! stores need.
//!
//! Deadlines, a breaker for each host, the server's own limits, conditional reads, pages, uploads from disk, tokens and apps,
//! and errors that say how sure they are.

mod anonymous;
mod answer;
mod client;
mod credentials;
mod dialect;
mod download;
mod limits;
mod pages;
mod read;
mod reason;
mod upload;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::adapter::Around;
use crate::effects::{Clock, SecretResolver};
use crate::error::{Error, Result};
use crate::model::{RemoteName, SecretRef, escape};

pub use anonymous::WatchedClock;
pub(crate) use anonymous::read as read_as_stranger;
pub(crate) use client::{Body, Client, Host};
pub use dialect::Deadlines;
pub(crate) use dialect::Dialect;
pub(crate) use download::download;
pub(crate) use pages::pages;
pub(crate) use read::{ANSWER_LIMIT, read_again};
pub(crate) use reason::{DetachedLookup, plain_reason};
pub(crate) use upload::{Form, Upload};

/// The credentials with which a server is asked, and for what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// What the configuration calls it: errors name it.
    pub name: RemoteName,
    /// `owner/name`: an app's tokens are for this repository only.
    pub repository: String,
    /// Where its token is found.
    pub token: Option<SecretRef>,
    /// The app that fetches tokens; instead of `token`.
    pub app: Option<AppSpec>,
}

/// An app that is installed on a forge and fetches short-lived tokens, as GitHub has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppSpec {
    /// Its client id (`Iv23li…`) or its number.
    pub id: String,
    /// The number of its installation on the repository's owner.
    pub installation: u64,
    /// Where its private key is found: RSA, PEM.
    pub private_key: SecretRef,
}

impl From<&Around> for Surroundings {
    fn from(around: &Around) -> Self {
        Self { clock: around.clock.clone(), secrets: around.secrets.clone(), hosts: around.hosts.clone() }
    }
}

/// What a client needs of this machine.
#[derive(Clone)]
pub struct Surroundings {
    /// Waits for rate limits and between polls.
    pub clock: Arc<dyn Clock>,
    /// Reads the token when it is first needed.
    pub secrets: SecretResolver,
    /// The hosts that the trust root lets receive credentials, by name without port.
    pub hosts: BTreeSet<String>,
}

/// Refuses a host that the trust root does not let have credentials, before any are read; `unread` says which were not.
pub(crate) fn may_have_credentials(hosts: &BTreeSet<String>, url: &reqwest::Url, unread: &str) -> Result<()> {
    let host = url.host_str().unwrap_or_default();
    if hosts.contains(host) {
        return Ok(());
    }
    Err(Error::input(format!("the trust root does not let `{}` have credentials", escape(host))).detail(unread).hint(
        "if it is the right host, put it under `hosts` in a new `keys/trust.json`: `lifeboat trust show` says which are there",
    ))
}

/// The host of an address, without port.
pub(crate) fn host(address: &str) -> Option<String> {
    reqwest::Url::parse(address).ok()?.host_str().map(str::to_owned)
}
