//! Versions that are tagged already: they stop a bump.

use std::collections::BTreeSet;

use semver::Version;

use super::CrateMove;
use super::workspace::Workspace;
use crate::error::{Error, Result};
use crate::formats::cargo_manifest::{self, PackageVersion};

/// Reads a file of the tree that a tag names: (tag, path) → bytes; nothing where there is none.
pub type AtTag<'a> = &'a dyn Fn(&str, &str) -> Option<Vec<u8>>;

/// How the name of a tag is made of a crate's name and its version.
type Form = fn(&str, &Version) -> String;

/// Forms of tags that name the crate: nothing else can be meant.
const NAMED: [Form; 5] = [
    |name, version| format!("{name}-v{version}"),
    |name, version| format!("{name}-{version}"),
    |name, version| format!("{name}/v{version}"),
    |name, version| format!("{name}/{version}"),
    |name, version| format!("{name}@{version}"),
];
/// Forms that name a version only: whose it is has to be seen.
const PLAIN: [Form; 2] = [|_, version| format!("v{version}"), |_, version| version.to_string()];

/// Stops if a crate's new version has a tag that names the crate.
pub(super) fn by_name(workspace: &Workspace, moves: &[CrateMove], tags: &BTreeSet<String>) -> Result<()> {
    for m in moves {
        if let Some(found) = NAMED.iter().map(|form| form(&m.name, &m.new)).find(|t| tags.contains(t)) {
            return Err(taken(workspace, m, &found, "its name says so".to_owned()));
        }
    }
    Ok(())
}

/// Stops if a new version is tagged under a tag that names no crate and yet means this one: because its old version is
/// tagged so, or because the tree that the tag names has the crate at that version. Returns what is said of tags that
/// look alike and mean something else.
pub(super) fn by_content(
    workspace: &Workspace,
    moves: &[CrateMove],
    tags: &BTreeSet<String>,
    at_tag: AtTag<'_>,
) -> Result<Vec<String>> {
    let mut notes = Vec::new();
    for m in moves {
        // A crate with tags of its own has no plain ones.
        if NAMED.iter().any(|form| tags.contains(&form(&m.name, &m.old))) {
            continue;
        }
        // Where crates go to several versions, a plain tag may be any one's.
        let lone = moves.iter().all(|other| other.new == m.new);
        for form in PLAIN {
            let (old, new) = (form(&m.name, &m.old), form(&m.name, &m.new));
            if !tags.contains(&new) {
                continue;
            }
            if lone && tags.contains(&old) && same_form(m, &old, at_tag) {
                return Err(taken(workspace, m, &new, format!("{} is tagged in the same form: `{old}`", m.old)));
            }
            match version_at(m, &new, at_tag) {
                Some(version) if version == m.new.to_string() => {
                    return Err(taken(workspace, m, &new, format!("in its tree `{}` is at {version}", m.name)));
                }
                Some(version) => notes.push(format!(
                    "the tag `{new}` is not taken for `{}` {}: in its tree that crate is at {version}",
                    m.name, m.new
                )),
                None => {}
            }
        }
    }
    Ok(notes)
}

/// Whether the plain tag `old` is that of the crate's old version, as far as can be seen: a tag whose tree can be read and
/// has the crate at another version, or not at all, is of something else.
fn same_form(m: &CrateMove, old: &str, at_tag: AtTag<'_>) -> bool {
    let seen = ["Cargo.toml", m.manifest.as_str()].into_iter().any(|path| at_tag(old, path).is_some());
    !seen || version_at(m, old, at_tag).is_some_and(|v| v == m.old.to_string())
}

/// The version that the crate has in the tree of `tag`, as its manifest or the one that it inherits from says.
fn version_at(m: &CrateMove, tag: &str, at_tag: AtTag<'_>) -> Option<String> {
    let parsed = |path: &str| cargo_manifest::parse(std::str::from_utf8(&at_tag(tag, path)?).ok()?).ok();
    match parsed(&m.manifest)?.package.filter(|p| p.name.value == m.name)?.version {
        PackageVersion::Literal(text) => Some(text.value),
        // The root lies where it lies now, or the crate's version is not known.
        PackageVersion::Inherited => {
            let root = m.inherits.as_deref().unwrap_or("Cargo.toml");
            Some(parsed(root)?.workspace?.version?.value)
        }
        PackageVersion::Absent => None,
    }
}

fn taken(workspace: &Workspace, m: &CrateMove, tag: &str, why: String) -> Error {
    let place = workspace.crate_at(&m.manifest).map_or(&m.manifest, |c| &c.place);
    Error::conflict(format!("`{}` {} is already tagged: `{tag}`", m.name, m.new))
        .detail(format!("{place}: it is at {}", m.old))
        .detail(why)
        .hint(format!("take the next version; if that tag was never published, delete it first: `git tag -d {tag}`"))
}
