//! The versions of a project for which a habit holds.

use semver::{Version, VersionReq};

use crate::formats::requirement::distinct_part;

/// The shortest requirement that separates the versions `with` from those `without`, if all of the one kind come before all of
/// the other: since when a habit holds, or until when it did.
pub(super) fn since_or_until(with: &[Version], without: &[Version]) -> Option<VersionReq> {
    let (first, last) = (with.iter().min()?, with.iter().max()?);
    let (before, after) = (without.iter().max()?, without.iter().min()?);
    let text = if before < first {
        format!(">={}", distinct_part(first, before))
    } else if last < after {
        format!("<{}", distinct_part(after, last))
    } else {
        return None;
    };
    VersionReq::parse(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn habits_begin_and_end() {
        let versions = |all: &[&str]| all.iter().map(|v| Version::parse(v).unwrap()).collect::<Vec<_>>();
        for (with, without, expected) in [
            (&["36.0.1", "48.0.2"][..], &["24.0.3"][..], Some(">=36")),
            (&["1.5.1"], &["1.4.7", "1.2.0"], Some(">=1.5")),
            (&["1.5.3"], &["1.5.2"], Some(">=1.5.3")),
            (&["24.0.3"], &["36.0.1", "48.0.2"], Some("<36")),
            (&["24.0.3", "48.0.2"], &["36.0.1"], None),
            (&["24.0.3"], &["24.0.3"], None),
            (&["24.0.3"], &[], None),
        ] {
            let found = since_or_until(&versions(with), &versions(without));
            assert_eq!(found.map(|r| r.to_string()).as_deref(), expected, "{with:?} {without:?}");
        }
    }
}
