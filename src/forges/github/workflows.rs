//! The project's own workflows: GitHub Actions over the REST API ("Actions: workflows, workflow runs").

use reqwest::Method;
use serde::Deserialize;

use super::GitHub;
use crate::effects::{Automation, RunState, SeenRun, SeenWorkflow, Switch};
use crate::error::Result;
use crate::http::{Body, Host, pages};
use crate::model::Oid;

/// `GET /repos/{owner}/{repo}/actions/workflows/{workflow_id}`, where the id may be the file's name.
#[derive(Debug, Deserialize)]
struct WorkflowAnswer {
    state: String,
}

/// `GET /repos/{owner}/{repo}/actions/runs`.
#[derive(Debug, Deserialize)]
struct Runs {
    total_count: usize,
    workflow_runs: Vec<Run>,
}

#[derive(Debug, Deserialize)]
struct Run {
    id: u64,
    path: String,
    event: String,
    head_branch: Option<String>,
    head_sha: String,
    status: Option<String>,
    conclusion: Option<String>,
    html_url: String,
}

/// Runs on one page; the most that the API gives.
const PAGE: usize = 100;

impl From<Run> for SeenRun {
    fn from(r: Run) -> Self {
        // A path may name the ref after it: `.github/workflows/ci.yml@main`.
        let path = r.path.split('@').next().unwrap_or_default();
        let state = match (r.status.as_deref(), r.conclusion.as_deref()) {
            (Some("completed"), Some("success")) => RunState::Passed,
            (Some("completed"), Some(how)) => RunState::Ended(how.to_owned()),
            _ => RunState::UnderWay,
        };
        Self {
            id: r.id,
            file: path.rsplit('/').next().unwrap_or_default().to_owned(),
            event: r.event,
            on: r.head_branch.unwrap_or_default(),
            // The commit was asked for; an answer of another shape is not a run of ours.
            commit: r.head_sha.parse().unwrap_or_else(|_| Oid::from_sha1([0; 20])),
            state,
            location: r.html_url,
        }
    }
}

#[async_trait::async_trait]
impl Automation for GitHub {
    async fn workflow(&self, file: &str) -> Result<Option<SeenWorkflow>> {
        let url = self.url(&format!("/actions/workflows/{file}"))?;
        let answer = self.client.get(&url).await?;
        if answer.status == 404 {
            return Ok(None);
        }
        let found: WorkflowAnswer = self.client.json(&answer, "GET", &url)?;
        Ok(Some(SeenWorkflow { file: file.to_owned(), on: found.state == "active" }))
    }

    async fn switch(&self, file: &str, to: Switch) -> Result<()> {
        let verb = match to {
            Switch::On => "enable",
            Switch::Off => "disable",
        };
        let url = self.url(&format!("/actions/workflows/{file}/{verb}"))?;
        let answer = self.client.change(Host::Api, Method::PUT, &url, Body::None).await?;
        self.client
            .accepted(&answer, "PUT", &url)
            .map_err(|e| e.hint("switching workflows needs a token with `actions: write`"))
    }

    async fn runs(&self, commit: &Oid) -> Result<Vec<SeenRun>> {
        let read = |(page, before): (usize, usize)| async move {
            let mut url = self.url("/actions/runs")?;
            url.query_pairs_mut()
                .append_pair("head_sha", commit.as_str())
                .append_pair("per_page", &PAGE.to_string())
                .append_pair("page", &page.to_string());
            let answer = self.client.get(&url).await?;
            let found: Runs = self.client.json(&answer, "GET", &url)?;
            let (here, so_far) = (found.workflow_runs.len(), before + found.workflow_runs.len());
            let more = here == PAGE && so_far < found.total_count;
            Ok((found.workflow_runs, more.then_some((page + 1, so_far))))
        };
        let read = pages((&self.name, "/actions/runs"), (1, 0), read).await?;
        Ok(read.into_iter().flatten().map(SeenRun::from).collect())
    }
}
