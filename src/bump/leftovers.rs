//! Files that still name a version which a bump left.

use std::collections::{BTreeMap, BTreeSet};

use super::{Bump, SourceTree, TreeEntryKind};
use crate::error::Result;
use crate::formats::splice::{line_of, whole_words};

/// A sentence for each text file of the tree that names, as a whole word, a version which a crate has left: in the bumped
/// bytes where there are some. Locks and changelogs are left out: they name old versions by their nature. `after` has what
/// files hold by now that are no longer as in the tree.
///
/// # Errors
/// The tree cannot be read.
pub fn remains(tree: &dyn SourceTree, bump: &Bump, after: &BTreeMap<&str, Option<&[u8]>>) -> Result<Vec<String>> {
    // What one crate leaves another may have reached.
    let reached: BTreeSet<String> = bump.moves.iter().map(|m| m.new.to_string()).collect();
    let left: BTreeSet<String> = bump.moves.iter().map(|m| m.old.to_string()).collect();
    let left: Vec<&str> = left.difference(&reached).map(String::as_str).collect();
    let entries = tree.entries()?.into_iter().filter(|e| e.kind == TreeEntryKind::File);
    let paths: Vec<String> = entries.map(|e| e.path).filter(|p| !is_of_its_time(p)).collect();
    let (now, as_before): (Vec<String>, Vec<String>) = paths.into_iter().partition(|p| after.contains_key(p.as_str()));
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    for path in tree.containing(&as_before, &left)? {
        let bytes = tree.read(&path)?.unwrap_or_default();
        found.extend(said(&path, &bytes, &left).map(|note| (path, note)));
    }
    for path in now {
        let bytes = after.get(path.as_str()).copied().flatten().unwrap_or_default();
        found.extend(said(&path, bytes, &left).map(|note| (path, note)));
    }
    Ok(found.into_values().collect())
}

/// What is said of a file that names one of these versions.
fn said(path: &str, bytes: &[u8], versions: &[&str]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok().filter(|t| !t.contains('\0'))?;
    let mut places: Vec<(usize, &str)> = Vec::new();
    for version in versions {
        places.extend(whole_words(text, version).into_iter().map(|at| (at.start, *version)));
    }
    places.sort_unstable();
    let (first, version) = places.first()?;
    let more = match places.len() {
        1 => String::new(),
        n => format!(", {n} times"),
    };
    Some(format!("{}:{}: still names {version}{more}", crate::model::escape(path), line_of(text, *first)))
}

/// Locks and changelogs, by their names.
fn is_of_its_time(path: &str) -> bool {
    const HISTORY: [&str; 6] = ["changelog", "changes", "release", "news", "history", "relnotes"];
    let name = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
    let stem = name.split('.').next().unwrap_or(&name);
    let text = !name.contains('.') || [".md", ".txt", ".rst", ".adoc"].iter().any(|e| name.ends_with(e));
    let lock = name.ends_with(".lock") || name.contains(".lock.") || stem.ends_with("-lock") || name == "go.sum";
    // `changelogs/0.11.x.md`, `.changes/…`.
    let dirs = || path.rsplit_once('/').map_or("", |(dir, _)| dir).split('/');
    let kept = dirs().any(|d| matches!(d.trim_start_matches('.'), "changelog" | "changelogs" | "changes"));
    lock || kept || text && HISTORY.iter().any(|w| stem.starts_with(w) || stem.ends_with(w))
}
