//! `manifest.json`: what one line's release consists of.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use semver::Version;
use serde::{Deserialize, Serialize};

use super::checksums::{SHA256SUMS, SHA512SUMS};
use super::signed::{self, SignedDocument};
use crate::error::{Error, Result};
use crate::model::{
    Artifact, ArtifactName, BranchName, Digests, Oid, ProjectName, Sha256, TagName, TrainNonce, escape,
};

/// Its file name in a release.
pub const FILE: &str = "manifest.json";

/// The release notes, a file of the release like any other: people approve them and the sums list them. No recipe makes it.
pub(crate) const NOTES: &str = "notes.md";

/// How the release was built, an in-toto statement, for releases that have one. No recipe makes it.
pub(crate) const PROVENANCE: &str = "provenance.intoto.jsonl";

/// What the release's pages are made from. No signature covers it, and no recipe makes it.
pub const PAGE_DATA: &str = "lifeboat-page.json";

/// What one line's release consists of; listed in the sums, which people sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// `lifeboat-manifest`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The project.
    pub project: ProjectName,
    /// The line's branch.
    pub line: BranchName,
    /// The version that is released.
    pub version: Version,
    /// The train in which it was made.
    pub train: TrainNonce,
    /// Version of this format: 1.
    pub format: u32,
    /// The plan's date, which commits and tags carry too.
    pub date: Timestamp,
    /// The commit that is released.
    pub commit: Oid,
    /// The tag on it.
    pub tag: ManifestTag,
    /// Every file that people signed for, sorted by name; neither this manifest nor the sums.
    pub artifacts: Vec<Artifact>,
    /// Refs of the served repository and what they name, by their full names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub refs: BTreeMap<String, Oid>,
    /// Crates that are published to a registry with the release, sorted by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub crates: Vec<ReleasedCrate>,
    /// Who built which artifact, sorted by artifact.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub built: Vec<BuiltBy>,
}

/// A crate of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleasedCrate {
    /// Its name.
    pub name: String,
    /// Its version, which need not be the release's.
    pub version: Version,
    /// SHA-256 of the `.crate` file, as registries list it.
    pub sha256: Sha256,
}

/// Who built an artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuiltBy {
    /// The artifact.
    pub artifact: ArtifactName,
    /// The pools that made these bytes, each on its own.
    pub pools: BTreeSet<String>,
}

/// The tag of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestTag {
    /// Its name, without `refs/tags/`.
    pub name: TagName,
    /// SHA-256 of the tag object's text before the release key signs it (see [`super::tag::payload`]).
    pub text: Sha256,
}

impl SignedDocument for Manifest {
    const TYPE: &'static str = "lifeboat-manifest";

    fn check(&self) -> Result<()> {
        for pair in self.artifacts.windows(2) {
            if pair[0].name >= pair[1].name {
                return Err(Error::verification(format!("artifact `{}` is doubled or out of order", pair[1].name)));
            }
        }
        for artifact in &self.artifacts {
            let ours = [NOTES, PROVENANCE].contains(&artifact.name.as_str());
            if !ours && is_reserved(artifact.name.as_str()) {
                return Err(Error::verification(format!(
                    "artifact `{}` has a name that a release keeps for itself",
                    artifact.name
                )));
            }
        }
        if let Some(name) = self.refs.keys().find(|name| !name.starts_with("refs/")) {
            return Err(Error::verification(format!("`{}` is not the full name of a ref", escape(name))));
        }
        if !self.crates.windows(2).all(|p| p[0].name < p[1].name) {
            return Err(Error::verification("crates are doubled or out of order"));
        }
        if !self.built.windows(2).all(|p| p[0].artifact < p[1].artifact) {
            return Err(Error::verification("who built what is doubled or out of order"));
        }
        let listed = |b: &&BuiltBy| self.artifacts.iter().all(|a| a.name != b.artifact);
        if let Some(other) = self.built.iter().find(listed) {
            return Err(Error::verification(format!("it says who built `{}`, which it does not list", other.artifact)));
        }
        Ok(())
    }
}

/// What [`Manifest::new`] puts together.
#[derive(Debug, Clone)]
pub struct Contents {
    /// See [`Manifest::project`].
    pub project: ProjectName,
    /// See [`Manifest::line`].
    pub line: BranchName,
    /// See [`Manifest::version`].
    pub version: Version,
    /// See [`Manifest::train`].
    pub train: TrainNonce,
    /// See [`Manifest::date`].
    pub date: Timestamp,
    /// See [`Manifest::commit`].
    pub commit: Oid,
    /// See [`Manifest::tag`].
    pub tag: ManifestTag,
    /// In any order.
    pub artifacts: Vec<Artifact>,
}

impl Manifest {
    /// A manifest of format 1; artifacts are sorted.
    ///
    /// # Errors
    /// Two artifacts of one name, or one with a reserved name.
    pub fn new(contents: Contents) -> Result<Self> {
        let Contents { project, line, version, train, date, commit, tag, mut artifacts } = contents;
        artifacts.sort_by(|a, b| a.name.cmp(&b.name));
        let kind = Self::TYPE.to_owned();
        let (refs, crates, built) = (BTreeMap::new(), Vec::new(), Vec::new());
        let out =
            Self { kind, project, line, version, train, format: 1, date, commit, tag, artifacts, refs, crates, built };
        out.check()?;
        Ok(out)
    }

    /// The bytes of `manifest.json`.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        signed::to_bytes(self)
    }

    /// Reads `manifest.json`.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        signed::from_bytes(bytes, FILE)
    }

    /// What the sums list: every artifact and, under [`FILE`], this manifest, whose bytes have the digests `of_self`.
    ///
    /// # Errors
    /// Never; the name is valid.
    pub fn listed(&self, of_self: Digests) -> Result<Vec<Artifact>> {
        let mut out = self.artifacts.clone();
        out.push(Artifact::new(ArtifactName::new(FILE)?, of_self));
        out.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(out)
    }
}

/// Whether a release keeps this file name for itself, so that no artifact may have it. Compared without case, since
/// stores and consumers may sit on file systems that do not distinguish cases.
#[must_use]
pub(crate) fn is_reserved(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let exact = [FILE, super::tag::FILE, "index.html", NOTES, PAGE_DATA, PROVENANCE, "approvals", "latest"];
    exact.contains(&lower.as_str())
        || lower.ends_with(".asc")
        || lower.ends_with(".sig")
        || lower.starts_with(&SHA256SUMS.to_ascii_lowercase())
        || lower.starts_with(&SHA512SUMS.to_ascii_lowercase())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn manifest(names: &[&str]) -> Result<Manifest> {
        Manifest::new(Contents {
            project: ProjectName::new("sample").unwrap(),
            line: BranchName::new("release-1.2").unwrap(),
            version: Version::new(1, 2, 4),
            train: TrainNonce::from_bytes([7; 16]),
            date: "2026-02-24T12:00:00Z".parse().unwrap(),
            commit: "a".repeat(40).parse().unwrap(),
            tag: ManifestTag { name: TagName::new("v1.2.4").unwrap(), text: Sha256::of(b"tag") },
            artifacts: names
                .iter()
                .map(|n| Artifact::new(ArtifactName::new(*n).unwrap(), Digests::of(n.as_bytes())))
                .collect(),
        })
    }

    #[test]
    fn begins_with_what_it_is_and_round_trips() {
        let m = manifest(&["b.tar.gz", "a.tar.gz"]).unwrap();
        let bytes = m.to_bytes().unwrap();
        let text = String::from_utf8(bytes.clone()).unwrap();
        assert!(text.starts_with(
            "{\n  \"type\": \"lifeboat-manifest\",\n  \"project\": \"sample\",\n  \"line\": \"release-1.2\",\n  \"version\": \"1.2.4\",\n  \"train\": \"0707"
        ));
        assert_eq!(Manifest::from_bytes(&bytes).unwrap(), m);
        assert_eq!(m.artifacts[0].name.as_str(), "a.tar.gz");
    }

    #[test]
    fn other_bytes_are_refused() {
        let text = String::from_utf8(manifest(&["a", "b"]).unwrap().to_bytes().unwrap()).unwrap();
        let refused = |from: &str, to: &str| {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text, "{from:?} must occur");
            Manifest::from_bytes(changed.as_bytes()).unwrap_err().report()
        };
        assert!(refused("lifeboat-manifest", "lifeboat-approval").contains("not a `lifeboat-manifest`"));
        assert!(refused("\"format\": 1", "\"format\": 2").contains("newer version"));
        assert!(refused("\"format\": 1", "\"format\": 1,\n  \"extra\": 1").contains("unknown field"));
        assert!(refused("\"format\": 1", "\"format\":  1").contains("canonical"));
        assert!(refused("\"name\": \"a\",", "\"name\": \"a\",\n      \"more\": 1,").contains("canonical"));
        assert!(refused("\"name\": \"a\"", "\"name\": \"c\"").contains("out of order"));
        assert!(refused("\"name\": \"a\"", "\"name\": \"../a\"").contains("artifact name"));
        assert!(refused("\"name\": \"b\"", "\"name\": \"b.asc\"").contains("keeps for itself"));
    }

    #[test]
    fn what_is_not_there_yet_is_absent() {
        let mut m = manifest(&["a.tar.gz"]).unwrap();
        let text = String::from_utf8(m.to_bytes().unwrap()).unwrap();
        assert!(!text.contains("refs") && !text.contains("crates") && !text.contains("built"), "{text}");
        m.refs.insert("refs/heads/release-1.2".to_owned(), "a".repeat(40).parse().unwrap());
        let released =
            ReleasedCrate { name: "sample".to_owned(), version: m.version.clone(), sha256: Sha256::of(b"c") };
        m.crates.push(released.clone());
        let pools = ["local".to_owned()].into();
        m.built.push(BuiltBy { artifact: ArtifactName::new("a.tar.gz").unwrap(), pools });
        assert_eq!(Manifest::from_bytes(&m.to_bytes().unwrap()).unwrap(), m);
        let refused = |change: &dyn Fn(&mut Manifest), words: &str| {
            let mut other = m.clone();
            change(&mut other);
            assert!(other.to_bytes().unwrap_err().message().contains(words), "{words}");
        };
        refused(&|m| m.crates.push(released.clone()), "crates are doubled");
        refused(&|m| m.built[0].artifact = ArtifactName::new("b").unwrap(), "which it does not list");
        refused(&|m| drop(m.refs.insert("main".to_owned(), m.commit.clone())), "not the full name of a ref");
    }

    #[test]
    fn names_that_collide_or_are_reserved() {
        assert!(manifest(&["a", "notes.md"]).is_ok(), "the notes are approved like every file");
        assert!(manifest(&["a", "provenance.intoto.jsonl", "sample-v1.2.4.cdx.json"]).is_ok(), "lifeboat lists them");
        assert!(is_reserved("provenance.intoto.jsonl"), "a recipe may not make it");
        for names in
            [&["a", "a"][..], &["Notes.md"], &["SHA256SUMS"], &["sha512sums.txt"], &["x.asc"], &["Manifest.json"]]
        {
            assert!(manifest(names).is_err(), "{names:?}");
        }
    }
}
