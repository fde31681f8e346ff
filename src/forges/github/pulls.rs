//! Pull requests over the REST API ("Pull requests").

use reqwest::Method;
use serde::{Deserialize, Serialize};

use super::GitHub;
use crate::effects::{PullRequests, PullState, PullText, SeenPull};
use crate::error::{Context as _, Error, Result};
use crate::http::{Body, Host};
use crate::model::BranchName;

/// `GET /repos/{owner}/{repo}/pulls`.
#[derive(Debug, Deserialize)]
struct Pull {
    number: u64,
    state: String,
    merged_at: Option<String>,
    html_url: String,
}

/// `POST /repos/{owner}/{repo}/pulls`.
#[derive(Debug, Serialize)]
struct NewPull<'a> {
    title: &'a str,
    head: &'a str,
    base: &'a str,
    body: &'a str,
}

impl From<Pull> for SeenPull {
    fn from(p: Pull) -> Self {
        let state = match (p.state.as_str(), p.merged_at) {
            ("open", _) => PullState::Open,
            (_, Some(_)) => PullState::Merged,
            (_, None) => PullState::Closed,
        };
        Self { number: p.number, state, location: p.html_url }
    }
}

#[async_trait::async_trait]
impl PullRequests for GitHub {
    async fn pulls(&self, from: &BranchName, into: &BranchName) -> Result<Vec<SeenPull>> {
        let owner = self.repository.split('/').next().unwrap_or_default();
        let mut url = self.url("/pulls")?;
        url.query_pairs_mut()
            .append_pair("state", "all")
            .append_pair("head", &format!("{owner}:{from}"))
            .append_pair("base", into.as_str())
            .append_pair("per_page", "100");
        let found: Vec<Pull> = self.client.get_list("/pulls", url).await?;
        Ok(found.into_iter().map(SeenPull::from).collect())
    }

    async fn open_pull(&self, text: &PullText) -> Result<()> {
        let url = self.url("/pulls")?;
        let new = NewPull { title: &text.title, head: text.from.as_str(), base: text.into.as_str(), body: &text.text };
        let body = serde_json::to_vec(&new).context("cannot write a pull request as JSON")?;
        let answer = self.client.change(Host::Api, Method::POST, &url, Body::Json(body)).await?;
        if answer.status == 422 && answer.refusal().says("already exists") {
            // What an earlier try made: only a read shows it.
            return Err(Error::transient(format!("a pull request from `{}` is there already", text.from)));
        }
        self.client
            .accepted(&answer, "POST", &url)
            .map_err(|e| e.hint("opening a pull request needs a token with `pull requests: write`"))
    }
}
