//! What a mirror is, by what all of them show. Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use semver::Version;
use serde::Serialize;

use super::look::{Look, ReleaseLook};
use crate::error::{Error, ErrorKind};
use crate::formats::index::Index;
use crate::formats::layout;
use crate::formats::manifest;
use crate::formats::mirrors::{ListedIndex, MirrorList};
use crate::model::{ProjectName, Sha256, utc};
use crate::trust::{SKEW, explain};
use crate::verify::index::fresh;

/// What a mirror is; a later one is worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MirrorState {
    /// It has everything that any mirror has.
    Current,
    /// It does not answer.
    Unreachable,
    /// Files are missing.
    Incomplete,
    /// It lacks what another mirror has, or its index or its list has expired.
    Stale,
    /// What it shows does not verify.
    Wrong,
}

impl MirrorState {
    /// The documented exit code where this is the worst.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Current => 0,
            Self::Unreachable => 5,
            Self::Wrong => 6,
            Self::Stale => 7,
            Self::Incomplete => 8,
        }
    }

    /// As people read it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Unreachable => "unreachable",
            Self::Incomplete => "incomplete",
            Self::Stale => "stale",
            Self::Wrong => "wrong",
        }
    }
}

/// A mirror, judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JudgedMirror {
    /// Its base address.
    pub address: String,
    /// What it is: the worst of the reasons.
    pub state: MirrorState,
    /// The number of its index, if it has one that counts.
    pub index: Option<u64>,
    /// Why it is not current, a lowercase fragment each.
    pub reasons: Vec<String>,
    /// What could not be checked, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_checked: Vec<String>,
}

/// All mirrors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MirrorsReport {
    /// The project, from the trust root.
    pub project: ProjectName,
    /// The worst of them.
    pub state: MirrorState,
    /// Sorted by address.
    pub mirrors: Vec<JudgedMirror>,
}

/// What all mirrors together show of the newest state.
#[derive(Default)]
struct Newest<'a> {
    releases: BTreeSet<&'a Version>,
    retired: BTreeSet<&'a Version>,
    withdrawn: BTreeSet<&'a Version>,
    indexes: BTreeMap<&'a str, ListedIndex>,
    has_list: bool,
    has_repository: bool,
}

impl<'a> Newest<'a> {
    fn of(looks: &'a [Look]) -> Self {
        let mut out = Self::default();
        for look in looks {
            out.has_repository |= look.repository;
            if let Some(index) = look.index() {
                out.releases.extend(index.releases.keys());
                out.retired.extend(&index.retired);
                out.withdrawn.extend(index.withdrawn.keys());
            }
            let Some(list) = look.list_that_counts() else { continue };
            out.has_list = true;
            for (address, mirror) in &list.mirrors {
                let Some(index) = mirror.index else { continue };
                let known = out.indexes.entry(address).or_insert(index);
                if index.counter > known.counter {
                    *known = index;
                }
            }
        }
        out
    }
}

/// Judges each mirror.
pub(super) fn judge(project: &ProjectName, looks: &[Look], now: Timestamp) -> MirrorsReport {
    let newest = Newest::of(looks);
    let mirrors: Vec<JudgedMirror> = looks.iter().map(|look| one(look, &newest, now)).collect();
    let state = mirrors.iter().map(|m| m.state).max().unwrap_or(MirrorState::Current);
    MirrorsReport { project: project.clone(), state, mirrors }
}

/// Why a mirror is not current.
type Reasons = Vec<(MirrorState, String)>;

fn one(look: &Look, newest: &Newest<'_>, now: Timestamp) -> JudgedMirror {
    let mut reasons: Reasons = look.back.iter().map(|e| (MirrorState::Wrong, explain(e))).collect();
    reasons.extend(look.root.clone());
    match &look.index {
        Ok(signed) => {
            index(&signed.index, Sha256::of(&signed.bytes), (look, newest, now), &mut reasons);
            list(look, newest, now, &mut reasons);
        }
        Err(e) => reasons.push((failed(e), explain(e))),
    }
    if look.index.is_ok() && newest.has_repository && !look.repository {
        reasons
            .push((MirrorState::Incomplete, "there is no `info/refs` of the repository that people clone".to_owned()));
    }
    for (version, release) in &look.releases {
        match release {
            Ok(release) => of_release(version, release, &mut reasons),
            Err(e) => reasons.push((failed(e), format!("{version}: {}", explain(e)))),
        }
    }
    // What is wrong with the index is reported for every release as well.
    reasons.sort_by_key(|(state, _)| std::cmp::Reverse(*state));
    let mut said = BTreeSet::new();
    reasons.retain(|(_, why)| said.insert(why.clone()));
    let state = reasons.iter().map(|(state, _)| *state).max().unwrap_or(MirrorState::Current);
    JudgedMirror {
        address: look.address.clone(),
        state,
        index: look.index().map(|index| index.counter),
        reasons: reasons.into_iter().map(|(_, why)| why).collect(),
        not_checked: look.not_checked.clone(),
    }
}

/// What a failure says of a mirror.
fn failed(e: &Error) -> MirrorState {
    match e.kind() {
        ErrorKind::Verification if e.is_absent() => MirrorState::Incomplete,
        ErrorKind::Verification => MirrorState::Wrong,
        _ => MirrorState::Unreachable,
    }
}

fn index(index: &Index, digest: Sha256, (look, newest, now): (&Look, &Newest<'_>, Timestamp), reasons: &mut Reasons) {
    if let Err(e) = fresh(index, now) {
        let state = if now >= index.expires { MirrorState::Stale } else { MirrorState::Wrong };
        reasons.push((state, format!("its index: {}", explain(&e))));
    }
    match newest.indexes.get(look.address.as_str()) {
        Some(known) if index.counter < known.counter => reasons.push((
            MirrorState::Stale,
            format!(
                "its index is number {}; a list of mirrors says that it had number {}",
                index.counter, known.counter
            ),
        )),
        Some(known) if index.counter == known.counter && digest != known.sha256 => reasons.push((
            MirrorState::Wrong,
            format!("its index number {} is not the one that a list of mirrors names", index.counter),
        )),
        _ => {}
    }
    let mut lacks = |what: &str, there: &BTreeSet<&Version>, has: &dyn Fn(&Version) -> bool| {
        let missing: Vec<String> = there.iter().filter(|v| !has(v)).map(ToString::to_string).collect();
        if !missing.is_empty() {
            let why = format!("its index does not {what} {}, and that of another mirror does", missing.join(", "));
            reasons.push((MirrorState::Stale, why));
        }
    };
    lacks("list", &newest.releases, &|v| index.releases.contains_key(v));
    lacks("retire", &newest.retired, &|v| index.retired.contains(v) || index.releases.contains_key(v));
    lacks("withdraw", &newest.withdrawn, &|v| index.withdrawn.contains_key(v));
}

fn list(look: &Look, newest: &Newest<'_>, now: Timestamp, reasons: &mut Reasons) {
    match &look.list {
        Err(e) => reasons.push((failed(e), explain(e))),
        Ok(None) if newest.has_list => {
            reasons.push((MirrorState::Incomplete, format!("`{}` is missing", layout::MIRRORS)));
        }
        Ok(None) => {}
        Ok(Some(signed)) => reasons.extend(of_its_time(&signed.list, now)),
    }
}

/// What is wrong with the time of a list whose signature counts.
pub(super) fn of_its_time(list: &MirrorList, now: Timestamp) -> Option<(MirrorState, String)> {
    let path = layout::MIRRORS;
    if now >= list.expires {
        return Some((MirrorState::Stale, format!("`{path}` is stale: good until {}", utc(list.expires))));
    }
    let future = list.generated.saturating_sub(SKEW).is_ok_and(|made| now < made);
    future.then(|| (MirrorState::Wrong, format!("`{path}` is from the future: made on {}", list.generated)))
}

fn of_release(version: &Version, release: &ReleaseLook, reasons: &mut Reasons) {
    if release.other_manifest {
        let path = layout::release_file(version, manifest::FILE);
        reasons.push((MirrorState::Wrong, format!("`{path}` is not the one that the index lists")));
    }
    if !release.missing.is_empty() {
        reasons.push((MirrorState::Incomplete, format!("{version}: missing: {}", release.missing.join(", "))));
    }
    for (name, found, right) in &release.other_size {
        reasons.push((MirrorState::Wrong, format!("{version}: `{name}` has {found} bytes instead of {right}")));
    }
    // The index was judged by itself: a release is not wrong because its index is old.
    for check in release.report.failures().filter(|check| check.what != "index") {
        let state = if check.missing { MirrorState::Incomplete } else { MirrorState::Wrong };
        reasons.push((state, format!("{version}: {}: {}", check.what, check.detail)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::index::IndexEntry;
    use crate::formats::mirrors::{ListedMirror, MirrorList};
    use crate::trust::{SignedIndex, SignedMirrors};

    const NOW: &str = "2026-01-02T00:00:00Z";

    fn index(versions: &[&str], retired: &[&str]) -> Index {
        let (from, to) = ("2026-01-01T00:00:00Z".parse().unwrap(), "2026-01-08T00:00:00Z".parse().unwrap());
        let entry = |version: &&str| {
            let entry = IndexEntry {
                line: "r-1".parse().unwrap(),
                train: crate::model::TrainNonce::from_bytes([3; 16]),
                tag: format!("v{version}").parse().unwrap(),
                manifest: Sha256::of(version.as_bytes()),
            };
            (version.parse().unwrap(), entry)
        };
        let empty = Index::empty(ProjectName::new("sample").unwrap(), from, to);
        empty.next(versions.iter().map(entry), retired.iter().map(|v| v.parse().unwrap()), from, to).unwrap()
    }

    /// The address of a mirror of this name.
    fn at(name: &str) -> String {
        format!("https://{name}.example.org/")
    }

    fn look(address: &str, index: Index) -> Look {
        let bytes = index.to_bytes().unwrap();
        let index = Ok(SignedIndex { bytes, index, signature: Vec::new() });
        let (list, back, releases, not_checked) = (Ok(None), Vec::new(), Vec::new(), Vec::new());
        Look { address: at(address), list, index, back, root: None, not_checked, releases, repository: true }
    }

    fn list(address: &str, counter: u64, sha256: Sha256) -> SignedMirrors {
        let mirrors = [(at(address), ListedMirror { index: Some(ListedIndex { counter, sha256 }) })].into();
        let list = MirrorList::after(None, ProjectName::new("sample").unwrap(), mirrors, NOW.parse().unwrap()).unwrap();
        SignedMirrors { bytes: list.to_bytes().unwrap(), list, signature: Vec::new() }
    }

    /// What the second of two mirrors is.
    fn second(looks: Vec<Look>) -> (MirrorState, String) {
        let report = judge(&ProjectName::new("sample").unwrap(), &looks, NOW.parse().unwrap());
        assert_eq!(report.mirrors[0].state, MirrorState::Current, "{report:?}");
        (report.mirrors[1].state, report.mirrors[1].reasons.join("\n"))
    }

    #[test]
    fn a_mirror_is_judged_by_what_all_show() {
        let newest = || look("a", index(&["1.0.4", "1.0.5"], &["1.0.3"]));
        assert_eq!(second(vec![newest(), newest()]), (MirrorState::Current, String::new()));
        let (state, why) = second(vec![newest(), look("b", index(&["1.0.4"], &["1.0.3"]))]);
        assert_eq!(
            (state, &*why),
            (MirrorState::Stale, "its index does not list 1.0.5, and that of another mirror does")
        );
        let (state, why) = second(vec![newest(), look("b", index(&["1.0.4", "1.0.5"], &[]))]);
        assert_eq!(
            (state, &*why),
            (MirrorState::Stale, "its index does not retire 1.0.3, and that of another mirror does")
        );
        let gone = Look { index: Err(Error::new(ErrorKind::Unreachable, "it is silent")), ..newest() };
        assert_eq!(second(vec![newest(), gone]), (MirrorState::Unreachable, "it is silent".to_owned()));
        let forged = Look { index: Err(Error::verification("its signature is bad")), ..newest() };
        assert_eq!(second(vec![newest(), forged]).0, MirrorState::Wrong);
        let none = Look { index: Err(Error::verification("it is missing").absent()), ..newest() };
        assert_eq!(second(vec![newest(), none]).0, MirrorState::Incomplete);
        let old = Look { root: Some((MirrorState::Stale, "an old root".to_owned())), ..newest() };
        assert_eq!(second(vec![newest(), old]), (MirrorState::Stale, "an old root".to_owned()));
        let late = Look { repository: false, ..look("b", index(&["1.0.4"], &["1.0.3"])) };
        let (state, why) = second(vec![newest(), late]);
        assert!(state == MirrorState::Stale && why.contains("`info/refs`"), "the worst counts, and all is said: {why}");
    }

    #[test]
    fn a_list_names_an_index_below_which_a_mirror_is_old() {
        let with = |counter, of: &Index| {
            let list = Ok(Some(list("b", counter, Sha256::of(&of.to_bytes().unwrap()))));
            let all = || index(&["1.0.5"], &[]);
            let first = Look { list, ..look("a", all()) };
            let other = Ok(Some(list_of_b()));
            second(vec![first, Look { list: other, ..look("b", all()) }])
        };
        fn list_of_b() -> SignedMirrors {
            list("c", 0, Sha256::of(b"c"))
        }
        let same = index(&["1.0.5"], &[]);
        assert_eq!(with(1, &same).0, MirrorState::Current);
        assert_eq!(with(0, &index(&[], &[])).0, MirrorState::Current, "a list may lag behind");
        let (state, why) = with(2, &same);
        assert_eq!(state, MirrorState::Stale);
        assert!(why.contains("number 1; a list of mirrors says that it had number 2"), "{why}");
        assert_eq!(with(1, &index(&["1.0.4"], &[])).0, MirrorState::Wrong, "another one of that number");
    }

    #[test]
    fn the_worst_is_the_exit_code() {
        let all = [
            MirrorState::Current,
            MirrorState::Unreachable,
            MirrorState::Incomplete,
            MirrorState::Stale,
            MirrorState::Wrong,
        ];
        assert!(all.is_sorted());
        assert_eq!(all.map(MirrorState::exit_code), [0, 5, 8, 7, 6]);
    }
}
