//! Security advisories over the REST API ("Security advisories, repository advisories").

use reqwest::Method;
use serde::{Deserialize, Serialize};

use super::GitHub;
use crate::effects::{Advisories, AdvisoryState, SeenAdvisory};
use crate::error::{Context as _, Error, Result};
use crate::http::{Body, Host};
use crate::model::{Advisory, Affected, Cve, Severity};

/// `repository-advisory` of the API's description.
#[derive(Debug, Deserialize)]
struct Seen {
    ghsa_id: String,
    state: String,
    summary: String,
    description: Option<String>,
    severity: Option<String>,
    cvss: Option<Cvss>,
    cvss_severities: Option<Severities>,
    #[serde(default)]
    cwe_ids: Option<Vec<String>>,
    cve_id: Option<String>,
    #[serde(default)]
    vulnerabilities: Option<Vec<Vulnerability>>,
    html_url: String,
}

/// One vector of each version.
#[derive(Debug, Deserialize)]
struct Severities {
    cvss_v3: Option<Cvss>,
    cvss_v4: Option<Cvss>,
}

#[derive(Debug, Deserialize)]
struct Cvss {
    vector_string: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Vulnerability {
    package: Option<Package>,
    vulnerable_version_range: Option<String>,
    patched_versions: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Package {
    ecosystem: String,
    name: Option<String>,
}

/// `repository-advisory-create` and `-update`: `severity` or `cvss_vector_string`, never both.
#[derive(Debug, Serialize)]
struct Text<'a> {
    summary: &'a str,
    description: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    severity: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cvss_vector_string: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cve_id: Option<&'a str>,
    cwe_ids: &'a [String],
    vulnerabilities: Vec<Vulnerability>,
}

impl<'a> From<&'a Advisory> for Text<'a> {
    fn from(a: &'a Advisory) -> Self {
        let (severity, cvss_vector_string) = match &a.severity {
            Severity::Word(word) => (Some(word.as_str()), None),
            Severity::Cvss(vector) => (None, Some(vector.as_str())),
        };
        let one = |a: &Affected| Vulnerability {
            package: Some(Package { ecosystem: a.ecosystem.clone(), name: Some(a.package.clone()) }),
            vulnerable_version_range: Some(a.versions.clone()),
            patched_versions: a.patched.clone(),
        };
        Self {
            summary: &a.summary,
            description: &a.description,
            severity,
            cvss_vector_string,
            cve_id: if let Cve::Assigned(cve) = &a.cve { Some(cve) } else { None },
            cwe_ids: &a.cwes,
            vulnerabilities: a.affected.iter().map(one).collect(),
        }
    }
}

impl From<Seen> for SeenAdvisory {
    fn from(s: Seen) -> Self {
        let one = |v: Vulnerability| {
            let package = v.package?;
            Some(Affected {
                ecosystem: package.ecosystem,
                package: package.name.unwrap_or_default(),
                versions: v.vulnerable_version_range.unwrap_or_default(),
                patched: v.patched_versions.filter(|p| !p.is_empty()),
            })
        };
        // `cvss` is the older field, which knows no version 4.
        let vectors = |s: Severities| [s.cvss_v4, s.cvss_v3];
        let mut cvss: Vec<String> = std::iter::once(s.cvss)
            .chain(s.cvss_severities.map(vectors).into_iter().flatten())
            .filter_map(|c| c?.vector_string.filter(|v| !v.is_empty()))
            .collect();
        cvss.sort();
        cvss.dedup();
        Self {
            id: s.ghsa_id,
            state: match s.state.as_str() {
                "draft" => AdvisoryState::Draft,
                "published" => AdvisoryState::Published,
                "triage" => AdvisoryState::Triage,
                _ => AdvisoryState::Closed,
            },
            summary: s.summary,
            description: s.description.unwrap_or_default(),
            severity: s.severity,
            cvss,
            cwes: s.cwe_ids.unwrap_or_default(),
            cve: s.cve_id,
            affected: s.vulnerabilities.unwrap_or_default().into_iter().filter_map(one).collect(),
            location: s.html_url,
        }
    }
}

const NEEDS: &str = "advisories need a token of a repository administrator or security manager with \
                     `repository security advisories: write`";

impl GitHub {
    async fn change_advisory(&self, method: Method, rest: &str, body: Option<Vec<u8>>) -> Result<()> {
        let url = self.url(&format!("/security-advisories{rest}"))?;
        let body = body.map_or(Body::None, Body::Json);
        let answer = self.client.change(Host::Api, method.clone(), &url, body).await?;
        self.client.accepted(&answer, method.as_str(), &url).map_err(|e| e.hint(NEEDS))
    }
}

#[async_trait::async_trait]
impl Advisories for GitHub {
    async fn find(&self, advisory: &Advisory) -> Result<Vec<SeenAdvisory>> {
        if let Some(id) = advisory.there_already() {
            let url = self.url(&format!("/security-advisories/{id}"))?;
            let answer = self.client.get(&url).await?;
            if answer.status == 404 {
                return Ok(Vec::new());
            }
            return Ok(vec![self.client.json::<Seen>(&answer, "GET", &url)?.into()]);
        }
        let all: Option<Vec<Seen>> = self.client.get_all(&self.path("/security-advisories")).await?;
        let ours = |s: &SeenAdvisory| s.summary == advisory.summary && s.state != AdvisoryState::Closed;
        // A token that may not see advisories gets 404: that does not prove that there are none.
        let all = all.ok_or_else(|| {
            Error::input(format!("`{}` does not show its security advisories: HTTP status 404", self.name)).hint(NEEDS)
        })?;
        Ok(all.into_iter().map(SeenAdvisory::from).filter(ours).collect())
    }

    async fn draft(&self, advisory: &Advisory) -> Result<()> {
        let body = serde_json::to_vec(&Text::from(advisory)).context("cannot write an advisory as JSON")?;
        self.change_advisory(Method::POST, "", Some(body)).await
    }

    async fn update(&self, id: &str, advisory: &Advisory) -> Result<()> {
        let body = serde_json::to_vec(&Text::from(advisory)).context("cannot write an advisory as JSON")?;
        self.change_advisory(Method::PATCH, &format!("/{id}"), Some(body)).await
    }

    async fn request_cve(&self, id: &str) -> Result<()> {
        let url = self.url(&format!("/security-advisories/{id}/cve"))?;
        let answer = self.client.change(Host::Api, Method::POST, &url, Body::None).await?;
        // Nothing shows whether a number was asked for: a try whose answer was lost is reported as such.
        if answer.status == 422 && answer.refusal().says("already") {
            return Ok(());
        }
        self.client.accepted(&answer, "POST", &url).map_err(|e| e.hint(NEEDS))
    }

    async fn publish_advisory(&self, id: &str) -> Result<()> {
        let body = serde_json::json!({"state": "published"});
        let body = serde_json::to_vec(&body).context("cannot write an advisory as JSON")?;
        self.change_advisory(Method::PATCH, &format!("/{id}"), Some(body)).await
    }
}
