//! The content manifest of a train: what people approve. It holds no signatures.

use std::collections::BTreeMap;

use semver::Version;
use serde::{Deserialize, Serialize};

use super::signed::{self, SignedDocument};
use crate::error::{Error, Result};
use crate::model::{AdvisoryId, BranchName, Oid, PersonId, ProjectName, Sha256, TagName, TrainNonce};

/// Its path within a release.
pub const FILE: &str = "approvals/content.json";

/// What a whole train consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Content {
    /// `lifeboat-content`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The project.
    pub project: ProjectName,
    /// The train's nonce.
    pub train: TrainNonce,
    /// Version of this format: 1.
    pub format: u32,
    /// SHA-256 of the canonical plan.
    pub plan: Sha256,
    /// The lines that are released, sorted by branch.
    pub lines: Vec<ContentLine>,
    /// The lines that only carry the fix, sorted by branch.
    pub carries: Vec<CarryLine>,
    /// The advisories that are published with the train, each with the SHA-256 of its source text.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub advisories: BTreeMap<AdvisoryId, Sha256>,
    /// What was let pass though a check did not, sorted by step: people approve that too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waivers: Vec<Waiver>,
}

/// A check that somebody let pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waiver {
    /// The step that did not succeed.
    pub step: String,
    /// Who decided.
    pub person: PersonId,
    /// Why.
    pub reason: String,
}

/// What is released on one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContentLine {
    /// The branch.
    pub branch: BranchName,
    /// The version.
    pub version: Version,
    /// The tag's name.
    pub tag: TagName,
    /// The commit that is tagged.
    pub commit: Oid,
    /// SHA-256 of the tag object's text before it is signed.
    pub tag_text: Sha256,
    /// SHA-256 of `manifest.json`.
    pub manifest: Sha256,
    /// SHA-256 of `SHA256SUMS`.
    pub sha256sums: Sha256,
    /// SHA-256 of `SHA512SUMS`.
    pub sha512sums: Sha256,
}

/// A line that only carries the fix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CarryLine {
    /// The branch.
    pub branch: BranchName,
    /// The commit that is pushed.
    pub commit: Oid,
}

impl SignedDocument for Content {
    const TYPE: &'static str = "lifeboat-content";

    fn check(&self) -> Result<()> {
        let sorted = self.lines.windows(2).all(|p| p[0].branch < p[1].branch)
            && self.carries.windows(2).all(|p| p[0].branch < p[1].branch);
        if !sorted {
            return Err(Error::verification("branches are doubled or out of order"));
        }
        if !self.waivers.windows(2).all(|p| p[0].step < p[1].step) {
            return Err(Error::verification("waivers are doubled or out of order"));
        }
        for (i, line) in self.lines.iter().enumerate() {
            let others = &self.lines[i + 1..];
            if others.iter().any(|o| o.version == line.version || o.tag == line.tag) {
                return Err(Error::verification(format!(
                    "two lines have version {} or tag {}",
                    line.version, line.tag
                )));
            }
            if self.carries.iter().any(|c| c.branch == line.branch) {
                return Err(Error::verification(format!("branch {} is both released and carried", line.branch)));
            }
        }
        Ok(())
    }
}

impl Content {
    /// A content manifest of format 1; lines are sorted.
    ///
    /// # Errors
    /// Two lines of one branch, version or tag.
    pub fn new(
        project: ProjectName,
        train: TrainNonce,
        plan: Sha256,
        mut lines: Vec<ContentLine>,
        mut carries: Vec<CarryLine>,
    ) -> Result<Self> {
        lines.sort_by(|a, b| a.branch.cmp(&b.branch));
        carries.sort_by(|a, b| a.branch.cmp(&b.branch));
        let out = Self {
            kind: Self::TYPE.to_owned(),
            project,
            train,
            format: 1,
            plan,
            lines,
            carries,
            advisories: BTreeMap::new(),
            waivers: Vec::new(),
        };
        out.check()?;
        Ok(out)
    }

    /// The bytes whose digest is approved.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        signed::to_bytes(self)
    }

    /// Reads what [`Content::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        signed::from_bytes(bytes, FILE)
    }

    /// SHA-256 of [`Content::to_bytes`].
    pub fn digest(&self) -> Result<Sha256> {
        Ok(Sha256::of(&self.to_bytes()?))
    }

    /// The line of this branch, if it is released.
    #[must_use]
    pub fn line(&self, branch: &BranchName) -> Option<&ContentLine> {
        self.lines.iter().find(|l| l.branch == *branch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(branch: &str, version: Version, tag: &str) -> ContentLine {
        let d = Sha256::of(branch.as_bytes());
        ContentLine {
            branch: BranchName::new(branch).unwrap(),
            version,
            tag: TagName::new(tag).unwrap(),
            commit: "b".repeat(40).parse().unwrap(),
            tag_text: d,
            manifest: d,
            sha256sums: d,
            sha512sums: d,
        }
    }

    fn content(lines: Vec<ContentLine>, carries: &[&str]) -> Result<Content> {
        let carries = carries
            .iter()
            .map(|b| CarryLine { branch: BranchName::new(*b).unwrap(), commit: "c".repeat(40).parse().unwrap() });
        let project = ProjectName::new("sample").unwrap();
        Content::new(project, TrainNonce::from_bytes([1; 16]), Sha256::of(b"plan"), lines, carries.collect())
    }

    #[test]
    fn order_of_lines_does_not_matter() {
        let (a, b) = (line("r-1", Version::new(1, 0, 1), "v1.0.1"), line("r-2", Version::new(2, 0, 1), "v2.0.1"));
        let one = content(vec![a.clone(), b.clone()], &["main"]).unwrap();
        let two = content(vec![b, a], &["main"]).unwrap();
        assert_eq!(one.digest().unwrap(), two.digest().unwrap());
        assert_eq!(Content::from_bytes(&one.to_bytes().unwrap()).unwrap(), one);
    }

    #[test]
    fn advisories_and_waivers_are_absent_until_there_are_some() {
        let mut one = content(vec![line("r-1", Version::new(1, 0, 1), "v1.0.1")], &[]).unwrap();
        let before = one.to_bytes().unwrap();
        assert!(!String::from_utf8(before.clone()).unwrap().contains("waivers"));
        one.advisories.insert("GHSA-aaaa-bbbb-cccc".parse().unwrap(), Sha256::of(b"text"));
        let waiver = |step: &str| Waiver {
            step: step.to_owned(),
            person: "alice".parse().unwrap(),
            reason: "the test is broken".to_owned(),
        };
        one.waivers = vec![waiver("test/r-1/a"), waiver("test/r-1/b")];
        assert_eq!(Content::from_bytes(&one.to_bytes().unwrap()).unwrap(), one);
        assert_ne!(one.to_bytes().unwrap(), before);
        one.waivers.reverse();
        assert!(one.to_bytes().unwrap_err().message().contains("waivers"));
    }

    #[test]
    fn one_version_one_tag_one_branch() {
        let a = line("r-1", Version::new(1, 0, 1), "v1.0.1");
        assert!(content(vec![a.clone(), a.clone()], &[]).is_err());
        assert!(content(vec![a.clone(), line("r-2", Version::new(1, 0, 1), "v2")], &[]).is_err());
        assert!(content(vec![a.clone(), line("r-2", Version::new(1, 0, 2), "v1.0.1")], &[]).is_err());
        assert!(content(vec![a], &["r-1"]).is_err());
    }
}
