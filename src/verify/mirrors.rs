//! All mirrors of a project beside each other: each is looked at as a stranger does, then judged by what all of them show.
//!
//! Of every release the small files are checked, and that the artifacts are there with their sizes. A release that is asked
//! for is verified byte by byte.

mod judge;
mod look;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use tokio::task::JoinSet;

use super::{ReleaseQuery, Source};
use crate::effects::Disk;
use crate::error::{Context as _, Error, ErrorKind, Result};
use crate::formats::layout;
use crate::trust::{SignedMirrors, TrustedRoot};

pub use judge::{JudgedMirror, MirrorState, MirrorsReport};

/// Which mirrors are looked at, and by whose word.
#[derive(Clone)]
pub struct MirrorsRequest {
    /// Where lists of mirrors are read first: base addresses or directories.
    pub start: Vec<String>,
    /// The release that is verified byte by byte: a version, or the newest one.
    pub whole: Option<ReleaseQuery>,
    /// The trust root, which came from elsewhere.
    pub trust: TrustedRoot,
    /// Where the highest index and the newest list that were seen are remembered; none to remember nothing.
    pub state_dir: Option<PathBuf>,
    /// This machine's files.
    pub disk: Arc<dyn Disk>,
    /// The time of checking.
    pub now: Timestamp,
}

/// The list of mirrors that a place shows, if it has one.
///
/// # Errors
/// Why it does not count: its signature, or a newer one that was seen before; a source that cannot be reached. Whether it
/// has expired is for the caller to judge.
pub(crate) async fn counting_list(
    source: &Source,
    trust: &TrustedRoot,
    memory: Option<(&dyn Disk, &Path)>,
    now: Timestamp,
) -> Result<Option<SignedMirrors>> {
    let Some(signed) = look::list(source, trust, now).await? else { return Ok(None) };
    if let Some((disk, dir)) = memory {
        match look::remember_list(disk, (dir, trust, source), &signed) {
            Err(e) if e.kind() == ErrorKind::Verification => return Err(e),
            _ => {}
        }
    }
    match judge::of_its_time(&signed.list, now) {
        Some((MirrorState::Wrong, why)) => Err(Error::verification(why)),
        _ => Ok(Some(signed)),
    }
}

/// Looks at every mirror that is named by the start or by a list that counts, and judges each.
///
/// # Errors
/// No place to start from has a list that counts, and there is no more than one; an expired trust root.
pub async fn all_mirrors(request: MirrorsRequest) -> Result<MirrorsReport> {
    request.trust.check_expiry(request.now)?;
    let request = Arc::new(request);
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let mut next: BTreeSet<String> = request.start.iter().map(|at| look::place(&request, at)).collect();
    let mut looks = Vec::new();
    // What the start does not name, a mirror may.
    while !next.is_empty() {
        let mut tasks = JoinSet::new();
        for address in &next {
            let (request, address) = (Arc::clone(&request), address.clone());
            tasks.spawn(async move { look::at(&request, address).await });
        }
        seen.append(&mut next);
        while let Some(look) = tasks.join_next().await {
            looks.push(look.context("looking at a mirror was broken off")?);
        }
        let named = looks.iter().filter_map(|look: &look::Look| look.list_that_counts());
        next = named.flat_map(|list| list.addresses()).filter(|address| !seen.contains(address)).collect();
    }
    // Something that this machine itself must fix, such as its clock.
    for look in &mut looks {
        if let Some(at) =
            look.releases.iter().position(|(_, r)| r.as_ref().is_err_and(|e| e.kind() == ErrorKind::Input))
        {
            let (_, found) = look.releases.swap_remove(at);
            found?;
        }
    }
    looks.sort_by(|a, b| a.address.cmp(&b.address));
    if let Some(ReleaseQuery::Version(wanted)) = &request.whole
        && !looks.iter().any(|look| look.index.as_ref().is_ok_and(|signed| signed.index.releases.contains_key(wanted)))
    {
        return Err(Error::input(format!("no mirror lists version {wanted}"))
            .hint("without a version, `lifeboat verify --all-mirrors` says how all of them stand"));
    }
    let report = judge::judge(&request.trust.root.project, &looks, request.now);
    if looks.len() == 1 && !looks.iter().any(|look| look.list_that_counts().is_some()) {
        let only = &report.mirrors[0];
        if only.state == MirrorState::Current {
            let what = format!("`{}` has no `{}`", crate::model::escape(&only.address), layout::MIRRORS);
            return Err(Error::input(what).hint(
                "the project writes it with its next release, or with `lifeboat refresh`, into each store with a `public_url`",
            ));
        }
    }
    Ok(report)
}
