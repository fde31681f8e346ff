//! All mirrors of a project beside each other: each is looked at as a stranger does, then judged by what all of them show.
//!
//! The trust root that counts is the highest of those that follow from the pin; a mirror that takes too long holds up no other one.
//! Of every release the small files are checked, and that the artifacts are there with their sizes. A release that is asked
//! for is verified byte by byte.

mod judge;
mod look;
mod opened;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::JoinSet;

use super::{ReleaseQuery, Source};
use crate::effects::Disk;
use crate::error::{Context as _, Error, ErrorKind, Result};
use crate::formats::layout;
use crate::trust::{RootChoice, SignedMirrors, TrustedRoot, explain};

use opened::Opened;

pub use judge::{JudgedMirror, MirrorState, MirrorsReport};

/// How long all answers of one mirror may take.
pub const PATIENCE: Duration = Duration::from_secs(600);

/// Which mirrors are looked at, and by whose word.
pub struct MirrorsRequest {
    /// Where lists of mirrors are read first: base addresses or directories.
    pub start: Vec<String>,
    /// The release that is verified byte by byte: a version, or the newest one.
    pub whole: Option<ReleaseQuery>,
    /// A trust root that follows from the pin; a mirror may have a later one.
    pub trust: TrustedRoot,
    /// The pin from which the mirrors' own roots must follow; a directory that a person vouches for counts alone.
    pub pin: RootChoice,
    /// How long all answers of one mirror may take, such as [`PATIENCE`].
    pub patience: Duration,
    /// Where the highest index and the newest list that were seen are remembered; or why nowhere.
    pub state_dir: std::result::Result<PathBuf, String>,
    /// This machine's files.
    pub disk: Arc<dyn Disk>,
    /// The time of checking.
    pub now: Timestamp,
}

/// Why nothing says whether a place was rolled back.
pub(crate) fn unremembered(why: &str) -> String {
    format!("rollback not checked: {why}")
}

/// The list of mirrors that a place shows, if it has one; and why it is not known whether it was rolled back, if so.
///
/// # Errors
/// Why it does not count: its signature, or a newer one that was seen before; a source that cannot be reached. Whether it
/// has expired is for the caller to judge.
pub(crate) async fn counting_list(
    source: &Source,
    trust: &TrustedRoot,
    memory: Option<(&dyn Disk, &Path)>,
    now: Timestamp,
) -> Result<(Option<SignedMirrors>, Option<String>)> {
    let Some(signed) = look::list(source, trust, now).await? else { return Ok((None, None)) };
    let mut not_checked = None;
    if let Some((disk, dir)) = memory {
        match look::remember_list(disk, (dir, trust, source), &signed) {
            Err(e) if e.kind() == ErrorKind::Verification => return Err(e),
            Err(e) => not_checked = Some(unremembered(&explain(&e))),
            Ok(()) => {}
        }
    }
    match judge::of_its_time(&signed.list, now) {
        Some((MirrorState::Wrong, why)) => Err(Error::verification(why)),
        _ => Ok((Some(signed), not_checked)),
    }
}

/// Looks at every mirror that is named by the start or by a list that counts, and judges each.
///
/// # Errors
/// No place to start from has a list that counts, and there is no more than one; an expired trust root.
pub async fn all_mirrors(request: MirrorsRequest) -> Result<MirrorsReport> {
    let (request, mirrors) = opened_all(request).await?;
    request.trust.check_expiry(request.now)?;
    let look = |mirror| {
        let request = Arc::clone(&request);
        async move { look::at(&request, mirror).await }
    };
    let mut looks = side_by_side(mirrors.into_iter().map(look)).await?;
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

/// Opens every mirror, and raises the trust root of the request to the highest that any of them serves.
async fn opened_all(mut request: MirrorsRequest) -> Result<(Arc<MirrorsRequest>, Vec<Opened>)> {
    let (mut seen, mut mirrors) = (BTreeSet::new(), Vec::new());
    let mut next: BTreeSet<String> = request.start.iter().map(|at| look::place(&request, at)).collect();
    // What the start does not name, a mirror may.
    while !next.is_empty() {
        let shared = Arc::new(request);
        let open = |address: &String| {
            let (request, address) = (Arc::clone(&shared), address.clone());
            async move { opened::open(&request, address).await }
        };
        let found = side_by_side(next.iter().map(open)).await?;
        seen.append(&mut next);
        request = Arc::into_inner(shared).ok_or_else(|| Error::fatal("looking at a mirror does not end"))?;
        request.trust = opened::highest(&request, request.trust.clone(), &found)?;
        mirrors.extend(found);
        // A later root may let other lists count; an address that one named stays.
        let lists = mirrors.iter().filter_map(|mirror: &Opened| mirror.list(&request, &request.trust));
        next = lists.flat_map(|list| list.addresses()).filter(|address| !seen.contains(address)).collect();
    }
    Ok((Arc::new(request), mirrors))
}

/// Lets all of them go on at once; they end in any order.
async fn side_by_side<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    all: impl Iterator<Item = F>,
) -> Result<Vec<T>> {
    let mut tasks: JoinSet<T> = all.collect();
    let mut out = Vec::new();
    while let Some(done) = tasks.join_next().await {
        out.push(done.context("looking at a mirror was broken off")?);
    }
    Ok(out)
}
