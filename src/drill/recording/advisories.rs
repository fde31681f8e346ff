//! Security advisories of a forge that is looked at and not changed.

use super::RecordingForge;
use crate::effects::{Advisories, AdvisoryState, Forge as _, SeenAdvisory};
use crate::error::{Error, Result};
use crate::model::{Advisory, Cve, Severity};

impl RecordingForge {
    fn wrote(&self, id: String, advisory: &Advisory) {
        let (severity, cvss) = match &advisory.severity {
            Severity::Word(word) => (Some(word.clone()), None),
            Severity::Cvss(vector) => (None, Some(vector.clone())),
        };
        let seen = SeenAdvisory {
            id,
            state: AdvisoryState::Draft,
            summary: advisory.summary.clone(),
            description: advisory.description.clone(),
            severity,
            cvss: cvss.into_iter().collect(),
            cwes: advisory.cwes.clone(),
            cve: if let Cve::Assigned(cve) = &advisory.cve { Some(cve.clone()) } else { None },
            affected: advisory.affected.clone(),
            location: "not written: a dry run".to_owned(),
        };
        self.written.lock().insert(advisory.id.to_string(), seen);
    }
}

#[async_trait::async_trait]
impl Advisories for RecordingForge {
    async fn find(&self, advisory: &Advisory) -> Result<Vec<SeenAdvisory>> {
        let would = self.written.lock().get(advisory.id.as_str()).cloned();
        if let Some(would) = would {
            return Ok(vec![would]);
        }
        let real = self.inner.advisories();
        real.ok_or_else(|| Error::fatal(format!("`{}` holds no advisories", self.name())))?.find(advisory).await
    }

    async fn draft(&self, advisory: &Advisory) -> Result<()> {
        self.record("draft advisory", advisory.id.to_string(), None);
        self.wrote("dry-run".to_owned(), advisory);
        Ok(())
    }

    async fn update(&self, id: &str, advisory: &Advisory) -> Result<()> {
        self.record("update advisory", id.to_owned(), None);
        self.wrote(id.to_owned(), advisory);
        Ok(())
    }

    async fn request_cve(&self, id: &str) -> Result<()> {
        self.record("request cve", id.to_owned(), None);
        Ok(())
    }

    async fn publish_advisory(&self, id: &str) -> Result<()> {
        self.record("publish advisory", id.to_owned(), None);
        let mut written = self.written.lock();
        for advisory in written.values_mut().filter(|a| a.id == id) {
            advisory.state = AdvisoryState::Published;
        }
        Ok(())
    }
}
