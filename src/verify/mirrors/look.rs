//! What one mirror shows.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use semver::Version;
use serde::{Deserialize, Serialize};

use super::judge::MirrorState;
use super::opened::{Opened, Shown, within};
use super::{MirrorsRequest, unremembered};
use crate::effects::{Disk, files, locks};
use crate::error::{Context as _, Error, ErrorKind, Result};
use crate::formats::index::Index;
use crate::formats::layout;
use crate::formats::manifest::{self, Manifest};
use crate::formats::mirrors::MirrorList;
use crate::model::{Artifact, Sha256};
use crate::trust::{IndexSigners, SignedIndex, SignedMirrors, TrustedRoot, check_mirrors, explain};
use crate::verify::index::{self, Judge};
use crate::verify::release::{DOCUMENT, SIGNATURE};
use crate::verify::{Layout, ReleaseQuery, Report, Request, Source, verify};

/// What a mirror shows, or why it could not be seen. Nothing is judged yet.
pub(super) struct Look {
    /// Its base address.
    pub(super) address: String,
    /// Its list of mirrors; none if it has none.
    pub(super) list: Result<Option<SignedMirrors>>,
    /// Its index.
    pub(super) index: Result<SignedIndex>,
    /// What is wrong with the index or the list beside what was seen before.
    pub(super) back: Vec<Error>,
    /// What is wrong with its trust root beside the one that counts.
    pub(super) root: Option<(MirrorState, String)>,
    /// What could not be checked, and why.
    pub(super) not_checked: Vec<String>,
    /// Every release that its index lists.
    pub(super) releases: Vec<(Version, Result<ReleaseLook>)>,
    /// Whether it serves a repository that can be cloned.
    pub(super) repository: bool,
}

/// A release as a mirror has it.
pub(super) struct ReleaseLook {
    /// What was checked.
    pub(super) report: Report,
    /// Its manifest is not the one that the index lists.
    pub(super) other_manifest: bool,
    /// The artifacts that are missing.
    pub(super) missing: Vec<String>,
    /// The artifacts of another size: name, found and right size.
    pub(super) other_size: Vec<(String, u64, u64)>,
}

impl Look {
    /// The list, if its signature counts: how old it is does not matter to somebody who looks for addresses.
    pub(super) fn list_that_counts(&self) -> Option<&MirrorList> {
        self.list.as_ref().ok().and_then(Option::as_ref).map(|signed| &signed.list)
    }

    /// The index, if its signature counts.
    pub(super) fn index(&self) -> Option<&Index> {
        self.index.as_ref().ok().map(|signed| &signed.index)
    }
}

/// The base address of a place, as lists have it: one spelling, so that no mirror counts twice.
pub(super) fn place(request: &MirrorsRequest, at: &str) -> String {
    Source::new(at, Arc::clone(&request.disk)).map_or_else(|_| at.to_owned(), |source| source.place())
}

/// Looks at everything that a mirror shows, as long as it may take.
pub(super) async fn at(request: &MirrorsRequest, mirror: Opened) -> Look {
    let root = mirror.of_its_root(request, &request.trust);
    let Opened { address, left, shown } = mirror;
    let look = async {
        match shown {
            Ok(Shown { source, .. }) => at_source(request, address.clone(), source).await,
            Err(e) => unseen(address.clone(), e),
        }
    };
    let look = within(left, look).await.0.unwrap_or_else(|slow| unseen(address.clone(), slow));
    Look { root, ..look }
}

async fn at_source(request: &MirrorsRequest, address: String, source: Source) -> Look {
    let judge = Judge { source: &source, trust: &request.trust, now: request.now };
    let index = index::read(judge).await;
    if let Err(e) = &index
        && e.kind() != ErrorKind::Verification
    {
        // Asking for more would take as long again.
        return unseen(address, Error::new(e.kind(), explain(e)));
    }
    let list = list(&source, &request.trust, request.now).await;
    let (mut back, mut not_checked) = (Vec::new(), Vec::new());
    if let Err(why) = &request.state_dir {
        not_checked.push(unremembered(why));
    }
    if let Ok(dir) = &request.state_dir {
        if let Ok(signed) = &index {
            back.extend(
                index::remember(&*request.disk, &index::file(dir, &request.trust, &source), signed, &request.trust)
                    .err(),
            );
        }
        if let Ok(Some(signed)) = &list {
            back.extend(remember(&*request.disk, &memory(dir, &request.trust, &source), signed).err());
        }
    }
    // Without a memory the rest is checked all the same.
    back.retain(|e: &Error| {
        let is_back = e.kind() == ErrorKind::Verification;
        if !is_back {
            not_checked.push(unremembered(&explain(e)));
        }
        is_back
    });
    let mut releases = Vec::new();
    for version in index.iter().flat_map(|signed| signed.index.releases.keys()) {
        releases.push((version.clone(), release(request, &source, &index, version).await));
    }
    let refs = layout::repository_file(&request.trust.root.project, "info/refs");
    let repository = matches!(source.read(&refs, DOCUMENT).await, Ok(Some(_)));
    Look { address, list, index, back, root: None, not_checked, releases, repository }
}

fn unseen(address: String, e: Error) -> Look {
    let (list, index, back, releases) = (Ok(None), Err(e), Vec::new(), Vec::new());
    Look { address, list, index, back, root: None, not_checked: Vec::new(), releases, repository: false }
}

/// The list of mirrors that a place shows, if it has one and it counts.
pub(in crate::verify) async fn list(
    source: &Source,
    trust: &TrustedRoot,
    now: Timestamp,
) -> Result<Option<SignedMirrors>> {
    let Some(bytes) = source.read(layout::MIRRORS, DOCUMENT).await? else { return Ok(None) };
    let signature = source.read(&layout::mirrors_signature(&bytes), SIGNATURE).await?;
    let checked = check_mirrors(trust, &bytes, signature, IndexSigners::Reader, now);
    checked.map(Some).map_err(|e| e.context(format!("`{}`", layout::MIRRORS)))
}

/// One release: the small files as `verify` checks them, and that the artifacts are there.
async fn release(
    request: &MirrorsRequest,
    source: &Source,
    index: &Result<SignedIndex>,
    version: &Version,
) -> Result<ReleaseLook> {
    let latest = index.as_ref().ok().and_then(|signed| signed.index.latest.overall.as_ref());
    let whole = match &request.whole {
        Some(ReleaseQuery::Version(wanted)) => wanted == version,
        Some(ReleaseQuery::Latest) => latest == Some(version),
        _ => false,
    };
    let path = layout::release_file(version, manifest::FILE);
    let bytes = source.read(&path, DOCUMENT).await?;
    let entry = index.as_ref().ok().and_then(|signed| signed.index.releases.get(version));
    let other_manifest = bytes.as_ref().zip(entry).is_some_and(|(bytes, entry)| Sha256::of(bytes) != entry.manifest);
    let manifest = bytes.and_then(|bytes| Manifest::from_bytes(&bytes).ok());
    // Only names that somebody vouches for are asked for, one after another.
    let vouched = entry.is_some() && !other_manifest;
    let artifacts = manifest.filter(|_| vouched).map(|manifest| manifest.artifacts).unwrap_or_default();
    let (mut missing, mut other_size) = (Vec::new(), Vec::new());
    for Artifact { name, digests, .. } in artifacts.iter().take(if whole { 0 } else { crate::verify::MAX_COUNT }) {
        match source.size(&layout::release_file(version, name.as_str())).await? {
            None => missing.push(name.to_string()),
            Some(Some(size)) if size != digests.size => other_size.push((name.to_string(), size, digests.size)),
            Some(_) => {}
        }
    }
    let there = artifacts.iter().filter(|artifact| !missing.contains(&artifact.name.to_string()));
    // `verify` takes none for all of them.
    let one = there.min_by_key(|artifact| artifact.digests.size).filter(|_| !whole);
    let asked = Request {
        source: source.clone(),
        layout: Layout::Store,
        version: version.clone(),
        line: None,
        clone: None,
        only: one.map(|artifact| (artifact.name.clone(), None)).into_iter().collect(),
        keep: None,
        trust: request.trust.clone(),
        // What was seen before was compared.
        state_dir: None,
        disk: Arc::clone(&request.disk),
        now: request.now,
    };
    Ok(ReleaseLook { report: verify(asked).await?, other_manifest, missing, other_size })
}

/// The newest list of mirrors that was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Seen {
    generated: Timestamp,
    digest: Sha256,
}

/// Where the newest list of a place is remembered, beside the highest index.
fn memory(state_dir: &Path, trust: &TrustedRoot, source: &Source) -> PathBuf {
    let place = Sha256::of(source.place().as_bytes()).hex();
    state_dir.join(format!("{}.{}{}", trust.root.project, &place[..16], super::super::MIRRORS_SEEN_SUFFIX))
}

/// Remembers a list, unless one that is newer was seen.
///
/// # Errors
/// An earlier list than one that was seen, or another one of that time.
pub(in crate::verify) fn remember_list(
    disk: &dyn Disk,
    (state_dir, trust, source): (&Path, &TrustedRoot, &Source),
    signed: &SignedMirrors,
) -> Result<()> {
    remember(disk, &memory(state_dir, trust, source), signed)
}

fn remember(disk: &dyn Disk, path: &Path, signed: &SignedMirrors) -> Result<()> {
    let found = Seen { generated: signed.list.generated, digest: Sha256::of(&signed.bytes) };
    if let Some(dir) = path.parent() {
        files::create_dir_all(disk, dir, 0o700)?;
    }
    let lock = path.with_extension("lock");
    let _turn = locks::wait(disk, &lock, "another lifeboat process remembers which list of mirrors it has seen")?;
    let what = format!("cannot read `{}`", path.display());
    let before: Option<Seen> = match disk.read(path).context(&what)? {
        Some(bytes) => Some(serde_json::from_slice(&bytes).map_err(|e| {
            Error::fatal(&what).because(e).hint("remove the file if you accept any list that is properly signed")
        })?),
        None => None,
    };
    let list = format!("`{}`", layout::MIRRORS);
    match before {
        Some(before) if found.generated < before.generated => Err(Error::verification(format!(
            "{list} was rolled back: it is of {}, and one of {} had been seen",
            found.generated, before.generated
        ))),
        Some(before) if found.generated == before.generated && found.digest != before.digest => {
            Err(Error::verification(format!("{list} forked: another one of {} had been seen", found.generated)))
        }
        Some(before) if before == found => Ok(()),
        _ => {
            let text = serde_json::to_vec(&found).context("cannot remember the list of mirrors")?;
            files::replace(disk, path, 0o600, &mut &*text)
        }
    }
}
