//! Where releases are shown besides the project's own stores. An adapter is one module and one line in [`FORGES`].

mod draft;
mod forgejo;
pub mod github;

use crate::adapter::Adapter;
use crate::effects::Forge;
use crate::error::{Error, Result};
use crate::http::Account;
pub use crate::http::{AppSpec, Surroundings};
use crate::model::{RemoteName, SecretRef};

/// The checked table of a forge, as all of ours have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForgeSpec {
    /// Its name, which names the adapter too.
    pub name: RemoteName,
    /// `owner/name`.
    pub repository: String,
    /// The API's base address; the adapter's own if none.
    pub api: Option<String>,
    /// The base address of the host that takes assets; the one that belongs to `api` if none.
    pub uploads: Option<String>,
    /// Where its token is found.
    pub token: Option<SecretRef>,
    /// The app that fetches tokens; instead of `token`.
    pub app: Option<AppSpec>,
}

impl ForgeSpec {
    /// The credentials with which it is used.
    fn account(&self) -> Account {
        let (name, repository) = (self.name.clone(), self.repository.clone());
        Account { name, repository, token: self.token.clone(), app: self.app.clone() }
    }
}

/// Every kind of forge, sorted by kind.
pub const FORGES: &[Adapter<dyn Forge>] = &[forgejo::ADAPTER, github::ADAPTER];

/// What every forge lacks that has no credentials: nothing can be delivered there.
fn has_credentials(spec: &ForgeSpec) -> Result<()> {
    if spec.token.is_some() || spec.app.is_some() {
        return Ok(());
    }
    Err(Error::input(format!(
        "`[forge.{}]` has neither `token` nor `app`: nothing could ever be delivered there",
        spec.name
    ))
    .hint("add `token = { env = \"NAME\" }`, `{ file = … }` or `{ command = […] }`, or remove the table"))
}

/// What the plan pins of a base address that may be left out.
fn pinned(at: Option<&String>) -> String {
    at.cloned().unwrap_or_else(|| "the forge's own".to_owned())
}
