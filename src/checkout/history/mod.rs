//! A project's bump convention, learned from what its last releases changed.
//!
//! Rules are guessed from the newest release and kept only if they bring the tried bumps, over all releases looked at,
//! nearer to what the maintainers committed; what remains is named.

mod compare;
mod families;
mod files;
mod lines;
mod now;
mod past;
mod published;
mod tags;

use std::collections::{BTreeMap, BTreeSet};

use git2::{BranchType, Repository};
use jiff::civil::Date;
use semver::Version;
use serde::Serialize;

use crate::bump::{Changelog, OnFailure, Requirements, SourceTree as _, Unpublished, VersionFile, VersionRules};
use crate::error::{Context as _, Error, Result};
use crate::model::Ident;
use compare::{Tried, wrong};
use now::Now;
use past::ReleaseCommit;
pub use past::ReleaseFilter;

/// One release's bump in history.
#[derive(Debug, Clone, Serialize)]
pub struct PastRelease {
    /// The commit, in hexadecimal.
    pub commit: String,
    /// The first line of its message.
    pub subject: String,
    /// The day of the release.
    pub date: Date,
    /// The version of the project before and afterwards.
    pub versions: (Version, Version),
    /// Files that the learned rules reproduce to the byte.
    pub reproduced: BTreeSet<String>,
    /// Files that the learned rules change otherwise than the commit did, or that it gave the new version and they do not.
    pub differing: BTreeSet<String>,
    /// Files that the commit changed without a version in what it wrote: fixes, prose.
    pub other: BTreeSet<String>,
    /// Changelogs into which the commit wrote the section of its version.
    pub sections: BTreeSet<String>,
    /// Why the rules do not fit this release's tree at all.
    pub refused: Option<String>,
    /// What the rules make of files that they change otherwise than the commit did.
    #[serde(skip)]
    made: BTreeMap<String, Vec<u8>>,
}

/// A habit that the rules do not express.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unexpressed {
    /// The file; with `{version}` in it, one that releases add.
    pub path: String,
    /// In how many of the releases.
    pub releases: usize,
    /// A line that a release wrote there, if one names the version.
    pub example: Option<String>,
    /// It is a changelog, and the releases wrote its sections.
    pub section: bool,
}

/// What history shows.
#[derive(Debug, Clone)]
pub struct Learned {
    /// The rules that fit best.
    pub rules: VersionRules,
    /// A glob for the branches of releases, if their names have a common form.
    pub branches: Option<String>,
    /// The releases that they were tried on, newest first.
    pub releases: Vec<PastRelease>,
    /// What the releases did beyond the rules, again and again or with the version in it.
    pub unexpressed: Vec<Unexpressed>,
    /// Published crates that none of the releases had; they are kept fixed.
    pub unseen: Vec<String>,
    /// Who committed what is checked out.
    pub committer: Option<Ident>,
    /// Rules that fit the releases and stop a bump of what is checked out: left out, with the reason.
    pub left_out: Vec<String>,
    /// Why a bump of the checked out tree would stop by these rules, if it would.
    pub stops: Option<String>,
}

/// Learns the rules from the last `count` patch releases.
///
/// # Errors
/// The repository cannot be read, or no release is found in it.
pub fn learn(
    repository: &Repository,
    count: usize,
    wanted: &ReleaseFilter,
    progress: &dyn Fn(&str),
) -> Result<Learned> {
    let (tag, mut pasts) = past::releases(repository, count, wanted, progress)?;
    if pasts.is_empty() {
        if wanted.krate.is_some() || wanted.tag.is_some() {
            return Err(Error::input("no commit in this repository makes a release of that crate or tag")
                .hint("`git tag` lists the tags; `--tag` takes their form, such as `acme-v{version}`"));
        }
        return Err(Error::input("no commit in this repository raises a version")
            .detail("looked at: the commits of tags that end with a version, the history of HEAD and of the branches")
            .hint(
                "fetch the tags and branches of releases (`git fetch --tags origin`), or write `[version]` by hand",
            ));
    }
    let now = Now::of(repository)?;
    // Releases of crates that have other names today teach nothing about them, unless there are no others.
    let own: Vec<bool> = pasts.iter().map(|p| families::is_of(p, &now)).collect::<Result<_>>()?;
    if own.contains(&true) {
        let mut own = own.into_iter();
        pasts.retain(|_| own.next().unwrap_or(true));
    }
    let start = VersionRules { tag: tag.unwrap_or_else(|| "v{version}".to_owned()), ..VersionRules::default() };
    progress("learning who moves");
    let found = families::found(start, &pasts, &now)?;
    let mut search =
        Search { tried: compare::all(&found.rules, &pasts)?, rules: found.rules, pasts: &pasts, now: &now };
    search.entrances()?;
    search.families(&found.members)?;
    search.toggles()?;
    progress("learning which files carry the version");
    search.files()?;
    search.stamp()?;
    search.gone()?;
    search.excludes()?;
    progress("trying a bump of what is checked out");
    let left_out = search.fit_today()?;
    let Search { rules, tried, .. } = search;
    let releases: Vec<PastRelease> =
        pasts.iter().zip(tried).map(|(past, tried)| release(past, tried)).collect::<Result<_>>()?;
    let unexpressed = unexpressed(&releases, &pasts)?;
    let stops = pasts.first().and_then(|past| now.stops(&rules, past.date));
    let branches = branches(repository, &pasts)?;
    let committer = now.committer();
    Ok(Learned { rules, branches, committer, releases, unexpressed, unseen: found.unseen, left_out, stops })
}

/// The best rules so far, and how they do.
struct Search<'a, 'r> {
    rules: VersionRules,
    tried: Vec<Tried>,
    pasts: &'a [ReleaseCommit<'r>],
    now: &'a Now<'r>,
}

impl Search<'_, '_> {
    /// Keeps `candidate` if it is nearer to what was done.
    fn offer(&mut self, candidate: VersionRules) -> Result<bool> {
        let tried = compare::all(&candidate, self.pasts)?;
        let better = compare::better(&tried, &self.tried);
        if better {
            (self.rules, self.tried) = (candidate, tried);
        }
        Ok(better)
    }

    /// Keeps `candidate` if it is nearer to what was done in most of the releases: one tree in which a requirement was left
    /// behind, so that it fits no bump but one that keeps it, says nothing about the others.
    fn vote(&mut self, candidate: VersionRules) -> Result<()> {
        let tried = compare::all(&candidate, self.pasts)?;
        let (mut nearer, mut farther) = (0, 0);
        for (new, old) in tried.iter().zip(&self.tried) {
            nearer += usize::from(new.wrong() < old.wrong());
            farther += usize::from(new.wrong() > old.wrong());
        }
        if (nearer, wrong(&self.tried)) > (farther, wrong(&tried)) {
            (self.rules, self.tried) = (candidate, tried);
        }
        Ok(())
    }

    /// Manifests of crates that moved and to which nothing leads from the top: workspaces of their own beside it.
    fn entrances(&mut self) -> Result<()> {
        let (Some(past), Some(tried)) = (self.pasts.first(), self.tried.first()) else { return Ok(()) };
        let unreached = past.moved.keys().filter(|path| tried.differing.contains_key(*path)).cloned();
        let all: Vec<String> = unreached.filter(|path| self.now.has(path).unwrap_or(false)).collect();
        let fits = self.now.stops(&self.rules, past.date).is_none();
        for more in [all.as_slice()].into_iter().chain(all.chunks(1)).filter(|more| !more.is_empty()) {
            let manifests: BTreeSet<String> = self.rules.manifests.iter().chain(more).cloned().collect();
            let candidate = VersionRules { manifests: manifests.into_iter().collect(), ..self.rules.clone() };
            if fits && self.now.stops(&candidate, past.date).is_some() {
                continue;
            }
            self.offer(candidate)?;
        }
        Ok(())
    }

    /// Families that moved with some of the releases only, and stay.
    fn families(&mut self, members: &BTreeMap<String, BTreeSet<String>>) -> Result<()> {
        for of in self.rules.family.iter().skip(1).map(|f| f.of.clone()).collect::<Vec<_>>() {
            let mut rules = self.rules.clone();
            rules.family.retain(|f| f.of != of);
            rules.fixed.extend(members.get(&of).cloned().unwrap_or_else(|| BTreeSet::from([of])));
            rules.fixed.sort();
            rules.fixed.dedup();
            self.offer(rules)?;
        }
        Ok(())
    }

    fn toggles(&mut self) -> Result<()> {
        let with = |change: fn(&mut VersionRules), rules: &VersionRules| {
            let mut rules = rules.clone();
            change(&mut rules);
            rules
        };
        let keep = with(|r| r.requirements = Requirements::Keep, &self.rules);
        self.vote(keep)?;
        let changes: [fn(&mut VersionRules); 2] = [|r| r.unpublished = Unpublished::Move, |r| r.final_newline = true];
        for change in changes {
            let candidate = with(change, &self.rules);
            self.offer(candidate)?;
        }
        Ok(())
    }

    /// Version files and changelogs that explain what the releases changed.
    fn files(&mut self) -> Result<()> {
        let others: Vec<String> = self.rules.family.iter().skip(1).map(|f| f.of.clone()).collect();
        let missed: BTreeSet<String> = self.tried.iter().flat_map(|t| t.differing.keys()).cloned().collect();
        let mut seen = Vec::new();
        for path in missed.iter().filter(|p| !p.ends_with("Cargo.toml") && !p.ends_with(".lock")) {
            if !self.tried.iter().any(|t| t.differing.contains_key(path)) {
                continue;
            }
            let pasts: Vec<&ReleaseCommit<'_>> = self.pasts.iter().filter(|p| p.changed.contains(path)).collect();
            if past::is_changelog(path) {
                for past in &pasts {
                    for changelog in files::changelogs(past, path)? {
                        if !seen.contains(&changelog) {
                            let candidate = VersionRules { changelog: Some(changelog.clone()), ..self.rules.clone() };
                            self.offer(candidate)?;
                            seen.push(changelog);
                        }
                    }
                }
            }
            // What explains a file explains it in the newest release that changed it.
            let Some(past) = pasts.first() else { continue };
            let when = self.lines_with(path);
            for file in files::version_files(past, path, &others)? {
                let known = self.rules.files.clone();
                let with = |file: &VersionFile, rules: &VersionRules| VersionRules {
                    files: known.iter().cloned().chain([file.clone()]).collect(),
                    ..rules.clone()
                };
                let candidate = with(&file, &self.rules);
                self.offer(candidate)?;
                // On lines that do not have the file, or leave it, the rule must not hold.
                if when.is_some() {
                    let candidate = with(&VersionFile { when: when.clone(), ..file }, &self.rules);
                    self.offer(candidate)?;
                }
            }
        }
        Ok(())
    }

    /// The versions of the project whose releases changed `path`, if the others come all before or all after them.
    fn lines_with(&self, path: &str) -> Option<semver::VersionReq> {
        let all =
            self.pasts.iter().zip(&self.tried).map(|(past, tried)| (past.changed.contains(path), &tried.versions.0));
        let today = if self.now.has(path).unwrap_or(true) { None } else { self.now.main(&self.rules) };
        let (with, without): (Vec<_>, Vec<_>) = all.chain(today.map(|v| (false, v))).partition(|(changed, _)| *changed);
        let versions = |of: Vec<(bool, &Version)>| of.into_iter().map(|(_, v)| v.clone()).collect::<Vec<_>>();
        lines::since_or_until(&versions(with), &versions(without))
    }

    /// The changelog's own sections, where no release among these dated one: they may all have been written with their day.
    fn stamp(&mut self) -> Result<()> {
        let Some(tree) = self.now.tree.as_ref().filter(|_| self.rules.changelog.is_none()) else { return Ok(()) };
        for entry in tree.entries()?.into_iter().filter(|e| !e.path.contains('/') && past::is_changelog(&e.path)) {
            let text = tree.text(&entry.path)?.unwrap_or_default();
            let Some((unreleased, released)) = files::stamp(&text) else { continue };
            for missing in [OnFailure::Stop, OnFailure::Warn] {
                let (path, unreleased, released) = (entry.path.clone(), unreleased.clone(), released.clone());
                let rule = Changelog { path, unreleased, released, missing, insert: None, notes_until: None };
                let rules = VersionRules { changelog: Some(rule), ..self.rules.clone() };
                let tried = compare::all(&rules, self.pasts)?;
                if wrong(&tried) <= wrong(&self.tried) {
                    (self.rules, self.tried) = (rules, tried);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Version files that are not there today: the rule is for the versions that had them, or for none.
    fn gone(&mut self) -> Result<()> {
        for file in self.rules.files.clone() {
            if self.now.has(&file.path)? {
                continue;
            }
            let mut rules = self.rules.clone();
            let when = file.when.clone().or_else(|| self.lines_with(&file.path));
            rules.files.retain(|f| *f != file);
            let until = when.filter(|w| self.now.main(&rules).is_none_or(|v| !w.matches(v)));
            rules.files.extend(until.map(|w| VersionFile { when: Some(w), ..file }));
            self.tried = compare::all(&rules, self.pasts)?;
            self.rules = rules;
        }
        Ok(())
    }

    /// Leaves out what stops a patch of what is checked out, where the rest does not; says what and why.
    fn fit_today(&mut self) -> Result<Vec<String>> {
        let mut said = Vec::new();
        let Some(date) = self.pasts.first().map(|p| p.date) else { return Ok(said) };
        while let Some(why) = self.now.stops(&self.rules, date) {
            let mut candidates: Vec<(String, VersionRules)> = Vec::new();
            if let Some(changelog) = &self.rules.changelog {
                let lenient = Changelog { missing: OnFailure::Warn, ..changelog.clone() };
                let rules = |changelog: Option<Changelog>| VersionRules { changelog, ..self.rules.clone() };
                if changelog.missing == OnFailure::Stop {
                    candidates.push((format!("`missing = \"stop\"` of `{}`", changelog.path), rules(Some(lenient))));
                }
                candidates.push((format!("the changelog `{}`", changelog.path), rules(None)));
            }
            for file in &self.rules.files {
                let files = self.rules.files.iter().filter(|f| *f != file).cloned().collect();
                candidates
                    .push((format!("the version file `{}`", file.path), VersionRules { files, ..self.rules.clone() }));
            }
            // One that helps, or that at least brings another fault to light.
            let helps = |rules: &VersionRules| self.now.stops(rules, date).as_ref() != Some(&why);
            let Some((what, rules)) = candidates.into_iter().find(|(_, rules)| helps(rules)) else { break };
            said.push(format!("{what}: a bump of what is checked out would stop: {why}"));
            self.tried = compare::all(&rules, self.pasts)?;
            self.rules = rules;
        }
        Ok(said)
    }

    /// Directories that the rules reach and the project's bumps do not: fixtures.
    fn excludes(&mut self) -> Result<()> {
        let left = |(past, tried): (&ReleaseCommit<'_>, &Tried)| -> Vec<String> {
            tried.differing.keys().filter(|p| !past.changed.contains(*p)).cloned().collect()
        };
        let untouched: BTreeSet<String> = self.pasts.iter().zip(&self.tried).flat_map(left).collect();
        for path in untouched {
            if let Some((dir, "Cargo.toml" | "Cargo.lock")) = path.rsplit_once('/') {
                let exclude = self.rules.exclude.iter().cloned().chain([dir.to_owned()]).collect();
                let candidate = VersionRules { exclude, ..self.rules.clone() };
                self.offer(candidate)?;
            }
        }
        Ok(())
    }
}

fn release(past: &ReleaseCommit<'_>, tried: Tried) -> Result<PastRelease> {
    let (mut differing, mut other, mut sections) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for path in tried.differing.into_keys() {
        let made = tried.made.get(&path);
        if files::wrote_section(past, &path)? {
            sections.insert(path);
            continue;
        }
        let claimed = !past.changed.contains(&path) || compare::versioned_line(past, &path, made)?.is_some();
        if claimed {
            differing.insert(path)
        } else {
            other.insert(path)
        };
    }
    Ok(PastRelease {
        commit: past.commit.clone(),
        subject: past.subject.clone(),
        date: past.date,
        versions: tried.versions,
        reproduced: tried.reproduced,
        differing,
        other,
        sections,
        refused: tried.refused,
        made: tried.made,
    })
}

/// What differs, and what most releases change beside it.
fn unexpressed(all: &[PastRelease], pasts: &[ReleaseCommit<'_>]) -> Result<Vec<Unexpressed>> {
    let count =
        |path: &str, of: fn(&PastRelease) -> &BTreeSet<String>| all.iter().filter(|r| of(r).contains(path)).count();
    let mut found: BTreeMap<&str, usize> = BTreeMap::new();
    // Where the rules do not fit at all, every file differs: that is said of the release.
    for release in all.iter().filter(|r| r.refused.is_none()) {
        for path in &release.differing {
            found.insert(path, count(path, |r| &r.differing));
        }
        for path in &release.sections {
            found.entry(path).or_insert_with(|| count(path, |r| &r.sections));
        }
        for path in &release.other {
            let often = count(path, |r| &r.other);
            if all.len() > 1 && 2 * often > all.len() {
                found.entry(path).or_insert(often);
            }
        }
    }
    let mut out = Vec::new();
    for (path, often) in found {
        let section = all.iter().all(|r| !r.differing.contains(path)) && all.iter().any(|r| r.sections.contains(path));
        let missed =
            |r: &PastRelease| r.differing.contains(path) || r.other.contains(path) || r.sections.contains(path);
        let past = pasts.iter().zip(all).find(|(p, r)| p.changed.contains(path) && missed(r));
        let example = past.map(|(p, r)| compare::versioned_line(p, path, r.made.get(path))).transpose()?.flatten();
        out.push(Unexpressed { path: path.to_owned(), releases: often, example, section });
    }
    let added: BTreeSet<&String> = pasts.iter().flat_map(|p| &p.added).filter(|p| p.contains("{version}")).collect();
    for path in added {
        let often = pasts.iter().filter(|p| p.added.contains(path)).count();
        out.push(Unexpressed { path: path.clone(), releases: often, example: None, section: false });
    }
    Ok(out)
}

/// A glob for branches that are named after the versions of releases: `release-*`, `acme-*.x`.
fn branches(repository: &Repository, pasts: &[ReleaseCommit<'_>]) -> Result<Option<String>> {
    let lines: BTreeSet<String> =
        pasts.iter().flat_map(ReleaseCommit::moves).map(|m| format!("{}.{}", m.new.major, m.new.minor)).collect();
    let mut forms: BTreeMap<String, usize> = BTreeMap::new();
    for branch in repository.branches(None).context("reading the branches")? {
        let (branch, kind) = branch.context("reading the branches")?;
        let Ok(Some(name)) = branch.name() else { continue };
        let name = if kind == BranchType::Remote { name.split_once('/').map_or(name, |(_, n)| n) } else { name };
        let Some(at) = name.find(|c: char| c.is_ascii_digit()) else { continue };
        let number = name[at..].find(|c: char| !c.is_ascii_digit() && c != '.').map_or(name.len(), |i| at + i);
        let (number, rest) = (name[at..number].trim_end_matches('.'), &name[number..]);
        let of_a_line =
            lines.iter().any(|l| number == l || number.strip_prefix(l.as_str()).is_some_and(|r| r.starts_with('.')));
        if of_a_line && matches!(rest, "" | "x" | "-x") {
            let end = if rest.is_empty() { String::new() } else { format!(".{}", rest.trim_start_matches('-')) };
            *forms.entry(format!("{}*{end}", &name[..at])).or_default() += 1;
        }
    }
    Ok(forms.into_iter().filter(|(form, _)| form != "*").max_by_key(|(_, n)| *n).map(|(form, _)| form))
}
