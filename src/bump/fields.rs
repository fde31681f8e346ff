//! Version fields that no rule names, for a list of crates: a name that speaks of a version has the old one as its value.

use std::collections::BTreeMap;

use semver::Version;

use super::version_search::{is_foreign, owner};
use super::workspace::Workspace;
use super::{CrateMove, Work};
use crate::error::Result;
use crate::formats::splice::{Splice, splice};
use crate::formats::version_fields::{cmake, fields, in_own_table};
use crate::formats::version_text;

/// Directories whose versions are made up.
const MADE_UP: [&str; 10] =
    ["tests", "test", "testdata", "fixtures", "fixture", "examples", "benches", "snapshots", "testing", "samples"];
/// The ends of names that documents, locks and what programs print have: their versions may be of any time.
const OTHER: [&str; 17] = [
    ".md", ".mdx", ".rst", ".adoc", ".txt", ".html", ".svg", ".lock", ".snap", ".stderr", ".stdout", ".out", ".log",
    ".csv", ".tsv", ".patch", ".diff",
];

/// Rewrites the version fields of files that belong to a crate that moves, or, where several crates take one step, of those
/// that belong to no other crate at that version.
pub(super) fn rewrite(work: &mut Work<'_>, workspace: &Workspace) -> Result<()> {
    let sources = work.sources;
    let moves: Vec<CrateMove> = work.moves.values().cloned().collect();
    let mut steps: BTreeMap<(&Version, &Version), usize> = BTreeMap::new();
    moves.iter().for_each(|m| *steps.entry((&m.old, &m.new)).or_default() += 1);
    // A step that several crates take together is the project's, or that of a part of it; a lone crate's is its own.
    let lone = |n: usize| n == 1 && moves.len() > 1;
    let shared: Vec<(&Version, &Version)> =
        steps.iter().filter(|(_, n)| !lone(**n)).map(|(step, _)| *step).filter(|(old, _)| is_distinct(old)).collect();
    let mut names: Vec<String> = moves.iter().map(|m| m.name.to_ascii_lowercase().replace('-', "_")).collect();
    names.extend(workspace.repository().map(|r| r.to_ascii_lowercase().replace('-', "_")));
    for path in sources.paths() {
        if is_foreign(path) || path.split('/').any(|part| MADE_UP.contains(&part)) {
            continue;
        }
        let Some(kind) = kind(path) else { continue };
        let owner = owner(workspace, path);
        let own = owner.as_ref().and_then(|o| moves.iter().find(|m| m.manifest == *o)).map(|m| (&m.old, &m.new));
        // A crate that stays at that version may have written it.
        let stays = |old: &Version| owner.as_ref().is_some_and(|o| at(workspace, o) == Some(old));
        let taken: Vec<_> = match own {
            Some(step) => Some(step).filter(|(old, _)| is_distinct(old)).into_iter().collect(),
            None => shared.iter().copied().filter(|(old, _)| !stays(old)).collect(),
        };
        for (old, new) in taken {
            let Some(text) = work.text(path)? else { break };
            let cuts = found(&text, kind, &names, (old, new));
            if !cuts.is_empty() {
                work.set(path, splice(&text, cuts));
            }
        }
    }
    Ok(())
}

/// The fields of a text that have the old version.
fn found(text: &str, kind: Kind, names: &[String], (old, new): (&Version, &Version)) -> Vec<Splice> {
    let mut cuts: Vec<Splice> = match kind {
        Kind::CMake => cmake(text, names, old, new),
        Kind::Json => {
            let own = version_text::json_strings(text).into_iter();
            let own = own.filter(|(at, value, _)| at == "/version" && *value == old.to_string());
            own.map(|(_, _, at)| Splice::new(at, new.to_string())).collect()
        }
        Kind::Rust | Kind::Lines | Kind::Toml | Kind::Yaml => fields(text, names, old, new),
    };
    cuts.retain(|cut| {
        let start = text[..cut.span.start].rfind('\n').map_or(0, |i| i + 1);
        let line = &text[start..cut.span.start];
        match kind {
            Kind::Toml => in_own_table(text, cut.span.start),
            // Indented, it is of an entry.
            Kind::Yaml => !line.starts_with([' ', '\t', '-']),
            Kind::Rust => line.contains("const ") || line.contains("static "),
            _ => true,
        }
    });
    cuts
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    CMake,
    Json,
    Lines,
    Rust,
    Toml,
    Yaml,
}

fn kind(path: &str) -> Option<Kind> {
    let name = path.rsplit('/').next()?.to_ascii_lowercase();
    let ends = |suffixes: &[&str]| suffixes.iter().any(|s| name.ends_with(s));
    Some(match name.as_str() {
        "cargo.toml" | "package-lock.json" => return None,
        "cmakelists.txt" => Kind::CMake,
        "makefile" | "justfile" => Kind::Lines,
        _ if ends(&[".cmake"]) => Kind::CMake,
        _ if ends(&[".json"]) => Kind::Json,
        _ if ends(&[".toml"]) => Kind::Toml,
        _ if ends(&[".yml", ".yaml"]) => Kind::Yaml,
        _ if ends(&[".rs"]) => Kind::Rust,
        _ if ends(&OTHER) => return None,
        _ => Kind::Lines,
    })
}

/// The version of the crate whose manifest is `owner`.
fn at<'a>(workspace: &'a Workspace, owner: &str) -> Option<&'a Version> {
    workspace.crate_at(owner)?.version.as_ref()
}

/// Whether a version is hardly another thing's too: first versions are everybody's.
fn is_distinct(version: &Version) -> bool {
    let first = (version.major, version.minor) <= (0, 1) || (version.minor, version.patch) == (0, 0);
    !first
}
