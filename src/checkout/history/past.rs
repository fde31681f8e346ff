//! Releases in a repository's history: the commits that made them, with the trees before and after.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use git2::{Commit, Delta, Oid, Repository, Sort};
use jiff::civil::Date;
use semver::Version;

use super::tags::{Tagged, stem, tagged};
use crate::bump::{SourceTree, TreeEntry, TreeEntryKind};
use crate::error::{Context as _, Result};
use crate::formats::cargo_manifest::{self, CargoManifest, PackageVersion, Publish};
use crate::formats::{changelog, changelog_dates};
use crate::git::{CommitTree, to_oid};

/// How many commits before a tag may hold the bump that it is of.
const BEFORE_TAG: usize = 25;
/// How far back the branches are read where tags say nothing.
const HISTORY: usize = 5000;
/// Seconds, two years: a form of tags that was not used for so long before the last release counts as abandoned.
const STILL: i64 = 2 * 365 * 24 * 3600;

/// A commit's tree as a bump's source; each file is read once.
pub(super) struct KeptTree<'r> {
    tree: CommitTree<&'r Repository>,
    entries: RefCell<Option<Rc<Vec<TreeEntry>>>>,
    files: RefCell<HashMap<String, Option<Rc<Vec<u8>>>>>,
}

impl<'r> KeptTree<'r> {
    /// The tree of `commit`.
    pub(super) fn new(repository: &'r Repository, commit: &Commit<'r>) -> Result<Self> {
        let tree = CommitTree::open(repository, &to_oid(commit.id()))?;
        Ok(Self { tree, entries: RefCell::default(), files: RefCell::default() })
    }

    fn listed(&self) -> Result<Rc<Vec<TreeEntry>>> {
        if let Some(known) = &*self.entries.borrow() {
            return Ok(known.clone());
        }
        let out = Rc::new(self.tree.entries()?);
        *self.entries.borrow_mut() = Some(out.clone());
        Ok(out)
    }

    /// The bytes at `path`.
    pub(super) fn file(&self, path: &str) -> Result<Option<Rc<Vec<u8>>>> {
        if let Some(known) = self.files.borrow().get(path) {
            return Ok(known.clone());
        }
        // A partial clone lacks old files: what cannot be read teaches nothing.
        let found = self.tree.read(path).ok().flatten().map(Rc::new);
        self.files.borrow_mut().insert(path.to_owned(), found.clone());
        Ok(found)
    }

    /// The text at `path`.
    pub(super) fn text(&self, path: &str) -> Result<Option<String>> {
        Ok(self.file(path)?.and_then(|b| String::from_utf8(b.to_vec()).ok()))
    }

    /// Every manifest that can be read, by path.
    pub(super) fn manifests(&self) -> Result<Vec<(String, CargoManifest)>> {
        let mut out = Vec::new();
        for entry in self.listed()?.iter() {
            let manifest = entry.path == "Cargo.toml" || entry.path.ends_with("/Cargo.toml");
            if manifest
                && entry.kind == TreeEntryKind::File
                && let Some(text) = self.text(&entry.path)?
                && let Ok(manifest) = cargo_manifest::parse(&text)
            {
                out.push((entry.path.clone(), manifest));
            }
        }
        Ok(out)
    }
}

impl SourceTree for KeptTree<'_> {
    fn entries(&self) -> Result<Vec<TreeEntry>> {
        Ok(self.listed()?.to_vec())
    }

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.file(path)?.map(|b| b.to_vec()))
    }
}

/// A version that a bump commit moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MovedVersion {
    /// The crate's name; empty for `[workspace.package]`.
    pub(super) name: String,
    pub(super) old: Version,
    pub(super) new: Version,
    pub(super) publish: bool,
}

/// One release: the commit that bumped it.
pub(super) struct ReleaseCommit<'r> {
    pub(super) commit: String,
    pub(super) subject: String,
    /// The day that its changelog names, or the commit's.
    pub(super) date: Date,
    /// The version that its tag names.
    pub(super) version: Option<Version>,
    /// The crate whose release it is, where a person said so.
    pub(super) krate: Option<String>,
    /// What moved, by manifest.
    pub(super) moved: BTreeMap<String, Vec<MovedVersion>>,
    /// The files that the commit changed; not those that it added or removed.
    pub(super) changed: BTreeSet<String>,
    /// The files that it added, with `{version}` for a version that moved.
    pub(super) added: BTreeSet<String>,
    pub(super) before: KeptTree<'r>,
    pub(super) after: KeptTree<'r>,
}

impl ReleaseCommit<'_> {
    /// Everything that moved.
    pub(super) fn moves(&self) -> impl Iterator<Item = &MovedVersion> {
        self.moved.values().flatten()
    }

    /// The version that stood for the project before this release: that of the crate which its tag means, or the highest
    /// that moved.
    pub(super) fn main(&self) -> Option<&MovedVersion> {
        let named = |m: &&MovedVersion| self.krate.as_ref().is_some_and(|k| m.name == *k);
        if let Some(own) = self.moves().find(named) {
            return Some(own);
        }
        let tagged = self.moves().filter(|m| m.publish).find(|m| Some(&m.new) == self.version.as_ref());
        let inherited = || self.moves().find(|m| m.name.is_empty());
        let highest = || self.moves().filter(|m| m.publish).max_by(|a, b| a.old.cmp(&b.old));
        tagged.or_else(inherited).or_else(highest)
    }
}

/// Whose releases are meant, where a person says so.
#[derive(Debug, Clone, Default)]
pub struct ReleaseFilter {
    /// The crate whose version is the project's.
    pub krate: Option<String>,
    /// The form of its tags, with `{version}`.
    pub tag: Option<String>,
}

/// The last `count` releases, patches before others, newest first, with the form of their tags: those whose tags say so, of the project
/// itself rather than of one of its parts, or else those in the history of `HEAD` and of the branches.
pub(super) fn releases<'r>(
    repository: &'r Repository,
    count: usize,
    wanted: &ReleaseFilter,
    progress: &dyn Fn(&str),
) -> Result<(Option<String>, Vec<ReleaseCommit<'r>>)> {
    progress("reading the tags");
    let tagged = tagged(repository)?;
    let fits = |prefix: &&String| {
        let form = wanted.tag.as_ref().is_none_or(|t| *t == format!("{prefix}{{version}}"));
        form && wanted
            .krate
            .as_ref()
            .is_none_or(|k| wanted.tag.is_some() || stem(prefix) == k || stem(prefix).is_empty())
    };
    let mut prefixes: Vec<&String> = forms(repository, &tagged)?.into_iter().filter(fits).take(3).collect();
    if let Some(krate) = &wanted.krate {
        // Its own tags before those that name nobody.
        prefixes.sort_by_key(|p| stem(p) != krate);
    }
    for prefix in prefixes {
        let mut tags = tagged[prefix].clone();
        tags.sort_by(|a, b| (b.time, &b.version).cmp(&(a.time, &a.version)));
        // Other releases teach where there are few patches.
        let (patches, others): (Vec<_>, Vec<_>) = tags.into_iter().partition(|t| t.version.patch > 0);
        let mut out: Vec<ReleaseCommit<'r>> = Vec::new();
        for tag in patches.into_iter().take(4 * count).chain(others.into_iter().take(2 * count)) {
            progress(&format!("looking for the bump of {prefix}{}", tag.version));
            let named = wanted.krate.as_deref().unwrap_or_else(|| stem(prefix));
            let found = made(repository, named, &tag)?;
            let of = |p: &ReleaseCommit<'_>| {
                wanted.krate.as_ref().is_none_or(|k| p.moves().any(|m| m.name == *k || m.name.is_empty()))
            };
            if let Some(past) = found.filter(of).filter(|p| out.iter().all(|other| other.commit != p.commit)) {
                out.push(ReleaseCommit { krate: wanted.krate.clone(), ..past });
            }
            if out.len() == count {
                break;
            }
        }
        if !out.is_empty() {
            return Ok((Some(format!("{prefix}{{version}}")), out));
        }
    }
    if wanted.tag.is_some() {
        return Ok((None, Vec::new()));
    }
    progress("reading the history of the branches");
    let mut walk = repository.revwalk().context("reading the history")?;
    walk.set_sorting(Sort::TIME).and_then(|()| walk.push_head()).context("reading the history")?;
    for glob in ["refs/heads/*", "refs/remotes/*"] {
        walk.push_glob(glob).context("reading the history")?;
    }
    let mut out = Vec::new();
    for id in walk.take(HISTORY) {
        let commit = id.and_then(|id| repository.find_commit(id)).context("reading the history")?;
        let ours =
            |m: &&MovedVersion| m.publish && wanted.krate.as_ref().is_none_or(|k| m.name == *k || m.name.is_empty());
        out.extend(past(repository, &commit, |moved| moved.iter().any(ours))?);
        if out.len() == count {
            break;
        }
    }
    Ok((None, out))
}

/// The forms of tags, the likeliest to be the project's own first.
fn forms<'t>(repository: &Repository, tagged: &'t BTreeMap<String, Vec<Tagged>>) -> Result<Vec<&'t String>> {
    let newest = |prefix: &String| tagged[prefix].iter().max_by_key(|t| (t.time, &t.version));
    let time = |prefix: &String| newest(prefix).map(|t| t.time).unwrap_or_default();
    let last = tagged.keys().map(time).max().unwrap_or_default();
    let mut ranked = Vec::new();
    for prefix in tagged.keys() {
        let own = stem(prefix);
        let mut still = time(prefix) + STILL >= last;
        if let Some(tag) = newest(prefix).filter(|_| still && own.is_empty() && tagged.len() > 1)
            && let Some(past) = made(repository, "", tag)?
        {
            // The crate that these tags meant has been tagged by its own name since.
            let meant = past.moves().filter(|m| m.new == tag.version).map(|m| m.name.as_str());
            let meant: BTreeSet<&str> = meant.collect();
            let later = |other: &String| newest(other).is_some_and(|t| (t.time, &t.version) > (tag.time, &tag.version));
            still = !tagged.keys().any(|p| !stem(p).is_empty() && meant.contains(stem(p)) && later(p));
        }
        // Tags that are still made; without a crate's name, or with the one that begins most of the others'.
        let begins = tagged.keys().filter(|p| stem(p).starts_with(own)).count();
        ranked.push(((still, own.is_empty(), begins, time(prefix)), prefix));
    }
    ranked.sort_by_key(|(rank, _)| std::cmp::Reverse(*rank));
    Ok(ranked.into_iter().map(|(_, prefix)| prefix).collect())
}

/// The bump commit that a tag is of. A tag that names a crate means that crate, where the commits before it move one of
/// that name.
fn made<'r>(repository: &'r Repository, stem: &str, tag: &Tagged) -> Result<Option<ReleaseCommit<'r>>> {
    let look = |named: &dyn Fn(&MovedVersion) -> bool| {
        let mut walk = repository.revwalk().context("reading the history")?;
        walk.set_sorting(Sort::TIME).and_then(|()| walk.push(tag.commit)).context("reading the history")?;
        first(repository, walk, BEFORE_TAG, |moved| moved.iter().any(|m| m.publish && m.new == tag.version && named(m)))
    };
    let mut found = if stem.is_empty() { None } else { look(&|m| m.name.is_empty() || m.name == stem)? };
    if found.is_none() {
        found = look(&|_| true)?;
    }
    Ok(found.map(|past| ReleaseCommit { version: Some(tag.version.clone()), ..past }))
}

fn first<'r>(
    repository: &'r Repository,
    walk: git2::Revwalk<'_>,
    limit: usize,
    wanted: impl Fn(&[&MovedVersion]) -> bool,
) -> Result<Option<ReleaseCommit<'r>>> {
    for id in walk.take(limit) {
        let commit = id.and_then(|id| repository.find_commit(id)).context("reading the history")?;
        if let Some(past) = past(repository, &commit, &wanted)? {
            return Ok(Some(past));
        }
    }
    Ok(None)
}

/// The release that `commit` made, if it raised a version and `wanted` says yes.
fn past<'r>(
    repository: &'r Repository,
    commit: &Commit<'r>,
    wanted: impl Fn(&[&MovedVersion]) -> bool,
) -> Result<Option<ReleaseCommit<'r>>> {
    // A shallow clone names parents that it does not have.
    let (1, Ok(parent)) = (commit.parent_count(), commit.parent(0)) else { return Ok(None) };
    let (before, after) = (parent.tree().context("a tree")?, commit.tree().context("a tree")?);
    let mut options = git2::DiffOptions::new();
    options.pathspec("*Cargo.toml").context_lines(0);
    let diff = repository.diff_tree_to_tree(Some(&before), Some(&after), Some(&mut options)).context("a diff")?;
    let mut moved: BTreeMap<String, Vec<MovedVersion>> = BTreeMap::new();
    for delta in diff.deltas().filter(|d| d.status() == Delta::Modified) {
        let (old, new) = (manifest(repository, delta.old_file().id()), manifest(repository, delta.new_file().id()));
        let (Some(old), Some(new), Some(path)) = (old, new, delta.new_file().path()) else { continue };
        for (a, b) in literals(&old).into_iter().zip(literals(&new)) {
            // Whichever step: libraries may take minor ones with each patch of the project.
            if a.0 == b.0 && b.1 > a.1 && a.1.pre.is_empty() && b.1.pre.is_empty() {
                let one = MovedVersion { name: a.0, old: a.1, new: b.1, publish: a.2 };
                moved.entry(path.display().to_string()).or_default().push(one);
            }
        }
    }
    if moved.is_empty() || !wanted(&moved.values().flatten().collect::<Vec<_>>()) {
        return Ok(None);
    }
    let diff = repository.diff_tree_to_tree(Some(&before), Some(&after), None).context("a diff")?;
    let changed: BTreeSet<String> = diff
        .deltas()
        .filter(|d| d.status() == Delta::Modified)
        .filter_map(|d| d.new_file().path().map(|p| p.display().to_string()))
        .collect();
    let added = diff.deltas().filter(|d| d.status() == Delta::Added);
    let added = added.filter_map(|d| d.new_file().path().map(|p| p.display().to_string()));
    let versions: BTreeSet<String> = moved.values().flatten().map(|m| m.new.to_string()).collect();
    let named = |path: String| versions.iter().fold(path, |path, version| path.replace(version, "{version}"));
    let added = added.map(named).collect();
    let at = jiff::Timestamp::from_second(commit.time().seconds()).context("a date")?;
    let mut out = ReleaseCommit {
        commit: commit.id().to_string(),
        subject: commit.summary().ok().flatten().unwrap_or_default().to_owned(),
        date: at.to_zoned(jiff::tz::TimeZone::UTC).date(),
        version: None,
        krate: None,
        moved,
        changed,
        added,
        before: KeptTree::new(repository, &parent)?,
        after: KeptTree::new(repository, commit)?,
    };
    if let Some(day) = named_day(&out)? {
        out.date = day;
    }
    Ok(Some(out))
}

/// The day that a changelog of the commit gives the release: it may have been written on another one.
fn named_day(past: &ReleaseCommit<'_>) -> Result<Option<Date>> {
    for path in past.changed.iter().filter(|p| is_changelog(p)) {
        let Some(text) = past.after.text(path)? else { continue };
        for moved in past.moves() {
            if let Some(section) = changelog::section(&text, &moved.new)
                && let Some(found) = changelog_dates::day(&text[changelog::head(&text, &section)])
            {
                return Ok(Some(found.date));
            }
        }
    }
    Ok(None)
}

fn manifest(repository: &Repository, id: Oid) -> Option<CargoManifest> {
    let blob = repository.find_blob(id).ok()?;
    cargo_manifest::parse(std::str::from_utf8(blob.content()).ok()?).ok()
}

/// (name, version, published) of the versions that a manifest names itself.
fn literals(manifest: &CargoManifest) -> Vec<(String, Version, bool)> {
    let mut out = Vec::new();
    if let Some(package) = &manifest.package
        && let PackageVersion::Literal(text) = &package.version
        && let Ok(version) = Version::parse(&text.value)
    {
        out.push((package.name.value.clone(), version, package.publish != Publish::No));
    }
    let inherited = manifest.workspace.as_ref().and_then(|w| w.version.as_ref());
    if let Some(version) = inherited.and_then(|t| Version::parse(&t.value).ok()) {
        out.push((String::new(), version, true));
    }
    out
}

/// Whether a file is a changelog by its name.
pub(super) fn is_changelog(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
    let text = !name.contains('.') || [".md", ".txt", ".rst"].iter().any(|e| name.ends_with(e));
    text && ["change", "release", "news", "history"].iter().any(|w| name.contains(w))
}
