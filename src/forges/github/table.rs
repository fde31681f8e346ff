//! `[forge.github]`: the keys beyond those that every forge has.

use std::sync::Arc;

use serde::Deserialize;
use toml::Spanned;

use super::{API, GitHub, UPLOADS};
use crate::adapter::{Around, ForgeTable, Settings, Spec};
use crate::effects::Forge;
use crate::error::Result;
use crate::forges::{AppSpec, ForgeSpec, has_credentials, pinned};
use crate::http::host;
use crate::model::SecretRef;
use crate::table::{Fault, Faults, RawSecret, Table, Text, keys, secrets, server_address};

keys! {
    /// A repository on github.com or on a GitHub Enterprise server.
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(super) struct RawGitHub {
        /// The base address of its API.
        api: Option<Text> = r#""https://api.github.com""#,
        /// The base address of the host that takes assets, where the API names a wrong one.
        uploads: Option<Text> = "what the API says",
        /// Where its token is found; it needs this or `app`.
        token: Option<RawSecret> = "none",
        /// The app that fetches tokens; instead of `token`.
        app: Option<Spanned<RawApp>> = "none",
    }

    /// A GitHub App that is installed there and fetches tokens.
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct RawApp {
        /// Its client id, as the app's settings show it, or its number.
        id: Text,
        /// The number of its installation.
        installation: Spanned<u64>,
        /// Where its private key is found: RSA, PEM.
        private_key: RawSecret,
    }
}

pub(super) fn parse(common: &ForgeTable, table: Table<'_>, faults: &mut Faults) -> Option<Spec<dyn Forge>> {
    let base = table.base().to_owned();
    let raw: RawGitHub = table.read(faults)?;
    let api = raw.api.as_ref().map(|a| server_address(a, "a forge's API is asked over TLS only", faults));
    let uploads = raw.uploads.as_ref().map(|u| server_address(u, "a forge takes assets over TLS only", faults));
    let token = raw.token.as_ref().map(|t| faults.keep(secrets::reference(t, &base)));
    if let (Some(_), Some(app)) = (&raw.token, &raw.app) {
        faults.add(Fault::new(app.span(), "a forge is used with a token or as an app", "remove `app` or `token`"));
    }
    let app = match &raw.app {
        Some(app) => Some(self::app(app.get_ref(), &base, faults)?),
        None => None,
    };
    let (name, repository) = (common.name.clone(), common.repository.clone());
    Some(Arc::new(Configured(ForgeSpec { name, repository, api, uploads, token: token.flatten(), app })))
}

fn app(app: &RawApp, base: &std::path::Path, faults: &mut Faults) -> Option<AppSpec> {
    let id = app.id.get_ref();
    if id.is_empty() || !id.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) {
        let label =
            "expected the client id that the app's settings show, such as `Iv23liXXXXXXXXXXXXXX`, or its number";
        faults.add(Fault::new(app.id.span(), "this is not the id of an app", label));
    }
    let private_key = faults.keep(secrets::reference(&app.private_key, base))?;
    Some(AppSpec { id: id.clone(), installation: *app.installation.get_ref(), private_key })
}

/// A checked table.
#[derive(Debug)]
struct Configured(ForgeSpec);

impl Configured {
    fn api(&self) -> &str {
        self.0.api.as_deref().unwrap_or(API)
    }
}

impl Settings<dyn Forge> for Configured {
    fn place(&self) -> String {
        self.0.repository.clone()
    }

    fn pins(&self) -> Vec<(&'static str, String)> {
        let mut pins = vec![("api", pinned(self.0.api.as_ref())), ("uploads", pinned(self.0.uploads.as_ref()))];
        // Whoever the app is acts there: another one, or another installation, may do other things.
        pins.extend(self.0.app.as_ref().map(|app| ("app", format!("{}, installation {}", app.id, app.installation))));
        pins
    }

    fn secrets(&self) -> Vec<(&'static str, &SecretRef)> {
        let token = self.0.token.iter().map(|token| ("token", token));
        token.chain(self.0.app.iter().map(|app| ("app.private_key", &app.private_key))).collect()
    }

    fn hosts(&self) -> Vec<String> {
        // Where assets go on a server of one's own, its API says when it is asked.
        let uploads = self.0.uploads.as_deref().or((self.api() == API).then_some(UPLOADS));
        [Some(self.api()), uploads].into_iter().flatten().filter_map(host).collect()
    }

    fn lacks_nothing(&self) -> Result<()> {
        has_credentials(&self.0)
    }

    fn clock(&self) -> Option<String> {
        // Costs nothing of the limit: <https://docs.github.com/en/rest/rate-limit/rate-limit>
        Some(format!("{}/rate_limit", self.api().trim_end_matches('/')))
    }

    fn open(&self, around: &Around) -> Result<Arc<dyn Forge>> {
        Ok(Arc::new(GitHub::new(&self.0, &around.into())))
    }
}
