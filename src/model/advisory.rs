//! A security advisory as its authors wrote it: what every channel says of one vulnerability.

use serde::{Deserialize, Serialize};

use super::AdvisoryId;

/// An advisory; embargoed until the gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Advisory {
    /// The project's own identifier, or the forge's of a draft that is there already (`GHSA-…`).
    pub id: AdvisoryId,
    /// One line, at most 1024 characters.
    pub summary: String,
    /// The text, Markdown, at most 65535 characters.
    pub description: String,
    /// How bad it is.
    pub severity: Severity,
    /// Kinds of weakness, `CWE-248`, sorted.
    pub cwes: Vec<String>,
    /// Where its CVE number comes from.
    pub cve: Cve,
    /// What is affected, one range each, in the authors' order.
    pub affected: Vec<Affected>,
}

/// How bad a vulnerability is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// In a word: `low`, `medium`, `high` or `critical`.
    Word(String),
    /// A CVSS vector, from which the word follows.
    Cvss(String),
}

/// Where a CVE number comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cve {
    /// There is none.
    None,
    /// The forge is asked for one.
    Request,
    /// This one, reserved elsewhere.
    Assigned(String),
}

/// One affected range of one package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Affected {
    /// The forge's word for the ecosystem: `rust`.
    pub ecosystem: String,
    /// The package.
    pub package: String,
    /// The range, `>= 25.0.0, < 36.0.6`.
    pub versions: String,
    /// The first fixed version; none if no release fixes it.
    pub patched: Option<String>,
}

impl Advisory {
    /// The forge's identifier, if the advisory is there already.
    #[must_use]
    pub(crate) fn there_already(&self) -> Option<&str> {
        Some(self.id.as_str()).filter(|id| id.starts_with("GHSA-"))
    }
}
