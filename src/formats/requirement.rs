//! Version requirements as Cargo writes them, moved to another version in their own kind.

use semver::{Version, VersionReq};

/// What moving a crate from one version to another does to a requirement on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lift {
    /// The requirement names the old version, and becomes this.
    To(String),
    /// It says no more than what still holds (`*`, or `1.2` from 1.2.3 to 1.2.4): it stays.
    Stays,
    /// It names another version than the old one, or is a range; it admits both the old and the new one.
    Admits,
    /// It names another version than the old one and does not admit the new one; in its kind, this would.
    Raise(String),
    /// It is a range, or has a wildcard, and does not admit the new one.
    Refuses,
    /// It does not admit the old version: the tree is inconsistent.
    Inconsistent,
    /// It is not a requirement (<https://doc.rust-lang.org/cargo/reference/specifying-dependencies.html>).
    Malformed,
}

/// As much of `version` as distinguishes it from `other`: `1.2` of 1.2.3, where the other one is 1.3.0.
#[must_use]
pub(crate) fn distinct_part(version: &Version, other: &Version) -> String {
    if version.major != other.major {
        version.major.to_string()
    } else if version.minor != other.minor {
        format!("{}.{}", version.major, version.minor)
    } else {
        format!("{}.{}.{}", version.major, version.minor, version.patch)
    }
}

/// Whether `requirement` admits `version`. A version that is a pre-release is admitted as Cargo admits it.
#[must_use]
pub fn admits(requirement: &str, version: &Version) -> bool {
    VersionReq::parse(requirement).is_ok_and(|r| r.matches(version) || requirement.trim() == "*")
}

/// What becomes of `requirement` when the crate goes from `old` to `new`: `=1.2.3`, `^1.2.3`, `~1.2.3`, `1.2.3` and
/// `1.2` keep their operator, their precision and their blanks.
#[must_use]
pub fn lift(requirement: &str, old: &Version, new: &Version) -> Lift {
    if VersionReq::parse(requirement).is_err() {
        return Lift::Malformed;
    }
    if requirement.contains('*') || requirement.contains(['x', 'X']) && !requirement.contains('-') {
        return if admits(requirement, new) { Lift::Stays } else { Lift::Refuses };
    }
    if !admits(requirement, old) {
        return Lift::Inconsistent;
    }
    let start = requirement.find(|c: char| c.is_ascii_digit()).unwrap_or(requirement.len());
    let (head, rest) = requirement.split_at(start);
    let (listed, tail) = rest.split_at(rest.trim_end().len());
    let single = matches!(head.trim(), "" | "=" | "^" | "~" | ">=");
    if single && !listed.contains([',', ' ']) {
        for (from, to) in [(exact(old), exact(new)), (minor(old), minor(new)), (major(old), major(new))] {
            if listed == from {
                let short = format!("{head}{to}{tail}");
                // A short requirement admits no pre-release: that must be named whole.
                let whole = || format!("{head}{}{tail}", exact(new));
                return match admits(&short, new) {
                    true if from == to => Lift::Stays,
                    true => Lift::To(short),
                    false => Lift::To(whole()),
                };
            }
        }
        if !admits(requirement, new) {
            let to = match listed.split('.').count() {
                1 => major(new),
                2 => minor(new),
                _ => exact(new),
            };
            return Lift::Raise(format!("{head}{to}{tail}"));
        }
    }
    if admits(requirement, new) { Lift::Admits } else { Lift::Refuses }
}

/// `requirement` lifted to `new` although it names an older version than `old`: one whole version of the same minor line.
#[must_use]
pub(crate) fn lift_older(requirement: &str, old: &Version, new: &Version) -> Option<String> {
    let start = requirement.find(|c: char| c.is_ascii_digit())?;
    let (head, rest) = requirement.split_at(start);
    let named = Version::parse(rest.trim_end()).ok().filter(|_| matches!(head.trim(), "" | "^" | "~"))?;
    let line = |v: &Version| (v.major, v.minor);
    let lifted = format!("{head}{}{}", exact(new), &rest[rest.trim_end().len()..]);
    (line(&named) == line(old) && named < *old && admits(requirement, old) && admits(&lifted, new)).then_some(lifted)
}

/// The version without build metadata, which requirements do not carry.
fn exact(v: &Version) -> String {
    Version { build: semver::BuildMetadata::EMPTY, ..v.clone() }.to_string()
}

fn minor(v: &Version) -> String {
    format!("{}.{}", v.major, v.minor)
}

fn major(v: &Version) -> String {
    v.major.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(requirement: &str, old: &str, new: &str) -> Lift {
        lift(requirement, &Version::parse(old).unwrap(), &Version::parse(new).unwrap())
    }

    #[test]
    fn kept_in_kind() {
        let to = |s: &str| Lift::To(s.to_owned());
        assert_eq!(check("1.2.3", "1.2.3", "1.2.4"), to("1.2.4"));
        assert_eq!(check(">= 1.2.3", "1.2.3", "1.2.4"), to(">= 1.2.4"));
        assert_eq!(check(">=1.2", "1.2.3", "1.2.4"), Lift::Stays);
        assert_eq!(check(">=1.2.0", "1.2.3", "1.2.4"), Lift::Admits);
        assert_eq!(check("=1.2.3", "1.2.3", "1.2.4"), to("=1.2.4"));
        assert_eq!(check("= 1.2.3 ", "1.2.3", "1.2.4"), to("= 1.2.4 "));
        assert_eq!(check("^1.2.3", "1.2.3", "1.3.0"), to("^1.3.0"));
        assert_eq!(check("~1.2", "1.2.3", "1.3.0"), to("~1.3"));
        assert_eq!(check("1.2", "1.2.3", "1.2.4"), Lift::Stays);
        assert_eq!(check("0.7", "0.7.9", "0.8.0"), to("0.8"));
        assert_eq!(check("1", "1.2.3", "2.0.0"), to("2"));
        assert_eq!(check("=1.0.0-rc.1", "1.0.0-rc.1", "1.0.0"), to("=1.0.0"));
        assert_eq!(check("0.25", "0.25.1", "0.26.0-alpha.1"), to("0.26.0-alpha.1"));
        assert_eq!(check("*", "1.2.3", "9.0.0"), Lift::Stays);
        assert_eq!(check("1.2.*", "1.2.3", "1.3.0"), Lift::Refuses);
    }

    #[test]
    fn an_older_one_of_the_same_line_is_lifted_when_asked() {
        let older = |r: &str| lift_older(r, &Version::new(1, 2, 3), &Version::new(1, 2, 4));
        assert_eq!(older("1.2.0").as_deref(), Some("1.2.4"));
        assert_eq!(older("^1.2.0 ").as_deref(), Some("^1.2.4 "));
        for other in ["1.1.0", "1.2", "1", ">=1.2.0", "1.2.0, <1.3", "=1.2.0", "1.2.3", "*", "1.2.0-rc.1 || 2"] {
            assert_eq!(older(other), None, "{other}");
        }
    }

    #[test]
    fn others_are_judged_not_touched() {
        assert_eq!(check("1.2.0", "1.2.3", "1.2.4"), Lift::Admits);
        assert_eq!(check(">=1.2.3, <1.3", "1.2.3", "1.2.4"), Lift::Admits);
        assert_eq!(check(">=1.2.3, <1.3", "1.2.3", "1.3.0"), Lift::Refuses);
        assert_eq!(check("1.2.0", "1.2.3", "2.0.0"), Lift::Raise("2.0.0".to_owned()));
        assert_eq!(check("1.2.4", "1.2.3", "1.2.4"), Lift::Inconsistent);
        assert_eq!(check("=1.2.2", "1.2.3", "1.2.4"), Lift::Inconsistent);
        assert_eq!(check("one", "1.2.3", "1.2.4"), Lift::Malformed);
    }
}
