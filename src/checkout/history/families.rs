//! Which crates moved together in past releases, and which stayed.

use std::collections::{BTreeMap, BTreeSet};

use semver::Version;

use super::lines;
use super::past::{KeptTree, Past};
use crate::bump::{Family, VersionRules};
use crate::error::Result;
use crate::formats::cargo_manifest::{PackageVersion, Publish};

/// A published crate as it stood before a release.
struct Published {
    name: String,
    version: Version,
    inherits: bool,
}

/// Adds a family for each version that moved, and keeps the published crates fixed that never did.
pub(super) fn found(mut rules: VersionRules, pasts: &[Past<'_>]) -> Result<VersionRules> {
    let (mut families, mut moved, mut still) = (Vec::<Family>::new(), BTreeMap::new(), BTreeMap::new());
    for past in pasts {
        let crates = published(&past.before)?;
        let inherited: BTreeSet<&Version> = past.moves().filter(|m| m.name.is_empty()).map(|m| &m.old).collect();
        let own: BTreeSet<&str> = past.moves().map(|m| m.name.as_str()).collect();
        let moves =
            |c: &&Published| if c.inherits { inherited.contains(&c.version) } else { own.contains(c.name.as_str()) };
        let mut at: BTreeMap<&Version, Vec<&str>> = BTreeMap::new();
        for krate in crates.iter().filter(moves) {
            at.entry(&krate.version).or_default().push(&krate.name);
        }
        if let Some(main) = at.keys().next_back().copied().cloned() {
            for krate in &crates {
                let lines: &mut BTreeMap<String, Vec<Version>> = if moves(&krate) { &mut moved } else { &mut still };
                lines.entry(krate.name.clone()).or_default().push(main.clone());
            }
        }
        // The highest version is the one that the project goes by.
        for (version, members) in at.into_iter().rev() {
            if families.iter().any(|f| members.contains(&f.of.as_str())) {
                continue;
            }
            let of = speaker(&members, &crates);
            // Whoever is at that version and stayed belongs to no family: then the members are named.
            let strays = crates.iter().any(|c| c.version == *version && !moves(&c));
            let crates = if strays { members.iter().map(|m| (*m).to_owned()).collect() } else { Vec::new() };
            families.push(Family { of: of.to_owned(), crates, when: None });
        }
    }
    // Who moved on the later lines and stayed on the earlier ones has a family of its own, for the later ones.
    for (name, stays) in &still {
        let Some(moves) = moved.get(name).filter(|m| m.iter().min() > stays.iter().max()) else { continue };
        let when = lines::since_or_until(moves, stays);
        families.push(Family { of: name.clone(), crates: Vec::new(), when });
    }
    rules.fixed = still.into_keys().filter(|name| !moved.contains_key(name)).collect();
    if families.len() > 1 || !rules.fixed.is_empty() || families.iter().any(|f| !f.crates.is_empty()) {
        rules.family = families;
    }
    if let Some(past) = pasts.first() {
        let manifests: Vec<(String, bool)> =
            past.before.manifests()?.into_iter().map(|(p, m)| (p, m.workspace.is_some())).collect();
        if !manifests.iter().any(|(path, _)| path == "Cargo.toml") {
            // No workspace at the top: it is entered where the moved crates are, or at the workspaces around them.
            let around = |path: &str| {
                let roots = manifests.iter().filter(|(root, is_root)| {
                    *is_root && root.strip_suffix("Cargo.toml").is_some_and(|dir| path.starts_with(dir))
                });
                roots.map(|(root, _)| root.clone()).min_by_key(String::len).unwrap_or_else(|| path.to_owned())
            };
            let entered: BTreeSet<String> = past.moved.keys().map(|p| around(p)).collect();
            rules.manifests = entered.into_iter().collect();
        }
    }
    Ok(rules)
}

/// The name that begins most of the others' names speaks for a family.
fn speaker<'a>(members: &[&'a str], all: &[Published]) -> &'a str {
    let rank = |name: &str| (all.iter().filter(|c| c.name.starts_with(name)).count(), std::cmp::Reverse(name.len()));
    members.iter().copied().max_by_key(|name| rank(name)).unwrap_or_default()
}

fn published(tree: &KeptTree<'_>) -> Result<Vec<Published>> {
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
