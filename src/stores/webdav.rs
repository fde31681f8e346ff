//! A WebDAV server (RFC 4918) as a store: `davs://dav.example.org/releases`.
//!
//! What servers do was tried on nginx 1.22 with its dav-ext module, and on rclone:
//!
//! * `If-None-Match` and `If-Match` on `PUT` are ignored, without a word. `Overwrite: F` on `MOVE` and `COPY` is honoured, but
//!   nginx looks first and renames then: of eight that raced over four of its processes, two won in 45 of 2,000 rounds. `LOCK` is
//!   one act on both (one of eight, 3,000 rounds). So an object is created by a `MOVE` with `Overwrite: F` under a lock.
//! * `COPY` of nginx writes into the file at its destination, where readers would see a part. So a copy gets a name of its own in
//!   the staging area first, as an upload does.
//! * `PUT` over an object is a rename on both. So that is how a pointer is replaced, under a lock of its own address, whose token
//!   the server compares. `MOVE` with `Overwrite: T` is none: rclone removes the destination first.
//! * nginx says an object's time in whole seconds, and makes an ETag of it and of the size: see `stat`.

mod acts;
mod client;
mod listing;
mod locks;
mod streamed;

use std::sync::Arc;

use reqwest::Url;
use serde::Deserialize;

use self::acts::Dav;
use self::client::Client;
use super::server::ServerStore;
use crate::adapter::{Adapter, Around, Settings, Spec, StoreFacts, StoreTable};
use crate::effects::{Store, Transfers};
use crate::error::{Error, Result};
use crate::model::{SecretRef, StoreName, TransferLimits};
use crate::table::{Fault, Faults, RawSecret, Table, Text, keys, keys_of, secrets};

/// The kind of store that is a directory on a WebDAV server.
pub(super) const ADAPTER: Adapter<dyn Store> = Adapter {
    kind: "davs",
    about: "a directory on a WebDAV server, over TLS",
    example: "davs://dav.example.org/releases",
    keys: keys_of::<RawWebDav>(),
    programs: &[],
    facts: StoreFacts { takes_paths: false },
    parse,
};

/// The same without TLS, on this machine only.
pub(super) const ON_LOOPBACK: Adapter<dyn Store> = Adapter {
    kind: "dav",
    about: "a directory on a WebDAV server of this machine, without TLS",
    example: "dav://127.0.0.1:8080/releases",
    ..ADAPTER
};

keys! {
    /// A directory on a WebDAV server.
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct RawWebDav {
        /// The user as whom objects are written.
        user: Text,
        /// Where the user's password is found.
        password: Option<RawSecret> = "none: `plan` refuses it",
    }
}

/// A checked table.
#[derive(Debug, Clone)]
struct Configured {
    name: StoreName,
    /// As it is written.
    url: String,
    /// The same as HTTP says it, with a final slash.
    base: Url,
    public_url: Option<String>,
    user: String,
    password: Option<SecretRef>,
    transfers: TransferLimits,
}

fn parse(common: &StoreTable, table: Table<'_>, faults: &mut Faults) -> Option<Spec<dyn Store>> {
    let dir = table.base().to_owned();
    let raw: RawWebDav = table.read(faults)?;
    let password = raw.password.as_ref().and_then(|p| faults.keep(secrets::reference(p, &dir)));
    let user = raw.user.get_ref().clone();
    if user.is_empty() || user.contains(':') || user.chars().any(char::is_control) {
        let message = "this is not a valid user of a WebDAV server";
        faults.add(Fault::new(raw.user.span(), message, "expected a name without `:` (RFC 7617)"));
        return None;
    }
    let text = common.url.get_ref();
    let base = match base_of(text) {
        Ok(base) => base,
        Err(expected) => {
            faults.add(Fault::new(common.url.span(), "this is not the address of a WebDAV directory", expected));
            return None;
        }
    };
    let (name, public_url) = (common.name.clone(), common.public_url.clone());
    let transfers = common.transfers;
    Some(Arc::new(Configured { name, url: text.clone(), base, public_url, user, password, transfers }))
}

/// The address as HTTP says it, or what is expected instead.
fn base_of(text: &str) -> std::result::Result<Url, &'static str> {
    const SHAPE: &str = "expected `davs://`, a host and a path of plain names, as in `davs://dav.example.org/releases`";
    const PLAIN: &str = "expected `davs://`: passwords are sent over TLS only, but to this machine";
    let (scheme, rest) = text.split_once("://").ok_or(SHAPE)?;
    let http = if scheme == "davs" { "https" } else { "http" };
    // A parser of addresses would take the first part of the path for the host.
    if rest.starts_with('/') {
        return Err(SHAPE);
    }
    let path = rest.trim_end_matches('/').split('/').skip(1);
    let plain = |part: &str| {
        !matches!(part, "" | "." | "..")
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'+' | b'~'))
    };
    if !path.into_iter().all(plain) {
        return Err(SHAPE);
    }
    let url = Url::parse(&format!("{http}://{}/", rest.trim_end_matches('/'))).map_err(|_| SHAPE)?;
    let is_bare = url.username().is_empty() && url.password().is_none();
    let host = url.host_str().filter(|host| is_bare && !host.is_empty()).ok_or(SHAPE)?;
    if http == "http" && !matches!(host, "127.0.0.1" | "localhost" | "[::1]") {
        return Err(PLAIN);
    }
    Ok(url)
}

impl Settings<dyn Store> for Configured {
    fn place(&self) -> String {
        self.url.clone()
    }

    fn pins(&self) -> Vec<(&'static str, String)> {
        vec![("user", self.user.clone())]
    }

    fn secrets(&self) -> Vec<(&'static str, &SecretRef)> {
        self.password.iter().map(|password| ("password", password)).collect()
    }

    fn hosts(&self) -> Vec<String> {
        self.base.host_str().map(str::to_owned).into_iter().collect()
    }

    fn lacks_nothing(&self) -> Result<()> {
        if self.password.is_some() {
            return Ok(());
        }
        Err(Error::input(format!("store `{}` has no `password`: nothing could ever be written there", self.name))
            .hint("add `password = { env = \"NAME\" }`, `{ file = … }` or `{ command = […] }`"))
    }

    fn open(&self, around: &Around) -> Result<Arc<dyn Store>> {
        let base = self.public_url.clone().unwrap_or_else(|| self.base.to_string());
        let transfers = Transfers::new(self.transfers, &around.clock);
        let server = Dav::new(Client::new(self.clone(), around)?, transfers.clone());
        Ok(Arc::new(ServerStore::new(self.name.clone(), &base, Arc::new(server), transfers)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_plain_and_passwords_stay_on_tls() {
        for (good, http) in [
            ("davs://dav.example.org/releases", "https://dav.example.org/releases/"),
            ("davs://dav.example.org:8443/a/b.c/", "https://dav.example.org:8443/a/b.c/"),
            ("davs://dav.example.org", "https://dav.example.org/"),
            ("dav://127.0.0.1:8080/x", "http://127.0.0.1:8080/x/"),
            ("dav://[::1]:8080/x", "http://[::1]:8080/x/"),
        ] {
            assert_eq!(base_of(good).as_ref().map(Url::as_str), Ok(http));
        }
        for bad in [
            "dav://dav.example.org/releases",
            "dav://localhost.evil/x",
            "davs://",
            "davs:///x",
            "davs://user:secret@dav.example.org/x",
            "davs://user@dav.example.org/x",
            "davs://dav.example.org/a/../b",
            "davs://dav.example.org/a//b",
            "davs://dav.example.org/a%2fb",
            "davs://dav.example.org/a?b",
            "davs://dav.example.org/a#b",
            "davs://dav.example.org/a b",
        ] {
            assert!(base_of(bad).is_err(), "{bad}");
        }
    }
}
