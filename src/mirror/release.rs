//! One release: verified as a stranger does, then put file by file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use semver::Version;

use super::{Mirror, Mirrored, copy};
use crate::effects::{PathKind, PutNew};
use crate::error::{Context as _, Error, Result};
use crate::formats::index::IndexEntry;
use crate::formats::manifest::{self, Manifest, PAGE_DATA};
use crate::formats::{checksums, layout};
use crate::model::{ArtifactName, Digests, Sha256};
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
    for group in in_order(mirror, &dir, &listed)? {
        let mut files = Vec::new();
        for name in group {
            let local = dir.join(&name);
            // What people signed for is put by the digests that they signed.
            let signed = listed.artifacts.iter().find(|artifact| artifact.name.as_str() == name);
            let digests = signed.map_or_else(|| copy::digests_of(mirror, &local), |artifact| Ok(artifact.digests))?;
            files.push((layout::release_file(version, &name), local, digests));
        }
        let put = |(path, local, digests)| copy::put_file(mirror.to.clone(), path, (local, digests));
        let put = mirror.to.transfers().each(files, |(_, _, digests)| digests.size, put).await?;
        put.into_iter().for_each(|put| done.add(put));
    }
    mirror.disk.remove_dir_all(&dir).context(format!("cannot remove `{}`", dir.display()))?;
    page_data(mirror, from, version, done).await
}

/// The artifacts that the mirror does not have; what it has must have the right bytes.
async fn missing(mirror: &Mirror<'_>, listed: &Manifest) -> Result<Vec<ArtifactName>> {
    let artifacts: Vec<(String, Digests)> = listed
        .artifacts
        .iter()
        .map(|artifact| (layout::release_file(&listed.version, artifact.name.as_str()), artifact.digests))
        .collect();
    let has = |(path, digests)| copy::has_file(mirror.to.clone(), path, digests);
    // How much of them is there is not known.
    let has = mirror.to.transfers().each(artifacts, |_| 0, has).await?;
    let lacking = listed.artifacts.iter().zip(has).filter(|(_, has)| !has);
    let mut out: Vec<ArtifactName> = lacking.map(|(artifact, _)| artifact.name.clone()).collect();
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

/// The files that were kept, in groups: sums follow what they list, and what vouches for sums follows these, so that whoever has it
/// finds all.
fn in_order(mirror: &Mirror<'_>, dir: &Path, listed: &Manifest) -> Result<[Vec<String>; 3]> {
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
    names.sort();
    let is_artifact = |name: &String| listed.artifacts.iter().any(|artifact| artifact.name.as_str() == name);
    let is_sum =
        |name: &String| [manifest::FILE, checksums::SHA256SUMS, checksums::SHA512SUMS].contains(&name.as_str());
    let (artifacts, rest): (Vec<_>, Vec<_>) = names.into_iter().partition(is_artifact);
    let (sums, vouching) = rest.into_iter().partition(is_sum);
    Ok([artifacts, sums, vouching])
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
