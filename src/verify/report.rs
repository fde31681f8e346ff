//! What was checked, and what was found.

use semver::Version;
use serde::Serialize;

use crate::error::{Error, ErrorKind, Result};
use crate::model::{BranchName, Oid, PersonId, ProjectName, TagName};
use crate::trust::explain;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It holds.
    Passed,
    /// It does not hold.
    Failed,
    /// It could not be made here; no harm is known.
    NotChecked,
    /// Nothing was checked; the reader should know it.
    Note,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was checked: `manifest`, `artifact a.tar.gz`.
    pub what: String,
    /// How it ended.
    pub verdict: Verdict,
    /// What was found.
    pub detail: String,
    /// It failed for something that is the reader's own to fix: a file or a certificate that is missing here.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub own: bool,
    /// It failed because a file is missing; nothing that is there is wrong.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub missing: bool,
}

/// Everything that was checked of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The project, from the trust root.
    pub project: ProjectName,
    /// The version that was asked for.
    pub version: Version,
    /// The line that the manifest names.
    pub line: Option<BranchName>,
    /// The commit that the manifest names.
    pub commit: Option<Oid>,
    /// The tag that the manifest names.
    pub tag: Option<TagName>,
    /// Who approved, as far as it counts.
    pub approved_by: Vec<PersonId>,
    /// The newest release of the line, if it is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub superseded_by: Option<Version>,
    /// In the order in which they were made.
    pub checks: Vec<Check>,
}

impl Report {
    pub(super) fn new(project: ProjectName, version: Version) -> Self {
        Self {
            project,
            version,
            line: None,
            commit: None,
            tag: None,
            approved_by: Vec::new(),
            superseded_by: None,
            checks: Vec::new(),
        }
    }

    /// Notes a check that was made; what it found, if it holds.
    pub(super) fn note(&mut self, what: impl Into<String>, result: Result<String>) -> bool {
        let what = what.into();
        let check = match result {
            Ok(detail) => Check { what, verdict: Verdict::Passed, detail, own: false, missing: false },
            Err(e) => {
                let (own, missing) = (e.kind() == ErrorKind::Input, e.is_absent());
                Check { what, verdict: Verdict::Failed, detail: explain(&e), own, missing }
            }
        };
        let passed = check.verdict == Verdict::Passed;
        self.checks.push(check);
        passed
    }

    pub(super) fn not_checked(&mut self, what: impl Into<String>, why: impl Into<String>) {
        self.say(what, Verdict::NotChecked, why);
    }

    /// Notes what a reader should know beside the checks.
    pub(super) fn say(&mut self, what: impl Into<String>, verdict: Verdict, detail: impl Into<String>) {
        self.checks.push(Check { what: what.into(), verdict, detail: detail.into(), own: false, missing: false });
    }

    /// The checks that failed.
    pub fn failures(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|c| c.verdict == Verdict::Failed)
    }

    /// Whether the release may be used.
    ///
    /// # Errors
    /// Lists every check that failed.
    pub fn require(&self) -> Result<()> {
        let failed: Vec<&Check> = self.failures().collect();
        if failed.is_empty() {
            return Ok(());
        }
        let (project, version, n) = (&self.project, &self.version, failed.len());
        let own = failed.iter().all(|c| c.own);
        let mut error = match (own, n) {
            (true, _) => Error::input(format!("{project} {version} cannot be verified with what is here")),
            (false, 1) => Error::verification(format!("{project} {version} does not verify: 1 check failed")),
            (false, _) => Error::verification(format!("{project} {version} does not verify: {n} checks failed")),
        };
        for check in failed {
            error = error.detail(format!("{}: {}", check.what, check.detail));
        }
        if own {
            return Err(error
                .hint("nothing that was read is known to be wrong, but nothing may be used yet")
                .hint("fetch what is missing or cut off again, then run the same command; with a store's address instead of a directory, it is fetched by itself"));
        }
        Err(error.hint("do not use these files; fetch them again from another place, and inform the project"))
    }
}
