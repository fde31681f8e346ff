//! The index: signed by the freshness key, not stale, not older than one that was seen, and it lists this release.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::release::{DOCUMENT, Release, SIGNATURE};
use super::{Layout, Report, Request};
use crate::effects::{Disk, files};
use crate::error::{Context as _, Error, ErrorKind, Result};
use crate::formats::index::{Index, PATH, signature_path};
use crate::model::Sha256;
use crate::trust::{IndexSigners, SKEW, SignedIndex, check_index};

/// The highest index that was seen of a project in a store lies in the state directory as `<project>.<place>` with this
/// suffix; the place is 16 digits of the digest of the store's base address.
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
    let SignedIndex { bytes, index, .. } = match read(request).await {
        Ok(read) => read,
        Err(e) if e.kind() == ErrorKind::Verification => {
            report.note(what, Err(e));
            return Ok(());
        }
        Err(e) => return Err(e),
    };
    let seen = request.state_dir.as_deref().map(|dir| file(dir, request));
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

/// The index by a signature that counts. A reader may come between the writes of the index and of the signature beside it;
/// the one under the index's own digest was there before.
async fn read(request: &Request) -> Result<SignedIndex> {
    let missing = |name: &str| Error::verification(format!("`{name}` is missing"));
    let beside = format!("{PATH}.asc");
    let bytes = request.source.read(PATH, DOCUMENT).await?.ok_or_else(|| missing(PATH))?;
    let check = |name: String, signature: Vec<u8>| {
        check_index(&request.trust, &bytes, &[(name, signature)], IndexSigners::Reader, request.now)
    };
    let first = match request.source.read(&beside, SIGNATURE).await? {
        Some(signature) => check(beside, signature),
        None => Err(missing(&beside)),
    };
    let Err(why) = first else { return first };
    let by_digest = signature_path(&bytes);
    match request.source.read(&by_digest, SIGNATURE).await {
        // What is wrong with the usual one tells more than what is wrong with the other.
        Ok(Some(signature)) => check(by_digest, signature).map_err(|_| why),
        Ok(None) => Err(why),
        Err(e) if e.kind() == ErrorKind::Verification => Err(why),
        Err(e) => Err(e),
    }
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

/// One memory for each store: every store has an index with a counter of its own.
fn file(state_dir: &Path, request: &Request) -> PathBuf {
    let place = Sha256::of(request.source.place().as_bytes()).hex();
    state_dir.join(format!("{}.{}{SEEN_SUFFIX}", request.project(), &place[..16]))
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
