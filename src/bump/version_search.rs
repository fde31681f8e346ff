//! Version files that no rule names: found where they usually lie, and touched only where they speak of a crate that
//! moves, at its old version.

use std::collections::BTreeSet;

use jiff::civil::Date;
use semver::Version;

use super::tree::parent;
use super::workspace::Workspace;
use super::{CrateMove, Work};
use crate::error::Result;
use crate::formats::requirement::distinct_part;
use crate::formats::splice::{Splice, splice};
use crate::formats::tag_links::tag_links;
use crate::formats::{c_header, changelog_dates, prose, version_text};

/// Directories whose content comes from elsewhere.
const FOREIGN: [&str; 6] = ["vendor", "vendored", "third_party", "third-party", "node_modules", "target"];

/// What a file is by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Changelog,
    Citation,
    /// A JSON file of a crate's own directory.
    Json,
    /// What the compiler is expected to say, as in trybuild's tests: our own macros and lints write it.
    Expected,
    /// A document for people that is neither a changelog nor a README.
    Document,
    Header,
    Library,
    Readme,
    /// A program's file that is not a library's first one: only its documentation may name versions.
    Source,
    Pyproject,
    PackageJson,
    Plain,
    Script,
    /// A table of dependencies, one a line.
    Table,
}

impl Kind {
    /// Whether a file of this kind speaks of a crate only where its version stands as a whole or shortened.
    fn needs_version(self) -> bool {
        !matches!(self, Self::Changelog | Self::Header)
    }
}

/// Rewrites every version file that belongs to a crate that moves.
pub(super) fn rewrite(work: &mut Work<'_>, workspace: &Workspace, day: Date) -> Result<()> {
    let sources = work.sources;
    let moves: Vec<CrateMove> = work.moves.values().cloned().collect();
    let traces: BTreeSet<String> = moves.iter().map(|m| distinct_part(&m.old, &m.new)).collect();
    for path in sources.paths() {
        let Some(kind) = kind(path) else { continue };
        if is_foreign(path) {
            continue;
        }
        let owner = owner(workspace, path);
        let own = owner.as_ref().and_then(|m| moves.iter().find(|other| other.manifest == *m));
        // Beside a crate that stays, a changelog is of that crate, whichever versions it mentions.
        let of_another = kind == Kind::Changelog && owner.as_ref().is_some_and(|o| !parent(o).is_empty());
        if (matches!(kind, Kind::Library | Kind::Source | Kind::Expected) || of_another) && own.is_none() {
            continue;
        }
        let Some(text) = work.text(path)? else { continue };
        // Where neither a trace of its version nor its name stands, nothing is said of a crate.
        let here: BTreeSet<&str> = traces.iter().map(String::as_str).filter(|l| text.contains(*l)).collect();
        if here.is_empty() && kind.needs_version() {
            continue;
        }
        // A requirement may name no more of the old version than what changes.
        let speaks = |m: &&CrateMove| here.contains(distinct_part(&m.old, &m.new).as_str()) && mentions(&text, &m.name);
        let named: Vec<&CrateMove> = moves.iter().filter(speaks).collect();
        // Crates that go the same way as the one whose file this is.
        let alike = || named.iter().filter(|m| own.is_some_and(|own| (&own.old, &own.new) == (&m.old, &m.new)));
        let cuts = match kind {
            Kind::Header => headers(&text, &moves, own),
            Kind::Library => {
                // Of another crate that moves otherwise, a library may show on purpose what it was tried with.
                let snippets = alike().flat_map(|m| version_text::commented_snippets(&text, &m.name, &m.old, &m.new));
                let its = own.into_iter().flat_map(|m| {
                    let root = version_text::own_root_urls(&text, &m.old, &m.new);
                    root.into_iter().chain(tag_links(&text, &m.name, &m.old, &m.new))
                });
                named.iter().flat_map(|m| links(&text, m)).chain(its).chain(snippets).collect()
            }
            Kind::Source => {
                alike().flat_map(|m| version_text::commented_snippets(&text, &m.name, &m.old, &m.new)).collect()
            }
            Kind::Readme => {
                let its = own.into_iter().flat_map(|m| prose::own_version(&text, &m.old, &m.new));
                named.iter().flat_map(|m| document(&text, m)).chain(its).collect()
            }
            Kind::Table => named.iter().flat_map(|m| prose::pinned(&text, &m.name, &m.old, &m.new)).collect(),
            Kind::Document => named.iter().flat_map(|m| document(&text, m)).collect(),
            Kind::Json => {
                let (_, places) = version_text::package_json(&text);
                let its = own.into_iter().flat_map(|m| foreign_manifest(&[], Some(m), "", places.clone()));
                moves.iter().flat_map(|m| members(&text, path, m)).chain(its).collect()
            }
            Kind::Changelog => changelog(&text, &moves, own, day).into_iter().collect(),
            Kind::Pyproject => {
                // Without a crate beside it, what stands at the top is the project's.
                let top = parent(path)
                    .is_empty()
                    .then(|| moves.iter().find(|m| (&m.old, &m.new) == (&work.main.0, &work.main.1)));
                let own = own.or(top.flatten());
                let tables = version_text::pyproject(&text).into_iter();
                let its =
                    tables.flat_map(|(name, version, at)| foreign_manifest(&moves, own, &name, vec![(version, at)]));
                named.iter().flat_map(|m| prose::pinned(&text, &m.name, &m.old, &m.new)).chain(its).collect()
            }
            Kind::Expected => {
                let site = |m: &CrateMove| version_text::site_links(&text, &m.name, &m.old, &m.new);
                named.iter().flat_map(|m| site(m).into_iter().chain(links(&text, m))).collect()
            }
            Kind::PackageJson => {
                let (name, places) = version_text::package_json(&text);
                foreign_manifest(&moves, own, &name.unwrap_or_default(), places)
            }
            // Of the crate that it lies beside, or of the project.
            Kind::Citation => {
                let step = own.map(|m| (&m.old, &m.new)).or_else(|| at_top(work, path));
                step.map(|(old, new)| version_text::citation(&text, old, new, day)).unwrap_or_default()
            }
            Kind::Script => {
                let constants = |m: &CrateMove| version_text::constants(&text, &m.name, &m.old, &m.new);
                let project = step(work, path, own, owner.is_some());
                let project = project.map(|(old, new)| version_text::project_versions(&text, old, new));
                moves.iter().flat_map(constants).chain(project.into_iter().flatten()).collect()
            }
            Kind::Plain => {
                // Beside a crate at another version it may be the project's all the same.
                let its = owner.as_ref().and_then(|o| workspace.crate_at(o)?.version.clone());
                let foreign = its.is_some_and(|v| version_text::plain(&text, &v, &v).is_none());
                let step = step(work, path, own, owner.is_some());
                let step = if foreign { Some((&work.main.0, &work.main.1)) } else { step };
                step.and_then(|(old, new)| version_text::plain(&text, old, new)).into_iter().collect()
            }
        };
        if !cuts.is_empty() {
            work.set(path, splice(&text, cuts));
        }
    }
    Ok(())
}

fn kind(path: &str) -> Option<Kind> {
    let name = path.rsplit('/').next()?;
    let lower = name.to_ascii_lowercase();
    let ends = |suffixes: &[&str]| suffixes.iter().any(|s| lower.ends_with(s));
    Some(match lower.as_str() {
        "lib.rs" => Kind::Library,
        // Macros of the header that is generated with it.
        "cbindgen.toml" => Kind::Header,
        "pyproject.toml" | "towncrier.toml" => Kind::Pyproject,
        "package.json" | "package-lock.json" => Kind::PackageJson,
        "version.txt" | "version" | ".version" => Kind::Plain,
        "citation.cff" => Kind::Citation,
        "cmakelists.txt" | "makefile" => Kind::Script,
        _ if is_changelog(&lower) => Kind::Changelog,
        _ if lower.starts_with("readme") => Kind::Readme,
        _ if ends(&[".md", ".mdx", ".rst", ".adoc"]) && !is_history(path) => Kind::Document,
        _ if ends(&[".rs"]) => Kind::Source,
        _ if ends(&[".json"]) => Kind::Json,
        _ if ends(&[".tsv"]) => Kind::Table,
        _ if ends(&[".stderr"]) => Kind::Expected,
        _ if ends(&[".h", ".hh", ".hpp", ".h.in"]) => Kind::Header,
        _ if ends(&[".cmake", ".mk", ".sh", ".py", ".rhai"]) => Kind::Script,
        _ => return None,
    })
}

fn is_changelog(name: &str) -> bool {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let text = !name.contains('.') || [".md", ".txt", ".rst"].iter().any(|e| name.ends_with(e));
    text && ["changelog", "changes", "releases", "release-notes", "release_notes", "news", "history"].contains(&stem)
}

/// Whether a document describes past releases, by its path: their versions stay.
fn is_history(path: &str) -> bool {
    const PAST: [&str; 12] = [
        "changelog",
        "changes",
        "release",
        "news",
        "history",
        "blog",
        "post",
        "migrat",
        "upgrad",
        "rfc",
        "archive",
        "adr",
    ];
    let lower = path.to_ascii_lowercase();
    lower.split('/').any(|part| PAST.iter().any(|word| part.split(['-', '_', '.', ' ']).any(|w| w.starts_with(word))))
}

/// What a document for people says of a crate that moves.
fn document(text: &str, m: &CrateMove) -> Vec<Splice> {
    let mut moved = links(text, m);
    moved.extend(tag_links(text, &m.name, &m.old, &m.new));
    moved.extend(prose::labels(text, &moved, &m.old, &m.new));
    for rule in [version_text::snippets, version_text::constants, prose::pinned, prose::hooks, prose::checked_out] {
        moved.extend(rule(text, &m.name, &m.old, &m.new));
    }
    moved
}

/// Members of a JSON object that are called after the crate, or, in the manifest of release-please (its documentation,
/// "Manifest Driven release-please"), after the crate's directory.
fn members(text: &str, path: &str, m: &CrateMove) -> Vec<Splice> {
    let listed = path.contains("release-please");
    // A package of it is a directory, and a workspace may be one.
    let dir = format!("{}/", parent(&m.manifest));
    let around = |key: &str| key == "." && dir == "/" || dir.starts_with(&format!("{key}/"));
    let names = |key: &str| key == m.name || listed && around(key);
    let all = version_text::json_strings(text).into_iter().filter(|(_, value, _)| *value == m.old.to_string());
    let ours = all.filter(|(key, ..)| key.strip_prefix('/').is_some_and(names));
    ours.map(|(_, _, at)| Splice::new(at, m.new.to_string())).collect()
}

/// Whether a text has the crate's name in one of its spellings.
fn mentions(text: &str, name: &str) -> bool {
    let upper = || name.to_ascii_uppercase().replace('-', "_");
    text.contains(name) || name.contains('-') && text.contains(&name.replace('-', "_")) || text.contains(&upper())
}

/// Dates the section of the crate that a changelog is of, as its previous release's section is written.
fn changelog(text: &str, moves: &[CrateMove], own: Option<&CrateMove>, day: Date) -> Option<Splice> {
    // At the top of a workspace it is of whatever it last named; beside a crate it is that crate's.
    let mut steps = moves.iter().filter(|m| own.is_none_or(|own| own.manifest == m.manifest));
    steps.find_map(|m| changelog_dates::date_as_before(text, &m.old, &m.new, day))
}

fn links(text: &str, m: &CrateMove) -> Vec<Splice> {
    version_text::links(text, &m.name, &m.old, &m.new)
}

/// Whether a path lies in a directory whose content comes from elsewhere.
pub(super) fn is_foreign(path: &str) -> bool {
    path.split('/').any(|part| FOREIGN.contains(&part))
}

/// The manifest of the crate in whose directory `path` lies.
pub(super) fn owner(workspace: &Workspace, path: &str) -> Option<String> {
    let mut dir = parent(path);
    loop {
        let manifest = super::tree::file_in(dir, "Cargo.toml");
        if workspace.crate_at(&manifest).is_some() {
            return Some(manifest);
        }
        if dir.is_empty() {
            return None;
        }
        dir = parent(dir);
    }
}

/// Macros whose name begins as the name of a crate that moves, and nameless ones (`VERSION`) of the crate they lie in.
fn headers(text: &str, moves: &[CrateMove], own: Option<&CrateMove>) -> Vec<Splice> {
    if !text.contains("#") || !text.contains("VERSION") {
        return Vec::new();
    }
    let mut steps: Vec<(&Version, &Version)> = moves.iter().map(|m| (&m.old, &m.new)).collect();
    steps.sort();
    steps.dedup();
    let mut cuts: Vec<Splice> = Vec::new();
    for (old, new) in steps {
        let ours = |m: &c_header::Macro<'_>| {
            let subject = m.subject();
            let related = moves.iter().filter(|m| m.old == *old && m.new == *new).any(|m| related(subject, &m.name));
            related || subject.is_empty() && own.is_some_and(|m| m.old == *old)
        };
        for cut in c_header::bump(text, old, new, ours) {
            if !cuts.iter().any(|c| c.span == cut.span) {
                cuts.push(cut);
            }
        }
    }
    cuts
}

/// Whether a macro's subject (`ACME`, `LIBACME`) names the crate (`acme`, `acme-c-api`), word by word.
fn related(subject: &str, name: &str) -> bool {
    let name = name.to_ascii_uppercase().replace('-', "_");
    let begins = |a: &str, b: &str| a == b || a.strip_prefix(b).is_some_and(|rest| rest.starts_with('_'));
    let subject = subject.trim_end_matches('_').trim_start_matches('_');
    let bare = subject.strip_prefix("LIB").unwrap_or(subject);
    !bare.is_empty() && [subject, bare].iter().any(|s| begins(&name, s) || begins(s, &name))
}

/// A manifest of another ecosystem is ours if it has the name of a crate that moves, or lies beside one.
fn foreign_manifest(
    moves: &[CrateMove],
    own: Option<&CrateMove>,
    name: &str,
    places: Vec<(String, std::ops::Range<usize>)>,
) -> Vec<Splice> {
    let plain = |n: &str| n.rsplit('/').next().unwrap_or(n).to_ascii_lowercase().replace('_', "-");
    let named = moves.iter().find(|m| plain(&m.name) == plain(name));
    let Some(m) = named.or(own) else { return Vec::new() };
    let old = m.old.to_string();
    // Python writes pre-releases without a sign: 1.2.3b1.
    let python = |rest: &str| rest.starts_with(['a', 'b', 'r']) && rest.ends_with(|c: char| c.is_ascii_digit());
    let ours = places
        .into_iter()
        .filter(|(version, _)| version.strip_prefix(old.as_str()).is_some_and(|rest| rest.is_empty() || python(rest)));
    ours.map(|(_, at)| Splice::new(at.start..at.start + old.len(), m.new.to_string())).collect()
}

/// Whose version a file is of that names nobody: the crate's that it lies beside, or the project's at the top of a virtual
/// workspace.
fn step<'a>(
    work: &'a Work<'_>,
    path: &str,
    own: Option<&'a CrateMove>,
    owned: bool,
) -> Option<(&'a Version, &'a Version)> {
    match own {
        Some(m) => Some((&m.old, &m.new)),
        None if owned => None,
        None => at_top(work, path),
    }
}

/// The project's step, for a file at the top of the tree.
fn at_top<'a>(work: &'a Work<'_>, path: &str) -> Option<(&'a Version, &'a Version)> {
    parent(path).is_empty().then_some((&work.main.0, &work.main.1))
}
