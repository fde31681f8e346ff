//! Which release is meant: a version, the newest one, a tag, or the one that a file on this machine is of.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use semver::Version;

use super::index::{Judge, current};
use super::release::DOCUMENT;
use super::source::hash_file;
use super::{Layout, MAX_SIZE, Source};
use crate::effects::Disk;
use crate::error::{Error, ErrorKind, Result};
use crate::formats::index::Index;
use crate::formats::layout;
use crate::formats::manifest::{self, Manifest};
use crate::model::{ArtifactName, BranchName, Digests, Sha256, escape};
use crate::trust::TrustedRoot;

/// What somebody wants to verify.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReleaseQuery {
    /// This version.
    Version(Version),
    /// The newest release, of a line if one is named.
    Latest,
    /// The release with this tag.
    Tag(String),
    /// A file on this machine, whatever release it is of.
    File(PathBuf),
}

impl ReleaseQuery {
    /// Reads `1.0.5`, `v1.0.5`, `latest`, a tag, or the path of a file.
    #[must_use]
    pub fn parse(text: &str, is_file: impl Fn(&Path) -> bool) -> Self {
        let version = || Version::parse(text.strip_prefix('v').unwrap_or(text)).ok();
        let path = PathBuf::from(text);
        match () {
            () if text == "latest" => Self::Latest,
            () if !text.contains('/') && version().is_some() => version().map_or(Self::Latest, Self::Version),
            () if text.contains('/') && !text.contains("://") || is_file(&path) => Self::File(path),
            () => Self::Tag(text.to_owned()),
        }
    }
}

/// The release that is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundRelease {
    /// Its version.
    pub version: Version,
    /// The artifact that the file is.
    pub artifact: Option<ArtifactName>,
}

/// Where a release is looked for.
#[derive(Clone, Copy)]
pub struct Search<'a> {
    /// Where the bytes are.
    pub source: &'a Source,
    /// How they are laid out.
    pub layout: Layout,
    /// By which an index counts.
    pub trust: &'a TrustedRoot,
    /// Where the highest index that was seen is remembered; none to remember nothing.
    pub state_dir: Option<&'a Path>,
    /// This machine's files.
    pub disk: &'a dyn Disk,
    /// The line whose newest release is meant.
    pub line: Option<&'a BranchName>,
    /// The time of checking.
    pub now: Timestamp,
}

/// Finds the release that is meant.
///
/// # Errors
/// [`ErrorKind::Input`] where there is none, with those that there are; why an index does not count, where it is needed.
pub async fn find(search: Search<'_>, wanted: &ReleaseQuery) -> Result<FoundRelease> {
    let Search { source, layout, trust, state_dir, disk, line, now } = search;
    let memory = state_dir.map(|dir| (disk, dir));
    let plain = |version: &Version| FoundRelease { version: version.clone(), artifact: None };
    if layout == Layout::Release {
        return match wanted {
            ReleaseQuery::Version(version) => Ok(plain(version)),
            ReleaseQuery::Latest | ReleaseQuery::Tag(_) => {
                Err(Error::input("a release by itself has no list of versions")
                    .hint("name the version, or a store's address instead of the directory"))
            }
            ReleaseQuery::File(path) => beside(source, disk, path).await,
        };
    }
    let index = match current(Judge { source, trust, now }, memory).await {
        Ok(index) => index,
        // The check says everything that is wrong, the index among it.
        Err(e) if e.kind() == ErrorKind::Verification => {
            return match wanted {
                ReleaseQuery::Version(version) => Ok(plain(version)),
                _ => Err(e),
            };
        }
        Err(e) => return Err(e),
    };
    match wanted {
        ReleaseQuery::Version(version) if index.releases.contains_key(version) => Ok(plain(version)),
        ReleaseQuery::Version(version) => {
            let there = source.read(&layout::release_file(version, manifest::FILE), DOCUMENT).await?;
            // Something that the index does not list lies there: the check says so.
            if there.is_some() { Ok(plain(version)) } else { Err(no_such(source, &index, version)) }
        }
        ReleaseQuery::Latest => {
            let found = match line {
                Some(line) => index.latest.lines.get(line),
                None => index.latest.overall.as_ref(),
            };
            found.map(plain).ok_or_else(|| match line {
                Some(line) => there_are(Error::input(format!("there is no release of line `{line}`")), &index),
                None => Error::input(format!("`{}` lists no release yet", escape(&source.place()))),
            })
        }
        ReleaseQuery::Tag(tag) => {
            let found = index.releases.iter().find(|(_, e)| e.tag.as_str() == tag);
            found.map(|(version, _)| plain(version)).ok_or_else(|| {
                let what = format!("`{}` is neither a version, nor a tag that is listed, nor a file here", escape(tag));
                there_are(Error::input(what), &index)
            })
        }
        ReleaseQuery::File(path) => of_file(source, &index, disk, path).await,
    }
}

fn no_such(source: &Source, index: &Index, version: &Version) -> Error {
    let place = escape(&source.place());
    if index.retired.contains(version) {
        let what = format!("{version} was retired: its train was abandoned, and it will never be released");
        return there_are(Error::input(what), index);
    }
    there_are(Error::input(format!("there is no release {version} in `{place}`")), index)
}

/// The versions that there are, the newest first, a line each.
fn there_are(mut error: Error, index: &Index) -> Error {
    const SHOWN: usize = 8;
    for (line, latest) in index.latest.lines.iter().rev().take(SHOWN) {
        let mut of_line: Vec<String> =
            index.releases.iter().rev().filter(|(_, e)| e.line == *line).map(|(v, _)| v.to_string()).collect();
        let more = of_line.len().saturating_sub(SHOWN);
        of_line.truncate(SHOWN);
        let more = if more > 0 { format!(", and {more} older") } else { String::new() };
        error = error.detail(format!("{line}: {}{more} (newest: {latest})", of_line.join(", ")));
    }
    error.hint("name one of these, or `latest`")
}

fn named(path: &Path) -> Result<ArtifactName> {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(ArtifactName::new(name)?)
}

fn hashed(disk: &dyn Disk, path: &Path) -> Result<Digests> {
    let found = hash_file(disk, path, &path.display().to_string(), MAX_SIZE, &mut std::io::sink())?;
    let found = found.ok_or_else(|| {
        Error::input(format!("there is no file `{}`", escape(&path.display().to_string())))
            .hint("give a version, `latest`, or the path of a downloaded file")
    })?;
    Ok(*found.digests())
}

/// The artifact of a manifest that a file is, by its bytes, or else by its name.
fn artifact(manifest: &Manifest, digests: &Digests, name: Option<&ArtifactName>) -> Option<ArtifactName> {
    let by_bytes = manifest.artifacts.iter().find(|a| a.digests == *digests);
    let found = by_bytes.or_else(|| manifest.artifacts.iter().find(|a| Some(&a.name) == name));
    found.map(|a| a.name.clone())
}

/// The release beside which a file lies.
async fn beside(source: &Source, disk: &dyn Disk, path: &Path) -> Result<FoundRelease> {
    let digests = hashed(disk, path)?;
    let Some(bytes) = source.read(manifest::FILE, DOCUMENT).await? else {
        return Err(Error::input(format!(
            "there is no `{}` beside `{}`",
            manifest::FILE,
            escape(&path.display().to_string())
        ))
        .hint("give a store's address after the file: what belongs to it is fetched from there"));
    };
    let manifest = Manifest::from_bytes(&bytes)?;
    match artifact(&manifest, &digests, named(path).ok().as_ref()) {
        Some(name) => Ok(FoundRelease { version: manifest.version, artifact: Some(name) }),
        None => Err(unknown(path)),
    }
}

/// The listed release that a file is of: the newest that has its bytes, or else the newest that has its name.
async fn of_file(source: &Source, index: &Index, disk: &dyn Disk, path: &Path) -> Result<FoundRelease> {
    let digests = hashed(disk, path)?;
    let name = named(path).ok();
    let mut by_name = None;
    for (version, entry) in index.releases.iter().rev() {
        let Some(bytes) = source.read(&layout::release_file(version, manifest::FILE), DOCUMENT).await? else {
            continue;
        };
        if Sha256::of(&bytes) != entry.manifest {
            continue;
        }
        let Some(found) = artifact(&Manifest::from_bytes(&bytes)?, &digests, name.as_ref()) else { continue };
        let same = Manifest::from_bytes(&bytes)?.artifacts.iter().any(|a| a.name == found && a.digests == digests);
        let found = FoundRelease { version: version.clone(), artifact: Some(found) };
        if same {
            return Ok(found);
        }
        by_name = by_name.or(Some(found));
    }
    by_name.ok_or_else(|| unknown(path))
}

fn unknown(path: &Path) -> Error {
    Error::input(format!("no release that is listed there has the file `{}`", escape(&path.display().to_string())))
        .hint("only files that the sums list can be verified so: archives, notes, bundles; is this another project's store?")
}
