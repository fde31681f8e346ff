//! Where a store keeps what it serves: the paths of `docs/layout.md`, each in one place.

use semver::Version;

use crate::model::{ProjectName, Sha256};

/// How long a file may be that is read whole, in bytes: documents, lists, refs, pages. Hundreds of artifacts take tens of KiB.
pub const MAX_DOCUMENT: u64 = 4 << 20;

/// The directory of the releases and of their list.
pub const RELEASES: &str = "releases";

/// The signed list of releases.
pub const INDEX: &str = "releases/index.json";

/// The signature of the index that was there a moment ago; see [`index_signature`].
pub const INDEX_SIGNATURE: &str = "releases/index.json.asc";

/// The signed list of mirrors; see [`mirrors_signature`].
pub const MIRRORS: &str = "releases/mirrors.json";

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

/// The directory of what builds need from elsewhere.
const INPUTS: &str = "inputs";

/// Where an input is, by its digest.
#[must_use]
pub fn input(id: &Sha256) -> String {
    format!("{INPUTS}/{id}")
}

/// Where the signature of an index with these bytes lies that no later index replaces.
#[must_use]
pub fn index_signature(index: &[u8]) -> String {
    format!("releases/index.{}.asc", Sha256::of(index))
}

/// Where the signature of a list of mirrors with these bytes lies.
#[must_use]
pub fn mirrors_signature(list: &[u8]) -> String {
    format!("releases/mirrors.{}.asc", Sha256::of(list))
}

/// Whether a path is one of [`index_signature`] or of [`mirrors_signature`]: that of a file which later ones replace.
#[must_use]
pub fn is_digest_signature(path: &str) -> bool {
    let name = path.strip_prefix(RELEASES).and_then(|rest| rest.strip_prefix('/')).unwrap_or_default();
    let digest = name.strip_prefix("index.").or_else(|| name.strip_prefix("mirrors."));
    digest.and_then(|rest| rest.strip_suffix(".asc")).is_some_and(|digest| digest.parse::<Sha256>().is_ok())
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
pub fn is_replaced(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    match *parts {
        [RELEASES, _] => !is_digest_signature(path),
        [RELEASES, _, name] => name == RELEASE_PAGE,
        [RELEASES, ..] | [INPUTS, _] => false,
        [KEYS, name] => !name.strip_prefix("trust.").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())),
        ["git", _, "objects", "pack", _] | ["git", _, "refs", "tags", ..] => false,
        _ => true,
    }
}
