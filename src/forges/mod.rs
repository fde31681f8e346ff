//! Where releases are shown besides the project's own stores. An adapter is one module and one line in [`FORGES`].

mod draft;
mod forgejo;
pub mod github;
mod http;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::effects::{Clock, Forge, SecretResolver};
use crate::error::{Error, Result};
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

/// What a forge needs of this machine.
#[derive(Clone)]
pub struct Surroundings {
    /// Waits for rate limits and between looks.
    pub clock: Arc<dyn Clock>,
    /// Reads the token when it is first needed.
    pub secrets: SecretResolver,
    /// The hosts that the trust root lets receive credentials, by name without port.
    pub hosts: BTreeSet<String>,
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
    /// Makes the forge; touches nothing yet.
    pub open: fn(&ForgeSpec, &Surroundings) -> Result<Arc<dyn Forge>>,
}

/// Every kind of forge, sorted by kind.
pub const FORGES: &[Adapter] = &[
    Adapter {
        kind: "forgejo",
        about: "releases on a Forgejo or Gitea server",
        workflow_dirs: &[".forgejo/workflows", ".gitea/workflows", ".github/workflows"],
        open: forgejo::open,
    },
    Adapter {
        kind: "github",
        about: "releases on github.com or GitHub Enterprise",
        workflow_dirs: &[".github/workflows"],
        open: github::open,
    },
];

/// The directories in which a forge looks for the project's own workflows.
#[must_use]
pub fn workflow_dirs(name: &RemoteName) -> &'static [&'static str] {
    FORGES.iter().find(|a| a.kind == name.as_str()).map_or(&[], |a| a.workflow_dirs)
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
                .hint(format!("valid is {}", kinds.join(", "))))
        }
    }
}
