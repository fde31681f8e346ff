//! The published crates of a tree.

use semver::Version;

use super::past::KeptTree;
use crate::error::Result;
use crate::formats::cargo_manifest::{PackageVersion, Publish};

/// A published crate as it stands in a tree.
pub(super) struct Published {
    pub(super) name: String,
    pub(super) version: Version,
    /// Whether its version is that of its workspace.
    pub(super) inherits: bool,
}

/// The published crates of a tree, by name.
pub(super) fn published(tree: &KeptTree<'_>) -> Result<Vec<Published>> {
    let manifests = tree.manifests()?;
    let root = manifests.iter().find_map(|(_, m)| m.workspace.as_ref()?.version.clone());
    let root = root.and_then(|t| Version::parse(&t.value).ok());
    let mut out = Vec::new();
    for package in manifests.iter().filter_map(|(_, m)| m.package.as_ref()).filter(|p| p.publish != Publish::No) {
        let name = package.name.value.clone();
        match (&package.version, &root) {
            (PackageVersion::Literal(t), _) => {
                out.extend(Version::parse(&t.value).ok().map(|version| Published { name, version, inherits: false }));
            }
            (PackageVersion::Inherited, Some(v)) => out.push(Published { name, version: v.clone(), inherits: true }),
            _ => {}
        }
    }
    out.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(out)
}
