//! Decides what a version bump changes in a source tree; pure: bytes in, edits out.
//!
//! [`bump()`] follows a project's own rules, [`bump_listed`] a list of crates with their versions.

mod changelogs;
mod families;
mod fields;
mod leftovers;
mod listed_crates;
mod lock_check;
mod locks;
mod manifests;
mod pointers;
mod python_locks;
mod rules;
mod tagged;
mod tree;
mod version_files;
mod version_search;
mod workspace;

use std::collections::{BTreeMap, BTreeSet};

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::model::VersionStep;

pub use leftovers::remains;
pub use listed_crates::{ListedMove, parse_listed};
pub use lock_check::{LockCheck, LockFit};
pub use pointers::{pointers, pointers_note};
pub use rules::{
    Changelog, Family, FamilyStep, Hook, OnFailure, Requirements, Unpublished, VersionFile, VersionRules, VersionStyle,
};
pub use tagged::AtTag;
use tree::Sources;
pub use tree::{MemoryTree, SourceTree, TreeEntry, TreeEntryKind, has_any};
use workspace::{Crate, Workspace};

/// What is asked of a bump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BumpRequest {
    /// The step that the project's version takes; every family takes the same.
    pub to: VersionStep,
    /// The day that changelogs name.
    pub date: jiff::civil::Date,
    /// The tags that exist, without `refs/tags/`: a version among them stops the bump.
    pub tags: BTreeSet<String>,
}

/// One file that changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// Where it lies in the tree.
    pub path: String,
    /// Its bytes before.
    pub before: Vec<u8>,
    /// Its bytes afterwards.
    pub after: Vec<u8>,
}

/// One crate that goes to another version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CrateMove {
    /// The crate's name.
    #[serde(rename = "crate")]
    pub name: String,
    /// The version it is at.
    pub old: Version,
    /// The version it goes to.
    pub new: Version,
    /// Its manifest.
    pub manifest: String,
    /// May be published.
    pub publish: bool,
    /// The manifest of the workspace from which it inherits its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inherits: Option<String>,
}

/// What a bump changes, complete: applying every edit makes the commit's tree, hooks apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bump {
    /// The project's version afterwards.
    pub version: Version,
    /// The tag that this version gets; nothing where no rules say.
    pub tag: Option<String>,
    /// Every crate that moves, by manifest path.
    pub moves: Vec<CrateMove>,
    /// Every file that changes, by path.
    pub edits: Vec<Edit>,
    /// What the changelog says of this version, for the forge; nothing without a changelog or a section.
    pub release_notes: Option<String>,
    /// Why the release notes say nothing, if the rules name a changelog and it says nothing of this version.
    pub unsaid: Option<String>,
    /// What a person should know, one sentence each.
    pub notes: Vec<String>,
}

/// Bumps a tree by the project's rules.
///
/// # Errors
/// Anything inconsistent or not foreseen by the rules, with file, line and what would resolve it; nothing is guessed.
pub fn bump(tree: &dyn SourceTree, rules: &VersionRules, request: &BumpRequest) -> Result<Bump> {
    let sources = Sources::new(tree)?;
    let mut workspace = Workspace::load(&sources, &rules.manifests, &rules.exclude)?;
    let decision = families::decide(&workspace, rules, &request.to)?;
    if decision.moves.is_empty() && decision.roots.is_empty() {
        return Err(Error::input("no crate would move")
            .detail(format!("`fixed` of `[version]` names every crate that is at {}", decision.main.0))
            .hint("take the crates that are released out of `fixed`, or name another crate in `of` of the family"));
    }
    let main = decision.main.1.clone();
    let tag = rules.tag_of(&main)?;
    if request.tags.contains(&tag) {
        let old = &decision.main.0;
        let own = decision.moves.iter().find(|m| m.old == *old && m.inherits.is_none());
        let own = own.and_then(|m| Some(workspace.crate_at(&m.manifest)?.place.clone()));
        let inherited = decision.roots.iter().find(|(_, (from, _))| from == old);
        let place = inherited.and_then(|(root, _)| workspace.inherited_version(root)).or(own);
        return Err(Error::conflict(format!("version {main} is already tagged: `{tag}`"))
            .detail(place.map_or_else(|| format!("the tree is at {old}"), |at| format!("{at}: it is at {old}")))
            .hint("take the next version; if that tag was never published, delete it first"));
    }
    tagged::by_name(&workspace, &decision.moves, &request.tags)?;
    let mut work = Work::new(&sources, decision);
    workspace.load_mentions(&sources, &work.names(), &rules.exclude)?;
    manifests::rewrite(&mut work, &workspace, rules.requirements, Strictness::Lockstep)?;
    locks::rewrite(&mut work, &workspace, &rules.exclude)?;
    if rules.final_newline {
        manifests::end_with_newline(&mut work)?;
    }
    for file in &rules.files {
        version_files::rewrite(&mut work, file)?;
    }
    python_locks::rewrite(&mut work)?;
    let said = match &rules.changelog {
        Some(changelog) => changelogs::rewrite(&mut work, changelog, request.date)?,
        None => changelogs::Said::default(),
    };
    if let Some(why) = &said.unsaid {
        work.note(format!("the release notes of {main} are empty: {why}"));
    }
    Ok(work.finish(main, Some(tag), said))
}

/// Bumps the crates that a release manager listed; version files outside Cargo are found by looking. `at_tag` says whose
/// version a tag means that names no crate. [`Requirements::Lift`] lifts requirements that name a version which its crate
/// leaves; where none does, those that name an older patch of the same line.
///
/// # Errors
/// As [`bump()`]; and a listed crate that is not at its old version.
pub fn bump_listed(
    tree: &dyn SourceTree,
    listed: &[ListedMove],
    requirements: Requirements,
    request: &BumpRequest,
    at_tag: AtTag<'_>,
) -> Result<Bump> {
    let sources = Sources::new(tree)?;
    let mut workspace = Workspace::load(&sources, &listed_crates::seeds(&sources, listed), &[])?;
    let decision = listed_crates::decide(&workspace, listed)?;
    let main = decision.main.1.clone();
    tagged::by_name(&workspace, &decision.moves, &request.tags)?;
    let notes = tagged::by_content(&workspace, &decision.moves, &request.tags, at_tag)?;
    let mut work = Work::new(&sources, decision);
    work.notes = notes;
    workspace.load_mentions(&sources, &work.names(), &[])?;
    manifests::rewrite(&mut work, &workspace, requirements, Strictness::Listed)?;
    locks::rewrite(&mut work, &workspace, &[])?;
    version_search::rewrite(&mut work, &workspace, request.date)?;
    fields::rewrite(&mut work, &workspace)?;
    python_locks::rewrite(&mut work)?;
    Ok(work.finish(main, None, changelogs::Said::default()))
}

/// How much the rules know about what is not at the version it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Strictness {
    /// Everything moves in step: a stale requirement or lock entry is a fault.
    Lockstep,
    /// Crates move on their own: what names an older version stays.
    Listed,
}

/// Who moves where.
struct Decision {
    /// The project's version, before and afterwards.
    main: (Version, Version),
    moves: Vec<CrateMove>,
    /// Workspace manifests whose `[workspace.package] version` moves, from where to where.
    roots: BTreeMap<String, (Version, Version)>,
}

/// The edits as they grow.
struct Work<'a> {
    sources: &'a Sources<'a>,
    moves: BTreeMap<String, CrateMove>,
    roots: BTreeMap<String, (Version, Version)>,
    main: (Version, Version),
    texts: BTreeMap<String, String>,
    notes: Vec<String>,
}

impl<'a> Work<'a> {
    fn new(sources: &'a Sources<'a>, decision: Decision) -> Self {
        let moves = decision.moves.into_iter().map(|m| (m.manifest.clone(), m)).collect();
        Self { sources, moves, roots: decision.roots, main: decision.main, texts: BTreeMap::new(), notes: Vec::new() }
    }

    fn names(&self) -> BTreeSet<String> {
        self.moves.values().map(|m| m.name.clone()).collect()
    }

    /// The text of `path` as it stands now, edits included.
    fn text(&self, path: &str) -> Result<Option<String>> {
        match self.texts.get(path) {
            Some(edited) => Ok(Some(edited.clone())),
            None => Ok(self.sources.text(path)?.map(|t| t.to_string())),
        }
    }

    fn set(&mut self, path: &str, text: String) {
        self.texts.insert(path.to_owned(), text);
    }

    fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    fn finish(self, version: Version, tag: Option<String>, said: changelogs::Said) -> Bump {
        let edits = self.texts.into_iter().filter_map(|(path, after)| {
            let before = self.sources.text(&path).ok().flatten()?;
            (*before != *after).then(|| Edit { path, before: before.as_bytes().to_vec(), after: after.into_bytes() })
        });
        Bump {
            version,
            tag,
            edits: edits.collect(),
            moves: self.moves.into_values().collect(),
            release_notes: said.notes,
            unsaid: said.unsaid,
            notes: self.notes,
        }
    }
}

/// The move of `krate` to `new`.
fn moving(krate: &Crate, old: Version, new: Version) -> CrateMove {
    CrateMove {
        name: krate.name.clone(),
        old,
        new,
        manifest: krate.manifest.clone(),
        publish: krate.publish,
        inherits: krate.inherits.clone(),
    }
}
