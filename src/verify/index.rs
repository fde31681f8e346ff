//! The index: signed by the freshness key, not stale, not older than one that was seen, and it lists this release.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::release::{DOCUMENT, Release, SIGNATURE};
use super::{Layout, Report, Request};
use crate::effects::{Disk, files};
use crate::error::{Context as _, Error, ErrorKind, Result};
use crate::formats::index::{Index, PATH};
use crate::formats::openpgp::{Detached, Hashed};
use crate::model::{ProjectName, Sha256};
use crate::trust::{SKEW, Window, check_key_signature};

/// The highest index that was seen of a project lies in the state directory as `<project>` with this suffix.
pub const SEEN_SUFFIX: &str = ".index-seen.json";

/// The highest index that was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Seen {
    counter: u64,
    digest: Sha256,
}

pub(super) async fn check(request: &Request, release: &Release, report: &mut Report) -> Result<()> {
    let what = "index";
    if request.layout == Layout::Release {
        report.not_checked(what, "a single release has none: whether a newer one exists is not known");
        return Ok(());
    }
    let (bytes, signature) = match read(request).await {
        Ok(read) => read,
        Err(e) if e.kind() == ErrorKind::Verification => {
            report.note(what, Err(e));
            return Ok(());
        }
        Err(e) => return Err(e),
    };
    let index = match signed(request, &bytes, &signature) {
        Ok(index) => index,
        Err(e) => {
            report.note(what, Err(e));
            return Ok(());
        }
    };
    let seen = request.state_dir.as_deref().map(|dir| file(dir, request.project()));
    let found = Seen { counter: index.counter, digest: Sha256::of(&bytes) };
    let forward = match &seen {
        None => Ok(()),
        Some(path) => {
            let before = remembered(&*request.disk, path)?;
            let forward = moved_forward(before, found);
            if forward.is_ok() && before != Some(found) {
                let text = serde_json::to_vec(&found).context("cannot remember the index")?;
                if let Some(dir) = path.parent() {
                    files::create_dir_all(&*request.disk, dir, 0o700)?;
                }
                files::replace(&*request.disk, path, 0o600, &mut &*text)?;
            }
            forward
        }
    };
    let result = forward.and_then(|()| fresh(&index, request.now)).and_then(|()| lists(&index, release));
    report.note(what, result.map(|()| format!("number {}, good until {}", index.counter, index.expires)));
    Ok(())
}

async fn read(request: &Request) -> Result<(Vec<u8>, Vec<u8>)> {
    let missing = |name: &str| Error::verification(format!("`{name}` is missing"));
    let signature = format!("{PATH}.asc");
    let bytes = request.source.read(PATH, DOCUMENT).await?.ok_or_else(|| missing(PATH))?;
    let signed = request.source.read(&signature, SIGNATURE).await?.ok_or_else(|| missing(&signature))?;
    Ok((bytes, signed))
}

fn signed(request: &Request, bytes: &[u8], signature: &[u8]) -> Result<Index> {
    let index = Index::from_bytes(bytes)?;
    if index.project != *request.project() {
        return Err(Error::verification(format!("it is the index of {}", index.project)));
    }
    let role = ("freshness", &request.trust.root.roles.freshness);
    let earliest = index.generated.saturating_sub(SKEW).unwrap_or(Timestamp::MIN);
    let window = Window { earliest, recorded: None, now: request.now };
    let signature = Detached::parse(signature, &format!("{PATH}.asc"))?;
    check_key_signature(&request.trust, role, &signature, &Hashed::of(bytes)?, &window)?;
    Ok(index)
}

fn fresh(index: &Index, now: Timestamp) -> Result<()> {
    if now >= index.expires {
        return Err(Error::verification(format!("it is stale: good until {}", index.expires))
            .hint("the mirror may be cut off; try another place"));
    }
    if index.generated.saturating_sub(SKEW).is_ok_and(|g| now < g) {
        return Err(Error::verification(format!("it is from the future: made on {}", index.generated)));
    }
    Ok(())
}

fn lists(index: &Index, release: &Release) -> Result<()> {
    let manifest = &release.manifest;
    let version = &manifest.version;
    if index.burnt.contains(version) {
        return Err(Error::verification(format!("version {version} is burnt: its train was abandoned")));
    }
    let entry = index
        .releases
        .get(version)
        .ok_or_else(|| Error::verification(format!("it does not list version {version}")))?;
    let same = entry.manifest == release.manifest_digest
        && entry.line == manifest.line
        && entry.train == manifest.train
        && entry.tag == manifest.tag.name;
    if same { Ok(()) } else { Err(Error::verification(format!("it lists another manifest of version {version}"))) }
}

fn file(state_dir: &Path, project: &ProjectName) -> PathBuf {
    state_dir.join(format!("{project}{SEEN_SUFFIX}"))
}

fn remembered(disk: &dyn Disk, path: &Path) -> Result<Option<Seen>> {
    let what = format!("cannot read `{}`", path.display());
    let Some(bytes) = disk.read(path).context(&what)? else { return Ok(None) };
    let seen = serde_json::from_slice(&bytes).map_err(|e| {
        Error::fatal(&what).because(e).hint("remove the file if you accept any index that is properly signed")
    })?;
    Ok(Some(seen))
}

fn moved_forward(before: Option<Seen>, found: Seen) -> Result<()> {
    match before {
        Some(before) if found.counter < before.counter => Err(Error::verification(format!(
            "it was rolled back: number {} after number {} had been seen",
            found.counter, before.counter
        ))),
        Some(before) if found.counter == before.counter && found.digest != before.digest => {
            Err(Error::verification(format!("it forked: another index number {} had been seen", found.counter)))
        }
        _ => Ok(()),
    }
}
