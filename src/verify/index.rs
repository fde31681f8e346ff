//! The index: signed by the freshness key, not stale, not older than one that was seen, and it lists this release.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::release::{CheckedRelease, DOCUMENT, SIGNATURE};
use super::{Layout, Report, Request, Source, Verdict};
use crate::effects::{Disk, files, locks};
use crate::error::{Context as _, Error, ErrorKind, Result};
use crate::formats::index::{Index, LEAP};
use crate::formats::layout;
use crate::model::Sha256;
use crate::trust::{IndexSigners, SKEW, SignedIndex, TrustedRoot, check_index, explain};

/// The highest index that was seen of a project in a store lies in the state directory as `<project>.<place>` with this
/// suffix; the place is 16 digits of the digest of the store's base address.
pub const SEEN_SUFFIX: &str = ".index-seen.json";

/// The highest index that was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Seen {
    counter: u64,
    digest: Sha256,
    /// The version of the trust root by whose keys it counted; a later root forgets it, with what a stolen key signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    root: Option<u64>,
}

/// What an index may be judged by.
#[derive(Clone, Copy)]
pub(super) struct Judge<'a> {
    pub(super) source: &'a Source,
    pub(super) trust: &'a TrustedRoot,
    pub(super) now: Timestamp,
}

impl Request {
    pub(super) fn judge(&self) -> Judge<'_> {
        Judge { source: &self.source, trust: &self.trust, now: self.now }
    }
}

pub(super) async fn check(request: &Request, release: &CheckedRelease, report: &mut Report) -> Result<()> {
    let what = "index";
    if request.layout == Layout::Release {
        report.not_checked(what, "a single release has none: whether a newer one exists is not known");
        return Ok(());
    }
    let signed = match read(request.judge()).await {
        Ok(read) => read,
        Err(e) if e.kind() == ErrorKind::Verification => {
            report.note(what, Err(e));
            return Ok(());
        }
        Err(e) => return Err(e),
    };
    let index = &signed.index;
    let forward = match &request.state_dir {
        None => {
            report
                .not_checked("rollback", "there is no state directory: the next check will not know what this one saw");
            Ok(())
        }
        Some(dir) => {
            match remember(&*request.disk, &file(dir, &request.trust, &request.source), &signed, &request.trust) {
                Err(e) if e.kind() != ErrorKind::Verification => {
                    let why = format!("{}: the next check will not know what this one saw", explain(&e));
                    report.not_checked("rollback", why);
                    Ok(())
                }
                forward => forward,
            }
        }
    };
    let result = forward.and_then(|()| fresh(index, request.now)).and_then(|()| lists(index, release));
    let held = report.note(
        what,
        result.map(|()| format!("number {}, good until {}", index.counter, crate::model::utc(index.expires))),
    );
    let version = &release.manifest.version;
    let newer = index.latest.lines.get(&release.manifest.line).filter(|latest| *latest != version);
    if let Some(newer) = newer.filter(|_| held) {
        report.superseded_by = Some(newer.clone());
        let why = format!("{newer} is the newest release of {}", release.manifest.line);
        report.say("superseded", Verdict::Note, why);
    }
    if let Some(withdrawn) = index.withdrawn.get(version).filter(|_| held) {
        let by = withdrawn.superseded_by.as_ref().map(|v| format!("; use {v} instead")).unwrap_or_default();
        report.say("withdrawn", Verdict::Note, format!("{version}: {}{by}", crate::model::escape(&withdrawn.reason)));
    }
    Ok(())
}

/// The index that counts now: signed, not stale, not older than one that was seen.
///
/// # Errors
/// Why it does not count; a source that cannot be reached.
pub(super) async fn current(judge: Judge<'_>, memory: Option<(&dyn Disk, &Path)>) -> Result<Index> {
    // Whoever checks the release that it lists says what is not known.
    Ok(current_signed(judge, memory).await?.0.index)
}

/// As [`current`], with the bytes and the signature; and why it is not known whether it was rolled back, if so.
async fn current_signed(judge: Judge<'_>, memory: Option<(&dyn Disk, &Path)>) -> Result<(SignedIndex, Option<String>)> {
    let signed = read(judge).await?;
    let mut not_checked = None;
    if let Some((disk, dir)) = memory {
        match remember(disk, &file(dir, judge.trust, judge.source), &signed, judge.trust) {
            Err(e) if e.kind() == ErrorKind::Verification => return Err(e.context("index")),
            Err(e) => not_checked = Some(super::unremembered(&explain(&e))),
            Ok(()) => {}
        }
    }
    fresh(&signed.index, judge.now).map_err(|e| e.context("index"))?;
    Ok((signed, not_checked))
}

/// The index of a store, with its bytes and signature: signed, not stale, and not older than one that was seen; and why that is
/// not known, if so.
///
/// # Errors
/// Why it does not count; a source that cannot be reached.
pub(crate) async fn counting_index(
    source: &Source,
    trust: &TrustedRoot,
    memory: Option<(&dyn Disk, &Path)>,
    now: Timestamp,
) -> Result<(SignedIndex, Option<String>)> {
    current_signed(Judge { source, trust, now }, memory).await
}

/// Remembers an index, unless one that is newer was seen.
pub(super) fn remember(disk: &dyn Disk, path: &Path, signed: &SignedIndex, trust: &TrustedRoot) -> Result<()> {
    let root = Some(trust.root.version);
    let found = Seen { counter: signed.index.counter, digest: Sha256::of(&signed.bytes), root };
    let before = remembered(disk, path)?;
    moved_forward(before, found)?;
    if before != Some(found) {
        let text = serde_json::to_vec(&found).context("cannot remember the index")?;
        if let Some(dir) = path.parent() {
            files::create_dir_all(disk, dir, 0o700)?;
        }
        // Another process may have seen a higher one since.
        let lock = path.with_extension("lock");
        let _turn = locks::wait(disk, &lock, "another lifeboat process remembers which index it has seen")?;
        moved_forward(remembered(disk, path)?, found)?;
        files::replace(disk, path, 0o600, &mut &*text)?;
    }
    Ok(())
}

/// The index by a signature that counts. A reader may come between the writes of the index and of the signature beside it;
/// the one under the index's own digest was there before.
pub(super) async fn read(judge: Judge<'_>) -> Result<SignedIndex> {
    let missing = |name: &str| Error::verification(format!("`{name}` is missing")).absent();
    let beside = layout::INDEX_SIGNATURE.to_owned();
    let bytes = judge.source.read(layout::INDEX, DOCUMENT).await?.ok_or_else(|| missing(layout::INDEX))?;
    let check = |name: String, signature: Vec<u8>| {
        check_index(judge.trust, &bytes, &[(name, signature)], IndexSigners::Reader, judge.now)
    };
    let first = match judge.source.read(&beside, SIGNATURE).await? {
        Some(signature) => check(beside, signature),
        None => Err(missing(&beside)),
    };
    let Err(why) = first else { return first };
    let by_digest = layout::index_signature(&bytes);
    match judge.source.read(&by_digest, SIGNATURE).await {
        // What is wrong with the usual one says more than what is wrong with the other.
        Ok(Some(signature)) => check(by_digest, signature).map_err(|_| why),
        Ok(None) => Err(why),
        Err(e) if e.kind() == ErrorKind::Verification => Err(why),
        Err(e) => Err(e),
    }
}

/// An index that the project signed later than this machine's clock says: the clock is wrong, and everything else would be
/// refused for reasons that do not say so.
///
/// # Errors
/// [`ErrorKind::Input`] with both times.
pub(super) async fn clock_is_not_behind(request: &Request) -> Result<()> {
    let Ok(Some(bytes)) = request.source.read(layout::INDEX, DOCUMENT).await else { return Ok(()) };
    let Ok(index) = Index::from_bytes(&bytes) else { return Ok(()) };
    let made = index.generated;
    if made.saturating_sub(SKEW).is_ok_and(|earliest| request.now >= earliest) {
        return Ok(());
    }
    match read(Judge { now: made, ..request.judge() }).await {
        Ok(_) => Err(Error::input("this machine's clock is behind")
            .detail(format!("it says {}", request.now))
            .detail(format!("the project signed its index on {made}"))
            .hint("set the clock, then run the same command: dates of signatures are checked by it")),
        Err(_) => Ok(()),
    }
}

pub(super) fn fresh(index: &Index, now: Timestamp) -> Result<()> {
    if now >= index.expires {
        let why = format!(
            "it is stale: good until {}, and this machine's clock says {}",
            crate::model::utc(index.expires),
            crate::model::utc(now)
        );
        return Err(Error::verification(why)
            .hint("if the clock is right, this place is cut off or frozen: try another one, and inform the project"));
    }
    if index.generated.saturating_sub(SKEW).is_ok_and(|g| now < g) {
        return Err(Error::verification(format!("it is from the future: made on {}", index.generated)));
    }
    Ok(())
}

fn lists(index: &Index, release: &CheckedRelease) -> Result<()> {
    let manifest = &release.manifest;
    let version = &manifest.version;
    if index.retired.contains(version) {
        return Err(Error::verification(format!("version {version} is retired: its train was abandoned")));
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
pub(super) fn file(state_dir: &Path, trust: &TrustedRoot, source: &Source) -> PathBuf {
    let place = Sha256::of(source.place().as_bytes()).hex();
    state_dir.join(format!("{}.{}{SEEN_SUFFIX}", trust.root.project, &place[..16]))
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
    let before = before.filter(|before| before.root.is_none_or(|root| Some(root) >= found.root));
    match before {
        Some(before) if found.counter.saturating_sub(before.counter) > LEAP => Err(Error::verification(format!(
            "its number leapt: {} after number {} had been seen",
            found.counter, before.counter
        ))
        .hint("find out who signed it: the freshness key may be stolen")),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(counter: u64, of: &str, root: Option<u64>) -> Seen {
        Seen { counter, digest: Sha256::of(of.as_bytes()), root }
    }

    #[test]
    fn numbers_grow_step_by_step_until_a_new_root_forgets_them() {
        let before = seen(7, "seven", Some(1));
        let forward = |found| moved_forward(Some(before), found);
        assert!(forward(seen(7, "seven", Some(1))).is_ok());
        assert!(forward(seen(8, "eight", Some(1))).is_ok());
        assert!(forward(seen(7 + LEAP, "later", Some(1))).is_ok());
        assert!(forward(seen(6, "six", Some(1))).unwrap_err().message().contains("rolled back"));
        assert!(forward(seen(7, "other", Some(1))).unwrap_err().message().contains("forked"));
        assert!(forward(seen(8 + LEAP, "stolen", Some(1))).unwrap_err().message().contains("leapt"));
        assert!(forward(seen(1, "one", Some(2))).is_ok(), "the keys of root 1 count no longer");
        assert!(moved_forward(Some(seen(7, "seven", None)), seen(6, "six", Some(2))).is_err());
        assert!(moved_forward(None, seen(1 << 39, "first", Some(1))).is_ok());
    }
}
