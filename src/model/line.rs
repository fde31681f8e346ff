//! Kinds of release line and the steps that a version can take.

use std::fmt;
use std::str::FromStr;

use semver::{Prerelease, Version};
use serde::{Deserialize, Serialize};

use super::GrammarError;

/// What a train does on a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LineKind {
    /// Apply the patches, bump the version and ship.
    Release,
    /// Drop the pre-release suffix and ship.
    First,
    /// Ship the next release candidate.
    Candidate,
    /// Carry the fix only: pushed after promotion, no tag and no artifacts.
    Carry,
}

/// The step that a version takes in a bump.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum VersionStep {
    /// `1.2.3` to `1.2.4`.
    Patch,
    /// `1.2.3` to `1.3.0`.
    Minor,
    /// `1.2.3-rc.1` to `1.2.3`.
    Release,
    /// `1.2.3-rc.1` to `1.2.3-rc.2`.
    Candidate,
    /// To exactly this version.
    Exact(Version),
}

impl VersionStep {
    /// The version after this step, or why there is none.
    ///
    /// # Errors
    /// A pre-release cannot take a patch or minor step; `release` and `rc` need a pre-release suffix.
    pub fn apply(&self, old: &Version) -> Result<Version, GrammarError> {
        let bad = |valid| Err(GrammarError::new("version step", format!("{self} from {old}"), valid));
        let mut new = old.clone();
        match self {
            Self::Exact(v) => return Ok(v.clone()),
            Self::Patch | Self::Minor if !old.pre.is_empty() => {
                return bad("`release`, `rc` or an exact version from a pre-release");
            }
            Self::Patch => new.patch += 1,
            Self::Minor => {
                new.minor += 1;
                new.patch = 0;
            }
            Self::Release if old.pre.is_empty() => return bad("a version with a pre-release suffix"),
            Self::Release => new.pre = Prerelease::EMPTY,
            Self::Candidate => {
                let (stem, number) = old.pre.as_str().rsplit_once('.').unwrap_or(("", ""));
                match (number.parse::<u64>(), stem.is_empty()) {
                    (Ok(n), false) => {
                        new.pre = Prerelease::new(&format!("{stem}.{}", n + 1)).map_err(|_| {
                            GrammarError::new("version step", format!("{self} from {old}"), "a suffix such as `-rc.1`")
                        })?;
                    }
                    _ => return bad("a version with a suffix such as `-rc.1`"),
                }
            }
        }
        Ok(new)
    }
}

impl VersionStep {
    /// What a line's version does unless its train file says otherwise; none where the line gets no version.
    #[must_use]
    pub fn usual(kind: LineKind) -> Option<Self> {
        match kind {
            LineKind::Release => Some(Self::Patch),
            LineKind::First => Some(Self::Release),
            LineKind::Candidate => Some(Self::Candidate),
            LineKind::Carry => None,
        }
    }
}

impl FromStr for VersionStep {
    type Err = GrammarError;

    fn from_str(s: &str) -> Result<Self, GrammarError> {
        Ok(match s {
            "patch" => Self::Patch,
            "minor" => Self::Minor,
            "release" => Self::Release,
            "rc" => Self::Candidate,
            _ => Self::Exact(Version::parse(s).map_err(|_| {
                GrammarError::new("version step", s, "`patch`, `minor`, `release`, `rc` or a version such as `36.0.6`")
            })?),
        })
    }
}

impl TryFrom<String> for VersionStep {
    type Error = GrammarError;

    fn try_from(s: String) -> Result<Self, GrammarError> {
        s.parse()
    }
}

impl From<VersionStep> for String {
    fn from(v: VersionStep) -> Self {
        v.to_string()
    }
}

impl fmt::Display for VersionStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Patch => f.write_str("patch"),
            Self::Minor => f.write_str("minor"),
            Self::Release => f.write_str("release"),
            Self::Candidate => f.write_str("rc"),
            Self::Exact(v) => write!(f, "{v}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps() {
        let step = |s: &str, v: &str| {
            s.parse::<VersionStep>().unwrap().apply(&Version::parse(v).unwrap()).map(|v| v.to_string()).ok()
        };
        assert_eq!(step("patch", "36.0.5").as_deref(), Some("36.0.6"));
        assert_eq!(step("minor", "0.123.5").as_deref(), Some("0.124.0"));
        assert_eq!(step("release", "48.0.0-rc.1").as_deref(), Some("48.0.0"));
        assert_eq!(step("rc", "48.0.0-rc.1").as_deref(), Some("48.0.0-rc.2"));
        assert_eq!(step("1.2.3", "0.1.0").as_deref(), Some("1.2.3"));
        assert_eq!(step("patch", "48.0.0-rc.1"), None);
        assert_eq!(step("release", "48.0.0"), None);
        assert!("patches".parse::<VersionStep>().is_err());
    }
}
