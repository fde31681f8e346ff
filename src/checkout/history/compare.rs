//! Rules tried on a release of the past: what they would have changed, and what its maintainers did.

use std::collections::{BTreeMap, BTreeSet};

use semver::Version;
use similar::{ChangeTag, TextDiff};

use super::past::ReleaseCommit;
use crate::bump::{BumpRequest, SourceTree as _, VersionRules, bump};
use crate::error::Result;
use crate::formats::splice::whole_words;
use crate::model::VersionStep;

/// How rules did on one release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tried {
    /// The project's version before and afterwards.
    pub(super) versions: (Version, Version),
    /// Files that came out to the byte.
    pub(super) reproduced: BTreeSet<String>,
    /// Files that did not, with the lines that differ.
    pub(super) differing: BTreeMap<String, usize>,
    /// Of those, what the rules make of the ones that they change.
    pub(super) made: BTreeMap<String, Vec<u8>>,
    /// Why the rules could not be followed at all.
    pub(super) refused: Option<String>,
}

impl Tried {
    /// How far this is from what the maintainers did: lines.
    pub(super) fn wrong(&self) -> usize {
        // A refusal leaves every file of the release as it was: that is what it costs.
        self.differing.values().sum::<usize>() + usize::from(self.refused.is_some())
    }
}

/// Whether `new` is nearer than `old`: in more releases than it is farther in, so that an odd one does not outweigh several;
/// where that is even, by the sum.
pub(super) fn better(new: &[Tried], old: &[Tried]) -> bool {
    let pairs = || new.iter().zip(old).map(|(n, o)| (n.wrong(), o.wrong()));
    let (nearer, farther) = (pairs().filter(|(n, o)| n < o).count(), pairs().filter(|(n, o)| n > o).count());
    nearer > farther || nearer == farther && wrong(new) < wrong(old)
}

/// The sum over releases.
pub(super) fn wrong(tried: &[Tried]) -> usize {
    tried.iter().map(Tried::wrong).sum()
}

/// Tries `rules` on every release.
pub(super) fn all(rules: &VersionRules, pasts: &[ReleaseCommit<'_>]) -> Result<Vec<Tried>> {
    pasts.iter().map(|past| one(rules, past)).collect()
}

fn one(rules: &VersionRules, past: &ReleaseCommit<'_>) -> Result<Tried> {
    let versions = project(rules, past);
    let request = BumpRequest { to: VersionStep::Exact(versions.1.clone()), date: past.date, tags: BTreeSet::new() };
    let (edits, refused) = match bump(&past.before, rules, &request) {
        Ok(bumped) => (bumped.edits, None),
        Err(e) => (Vec::new(), Some(e.message().to_owned())),
    };
    let (mut reproduced, mut differing, mut made) = (BTreeSet::new(), BTreeMap::new(), BTreeMap::new());
    let edited: BTreeSet<&String> = edits.iter().map(|e| &e.path).collect();
    for edit in &edits {
        match past.after.read(&edit.path)? {
            Some(theirs) if theirs == edit.after => drop(reproduced.insert(edit.path.clone())),
            theirs => {
                differing.insert(edit.path.clone(), lines(&edit.after, &theirs.unwrap_or_default()));
                made.insert(edit.path.clone(), edit.after.clone());
            }
        }
    }
    for path in past.changed.iter().filter(|p| !edited.contains(p)) {
        let (before, after) = (past.before.read(path)?, past.after.read(path)?);
        differing.insert(path.clone(), lines(&before.unwrap_or_default(), &after.unwrap_or_default()));
    }
    Ok(Tried { versions, reproduced, differing, made, refused })
}

/// The step of the project's version: that of the first family's crate if the rules say, or of what stands for it.
fn project(rules: &VersionRules, past: &ReleaseCommit<'_>) -> (Version, Version) {
    let anchor = rules.family.first().map(|f| f.of.as_str());
    let own = past.moves().find(|m| Some(m.name.as_str()) == anchor);
    let found = own.or_else(|| past.main());
    found.map_or((Version::new(0, 0, 0), Version::new(0, 0, 0)), |m| (m.old.clone(), m.new.clone()))
}

/// The lines in which two files differ.
fn lines(a: &[u8], b: &[u8]) -> usize {
    let (Ok(a), Ok(b)) = (std::str::from_utf8(a), std::str::from_utf8(b)) else { return 1 };
    let diff = TextDiff::from_lines(a, b);
    diff.iter_all_changes().filter(|c| c.tag() != ChangeTag::Equal).count().max(1)
}

/// The first line that a release wrote into `path`, that the rules do not write (`made`, where they change the file), and
/// that names a version which moved.
pub(super) fn versioned_line(past: &ReleaseCommit<'_>, path: &str, made: Option<&Vec<u8>>) -> Result<Option<String>> {
    let Some(after) = past.after.text(path)? else { return Ok(None) };
    let ours = match made {
        Some(bytes) => String::from_utf8(bytes.clone()).ok(),
        None => past.before.text(path)?,
    };
    let Some(ours) = ours else { return Ok(None) };
    let diff = TextDiff::from_lines(&ours, &after);
    let new: BTreeSet<String> = past.moves().map(|m| m.new.to_string()).collect();
    let mut written = diff.iter_all_changes().filter(|c| c.tag() == ChangeTag::Insert);
    let found = written.find(|c| new.iter().any(|v| !whole_words(c.value(), v).is_empty()));
    Ok(found.map(|c| c.value().trim().to_owned()))
}
