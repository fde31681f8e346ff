//! What every mirror is read for before any is judged: its list of mirrors and its trust root. The highest root that follows from
//! the pin counts for all of them, so a frozen mirror with an old one lowers nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::MirrorsRequest;
use super::judge::MirrorState;
use crate::error::{Error, ErrorKind, Result};
use crate::formats::layout;
use crate::formats::mirrors::MirrorList;
use crate::model::Sha256;
use crate::trust::{
    FILE, IndexSigners, KeyFiles, Memory, Root, RootChoice, TrustedRoot, check_mirrors, explain, load_files,
};
use crate::verify::release::{DOCUMENT, SIGNATURE};
use crate::verify::{Source, fetch_keys};

/// A mirror of which nothing is judged yet.
pub(super) struct Opened {
    /// Its base address.
    pub(super) address: String,
    /// How much longer it may take.
    pub(super) left: Duration,
    /// What was read, or why it cannot be.
    pub(super) shown: Result<Shown>,
}

/// What a mirror shows that says something of other mirrors.
pub(super) struct Shown {
    /// Where it is read from.
    pub(super) source: Source,
    /// Its list of mirrors, and the signature of that.
    list: Option<(Vec<u8>, Option<Vec<u8>>)>,
    /// Its `keys/`, where they are asked for.
    keys: Option<Result<BTreeMap<String, Vec<u8>>>>,
}

/// Waits for a mirror as long as it may still take; gives what is left of that.
pub(super) async fn within<T>(left: Duration, answers: impl Future<Output = T>) -> (Result<T>, Duration) {
    let begun = Instant::now();
    let found = tokio::time::timeout(left, answers).await;
    let slow =
        || Error::new(ErrorKind::Unreachable, "too slow: not everything was answered in the time for one mirror");
    (found.map_err(|_| slow()), left.saturating_sub(begun.elapsed()))
}

/// Reads what leads to other mirrors and to newer roots.
pub(super) async fn open(request: &MirrorsRequest, address: String) -> Opened {
    let (shown, left) = within(request.patience, read(request, &address)).await;
    Opened { address, left, shown: shown.and_then(|shown| shown) }
}

async fn read(request: &MirrorsRequest, address: &str) -> Result<Shown> {
    let source = Source::new(address, Arc::clone(&request.disk))?;
    match source.read(layout::INDEX, DOCUMENT).await {
        // Asking for more would take as long again. What is wrong with an index is said when it is judged.
        Err(e) if e.kind() != ErrorKind::Verification => return Err(Error::new(e.kind(), explain(&e))),
        _ => {}
    }
    let list = match source.read(layout::MIRRORS, DOCUMENT).await {
        Ok(Some(bytes)) => {
            let signature = source.read(&layout::mirrors_signature(&bytes), SIGNATURE).await;
            Some((bytes, signature.ok().flatten()))
        }
        _ => None,
    };
    let keys = match request.pin {
        RootChoice::Directory => None,
        RootChoice::Pinned(pin) | RootChoice::Given(pin) => Some(fetch_keys(&source, Some(pin)).await),
    };
    Ok(Shown { source, list, keys })
}

impl Opened {
    /// Its list of mirrors, if that counts by this root.
    pub(super) fn list(&self, request: &MirrorsRequest, trust: &TrustedRoot) -> Option<MirrorList> {
        let (bytes, signature) = self.shown.as_ref().ok()?.list.as_ref()?;
        let checked = check_mirrors(trust, bytes, signature.clone(), IndexSigners::Reader, request.now);
        checked.ok().map(|signed| signed.list)
    }

    /// The root that it serves, if that was asked for; why it does not follow from the pin.
    fn root(&self, request: &MirrorsRequest) -> Option<Result<TrustedRoot>> {
        let files = self.shown.as_ref().ok()?.keys.as_ref()?.as_ref().ok()?;
        let from = format!("{}/{}", self.address.trim_end_matches('/'), layout::KEYS);
        let load = |memory| {
            let files = KeyFiles::Fetched { files, from: &from };
            load_files(files, Some(&request.trust.root.project), request.pin, request.now, memory)
        };
        let memory = request.state_dir.as_ref().ok().map(|state_dir| Memory { disk: &*request.disk, state_dir });
        Some(match load(memory) {
            // A memory that cannot be used must not lower the root that counts.
            Err(e) if !matches!(e.kind(), ErrorKind::Verification | ErrorKind::Input) => load(None),
            found => found,
        })
    }

    /// What is wrong with its root beside the one that counts.
    pub(super) fn of_its_root(&self, request: &MirrorsRequest, trust: &TrustedRoot) -> Option<(MirrorState, String)> {
        let path = layout::key(FILE);
        let files = match self.shown.as_ref().ok()?.keys.as_ref()? {
            Ok(files) => files,
            Err(e) => {
                let state = match e.kind() {
                    ErrorKind::Verification => MirrorState::Wrong,
                    ErrorKind::Input => MirrorState::Incomplete,
                    _ => MirrorState::Unreachable,
                };
                return Some((state, explain(e)));
            }
        };
        let bytes = files.get(FILE)?;
        let digest = Sha256::of(bytes);
        if digest == trust.digest {
            return None;
        }
        if trust.accepted.contains(&digest) {
            let version = Root::from_bytes(bytes, &path).map(|root| root.version).unwrap_or_default();
            let newest = trust.root.version;
            let why =
                format!("`{path}` is version {version} of the trust root, and that of another mirror is {newest}");
            return Some((MirrorState::Stale, why));
        }
        let why = match self.root(request)? {
            Ok(other) => format!("`{path}` is another version {} of the trust root", other.root.version),
            Err(e) => explain(&e),
        };
        Some((MirrorState::Wrong, why))
    }
}

/// The highest root that follows from the pin: `known`, or one that a mirror serves. Of its certificates everything counts that
/// any mirror shows, so that nobody holds back a revocation.
///
/// # Errors
/// Never; two copies of a certificate have one fingerprint.
pub(super) fn highest(request: &MirrorsRequest, known: TrustedRoot, mirrors: &[Opened]) -> Result<TrustedRoot> {
    let (mut highest, mut others) = (known, Vec::new());
    for root in mirrors.iter().filter_map(|mirror| mirror.root(request)?.ok()) {
        if root.root.version > highest.root.version {
            others.push(std::mem::replace(&mut highest, root));
        } else {
            others.push(root);
        }
    }
    for (fingerprint, certificate) in &mut highest.certificates {
        for copy in others.iter().filter_map(|other| other.certificates.get(fingerprint)) {
            *certificate = certificate.merged(copy)?;
        }
    }
    Ok(highest)
}
