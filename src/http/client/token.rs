//! Credentials for API calls: a configured token, or an app's installation token.

use reqwest::header::HeaderValue;
use reqwest::{Method, Url};

use super::super::credentials::{self, Granted, TokenRequest};
use super::{Body, Call, Client, Host, Kind};
use crate::error::{Context as _, Error, Result};
use crate::http::{AppSpec, may_have_credentials, read_again};
use crate::model::Secret;

impl Client {
    /// The header that authorizes a call for the repository; fetches a token if the forge is used as an app.
    /// The host must be one that the trust root lets have it: the configuration, and what a server answers, only propose
    /// where to go.
    pub(super) async fn bearer(&self, url: &Url) -> Result<HeaderValue> {
        self.may_go_to(url)?;
        if let Some(bearer) = self.bearer.get(self.around.clock.now()) {
            return Ok(bearer);
        }
        let name = self.account.name.as_str();
        if let Some(app) = &self.account.app {
            let _one_at_a_time = self.fetching.lock().await;
            return match self.bearer.get(self.around.clock.now()) {
                Some(bearer) => Ok(bearer),
                None => Box::pin(self.fetch(app)).await.map_err(|e| e.context("cannot fetch an installation token")),
            };
        }
        let reference = self
            .account
            .token
            .as_ref()
            .ok_or_else(|| Error::input(format!("forge `{name}` has no token")).hint(self.dialect.token))?;
        let secret = (self.around.secrets)(reference).map_err(|e| e.context(format!("token of forge `{name}`")))?;
        self.bearer.put(name, self.dialect.scheme, &secret, None)
    }

    /// Refuses a host that may not have credentials, before any is read.
    fn may_go_to(&self, url: &Url) -> Result<()> {
        if self.account.token.is_none() && self.account.app.is_none() {
            return Ok(());
        }
        let unread = format!("forge `{}`: the token was not read", self.account.name);
        may_have_credentials(&self.around.hosts, url, &unread)
    }

    /// Fetches an installation token, for this repository only. Nothing is lost when it is fetched twice.
    async fn fetch(&self, app: &AppSpec) -> Result<HeaderValue> {
        let name = self.account.name.as_str();
        let url = self.url(&format!("/app/installations/{}/access_tokens", app.installation))?;
        self.may_go_to(&url)?;
        let key =
            (self.around.secrets)(&app.private_key).map_err(|e| e.context(format!("private key of forge `{name}`")))?;
        let repository = self.account.repository.rsplit('/').next().unwrap_or_default();
        let wanted = serde_json::to_vec(&TokenRequest { repositories: [repository] }).context("cannot write JSON")?;
        let send = || async {
            let assertion = credentials::assertion(name, app, &key, self.around.clock.now())?;
            let own = credentials::authorization(name, "Bearer", &assertion)?;
            let body = Body::Json(wanted.clone());
            let call = Call { host: Host::Api, method: &Method::POST, url: &url, body: &body, kind: Kind::Write };
            self.call_as(&own, call).await
        };
        let answered = read_again(&*self.around.clock, send).await?;
        let answer = answered.map_err(|lost| self.down(Host::Api, &lost.why))?;
        let granted: Granted = self.json(&answer, "POST", &url).map_err(|e| {
            e.hint("compare `app.id`, `app.installation` and `app.private_key` with the app's settings; this machine's clock counts too")
        })?;
        self.bearer.put(name, self.dialect.scheme, &Secret::new(granted.token), Some(granted.expires_at))
    }
}
