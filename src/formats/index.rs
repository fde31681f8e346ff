//! `releases/index.json`: which releases there are. It can withhold, never forge: manifests are signed by people.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use semver::Version;
use serde::{Deserialize, Serialize};

use super::layout;
use super::signed::{self, SignedDocument};
use crate::error::{Error, Result};
use crate::model::{BranchName, ProjectName, Sha256, TagName, TrainNonce};

/// How long an index counts as fresh.
pub(crate) const FRESH: SignedDuration = SignedDuration::from_hours(24 * 7);

/// By how much an index may outlive [`FRESH`]: the clocks of two machines differ.
pub(super) const CLOCKS: SignedDuration = SignedDuration::from_hours(1);

/// No index has a higher number: one a second would take thirty thousand years. Whoever steals the freshness key could
/// otherwise use up all numbers at once.
pub const MOST: u64 = 1 << 40;

/// By how much a number may be higher than one that a reader saw before: one a minute for twenty years.
pub(crate) const LEAP: u64 = 10_000_000;

/// Which releases there are, signed by the freshness key (`releases/index.json.asc`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Index {
    /// `lifeboat-index`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The project.
    pub project: ProjectName,
    /// Version of this format: 1.
    pub format: u32,
    /// Grows by at least one with each new index; readers refuse a smaller one than they have seen.
    pub counter: u64,
    /// When it was made.
    pub generated: Timestamp,
    /// When readers begin to call it stale.
    pub expires: Timestamp,
    /// Every release, in version order.
    pub releases: BTreeMap<Version, IndexEntry>,
    /// The newest releases; follows from `releases`.
    pub latest: LatestVersions,
    /// Versions of abandoned trains, which are never released.
    pub retired: BTreeSet<Version>,
    /// Releases that nobody should use any more: they stay listed and served.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub withdrawn: BTreeMap<Version, Withdrawn>,
    /// SHA-256 of the signed list of the project's advisories; none before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advisories: Option<Sha256>,
}

/// Why a release should not be used any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Withdrawn {
    /// For people.
    pub reason: String,
    /// The release to use instead.
    pub superseded_by: Option<Version>,
    /// When it was withdrawn.
    pub date: Timestamp,
}

/// A release in the index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexEntry {
    /// The line's branch.
    pub line: BranchName,
    /// The train in which it was made.
    pub train: TrainNonce,
    /// The tag's name.
    pub tag: TagName,
    /// SHA-256 of its `manifest.json`.
    pub manifest: Sha256,
}

/// The newest releases. Pre-releases count only where there is nothing else.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LatestVersions {
    /// Of all lines.
    pub overall: Option<Version>,
    /// Per line.
    pub lines: BTreeMap<BranchName, Version>,
}

impl SignedDocument for Index {
    const TYPE: &'static str = "lifeboat-index";

    fn check(&self) -> Result<()> {
        if let Some(version) = self.retired.iter().find(|v| self.releases.contains_key(v)) {
            return Err(Error::verification(format!("version {version} is both retired and released")));
        }
        for (version, withdrawn) in &self.withdrawn {
            let unknown = |v: &&Version| !self.releases.contains_key(*v);
            if let Some(other) = std::iter::once(version).chain(&withdrawn.superseded_by).find(unknown) {
                return Err(Error::verification(format!("it withdraws {version} and does not list release {other}")));
            }
        }
        if self.counter > MOST {
            return Err(Error::verification(format!(
                "it has the number {}, more than any project reaches",
                self.counter
            ))
            .hint("find out who signed it: the freshness key may be stolen; a new trust root replaces it"));
        }
        if self.expires <= self.generated {
            return Err(Error::verification("it expires before it was made"));
        }
        let longest = FRESH.checked_add(CLOCKS).and_then(|d| self.generated.checked_add(d).ok());
        if longest.is_none_or(|l| self.expires > l) {
            let (from, to) = (self.generated, self.expires);
            return Err(Error::verification(format!("it counts from {from} to {to}, longer than seven days"))
                .hint("an index that never goes stale could hide every later release"));
        }
        if self.latest != latest(&self.releases) {
            return Err(Error::verification("`latest` does not follow from `releases`"));
        }
        Ok(())
    }
}

fn latest(releases: &BTreeMap<Version, IndexEntry>) -> LatestVersions {
    // A release wins over every pre-release; among equals the greater version wins.
    let newer = |a: &Version, b: &Version| (a.pre.is_empty(), a) > (b.pre.is_empty(), b);
    let mut out = LatestVersions::default();
    for (version, entry) in releases {
        if out.overall.as_ref().is_none_or(|v| newer(version, v)) {
            out.overall = Some(version.clone());
        }
        if out.lines.get(&entry.line).is_none_or(|v| newer(version, v)) {
            out.lines.insert(entry.line.clone(), version.clone());
        }
    }
    out
}

impl Index {
    /// An index without releases, counter 0.
    #[must_use]
    pub fn empty(project: ProjectName, generated: Timestamp, expires: Timestamp) -> Self {
        Self {
            kind: Self::TYPE.to_owned(),
            project,
            format: 1,
            counter: 0,
            generated,
            expires,
            releases: BTreeMap::new(),
            latest: LatestVersions::default(),
            retired: BTreeSet::new(),
            withdrawn: BTreeMap::new(),
            advisories: None,
        }
    }

    /// The index after this one: counter plus one, these releases and retired versions added. Nothing is ever taken away.
    ///
    /// # Errors
    /// A version that is released with another manifest, or retired.
    pub fn next(
        &self,
        add: impl IntoIterator<Item = (Version, IndexEntry)>,
        retire: impl IntoIterator<Item = Version>,
        generated: Timestamp,
        expires: Timestamp,
    ) -> Result<Self> {
        let counter = self.counter.checked_add(1).ok_or_else(|| {
            Error::verification(format!("index number {} has no successor", self.counter))
                .hint("no project gets there by itself: find out who wrote it, and put the last good index back")
        })?;
        let mut out = Self { counter, generated, expires, ..self.clone() };
        for (version, entry) in add {
            if let Some(old) = out.releases.get(&version).filter(|old| **old != entry) {
                return Err(Error::conflict(format!("the index has another release {version}"))
                    .detail(format!("expected manifest sha256:{}", entry.manifest))
                    .detail(format!("found    manifest sha256:{}", old.manifest))
                    .hint("nothing was changed; compare the two releases before anything else"));
            }
            if out.retired.contains(&version) {
                return Err(Error::conflict(format!("version {version} is retired: the train that would have released it was abandoned"))
                    .hint("signatures over other bytes of that version exist: choose the next version with `to = \"X.Y.Z\"` in the train file"));
            }
            out.releases.insert(version, entry);
        }
        out.retired.extend(retire);
        out.latest = latest(&out.releases);
        out.check()?;
        Ok(out)
    }

    /// The bytes of `releases/index.json`.
    ///
    /// # Errors
    /// An index that contradicts itself.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        signed::to_bytes(self)
    }

    /// Reads `releases/index.json`.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        signed::from_bytes(bytes, layout::INDEX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(line: &str, seed: &str) -> IndexEntry {
        IndexEntry {
            line: BranchName::new(line).unwrap(),
            train: TrainNonce::from_bytes([3; 16]),
            tag: TagName::new(format!("v{seed}")).unwrap(),
            manifest: Sha256::of(seed.as_bytes()),
        }
    }

    fn at(s: &str) -> Timestamp {
        s.parse().unwrap()
    }

    fn step(old: &Index, add: &[(&str, &str)]) -> Result<Index> {
        let add = add.iter().map(|(l, v)| (v.parse().unwrap(), entry(l, v)));
        old.next(add, [], at("2026-01-02T00:00:00Z"), at("2026-01-09T00:00:00Z"))
    }

    #[test]
    fn latest_moves_forward_only() {
        let project = ProjectName::new("sample").unwrap();
        let zero = Index::empty(project, at("2026-01-01T00:00:00Z"), at("2026-01-08T00:00:00Z"));
        let one = step(&zero, &[("r-2", "2.0.1"), ("r-1", "1.0.5"), ("r-3", "3.0.0-rc.1")]).unwrap();
        assert_eq!(one.latest.overall, Some(Version::new(2, 0, 1)), "a candidate is not the latest release");
        let two = step(&one, &[("r-1", "1.0.4")]).unwrap();
        assert_eq!(two.counter, 2);
        assert_eq!(two.latest.lines[&BranchName::new("r-1").unwrap()], Version::new(1, 0, 5), "an older one came late");
        assert_eq!(two.latest.lines[&BranchName::new("r-3").unwrap()].to_string(), "3.0.0-rc.1");
        assert_eq!(Index::from_bytes(&two.to_bytes().unwrap()).unwrap(), two);
        assert_eq!(step(&two, &[("r-1", "1.0.4")]).unwrap().releases, two.releases, "the same again is not a conflict");
    }

    #[test]
    fn a_version_is_one_release_or_retired() {
        let project = ProjectName::new("sample").unwrap();
        let zero = Index::empty(project, at("2026-01-01T00:00:00Z"), at("2026-01-08T00:00:00Z"));
        let one = step(&zero, &[("r-1", "1.0.5")]).unwrap();
        let other = IndexEntry { manifest: Sha256::of(b"other"), ..entry("r-1", "1.0.5") };
        let (generated, expires) = (at("2026-01-02T00:00:00Z"), at("2026-01-09T00:00:00Z"));
        assert!(one.next([(Version::new(1, 0, 5), other)], [], generated, expires).is_err());
        assert!(one.next([], [Version::new(1, 0, 5)], generated, expires).is_err());
        let mut lies = one.clone();
        lies.latest.overall = Some(Version::new(9, 0, 0));
        assert!(lies.to_bytes().is_err());
        let retired = one.next([], [Version::new(1, 0, 6)], generated, expires).unwrap();
        assert!(step(&retired, &[("r-1", "1.0.6")]).unwrap_err().message().contains("retired"));
    }

    #[test]
    fn a_withdrawn_release_stays_listed() {
        let project = ProjectName::new("sample").unwrap();
        let zero = Index::empty(project, at("2026-01-01T00:00:00Z"), at("2026-01-08T00:00:00Z"));
        let mut one = step(&zero, &[("r-1", "1.0.5"), ("r-1", "1.0.6")]).unwrap();
        let text = String::from_utf8(one.to_bytes().unwrap()).unwrap();
        assert!(!text.contains("withdrawn") && !text.contains("advisories"), "absent while there is nothing to say");
        let withdrawn = |by: &str| Withdrawn {
            reason: "it does not start".to_owned(),
            superseded_by: Some(by.parse().unwrap()),
            date: at("2026-01-02T00:00:00Z"),
        };
        one.withdrawn.insert(Version::new(1, 0, 5), withdrawn("1.0.6"));
        one.advisories = Some(Sha256::of(b"advisories"));
        assert_eq!(Index::from_bytes(&one.to_bytes().unwrap()).unwrap(), one);
        let next = step(&one, &[("r-1", "1.0.7")]).unwrap();
        assert_eq!((&next.withdrawn, next.advisories), (&one.withdrawn, one.advisories), "the next index keeps them");
        one.withdrawn.insert(Version::new(1, 0, 6), withdrawn("1.0.9"));
        assert!(one.to_bytes().unwrap_err().message().contains("does not list release 1.0.9"));
    }

    #[test]
    fn counter_and_time_have_an_end() {
        let project = ProjectName::new("sample").unwrap();
        let (from, week) = (at("2026-01-01T00:00:00Z"), at("2026-01-08T00:00:00Z"));
        let good = Index::empty(project, from, week);
        assert!(Index { counter: u64::MAX, ..good.clone() }.next([], [], from, week).is_err());
        assert!(Index { expires: at("2026-01-08T01:00:00Z"), ..good.clone() }.to_bytes().is_ok());
        let late = Index { expires: at("2026-01-08T01:00:01Z"), ..good.clone() }.to_bytes();
        assert!(late.unwrap_err().message().contains("longer than seven days"));
        assert!(
            Index { expires: Timestamp::MAX, generated: Timestamp::MAX - SignedDuration::from_secs(1), ..good }
                .to_bytes()
                .is_err()
        );
    }
}
