//! One release: verified as a stranger does, then put file by file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use semver::Version;

use super::{Mirror, Mirrored, copy};
use crate::effects::{Area, PathKind, PutNew};
use crate::engine::{digests_at, same_or_conflict};
use crate::error::{Context as _, Error, Result};
use crate::formats::index::IndexEntry;
use crate::formats::manifest::{self, Manifest, PAGE_DATA};
use crate::formats::{checksums, layout};
use crate::model::{ArtifactName, Sha256};
use crate::verify::{DOCUMENT, Download, Layout, Request, Source, verify};

/// Copies what the mirror lacks of a release.
pub(super) async fn copy(
    mirror: &Mirror<'_>,
    from: &Source,
    (version, entry): (&Version, &IndexEntry),
    done: &mut Mirrored,
) -> Result<()> {
    let path = layout::release_file(version, manifest::FILE);
    let bytes = from.read(&path, DOCUMENT).await?;
    let bytes = bytes.ok_or_else(|| Error::verification(format!("`{path}` is missing there")))?;
    if Sha256::of(&bytes) != entry.manifest {
        return Err(Error::verification(format!("`{path}` there is not the one that the index lists")));
    }
    let listed = Manifest::from_bytes(&bytes)?;
    let missing = missing(mirror, &listed).await?;
    let dir = mirror.scratch.join(version.to_string());
    download(mirror, from, (version, &dir, missing)).await?;
    for name in in_order(mirror, &dir, &listed)? {
        let local = dir.join(&name);
        // What people signed for is put by the digests that they signed.
        let signed = listed.artifacts.iter().find(|artifact| artifact.name.as_str() == name);
        let digests = signed.map_or_else(|| copy::digests_of(mirror, &local), |artifact| Ok(artifact.digests))?;
        copy::put_file(mirror, &layout::release_file(version, &name), (&local, &digests), done).await?;
    }
    mirror.disk.remove_dir_all(&dir).context(format!("cannot remove `{}`", dir.display()))?;
    page_data(mirror, from, version, done).await
}

/// The artifacts that the mirror does not have; what it has must have the right bytes.
async fn missing(mirror: &Mirror<'_>, listed: &Manifest) -> Result<Vec<ArtifactName>> {
    let mut out = Vec::new();
    for artifact in &listed.artifacts {
        let path = layout::release_file(&listed.version, artifact.name.as_str());
        match digests_at(mirror.to, &Area::Public, &path).await? {
            None => out.push(artifact.name.clone()),
            found => same_or_conflict((mirror.to, &Area::Public), &path, &artifact.digests, found)
                .map_err(|e| e.detail("a mirror that was damaged: remove this file there, then mirror again"))?,
        }
    }
    if out.is_empty() {
        // Signatures and approvals are verified all the same; one small file is read with them.
        let smallest = listed.artifacts.iter().min_by_key(|artifact| artifact.digests.size);
        out.extend(smallest.map(|artifact| artifact.name.clone()));
    }
    Ok(out)
}

/// Verifies the release, and keeps what was read of it in `dir`.
async fn download(
    mirror: &Mirror<'_>,
    from: &Source,
    (version, dir, only): (&Version, &Path, Vec<ArtifactName>),
) -> Result<()> {
    let keep = Download::begin(Arc::clone(&mirror.disk), dir)?;
    let only: BTreeMap<ArtifactName, Option<PathBuf>> = only.into_iter().map(|name| (name, None)).collect();
    let request = Request {
        source: from.clone(),
        layout: Layout::Store,
        version: version.clone(),
        line: None,
        clone: None,
        only,
        keep: Some(keep.clone()),
        trust: mirror.trust.clone(),
        state_dir: mirror.state_dir.clone(),
        disk: Arc::clone(&mirror.disk),
        now: mirror.now,
    };
    let verified = match verify(request).await {
        Ok(report) => report.require().map(|()| report),
        Err(e) => Err(e),
    };
    match verified {
        Ok(report) => keep.end(from, &layout::release(version), &report),
        Err(e) => {
            keep.give_up();
            Err(e.context("nothing of this release was copied"))
        }
    }
}

/// The files that were kept, artifacts and sums before what vouches for them.
fn in_order(mirror: &Mirror<'_>, dir: &Path, listed: &Manifest) -> Result<Vec<String>> {
    let mut names = Vec::new();
    let mut open = vec![String::new()];
    while let Some(below) = open.pop() {
        let at = dir.join(&below);
        for entry in mirror.disk.list(&at).context(format!("cannot list `{}`", at.display()))? {
            let name = if below.is_empty() { entry.name } else { format!("{below}/{}", entry.name) };
            match entry.kind {
                PathKind::Dir => open.push(name),
                _ => names.push(name),
            }
        }
    }
    let is_file = |name: &String| {
        let sums = [manifest::FILE, checksums::SHA256SUMS, checksums::SHA512SUMS].contains(&name.as_str());
        sums || listed.artifacts.iter().any(|artifact| artifact.name.as_str() == name)
    };
    names.sort_by_key(|name| (!is_file(name), name.clone()));
    Ok(names)
}

/// What the page is made from: nobody signs it, and whoever makes the page compares it with the manifest.
async fn page_data(mirror: &Mirror<'_>, from: &Source, version: &Version, done: &mut Mirrored) -> Result<()> {
    let path = layout::release_file(version, PAGE_DATA);
    let Some(bytes) = from.read(&path, DOCUMENT).await? else { return Ok(()) };
    if copy::put_bytes(mirror, &path, &bytes).await? == PutNew::Created {
        done.files += 1;
        done.bytes += bytes.len() as u64;
    }
    Ok(())
}
