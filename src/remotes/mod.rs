//! Git remotes: one file per adapter, and the registry of them.

mod git;
mod porcelain;

use std::sync::Arc;

pub use git::GitRemote;

use crate::effects::{Clock, Remote};
use crate::error::{Error, Result};
use crate::git::GitProgram;
use crate::model::{RemoteName, escape};

/// Opens the remote of this name at an address.
pub type OpenRemote = fn(&GitProgram, &RemoteName, &str, &Arc<dyn Clock>) -> Result<Arc<dyn Remote>>;

/// An adapter: what it is for, which addresses it takes, and how it is opened.
pub struct RemoteKind {
    /// Its name, for `doctor` and the generated reference.
    pub name: &'static str,
    /// What it is for, in one line.
    pub about: &'static str,
    /// Whether it takes this address.
    pub takes: fn(&str) -> bool,
    /// Opens the remote; the clock tells how long a server that does not answer is left alone.
    pub open: OpenRemote,
}

/// Every adapter.
pub const REMOTES: &[RemoteKind] = &[git::KIND];

/// Opens the remote `name` at `url` with the adapter that takes the address.
///
/// # Errors
/// An address that no adapter takes.
pub fn open(program: &GitProgram, name: &RemoteName, url: &str, clock: &Arc<dyn Clock>) -> Result<Arc<dyn Remote>> {
    let kind = REMOTES.iter().find(|k| (k.takes)(url)).ok_or_else(|| {
        Error::input(format!("remote `{name}`: `{}` is not a valid remote address", escape(url)))
            .hint("expected what `git push` takes: a path, `ssh://…`, `host:path`, `https://…`, `http://…`, `git://…`, `file://…`")
    })?;
    (kind.open)(program, name, url, clock)
}
