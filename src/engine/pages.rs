//! What follows from the index: the pages over all releases, the pages of those that it supersedes, and the plain `latest`.

use std::collections::BTreeSet;

use semver::Version;

use super::index::follow;
use crate::config::TemplateSet;
use crate::effects::{Store, read_public};
use crate::error::{Error, Result};
use crate::formats::index::{Index, IndexEntry};
use crate::formats::layout;
use crate::formats::manifest::{self, Manifest, NOTES, PAGE_DATA};
use crate::model::{BranchName, Sha256};
use crate::site::{self, IndexPage, IndexRelease, ReleasePage, RootPage};

/// What pages are made with.
pub(crate) struct PageWriter<'a> {
    /// The project's own templates.
    pub(crate) templates: &'a TemplateSet,
    /// The digest of the trust root, which the store's first page tells people to pin.
    pub(crate) root: Sha256,
    /// The lines whose releases get their pages again: another one supersedes them now.
    pub(crate) lines: &'a BTreeSet<BranchName>,
}

/// Writes all of it; says whether the index is still this one.
pub(crate) async fn write(pages: &PageWriter<'_>, store: &dyn Store, index: &Index, bytes: &[u8]) -> Result<bool> {
    let templates = pages.templates;
    let mut releases = Vec::new();
    for (version, entry) in &index.releases {
        let Some(manifest) = manifest(store, version, entry).await? else { continue };
        let page = page_data(store, &manifest).await?;
        let advisories = page.as_ref().map(|p| p.advisories.clone()).unwrap_or_default();
        if let Some(page) = page.filter(|_| pages.lines.contains(&entry.line)) {
            let newest = index.latest.lines.get(&entry.line).filter(|newest| *newest != version);
            let page = ReleasePage { superseded_by: newest.cloned(), ..page };
            let path = layout::release_file(version, layout::RELEASE_PAGE);
            if !follow(store, bytes, &path, &site::release_page(templates, &page)?).await? {
                return Ok(false);
            }
        }
        let (version, branch) = (version.clone(), entry.line.clone());
        releases.push(IndexRelease { version, branch, date: manifest.date, advisories });
    }
    let page = IndexPage { project: index.project.clone(), releases };
    if !follow(store, bytes, layout::INDEX_PAGE, &site::index_page(templates, &page)?).await? {
        return Ok(false);
    }
    let base = Some(store.public_url("").trim_end_matches('/').to_owned());
    let root = RootPage { index: page, base, root: pages.root };
    if is_ours(store).await? && !follow(store, bytes, layout::ROOT_PAGE, &site::root_page(templates, &root)?).await? {
        return Ok(false);
    }
    match &index.latest.overall {
        Some(latest) => follow(store, bytes, layout::LATEST, format!("{latest}\n").as_bytes()).await,
        None => Ok(true),
    }
}

/// Whether the page at the root is to be written: a project's own is left alone.
async fn is_ours(store: &dyn Store) -> Result<bool> {
    let there = read_public(store, layout::ROOT_PAGE).await?;
    Ok(there.is_none_or(|bytes| String::from_utf8_lossy(&bytes).contains(site::MARK)))
}

/// The manifest of a listed release, which the index names by digest.
async fn manifest(store: &dyn Store, version: &Version, entry: &IndexEntry) -> Result<Option<Manifest>> {
    let path = layout::release_file(version, manifest::FILE);
    let Some(bytes) = read_public(store, &path).await? else { return Ok(None) };
    if Sha256::of(&bytes) != entry.manifest {
        return Err(Error::conflict(format!("store `{}`: `{path}` is not the one that the index lists", store.name()))
            .hint("nothing was changed; compare it with another store"));
    }
    Manifest::from_bytes(&bytes).map(Some)
}

/// What the page of a release was made from, if it is there and says of the files what the manifest says: nobody signs it.
async fn page_data(store: &dyn Store, manifest: &Manifest) -> Result<Option<ReleasePage>> {
    let Some(bytes) = read_public(store, &layout::release_file(&manifest.version, PAGE_DATA)).await? else {
        return Ok(None);
    };
    let Ok(page) = serde_json::from_slice::<ReleasePage>(&bytes) else { return Ok(None) };
    let files = page.files.iter().map(|f| (f.name.as_str(), f.size, f.sha256, f.sha512));
    let listed = manifest.artifacts.iter().map(|a| {
        let digests = &a.digests;
        (a.name.as_str(), digests.size, digests.sha256, digests.sha512)
    });
    let same = (&page.version, &page.branch, &page.commit, &page.tag)
        == (&manifest.version, &manifest.line, &manifest.commit, &manifest.tag.name);
    let same = same && files.collect::<BTreeSet<_>>() == listed.collect();
    let notes = manifest.artifacts.iter().find(|a| a.name.as_str() == NOTES).map(|a| a.digests.sha256);
    let same = same && page.notes.as_ref().map(|n| Sha256::of(n.as_bytes())) == notes;
    Ok(Some(page).filter(|_| same))
}
