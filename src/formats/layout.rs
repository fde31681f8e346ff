//! Where a store keeps what it serves: the paths of `docs/layout.md`, each in one place.

use semver::Version;

use crate::model::{ProjectName, Sha256};

/// The directory of the releases and of their list.
pub const RELEASES: &str = "releases";

/// The signed list of releases.
pub const INDEX: &str = "releases/index.json";

/// The signature of the index that was there a moment ago; see [`index_signature`].
pub const INDEX_SIGNATURE: &str = "releases/index.json.asc";

/// The list of releases as a page.
pub const INDEX_PAGE: &str = "releases/index.html";

/// The version of the newest release, one line.
pub const LATEST: &str = "releases/latest";

/// The page at the store's root.
pub const ROOT_PAGE: &str = "index.html";

/// The page of a release, within it.
pub const RELEASE_PAGE: &str = "index.html";

/// The directory of the trust root and of the certificates.
pub(crate) const KEYS: &str = "keys";

/// Where the signature of an index with these bytes lies that no later index replaces.
#[must_use]
pub fn index_signature(index: &[u8]) -> String {
    format!("releases/index.{}.asc", Sha256::of(index))
}

/// The directory of a release.
#[must_use]
pub fn release(version: &Version) -> String {
    format!("releases/{version}")
}

/// A file of a release.
#[must_use]
pub fn release_file(version: &Version, name: &str) -> String {
    format!("{}/{name}", release(version))
}

/// The directory of a train's staging area for what is encrypted.
pub const STAGED_OBJECTS: &str = "objects";

/// What is staged of a file in a store whose staging holds only what the team can decrypt, by its random name: the path in the
/// train's staging area.
#[must_use]
pub fn staged_object(name: &str) -> String {
    format!("{STAGED_OBJECTS}/{name}")
}

/// The repository that can be cloned.
#[must_use]
pub fn repository(project: &ProjectName) -> String {
    format!("git/{project}.git")
}

/// A file of the repository that can be cloned.
#[must_use]
pub fn repository_file(project: &ProjectName, name: &str) -> String {
    format!("{}/{name}", repository(project))
}

/// A file of the trust root, or a certificate.
#[must_use]
pub fn key(name: &str) -> String {
    format!("{KEYS}/{name}")
}

/// The same as a link on the page of a release.
#[must_use]
pub(crate) fn key_from_release(name: &str) -> String {
    format!("../../{}", key(name))
}

/// Whether what is at a path may be replaced: the last column of the table in `docs/layout.md`. Unknown paths may.
#[must_use]
pub(crate) fn is_replaced(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    match *parts {
        [RELEASES, name] => {
            let digest = name.strip_prefix("index.").and_then(|rest| rest.strip_suffix(".asc"));
            digest.is_none_or(|digest| digest.parse::<Sha256>().is_err())
        }
        [RELEASES, _, name] => name == RELEASE_PAGE,
        [RELEASES, ..] => false,
        [KEYS, name] => !name.strip_prefix("trust.").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())),
        ["git", _, "objects", "pack", _] | ["git", _, "refs", "tags", ..] => false,
        _ => true,
    }
}
