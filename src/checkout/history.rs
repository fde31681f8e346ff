//! A project's bump convention, learned from what its last releases changed.

use std::collections::{BTreeMap, BTreeSet};

use git2::{Commit, Delta, Repository};
use semver::Version;

use crate::bump::{
    Bump, BumpRequest, Changelog, EntryKind, Family, Requirements, SourceTree, Style, VersionFile, VersionRules, bump,
};
use crate::error::{Context as _, Error, Result};
use crate::formats::cargo_manifest::{self, PackageVersion};
use crate::git::{CommitTree, to_oid};
use crate::model::VersionStep;

/// A commit's tree as a bump's source.
fn tree_of<'r>(repository: &'r Repository, commit: &Commit<'_>) -> Result<CommitTree<&'r Repository>> {
    CommitTree::open(repository, &to_oid(commit.id()))
}

/// One release's bump in history.
#[derive(Debug, Clone)]
pub struct Release {
    /// The commit, in hexadecimal.
    pub commit: String,
    /// The first line of its message.
    pub subject: String,
    /// The version of the project before and afterwards.
    pub versions: (Version, Version),
    /// Files that the commit changed.
    pub changed: BTreeSet<String>,
    /// Files that the learned rules reproduce to the byte.
    pub reproduced: BTreeSet<String>,
    /// Files that the learned rules change and the commit did not, or the other way round.
    pub differing: BTreeSet<String>,
}

/// What history shows.
#[derive(Debug, Clone)]
pub struct Learned {
    /// The rules that fit best.
    pub rules: VersionRules,
    /// The releases that they were tried on, newest first.
    pub releases: Vec<Release>,
}

/// Learns the rules from the last `count` patch releases that `HEAD` leads to.
///
/// # Errors
/// The repository cannot be read, or no release is found in its history.
pub fn learn(repository: &Repository, count: usize) -> Result<Learned> {
    let found = releases(repository, count)?;
    if found.is_empty() {
        return Err(Error::input("no commit in this branch's history raises a version by a patch")
            .hint("run it on a branch that has had patch releases, or write `[version]` by hand"));
    }
    let tag = tag_form(repository, &found)?;
    let mut best: Option<(usize, Learned)> = None;
    for requirements in [Requirements::Lift, Requirements::Keep] {
        let rules = VersionRules { tag: tag.clone(), requirements, ..VersionRules::default() };
        let rules = with_families(repository, rules, &found)?;
        let releases: Vec<Release> = found.iter().map(|f| compare(repository, &rules, f)).collect::<Result<_>>()?;
        let (rules, releases) = with_files(repository, rules, releases, &found)?;
        let wrong = releases.iter().map(|r| r.differing.len()).sum();
        if best.as_ref().is_none_or(|(least, _)| wrong < *least) {
            best = Some((wrong, Learned { rules, releases }));
        }
    }
    best.map(|(_, learned)| learned).ok_or_else(|| Error::fatal("nothing learned"))
}

struct Found {
    commit: git2::Oid,
    /// Manifest path to name, old and new version, for literal versions; `[workspace.package]` under an empty name.
    moved: BTreeMap<String, (String, Version, Version)>,
    published: BTreeSet<String>,
}

/// The commits that raise a manifest's version by a patch, newest first.
fn releases(repository: &Repository, count: usize) -> Result<Vec<Found>> {
    let mut walk = repository.revwalk().context("reading the history")?;
    walk.push_head().context("reading the history")?;
    let mut out = Vec::new();
    for id in walk.take(5000) {
        let commit = id.and_then(|id| repository.find_commit(id)).context("reading the history")?;
        if commit.parent_count() != 1 {
            continue;
        }
        // A shallow clone names parents that it does not have.
        let Ok(parent) = commit.parent(0) else { break };
        let (before, after) = (parent.tree().context("a tree")?, commit.tree().context("a tree")?);
        let mut options = git2::DiffOptions::new();
        options.pathspec("*Cargo.toml").context_lines(0);
        let diff = repository.diff_tree_to_tree(Some(&before), Some(&after), Some(&mut options)).context("a diff")?;
        let mut found = Found { commit: commit.id(), moved: BTreeMap::new(), published: BTreeSet::new() };
        for delta in diff.deltas().filter(|d| d.status() == Delta::Modified) {
            let (old, new) = (manifest(repository, delta.old_file().id()), manifest(repository, delta.new_file().id()));
            let (Some(old), Some(new), Some(path)) = (old, new, delta.new_file().path()) else { continue };
            for (a, b) in literals(&old).into_iter().zip(literals(&new)) {
                let patch = a.0 == b.0 && (a.1.major, a.1.minor) == (b.1.major, b.1.minor) && b.1.patch > a.1.patch;
                if patch && b.1.pre.is_empty() {
                    let key =
                        if a.0.is_empty() { "[workspace.package]".to_owned() } else { path.display().to_string() };
                    if a.2 {
                        found.published.insert(a.0.clone());
                    }
                    found.moved.insert(key, (a.0, a.1, b.1));
                }
            }
        }
        if !found.published.is_empty() {
            out.push(found);
        }
        if out.len() == count {
            break;
        }
    }
    Ok(out)
}

fn manifest(repository: &Repository, id: git2::Oid) -> Option<cargo_manifest::Manifest> {
    let blob = repository.find_blob(id).ok()?;
    cargo_manifest::parse(std::str::from_utf8(blob.content()).ok()?).ok()
}

/// (name, version, published) of the versions that a manifest names itself.
fn literals(manifest: &cargo_manifest::Manifest) -> Vec<(String, Version, bool)> {
    let mut out = Vec::new();
    if let Some(package) = &manifest.package
        && let PackageVersion::Literal(text) = &package.version
        && let Ok(version) = Version::parse(&text.value)
    {
        out.push((package.name.value.clone(), version, package.publish != cargo_manifest::Publish::No));
    }
    let inherited = manifest.workspace.as_ref().and_then(|w| w.version.as_ref());
    if let Some(version) = inherited.and_then(|t| Version::parse(&t.value).ok()) {
        out.push((String::new(), version, true));
    }
    out
}

/// The form that the tags of these versions have.
fn tag_form(repository: &Repository, found: &[Found]) -> Result<String> {
    let tags = repository.tag_names(None).context("reading the tags")?;
    let tags: BTreeSet<String> = tags.iter().filter_map(|n| n.ok().flatten().map(str::to_owned)).collect();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for (name, _, new) in found.iter().flat_map(|f| f.moved.values()) {
        for form in [
            "v{version}".to_owned(),
            "{version}".to_owned(),
            format!("{name}-v{{version}}"),
            format!("{name}-{{version}}"),
        ] {
            if tags.contains(&form.replace("{version}", &new.to_string())) {
                *seen.entry(form).or_default() += 1;
            }
        }
    }
    let most = seen.into_iter().max_by_key(|(_, n)| *n);
    Ok(most.map_or_else(|| "v{version}".to_owned(), |(form, _)| form))
}

/// Adds a family for each version that moved in the newest release, and keeps the other published crates fixed.
fn with_families(repository: &Repository, mut rules: VersionRules, found: &[Found]) -> Result<VersionRules> {
    let Some(newest) = found.first() else { return Ok(rules) };
    let commit = repository.find_commit(newest.commit).context("a commit")?;
    let parent = commit.parent(0).context("a commit")?;
    let before = tree_of(repository, &parent)?;
    let inherited = newest.moved.get("[workspace.package]").map(|m| &m.1);
    let literal: BTreeSet<&Version> =
        newest.moved.values().filter(|m| !m.0.is_empty() && newest.published.contains(&m.0)).map(|m| &m.1).collect();
    let crates = published(&before)?;
    let mut by_version: BTreeMap<&Version, &str> = BTreeMap::new();
    // The name that begins most of the others' names speaks for a family.
    let rank =
        |name: &str| (crates.iter().filter(|(n, ..)| n.starts_with(name)).count(), std::cmp::Reverse(name.len()));
    for (name, version, inherits) in &crates {
        if if *inherits { inherited == Some(version) } else { literal.contains(version) } {
            let best = by_version.entry(version).or_insert(name);
            if rank(name) > rank(best) {
                *best = name;
            }
        }
    }
    let still: Vec<String> =
        crates.iter().filter(|(_, v, _)| !by_version.contains_key(v)).map(|(n, ..)| n.clone()).collect();
    let mut families: Vec<(&Version, &str)> = by_version.into_iter().collect();
    // The highest version is the one that the project goes by.
    families.sort_by(|a, b| b.0.cmp(a.0));
    if families.len() > 1 || !still.is_empty() {
        rules.family = families
            .iter()
            .map(|(_, name)| Family { of: (*name).to_owned(), crates: Vec::new(), when: None })
            .collect();
    }
    rules.fixed = still;
    Ok(rules)
}

/// Adds the version files and the changelog whose style, tried out, reproduces what the releases changed.
fn with_files(
    repository: &Repository,
    mut rules: VersionRules,
    mut releases: Vec<Release>,
    found: &[Found],
) -> Result<(VersionRules, Vec<Release>)> {
    let missed: BTreeSet<String> = releases.iter().flat_map(|r| &r.differing).cloned().collect();
    let wrong = |releases: &[Release]| releases.iter().map(|r| r.differing.len()).sum::<usize>();
    for path in missed {
        let lower = path.to_ascii_lowercase();
        let mut tries = Vec::new();
        let name = lower.rsplit('/').next().unwrap_or_default();
        let styles: &[Style] = match name.rsplit_once('.').map_or("", |(_, end)| end) {
            "h" | "hh" | "hpp" | "in" => &[Style::CHeader],
            "rs" => &[Style::HtmlRootUrl, Style::Snippet],
            "md" => &[Style::Snippet],
            "toml" if name == "pyproject.toml" => &[Style::Pyproject],
            "json" => &[Style::PackageJson],
            "txt" | "" => &[Style::Plain],
            _ => &[],
        };
        for style in styles.iter().copied() {
            let file = VersionFile { path: path.clone(), style, krate: None, pattern: None, when: None };
            let files = rules.files.iter().cloned().chain([file]).collect();
            tries.push(VersionRules { files, ..rules.clone() });
        }
        if ["change", "release", "news", "history"].iter().any(|w| lower.contains(w)) && rules.changelog.is_none() {
            for (unreleased, released) in CHANGELOGS {
                let (unreleased, released) = (unreleased.to_owned(), released.to_owned());
                let changelog = Changelog { path: path.clone(), unreleased, released, insert: None, notes_until: None };
                tries.push(VersionRules { changelog: Some(changelog), ..rules.clone() });
            }
        }
        for candidate in tries {
            let after: Vec<Release> =
                found.iter().map(|f| compare(repository, &candidate, f)).collect::<Result<_>>()?;
            if wrong(&after) < wrong(&releases) {
                (rules, releases) = (candidate, after);
                break;
            }
        }
    }
    Ok((rules, releases))
}

/// What unreleased sections say in the wild, and what a release makes of it.
const CHANGELOGS: [(&str, &str); 6] = [
    ("Unreleased", "Released {date}"),
    ("[Unreleased]", "[{version}] - {date}"),
    ("Unreleased", "{version} - {date}"),
    ("Unreleased", "{version} ({date})"),
    ("unreleased", "{date}"),
    ("(unreleased)", "({date})"),
];

/// (name, version, inherits) of the published crates of a tree.
fn published(tree: &dyn SourceTree) -> Result<Vec<(String, Version, bool)>> {
    let entries = tree.entries()?;
    let manifests = entries
        .iter()
        .filter(|e| e.kind == EntryKind::File && (e.path == "Cargo.toml" || e.path.ends_with("/Cargo.toml")));
    let mut parsed = Vec::new();
    for entry in manifests {
        let Some(bytes) = tree.read(&entry.path)? else { continue };
        if let Some(manifest) = std::str::from_utf8(&bytes).ok().and_then(|t| cargo_manifest::parse(t).ok()) {
            parsed.push(manifest);
        }
    }
    let root = parsed.iter().find_map(|m| m.workspace.as_ref()?.version.clone());
    let root = root.and_then(|t| Version::parse(&t.value).ok());
    let mut out = Vec::new();
    for package in parsed.iter().filter_map(|m| m.package.as_ref()).filter(|p| p.publish != cargo_manifest::Publish::No)
    {
        match (&package.version, &root) {
            (PackageVersion::Literal(t), _) => {
                out.extend(Version::parse(&t.value).ok().map(|v| (package.name.value.clone(), v, false)));
            }
            (PackageVersion::Inherited, Some(v)) => out.push((package.name.value.clone(), v.clone(), true)),
            _ => {}
        }
    }
    out.sort();
    Ok(out)
}

/// Tries the rules on one release.
fn compare(repository: &Repository, rules: &VersionRules, found: &Found) -> Result<Release> {
    let commit = repository.find_commit(found.commit).context("a commit")?;
    let parent = commit.parent(0).context("a commit")?;
    let (before, after) = (parent.tree().context("a tree")?, commit.tree().context("a tree")?);
    let diff = repository.diff_tree_to_tree(Some(&before), Some(&after), None).context("a diff")?;
    let path = |d: git2::DiffDelta<'_>| d.new_file().path().map(|p| p.display().to_string());
    let changed: BTreeSet<String> = diff.deltas().filter_map(path).collect();
    let first = found.moved.values().max_by(|a, b| a.1.cmp(&b.1));
    let (old, new) = first.map_or((Version::new(0, 0, 0), Version::new(0, 0, 0)), |m| (m.1.clone(), m.2.clone()));
    let day = jiff::Timestamp::from_second(commit.time().seconds()).context("a date")?;
    let date = day.to_zoned(jiff::tz::TimeZone::UTC).date();
    let request = BumpRequest { to: VersionStep::Exact(new.clone()), date, tags: BTreeSet::new() };
    let made = bump(&tree_of(repository, &parent)?, rules, &request);
    let edits = made.map(|b: Bump| b.edits).unwrap_or_default();
    let committed = tree_of(repository, &commit)?;
    let (mut reproduced, mut differing) = (BTreeSet::new(), BTreeSet::new());
    for edit in &edits {
        let same = committed.read(&edit.path)?.as_deref() == Some(edit.after.as_slice());
        if same {
            reproduced.insert(edit.path.clone())
        } else {
            differing.insert(edit.path.clone())
        };
    }
    differing.extend(changed.iter().filter(|p| !reproduced.contains(*p)).cloned());
    let subject = commit.summary().ok().flatten().unwrap_or_default().to_owned();
    Ok(Release { commit: commit.id().to_string(), subject, versions: (old, new), changed, reproduced, differing })
}
