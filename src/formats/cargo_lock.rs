//! `Cargo.lock`, rewritten as Cargo would write it after some of the workspace's own crates moved.
//!
//! Source: Cargo's `core/resolver/encode.rs`. A reference in `dependencies` is `name`, with the version where the lock
//! holds several versions of that name, with the source where it holds one version from several sources; format 1
//! always writes all three. References are sorted as (name, version text, source), packages as (name, version, source).

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Range;

use semver::Version;

use super::splice::{Splice, lines, splice};

/// A crate of the workspace that moves: its old and its new version.
pub type CrateMoves = BTreeMap<String, Vec<(Version, Version)>>;

/// A lock file that cannot be read: where and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockError {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong there, a lowercase fragment.
    pub message: String,
}

/// One `[[package]]` (or `[root]`, or `[[patch.unused]]`) of a lock file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedPackage {
    /// `name`.
    pub name: String,
    /// `version`, as written.
    pub version: String,
    /// `source`; absent for crates that lie in the workspace or are reached by path.
    pub source: Option<String>,
    /// The line of `version`, counted from 1.
    pub line: usize,
    kind: Kind,
    block: Range<usize>,
    version_at: Range<usize>,
    references: Vec<Reference>,
    replace: Option<Reference>,
}

impl LockedPackage {
    /// The names that its `dependencies` list.
    pub fn dependencies(&self) -> impl Iterator<Item = &str> {
        self.references.iter().map(|r| parts(&r.text).0)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Package,
    Unused,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Reference {
    text: String,
    at: Range<usize>,
}

/// A lock file as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CargoLock {
    /// Every package, in file order.
    pub packages: Vec<LockedPackage>,
    /// The format: `version` at its head, or 1 or 2, which do not say it.
    pub format: u32,
}

/// Reads a lock file.
///
/// # Errors
/// The line that does not look as Cargo writes it: merge conflicts, a package without name or version.
pub fn parse(text: &str) -> Result<CargoLock, LockError> {
    let mut packages: Vec<LockedPackage> = Vec::new();
    let mut format = None;
    let mut in_package = false;
    let mut in_references = false;
    for (number, (start, line)) in lines(text).enumerate() {
        let fault = |message: &str| LockError { line: number + 1, message: message.to_owned() };
        let end = start + line.len();
        if line.starts_with("<<<<<<<") || line.starts_with(">>>>>>>") {
            return Err(fault("an unresolved merge conflict"));
        }
        if in_references {
            let item = line.trim();
            if item == "]" {
                in_references = false;
            } else if let (Some(value), Some(package)) =
                (quoted(item.strip_suffix(',').unwrap_or(item)), packages.last_mut())
            {
                let at = start + line.find('"').unwrap_or_default() + 1;
                package.references.push(Reference { text: value.to_owned(), at: at..at + value.len() });
            } else if !item.is_empty() {
                return Err(fault("not a reference in quotes"));
            }
        } else if line.starts_with('[') {
            let kind = match line.trim_end() {
                "[[package]]" | "[root]" => Some(Kind::Package),
                "[[patch.unused]]" => Some(Kind::Unused),
                _ => None,
            };
            in_package = kind.is_some();
            if let Some(kind) = kind {
                packages.push(LockedPackage {
                    name: String::new(),
                    version: String::new(),
                    source: None,
                    line: number + 1,
                    kind,
                    block: start..end,
                    version_at: start..start,
                    references: Vec::new(),
                    replace: None,
                });
            }
        } else if let Some((key, value)) = line.split_once('=').map(|(k, v)| (k.trim(), v.trim())) {
            let at = start + line.find('"').map_or(0, |i| i + 1);
            match packages.last_mut().filter(|_| in_package) {
                None if key == "version" => format = value.parse().ok(),
                None => {}
                Some(package) => match (key, quoted(value)) {
                    ("name", Some(v)) => package.name = v.to_owned(),
                    ("version", Some(v)) => {
                        package.version = v.to_owned();
                        package.version_at = at..at + v.len();
                        package.line = number + 1;
                    }
                    ("source", Some(v)) => package.source = Some(v.to_owned()),
                    ("replace", Some(v)) => {
                        package.replace = Some(Reference { text: v.to_owned(), at: at..at + v.len() });
                    }
                    ("dependencies", _) if value == "[" => in_references = true,
                    ("name" | "version" | "source" | "replace" | "dependencies", _) if value != "[]" => {
                        return Err(fault("not as Cargo writes it"));
                    }
                    _ => {}
                },
            }
        } else if in_package && !line.trim().is_empty() && !line.starts_with('#') {
            return Err(fault("not as Cargo writes it"));
        }
        if in_package
            && !line.trim().is_empty()
            && let Some(package) = packages.last_mut()
        {
            package.block.end = end;
        }
    }
    if in_references {
        return Err(LockError { line: lines(text).count(), message: "the file ends within a list".to_owned() });
    }
    if let Some(p) = packages.iter().find(|p| p.name.is_empty() || p.version.is_empty()) {
        return Err(LockError { line: p.line, message: "a package without `name` or `version`".to_owned() });
    }
    // Format 1 is the one that always names versions, or keeps its checksums in `[metadata]`.
    let named = packages.iter().flat_map(|p| &p.references).any(|r| r.text.contains(" (") || r.text.contains(' '));
    let all_named = packages.iter().flat_map(|p| &p.references).all(|r| r.text.contains(' '));
    let first = named && all_named;
    Ok(CargoLock { packages, format: format.unwrap_or(if first { 1 } else { 2 }) })
}

/// The value of a string as Cargo writes it: nothing in it is escaped.
fn quoted(text: &str) -> Option<&str> {
    text.strip_prefix('"').and_then(|v| v.strip_suffix('"')).filter(|v| !v.contains(['"', '\\']))
}

/// A package that cargo fetches, and where it puts it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    /// From a registry: the name and the version.
    Registry(String, String),
    /// From a git repository: its name, which is the last part of its URL, and the commit.
    Git(String, String),
}

/// The packages that do not lie in the tree: what vendoring needs.
pub fn fetched_packages(text: &str) -> Result<Vec<Fetched>, LockError> {
    let fetched = |p: &LockedPackage| {
        let source = p.source.as_deref()?;
        if source.starts_with("registry+") || source.starts_with("sparse+") {
            return Some(Fetched::Registry(p.name.clone(), p.version.clone()));
        }
        let (url, commit) = source.strip_prefix("git+")?.split_once('#')?;
        let url = url.split_once('?').map_or(url, |(url, _)| url).trim_end_matches('/');
        let name = url.rsplit('/').next()?;
        Some(Fetched::Git(name.strip_suffix(".git").unwrap_or(name).to_owned(), commit.to_owned()))
    };
    Ok(parse(text)?.packages.iter().filter_map(fetched).collect())
}

/// The lock file after `moved`: only packages without a source, of that name and at the old version, take the new one;
/// references and the order follow. Everything else stays to the byte.
pub fn rewrite(text: &str, moved: &CrateMoves) -> Result<String, LockError> {
    let lock = parse(text)?;
    let new: Vec<String> =
        lock.packages.iter().map(|p| target(p, moved).unwrap_or_else(|| p.version.clone())).collect();
    if lock.packages.iter().zip(&new).all(|(p, v)| p.version == *v) {
        return Ok(text.to_owned());
    }
    let mut cuts = Vec::new();
    for (package, version) in lock.packages.iter().zip(&new) {
        if package.version != *version {
            cuts.push(Splice::new(package.version_at.clone(), version.clone()));
        }
        let mut after: Vec<_> = package.references.iter().map(|r| reference(&lock, &new, moved, &r.text)).collect();
        if after.iter().zip(&package.references).any(|(a, r)| *a != r.text) {
            after.sort_by_key(|r| sort_key(r));
        }
        for (text, old) in after.into_iter().zip(&package.references) {
            if text != old.text {
                cuts.push(Splice::new(old.at.clone(), text));
            }
        }
        if let Some(r) = &package.replace {
            let text = reference(&lock, &new, moved, &r.text);
            if text != r.text {
                cuts.push(Splice::new(r.at.clone(), text));
            }
        }
    }
    Ok(reorder(text, &lock, &new, cuts))
}

/// The version that a package takes, if it is one of ours at its old version.
fn target(package: &LockedPackage, moved: &CrateMoves) -> Option<String> {
    if package.source.is_some() {
        return None;
    }
    let steps = moved.get(&package.name)?;
    steps.iter().find(|(old, _)| old.to_string() == package.version).map(|(_, new)| new.to_string())
}

/// `text` as Cargo writes it when the packages of `lock` stand at the versions `new`.
fn reference(lock: &CargoLock, new: &[String], moved: &CrateMoves, text: &str) -> String {
    let (name, version, source) = parts(text);
    // How a name is written depends on the packages of that name alone.
    if !moved.contains_key(name) {
        return text.to_owned();
    }
    let named = || lock.packages.iter().zip(new).filter(|(p, _)| p.kind == Kind::Package && p.name == name);
    let meant = |p: &LockedPackage| {
        version.is_none_or(|v| v == p.version) && source.is_none_or(|s| Some(s) == p.source.as_deref())
    };
    let mut candidates = named().filter(|(p, _)| meant(p));
    let (Some((package, version)), rest) = (candidates.next(), candidates.next()) else { return text.to_owned() };
    // Format 1 names a path dependency without a source, beside a registry package of the same version.
    let (package, version) = match rest {
        Some(other) if source.is_none() && package.source.is_some() && other.0.source.is_none() => other,
        _ => (package, version),
    };
    let mut out = name.to_owned();
    let several = named().any(|(_, v)| v != version);
    let same = named().filter(|(_, v)| *v == version).count() > 1;
    if lock.format == 1 || several || same {
        out.push(' ');
        out.push_str(version);
    }
    if let Some(source) = package.source.as_ref().filter(|_| lock.format == 1 || same) {
        out.push_str(" (");
        out.push_str(source);
        out.push(')');
    }
    out
}

fn parts(reference: &str) -> (&str, Option<&str>, Option<&str>) {
    let mut words = reference.splitn(3, ' ');
    let name = words.next().unwrap_or_default();
    let version = words.next();
    (name, version, words.next().and_then(|s| s.strip_prefix('(')).and_then(|s| s.strip_suffix(')')))
}

fn sort_key(reference: &str) -> (String, Option<String>, Option<String>) {
    let (name, version, source) = parts(reference);
    (name.to_owned(), version.map(str::to_owned), source.map(str::to_owned))
}

/// Applies `cuts`, and puts the packages in order again where a new version changed it.
fn reorder(text: &str, lock: &CargoLock, new: &[String], cuts: Vec<Splice>) -> String {
    let order = |versions: &dyn Fn(usize) -> String, a: usize, b: usize| -> Ordering {
        let (p, q) = (&lock.packages[a], &lock.packages[b]);
        let by_version = match (Version::parse(&versions(a)), Version::parse(&versions(b))) {
            (Ok(v), Ok(w)) => v.cmp(&w),
            _ => versions(a).cmp(&versions(b)),
        };
        p.name.cmp(&q.name).then(by_version).then_with(|| source_rank(p).cmp(&source_rank(q)))
    };
    let mut slots: Vec<usize> = (0..lock.packages.len()).collect();
    for run in slots.chunk_by_mut(|a, b| {
        let (p, q) = (&lock.packages[*a], &lock.packages[*b]);
        p.kind == q.kind && p.name == q.name
    }) {
        let was_sorted = run.is_sorted_by(|a, b| order(&|i| lock.packages[i].version.clone(), *a, *b).is_le());
        if run.len() > 1 && was_sorted {
            run.sort_by(|a, b| order(&|i| new[i].clone(), *a, *b));
        }
    }
    if slots.is_sorted() {
        return splice(text, cuts);
    }
    let block = |i: usize| {
        let range = &lock.packages[i].block;
        let inside = |s: &&Splice| range.start <= s.span.start && s.span.end <= range.end;
        let shifted = cuts.iter().filter(inside);
        let shifted =
            shifted.map(|s| Splice::new(s.span.start - range.start..s.span.end - range.start, s.with.clone()));
        splice(text.get(range.clone()).unwrap_or_default(), shifted.collect())
    };
    let blocks = lock.packages.iter().enumerate();
    splice(text, blocks.map(|(at, p)| Splice::new(p.block.clone(), block(slots[at]))).collect())
}

/// The order of Cargo's source kinds: path, registry, git.
fn source_rank(package: &LockedPackage) -> (u8, &str) {
    match package.source.as_deref() {
        None => (0, ""),
        Some(s) if s.starts_with("git+") => (2, s),
        Some(s) => (1, s),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(list: &[(&str, &str, &str)]) -> CrateMoves {
        let mut out = CrateMoves::new();
        for (name, old, new) in list {
            let step = (Version::parse(old).unwrap(), Version::parse(new).unwrap());
            out.entry((*name).to_owned()).or_default().push(step);
        }
        out
    }

    const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

    fn package(name: &str, version: &str, source: &str, dependencies: &[&str]) -> String {
        let mut out = format!("\n[[package]]\nname = \"{name}\"\nversion = \"{version}\"\n");
        if !source.is_empty() {
            out += &format!("source = \"{source}\"\n");
        }
        if !dependencies.is_empty() {
            out += "dependencies = [\n";
            dependencies.iter().for_each(|d| out += &format!(" \"{d}\",\n"));
            out += "]\n";
        }
        out
    }

    const HEAD: &str = "# This file is automatically @generated by Cargo.\nversion = 3\n";

    #[test]
    fn only_ours_move_and_an_equal_third_party_does_not() {
        let lock = |v: &str| {
            HEAD.to_owned()
                + &package("other", "1.0.0", REGISTRY, &[])
                + &package("ours", v, "", &["other"])
                + &package("theirs", "1.0.0", REGISTRY, &["ours"])
        };
        let all = moved(&[("ours", "1.0.0", "1.0.1"), ("other", "1.0.0", "1.0.1")]);
        assert_eq!(rewrite(&lock("1.0.0"), &all).unwrap(), lock("1.0.1"));
        let crlf = lock("1.0.0").replace('\n', "\r\n");
        assert_eq!(rewrite(&crlf, &all).unwrap(), lock("1.0.1").replace('\n', "\r\n"));
    }

    #[test]
    fn one_name_at_two_versions_becomes_one_version_from_two_sources() {
        let from_registry = format!("ours 1.0.1 ({REGISTRY})");
        let before = HEAD.to_owned()
            + &package("app", "0.1.0", "", &["ours 1.0.0", "ours 1.0.1"])
            + &package("ours", "1.0.0", "", &[])
            + &package("ours", "1.0.1", REGISTRY, &[]);
        let after = HEAD.to_owned()
            + &package("app", "0.1.0", "", &["ours 1.0.1", &from_registry])
            + &package("ours", "1.0.1", "", &[])
            + &package("ours", "1.0.1", REGISTRY, &[]);
        assert_eq!(rewrite(&before, &moved(&[("ours", "1.0.0", "1.0.1")])).unwrap(), after);
        // And on to a version past the other one: references sort as text, packages as versions.
        let further = HEAD.to_owned()
            + &package("app", "0.1.0", "", &["ours 1.0.1", "ours 1.0.10"])
            + &package("ours", "1.0.1", REGISTRY, &[])
            + &package("ours", "1.0.10", "", &[]);
        assert_eq!(rewrite(&after, &moved(&[("ours", "1.0.1", "1.0.10")])).unwrap(), further);
    }

    #[test]
    fn two_versions_of_ours_that_meet_lose_their_suffix() {
        let before = HEAD.to_owned()
            + &package("app", "0.1.0", "", &["b", "ours 1.0.9"])
            + &package("ours", "1.0.9", "", &[])
            + &package("ours", "1.0.10", "", &[]);
        let after = HEAD.to_owned()
            + &package("app", "0.1.0", "", &["b", "ours 1.0.11"])
            + &package("ours", "1.0.10", "", &[])
            + &package("ours", "1.0.11", "", &[]);
        assert_eq!(rewrite(&before, &moved(&[("ours", "1.0.9", "1.0.11")])).unwrap(), after);
    }

    #[test]
    fn format_one_names_every_version() {
        let lock = |v: &str| {
            package("app", "0.1.0", "", &[&format!("ours {v}"), &format!("theirs 1.0.0 ({REGISTRY})")])
                + &package("ours", v, "", &[])
                + &package("theirs", "1.0.0", REGISTRY, &[])
                + &format!("\n[metadata]\n\"checksum theirs 1.0.0 ({REGISTRY})\" = \"00\"\n")
        };
        assert_eq!(rewrite(&lock("1.0.0"), &moved(&[("ours", "1.0.0", "1.0.1")])).unwrap(), lock("1.0.1"));
    }

    #[test]
    fn faults_say_where() {
        assert_eq!(parse("version = 3\n<<<<<<< HEAD\n").unwrap_err().line, 2);
        assert_eq!(parse("[[package]]\nname = \"a\"\n").unwrap_err().line, 1);
        let head = "[[package]]\nname = \"a\"\nversion = \"1.0.0\"\n";
        for (rest, line) in [
            ("dependencies = [\n \"b\",\n", 5),
            ("dependencies = [\n \"b\", \"c\",\n]\n", 5),
            ("source = \"a\"b\"\n", 4),
            ("half a line\n", 4),
        ] {
            assert_eq!(parse(&format!("{head}{rest}")).unwrap_err().line, line, "{rest}");
        }
    }
}
