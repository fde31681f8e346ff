//! Which crates move, and to which version: by a list that the release manager gives.

use std::collections::BTreeMap;

use semver::Version;

use super::families::unique;
use super::tree::{Sources, file_in, join, parent};
use super::workspace::{Workspace, place};
use super::{CrateMove, Decision, moving};
use crate::error::{Error, Result};

/// One line of the list: `crate<TAB>old<TAB>new<TAB>manifest<TAB>publish`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedMove {
    /// The crate's name, or `[workspace.package]` for the version that crates inherit.
    pub name: String,
    /// The version it must be at.
    pub old: Version,
    /// The version it goes to.
    pub new: Version,
    /// Its manifest, relative to the top of the tree.
    pub manifest: String,
    /// Is published.
    pub publish: bool,
}

/// The name under which a list moves the inherited version.
const INHERITED: &str = "[workspace.package]";

/// Reads a list; `source` names it in messages. Empty lines and lines that start with `#` are skipped.
///
/// # Errors
/// The line that is not of five fields, or whose versions, path or flag are none.
pub fn parse_listed(text: &str, source: &str) -> Result<Vec<ListedMove>> {
    let mut out = Vec::new();
    for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let fault = |what: String| {
            Error::input(format!("{source}:{}: {what}", number + 1))
                .hint("expected `crate<TAB>old<TAB>new<TAB>manifest<TAB>publish`, publish being `true` or `false`")
        };
        let fields: Vec<&str> = line.split('\t').collect();
        let &[name, old, new, manifest, publish] = fields.as_slice() else {
            return Err(fault(format!("{} fields instead of 5", fields.len())));
        };
        let version = |v: &str| Version::parse(v).map_err(|e| fault(format!("`{v}` is not a version: {e}")));
        let (old, new) = (version(old)?, version(new)?);
        let publish = publish.trim().parse().map_err(|_| fault(format!("`{publish}` is neither true nor false")))?;
        let Some(manifest) = join("", manifest) else {
            return Err(fault(format!("`{manifest}` does not lie in the tree")));
        };
        out.push(ListedMove { name: name.to_owned(), old, new, manifest, publish });
    }
    if out.is_empty() {
        return Err(Error::input(format!("{source}: no crate is listed"))
            .hint("expected one line `crate<TAB>old<TAB>new<TAB>manifest<TAB>publish` for each that moves"));
    }
    Ok(out)
}

/// The manifests at which the workspace is entered: the listed ones, and the top's.
pub(super) fn seeds(sources: &Sources<'_>, listed: &[ListedMove]) -> Vec<String> {
    let mut out: Vec<String> = listed.iter().map(|l| l.manifest.clone()).collect();
    out.extend(sources.has("Cargo.toml").then(|| "Cargo.toml".to_owned()));
    for l in listed {
        // A workspace root between the crate and the top leads to its siblings.
        let mut dir = parent(&l.manifest);
        while !dir.is_empty() {
            dir = parent(dir);
            out.extend(Some(file_in(dir, "Cargo.toml")).filter(|p| sources.has(p)));
        }
    }
    out.sort();
    out.dedup();
    out
}

/// Checks the list against the workspace.
pub(super) fn decide(workspace: &Workspace, listed: &[ListedMove]) -> Result<Decision> {
    let mut roots: BTreeMap<String, (Version, Version)> = BTreeMap::new();
    let mut moves: BTreeMap<String, CrateMove> = BTreeMap::new();
    for l in listed.iter().filter(|l| l.name == INHERITED) {
        let loaded = workspace.manifest(&l.manifest);
        let own = loaded.and_then(|m| Some((m, m.manifest.workspace.as_ref()?.version.as_ref()?)));
        let Some((loaded, own)) = own else {
            return Err(Error::input(format!("{}: no `version` in `[workspace.package]`", l.manifest))
                .hint("list the crates that name their own version by their names"));
        };
        if own.value != l.old.to_string() {
            return Err(elsewhere(&place(&l.manifest, &loaded.text, own.span.start), INHERITED, &own.value, &l.old));
        }
        forward(l)?;
        roots.insert(l.manifest.clone(), (l.old.clone(), l.new.clone()));
    }
    for l in listed.iter().filter(|l| l.name != INHERITED) {
        let Some(krate) = workspace.crate_at(&l.manifest).filter(|c| c.name == l.name) else {
            let there = workspace.crate_at(&l.manifest).map_or("no crate".to_owned(), |c| format!("`{}`", c.name));
            return Err(Error::input(format!("{}: {there} instead of `{}`", l.manifest, l.name))
                .hint("name the manifest of the crate, relative to the top of the tree"));
        };
        let at = krate.version.as_ref().map_or_else(|| "no version".to_owned(), ToString::to_string);
        if krate.version.as_ref() != Some(&l.old) {
            return Err(elsewhere(&krate.place, &l.name, &at, &l.old));
        }
        forward(l)?;
        if let Some(root) = &krate.inherits
            && roots.get(root) != Some(&(l.old.clone(), l.new.clone()))
        {
            return Err(Error::input(format!("{}: `{}` inherits its version from {root}", krate.place, l.name))
                .hint(format!("list `{INHERITED}` with {root} from {} to {}", l.old, l.new)));
        }
        if moves.insert(l.manifest.clone(), moving(krate, l.old.clone(), l.new.clone())).is_some() {
            return Err(Error::input(format!("`{}` is listed twice", l.name)));
        }
    }
    for krate in workspace.crates() {
        if let Some((old, new)) = krate.inherits.as_ref().and_then(|root| roots.get(root)) {
            moves.entry(krate.manifest.clone()).or_insert_with(|| moving(krate, old.clone(), new.clone()));
        }
    }
    unique(workspace, &moves.values().map(|m| m.name.as_str()).collect())?;
    let main = main(listed).ok_or_else(|| Error::input("no crate is listed"))?;
    Ok(Decision { main, moves: moves.into_values().collect(), roots })
}

/// The version that stands for the project: the inherited one, or the crate nearest to the top.
fn main(listed: &[ListedMove]) -> Option<(Version, Version)> {
    let depth = |l: &&ListedMove| (l.name != INHERITED, !l.publish, l.manifest.matches('/').count());
    listed.iter().min_by_key(depth).map(|l| (l.old.clone(), l.new.clone()))
}

fn forward(l: &ListedMove) -> Result<()> {
    // Who lists a step back, to a pre-release say, means it.
    if l.new != l.old {
        return Ok(());
    }
    Err(Error::input(format!("`{}` cannot go from {} to {}: that is not a valid version step", l.name, l.old, l.new)))
}

fn elsewhere(place: &str, name: &str, at: &str, listed: &Version) -> Error {
    Error::input(format!("{place}: `{name}` is at {at}, listed at {listed}"))
        .hint("correct the list, or check out the tree that it was made for")
}
