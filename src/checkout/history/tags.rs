//! Tags that name the versions of releases.

use std::collections::BTreeMap;

use git2::{Oid, Repository};
use semver::Version;

use crate::error::{Context as _, Result};

/// A tag of a release.
#[derive(Debug, Clone)]
pub(super) struct Tagged {
    pub(super) version: Version,
    pub(super) commit: Oid,
    /// Seconds since 1970, of the commit.
    pub(super) time: i64,
}

/// The tags that look like versions of releases, without the version: `v`, `acme-v`; with the commits.
pub(super) fn tagged(repository: &Repository) -> Result<BTreeMap<String, Vec<Tagged>>> {
    let mut out: BTreeMap<String, Vec<Tagged>> = BTreeMap::new();
    let names = repository.tag_names(None).context("reading the tags")?;
    for name in names.iter().filter_map(|n| n.ok().flatten()) {
        let Some(cut) = version_at(name) else { continue };
        let Ok(version) = Version::parse(&name[cut..]) else { continue };
        let found = repository.find_reference(&format!("refs/tags/{name}")).and_then(|r| r.peel_to_commit());
        if version.pre.is_empty()
            && let Ok(commit) = found
        {
            out.entry(name[..cut].to_owned()).or_default().push(Tagged {
                version,
                commit: commit.id(),
                time: commit.time().seconds(),
            });
        }
    }
    Ok(out)
}

/// Where the version begins that `tag` ends with.
fn version_at(tag: &str) -> Option<usize> {
    let starts = tag
        .char_indices()
        .filter(|(i, c)| c.is_ascii_digit() && !tag[..*i].ends_with(|p: char| p.is_ascii_digit() || p == '.'));
    starts.map(|(i, _)| i).find(|i| Version::parse(&tag[*i..]).is_ok())
}

/// What the tags of a form name before the version: a crate, or nothing.
pub(super) fn stem(prefix: &str) -> &str {
    let joints = ['-', '/', '@', '_'];
    prefix.trim_end_matches(joints).trim_end_matches('v').trim_end_matches(joints)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_end_with_a_version() {
        for (tag, prefix) in [("v1.2.3", "v"), ("1.2.3", ""), ("a-v2-1.2.3", "a-v2-"), ("v/0.5.8", "v/")] {
            assert_eq!(version_at(tag).map(|i| &tag[..i]), Some(prefix), "{tag}");
        }
        assert_eq!(version_at("nightly-2026"), None);
    }
}
