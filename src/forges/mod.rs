//! Where releases are shown besides the project's own stores. An adapter is one module and one line in [`FORGES`].

mod draft;
mod forgejo;
pub mod github;

use std::sync::Arc;

use crate::effects::Forge;
use crate::error::{Error, Result};
use crate::http::Account;
pub use crate::http::{AppSpec, Surroundings};
use crate::model::{RemoteName, SecretRef};

/// A forge as the configuration names it.
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
    /// As whom it is used.
    fn account(&self) -> Account {
        let (name, repository) = (self.name.clone(), self.repository.clone());
        Account { name, repository, token: self.token.clone(), app: self.app.clone() }
    }
}

/// One kind of forge.
#[derive(Clone, Copy)]
pub struct Adapter {
    /// `[forge.<kind>]` in the configuration.
    pub kind: &'static str,
    /// What it is, in one line, for help and reference pages.
    pub about: &'static str,
    /// The directories in which it looks for the project's own workflows.
    pub workflow_dirs: &'static [&'static str],
    /// Where its API is if the configuration does not say; empty where it must.
    pub address: &'static str,
    /// What anybody may read below that address, for a look at the server's clock.
    pub open_path: &'static str,
    /// Makes the forge; touches nothing yet.
    pub open: fn(&ForgeSpec, &Surroundings) -> Result<Arc<dyn Forge>>,
}

/// Every kind of forge, sorted by kind.
pub const FORGES: &[Adapter] = &[
    Adapter {
        kind: "forgejo",
        about: "releases on a Forgejo or Gitea server",
        workflow_dirs: &[".forgejo/workflows", ".gitea/workflows", ".github/workflows"],
        address: "",
        // <https://forgejo.org/docs/latest/user/api-usage/>
        open_path: "/version",
        open: forgejo::open,
    },
    Adapter {
        kind: "github",
        about: "releases on github.com or GitHub Enterprise",
        workflow_dirs: &[".github/workflows"],
        address: github::API,
        // Costs nothing of the limit: <https://docs.github.com/en/rest/rate-limit/rate-limit>
        open_path: "/rate_limit",
        open: github::open,
    },
];

/// The directories in which a forge looks for the project's own workflows.
#[must_use]
pub fn workflow_dirs(name: &RemoteName) -> &'static [&'static str] {
    FORGES.iter().find(|a| a.kind == name.as_str()).map_or(&[], |a| a.workflow_dirs)
}

/// Where a forge's API is if the configuration does not say.
#[must_use]
pub fn address(name: &RemoteName) -> &'static str {
    FORGES.iter().find(|a| a.kind == name.as_str()).map_or("", |a| a.address)
}

/// Where a server whose API is at `api` shows its clock to anybody.
#[must_use]
pub fn clock_address(name: &RemoteName, api: &str) -> String {
    let path = FORGES.iter().find(|a| a.kind == name.as_str()).map_or("", |a| a.open_path);
    format!("{}{path}", api.trim_end_matches('/'))
}

/// Makes the forge that the configuration names; touches nothing yet.
///
/// # Errors
/// A name that no adapter has.
pub fn open(spec: &ForgeSpec, around: &Surroundings) -> Result<Arc<dyn Forge>> {
    match FORGES.iter().find(|a| a.kind == spec.name.as_str()) {
        Some(adapter) => (adapter.open)(spec, around),
        None => {
            let kinds: Vec<String> = FORGES.iter().map(|a| format!("`[forge.{}]`", a.kind)).collect();
            Err(Error::input(format!("there is no forge of the kind `{}`", spec.name))
                .hint(format!("expected {}", kinds.join(", "))))
        }
    }
}
