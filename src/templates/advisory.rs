//! What pages and notes say of a security advisory.

use serde::{Deserialize, Serialize};

use crate::model::{Advisory, AdvisoryId, Affected, Cve, Severity};

/// An advisory as readers of a release see it; only the identifier is there where the train file has no text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdvisoryText {
    /// Its identifier.
    pub id: String,
    /// What it is about, in a line.
    pub summary: Option<String>,
    /// `high`, or a CVSS vector.
    pub severity: Option<String>,
    /// Its CVE number, if it has one that is not its identifier.
    pub cve: Option<String>,
    /// What is affected, and since when no longer.
    #[serde(default)]
    pub affected: Vec<Affected>,
}

impl AdvisoryText {
    /// Those of a train, in its order, with their texts where it has them.
    #[must_use]
    pub fn all(ids: &[AdvisoryId], texts: &[Advisory]) -> Vec<Self> {
        ids.iter().map(|id| texts.iter().find(|t| t.id == *id).map_or_else(|| Self::bare(id), Self::of)).collect()
    }

    fn bare(id: &AdvisoryId) -> Self {
        Self { id: id.to_string(), summary: None, severity: None, cve: None, affected: Vec::new() }
    }

    fn of(text: &Advisory) -> Self {
        let severity = match &text.severity {
            Severity::Word(word) => word.clone(),
            Severity::Cvss(vector) => vector.clone(),
        };
        let cve = match &text.cve {
            Cve::Assigned(number) if *number != text.id.as_str() => Some(number.clone()),
            Cve::Assigned(_) | Cve::None | Cve::Request => None,
        };
        Self {
            id: text.id.to_string(),
            summary: Some(text.summary.clone()),
            severity: Some(severity),
            cve,
            affected: text.affected.clone(),
        }
    }
}
