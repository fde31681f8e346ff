//! A directory on a machine with sshd as a store: `sftp://release@host.example.org/srv/releases`.
//!
//! The user's own `ssh` makes the connection, as it does for `git push`: keys, agent, host keys, jump hosts and all else are what
//! the user's configuration of ssh says. What is done over it is SFTP version 3 with OpenSSH's extensions (PROTOCOL in its
//! sources):
//!
//! * `hardlink@openssh.com` gives a whole and synced file its name, if nothing has that name: one act of the file system (of eight
//!   that raced one won, each time). Promoting is another such link.
//! * `posix-rename@openssh.com` replaces a pointer, under a lease: see `lease`.
//! * `fsync@openssh.com` syncs files. Nothing syncs a directory: a name may be lost when the machine loses power just then.

mod acts;
mod lease;
mod read_ahead;
mod session;

use std::sync::Arc;

use serde::Deserialize;

use self::acts::SftpServer;
use self::session::Connection;
use super::server::ServerStore;
use crate::adapter::{Adapter, Around, Program, Settings, Spec, StoreFacts, StoreTable};
use crate::effects::{Store, Transfers};
use crate::error::{Part, Result};
use crate::model::{StoreName, TransferLimits};
use crate::ssh::{SshHost, is_plain};
use crate::table::{Fault, Faults, Table, Text, keys, keys_of};

/// The kind of store that is a directory on a machine with sshd.
pub(super) const ADAPTER: Adapter<dyn Store> = Adapter {
    kind: "sftp",
    about: "a directory on a machine with sshd, over the user's own `ssh`",
    example: "sftp://release@host.example.org/srv/releases",
    keys: keys_of::<RawSftp>(),
    programs: &[Program::SSH],
    facts: StoreFacts { takes_paths: false },
    parse,
};

keys! {
    /// A directory on a machine with sshd.
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct RawSftp {
        /// The configuration of ssh to be used, as with `ssh -F`.
        ssh_config: Option<Text> = "the user's own",
    }
}

/// A checked table.
#[derive(Debug, Clone)]
struct Configured {
    name: StoreName,
    url: String,
    public_url: Option<String>,
    address: Address,
    transfers: TransferLimits,
}

/// The parts of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Address {
    at: SshHost,
    /// Absolute, without final slash.
    root: String,
}

fn parse(common: &StoreTable, table: Table<'_>, faults: &mut Faults) -> Option<Spec<dyn Store>> {
    let dir = table.base().to_owned();
    let raw: RawSftp = table.read(faults)?;
    let url = common.url.get_ref().clone();
    let Some(mut address) = address(&url) else {
        let message = "this is not the address of a directory on a machine with sshd";
        let label = "expected `sftp://`, a user if need be, a host and a path of plain names, as in \
                     `sftp://release@host.example.org/srv/releases`";
        faults.add(Fault::new(common.url.span(), message, label));
        return None;
    };
    address.at.config = raw.ssh_config.map(|file| dir.join(file.get_ref()));
    let (name, public_url, transfers) = (common.name.clone(), common.public_url.clone(), common.transfers);
    Some(Arc::new(Configured { name, url, public_url, address, transfers }))
}

/// The parts of an address, none of which ssh or a shell could take for something else.
fn address(url: &str) -> Option<Address> {
    let rest = url.strip_prefix("sftp://")?.trim_end_matches('/');
    let (place, path) = rest.split_once('/')?;
    let at = SshHost { part: Some(Part::Store), ..SshHost::parse(place)? };
    path.split('/').all(is_plain).then(|| Address { at, root: format!("/{path}") })
}

impl Settings<dyn Store> for Configured {
    fn place(&self) -> String {
        self.url.clone()
    }

    fn programs(&self) -> Vec<Program> {
        vec![Program::SSH]
    }

    // No hosts: ssh proves that it has a key, and sends none.

    fn pins(&self) -> Vec<(&'static str, String)> {
        self.address.at.config.iter().map(|file| ("ssh_config", file.display().to_string())).collect()
    }

    fn open(&self, around: &Around) -> Result<Arc<dyn Store>> {
        let base = self.public_url.clone().unwrap_or_else(|| self.url.clone());
        let transfers = Transfers::new(self.transfers, &around.clock);
        let at = Connection::new(self.address.clone());
        let server = SftpServer::new(at, transfers.clone());
        Ok(Arc::new(ServerStore::new(self.name.clone(), &base, Arc::new(server), transfers)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_plain() {
        let of = |user: Option<&str>, host: &str, port, root: &str| {
            let (user, host, part) = (user.map(str::to_owned), host.to_owned(), Some(Part::Store));
            Some(Address { at: SshHost { user, host, port, config: None, part }, root: root.to_owned() })
        };
        assert_eq!(address("sftp://host/srv/releases"), of(None, "host", None, "/srv/releases"));
        assert_eq!(address("sftp://me@h.example:22/x/"), of(Some("me"), "h.example", Some(22), "/x"));
        assert_eq!(address("sftp://[::1]:2222/x"), of(None, "::1", Some(2222), "/x"));
        assert_eq!(address("sftp://[::1]/x"), of(None, "::1", None, "/x"));
        for bad in [
            "sftp://host",
            "sftp://host/",
            "sftp:///srv",
            "sftp://-oProxyCommand=x/srv",
            "sftp://-x@host/srv",
            "sftp://me:secret@host/srv",
            "sftp://host:x/srv",
            "sftp://host:99999/srv",
            "sftp://host/a/../b",
            "sftp://host/a b",
            "sftp://host/$(x)",
            "sftp://[x]/srv",
        ] {
            assert_eq!(address(bad), None, "{bad}");
        }
    }
}
