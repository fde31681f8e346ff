//! What a forge needs next to have a release: pure, decided anew from each read of it.

use semver::Version;

use crate::effects::{AssetFile, Discard, ForgeView, MarkLatest, ReleaseText, SeenAsset, SeenLatest, SeenRelease};
use crate::model::Oid;

/// A release as it should be on a forge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedRelease {
    /// What it says.
    pub text: ReleaseText,
    /// Its version; the tag's name contains it.
    pub version: Version,
    /// The signed tag object to which the tag must point.
    pub tag_id: Oid,
    /// Its exact asset set.
    pub assets: Vec<AssetFile>,
    /// The highest version of the whole train that is not a pre-release.
    pub train_latest: Option<Version>,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReleaseMove {
    /// Nothing: the release is there, equal, and `latest` is right. Where a stranger finds it.
    Done(String),
    /// The tag is not there yet: whoever pushes it comes first.
    AwaitTag,
    /// Make the draft.
    Create,
    /// Remove what is half-made or double.
    Discard(Vec<Discard>),
    /// Upload these assets to this draft.
    Upload(u64, Vec<AssetFile>),
    /// The forge has not yet computed the digests of these assets.
    AwaitDigests(Vec<String>),
    /// Publish this draft.
    Publish(u64, MarkLatest),
    /// Let `latest` show this published release: ours, or a higher one.
    SetLatest(u64),
    /// Something else is there: the differences, one a line.
    Conflict(Vec<String>),
}

/// Decides from one read of the forge what the release needs next.
#[must_use]
pub fn next_move(wanted: &WantedRelease, view: &ForgeView) -> ReleaseMove {
    match &view.tag {
        None => return ReleaseMove::AwaitTag,
        Some(there) if *there != wanted.tag_id => {
            return ReleaseMove::Conflict(vec![
                format!("tag `{}` points to {there}", wanted.text.tag),
                format!("ours is {}", wanted.tag_id),
            ]);
        }
        Some(_) => {}
    }
    let ours = |r: &&SeenRelease| r.tag == wanted.text.tag.as_str();
    let published: Vec<&SeenRelease> = view.releases.iter().filter(ours).filter(|r| !r.draft).collect();
    let mut drafts: Vec<&SeenRelease> = view.releases.iter().filter(ours).filter(|r| r.draft).collect();
    drafts.sort_by_key(|r| r.id);
    // A draft that says anything else was made by a person: it is theirs.
    let foreign: Vec<String> = drafts.iter().flat_map(|d| differences_of_text(wanted, d)).collect();
    if !foreign.is_empty() {
        return ReleaseMove::Conflict(foreign);
    }
    match (&published[..], &drafts[..]) {
        ([], []) => ReleaseMove::Create,
        ([], [draft]) => complete(wanted, view, draft),
        // Two answers were lost, or a read was stale: the oldest draft stays.
        ([], [_, more @ ..]) => remove(wanted, more),
        ([release], []) => proven(wanted, view, release),
        ([release], more) => match proven(wanted, view, release) {
            ReleaseMove::Conflict(lines) => ReleaseMove::Conflict(lines),
            _ => remove(wanted, more),
        },
        ([_, _, ..], _) => ReleaseMove::Conflict(vec![format!("two published releases of tag `{}`", wanted.text.tag)]),
    }
}

/// Brings a draft to the exact asset set, then publishes it.
fn complete(wanted: &WantedRelease, view: &ForgeView, draft: &SeenRelease) -> ReleaseMove {
    let half: Vec<Discard> = draft
        .assets
        .iter()
        .filter(|a| !a.whole && wanted.assets.iter().any(|w| w.name == a.name))
        .map(|a| Discard::Asset(a.id))
        .collect();
    if !half.is_empty() {
        return ReleaseMove::Discard(half);
    }
    let different = differences_of_assets(wanted, draft, Missing::IsFine);
    if !different.is_empty() {
        return ReleaseMove::Conflict(different);
    }
    let there = |w: &&AssetFile| draft.assets.iter().any(|a| a.name == w.name);
    let missing: Vec<AssetFile> = wanted.assets.iter().filter(|w| !there(w)).cloned().collect();
    if !missing.is_empty() {
        return ReleaseMove::Upload(draft.id, missing);
    }
    let unproven: Vec<String> = draft.assets.iter().filter(|a| a.digest.is_none()).map(|a| a.name.clone()).collect();
    if !unproven.is_empty() {
        return ReleaseMove::AwaitDigests(unproven);
    }
    ReleaseMove::Publish(draft.id, if becomes_latest(wanted, view) { MarkLatest::Yes } else { MarkLatest::No })
}

/// Compares what is published with what should be, byte for byte.
fn proven(wanted: &WantedRelease, view: &ForgeView, release: &SeenRelease) -> ReleaseMove {
    let mut different = differences_of_text(wanted, release);
    different.extend(differences_of_assets(wanted, release, Missing::IsDifferent));
    if !different.is_empty() {
        return ReleaseMove::Conflict(different);
    }
    let unproven: Vec<String> = release.assets.iter().filter(|a| a.digest.is_none()).map(|a| a.name.clone()).collect();
    if !unproven.is_empty() {
        return ReleaseMove::AwaitDigests(unproven);
    }
    match latest_to_be(wanted, view, release) {
        Some(id) => ReleaseMove::SetLatest(id),
        None => ReleaseMove::Done(release.location.clone()),
    }
}

/// The release that must become `latest`: ours, if it is the highest; another one, if ours took it from a higher version, as
/// one does that was published by hand.
fn latest_to_be(wanted: &WantedRelease, view: &ForgeView, ours: &SeenRelease) -> Option<u64> {
    let SeenLatest::Made(there) = &view.latest else { return None };
    let is_ours = there.as_deref() == Some(wanted.text.tag.as_str());
    if becomes_latest(wanted, view) {
        return (!is_ours).then_some(ours.id);
    }
    let highest = published_versions(wanted, view).max_by(|(a, _), (b, _)| a.cmp(b));
    // One that this train has yet to publish takes it by itself.
    let is_last = |v: &Version| *v > wanted.version && wanted.train_latest.as_ref().is_none_or(|train| v >= train);
    highest.filter(|(version, _)| is_ours && is_last(version)).map(|(_, release)| release.id)
}

/// Only drafts that hold nothing but our own bytes are removed.
fn remove(wanted: &WantedRelease, drafts: &[&SeenRelease]) -> ReleaseMove {
    let different: Vec<String> =
        drafts.iter().flat_map(|d| differences_of_assets(wanted, d, Missing::IsFine)).collect();
    if !different.is_empty() {
        return ReleaseMove::Conflict(different);
    }
    ReleaseMove::Discard(drafts.iter().map(|d| Discard::Draft(d.id)).collect())
}

fn differences_of_text(wanted: &WantedRelease, there: &SeenRelease) -> Vec<String> {
    let what = if there.draft { "draft" } else { "release" };
    let (text, tag) = (&wanted.text, &wanted.text.tag);
    let mut out = Vec::new();
    if there.title != text.title {
        out.push(format!("{what} of tag `{tag}` has the title `{}`, ours is `{}`", there.title, text.title));
    }
    if !same_notes(&there.notes, &text.notes) {
        out.push(format!("{what} of tag `{tag}` has other notes"));
    }
    if there.prerelease != text.prerelease {
        let is = if there.prerelease { "marked" } else { "not marked" };
        out.push(format!("{what} of tag `{tag}` is {is} as a pre-release"));
    }
    out
}

/// A web form sends CRLF, and trailing white space says nothing.
fn same_notes(there: &str, ours: &str) -> bool {
    there.replace("\r\n", "\n").trim_end() == ours.replace("\r\n", "\n").trim_end()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    IsFine,
    IsDifferent,
}

fn differences_of_assets(wanted: &WantedRelease, there: &SeenRelease, missing: Missing) -> Vec<String> {
    let tag = &wanted.text.tag;
    let mut out = Vec::new();
    for asset in &there.assets {
        match wanted.assets.iter().find(|w| w.name == asset.name) {
            None => out.push(format!("asset `{}` of tag `{tag}` is not ours", asset.name)),
            Some(ours) => out.extend(difference(ours, asset, missing)),
        }
    }
    if missing == Missing::IsDifferent {
        let absent = |w: &&AssetFile| !there.assets.iter().any(|a| a.name == w.name);
        out.extend(wanted.assets.iter().filter(absent).map(|w| format!("published without asset `{}`", w.name)));
    }
    out
}

fn difference(ours: &AssetFile, there: &SeenAsset, missing: Missing) -> Option<String> {
    if !there.whole {
        return (missing == Missing::IsDifferent).then(|| format!("asset `{}` is published half-made", ours.name));
    }
    let same = there.size == ours.digests.size && there.digest.is_none_or(|d| d == ours.digests.sha256);
    (!same).then(|| {
        let digest = there.digest.map_or_else(|| "no digest".to_owned(), |d| format!("sha256 {d}"));
        format!(
            "asset `{}` has {} bytes, {digest}; ours has {} bytes, sha256 {}",
            ours.name, there.size, ours.digests.size, ours.digests.sha256
        )
    })
}

/// `latest` goes to the highest version of the train, if nothing higher is published already: it only moves forward.
fn becomes_latest(wanted: &WantedRelease, view: &ForgeView) -> bool {
    wanted.train_latest.as_ref() == Some(&wanted.version)
        && published_versions(wanted, view).all(|(v, _)| v <= wanted.version)
}

/// The published releases whose tags are named as ours is, by version; pre-releases are never latest.
fn published_versions<'a>(
    wanted: &'a WantedRelease,
    view: &'a ForgeView,
) -> impl Iterator<Item = (Version, &'a SeenRelease)> {
    let (prefix, suffix) = wanted.text.tag.as_str().split_once(&wanted.version.to_string()).unwrap_or_default();
    view.releases
        .iter()
        .filter(|r| !r.draft && !r.prerelease)
        .filter_map(move |r| Some((Version::parse(r.tag.strip_prefix(prefix)?.strip_suffix(suffix)?).ok()?, r)))
        .filter(|(v, _)| v.pre.is_empty())
}

#[cfg(test)]
mod tests;
