//! The signed index of a store: whose signature counts for it, and how it is read.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::judge::{SKEW, Window, check_key_signature};
use super::root::KeyRole;
use super::trusted::TrustedRoot;
use crate::effects::{Store, read_public};
use crate::error::{Error, Result};
use crate::formats::index::Index;
use crate::formats::layout;
use crate::formats::openpgp::{Detached, Hashed};
use crate::model::{Fingerprint, ProjectName};

/// Whose signature counts for an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexSigners {
    /// The freshness keys of the root that counts now, dated no earlier than the index says of itself: all that a consumer
    /// accepts.
    Reader,
    /// The freshness keys of the root that counts now.
    Current,
    /// Those of the earlier roots of the pinned chain too. After the freshness key was replaced, the index that the old
    /// one signed is what the new one goes forward from; it never counts as fresh.
    Chain,
}

/// An index with a signature that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIndex {
    /// Its exact bytes.
    pub bytes: Vec<u8>,
    /// What they say.
    pub index: Index,
    /// The signature over them, ASCII-armored.
    pub signature: Vec<u8>,
}

impl SignedIndex {
    /// Whether readers take the signature, apart from its age: after the freshness key was replaced, they take none of the old
    /// one's.
    #[must_use]
    pub(crate) fn by_current_key(&self, trust: &TrustedRoot, now: Timestamp) -> bool {
        let signature = [(layout::index_signature(&self.bytes), self.signature.clone())];
        check_index(trust, &self.bytes, &signature, IndexSigners::Current, now).is_ok()
    }
}

/// Checks an index of the root's project by the first of these signatures (name and bytes) that counts.
///
/// # Errors
/// Another project's index, one that contradicts itself, no signature that counts.
pub fn check_index(
    trust: &TrustedRoot,
    bytes: &[u8],
    signatures: &[(String, Vec<u8>)],
    signers: IndexSigners,
    now: Timestamp,
) -> Result<SignedIndex> {
    let index = Index::from_bytes(bytes)?;
    let signature = check_fresh(trust, ("index", &index.project, index.generated), (bytes, signatures), signers, now)?;
    Ok(SignedIndex { bytes: bytes.to_vec(), index, signature })
}

/// Checks what a freshness key signs of the root's project, by the first of these signatures that counts; gives that one.
/// `what` it is, whose and of when.
///
/// # Errors
/// Another project's, no signature that counts.
pub(super) fn check_fresh(
    trust: &TrustedRoot,
    (what, of, generated): (&str, &ProjectName, Timestamp),
    (bytes, signatures): (&[u8], &[(String, Vec<u8>)]),
    signers: IndexSigners,
    now: Timestamp,
) -> Result<Vec<u8>> {
    let project = &trust.root.project;
    if of != project {
        return Err(Error::verification(format!("it is the {what} of {of}, not of {project}")));
    }
    let mut keys: BTreeSet<Fingerprint> = trust.root.roles.freshness.keys.clone();
    if signers == IndexSigners::Chain {
        // A certificate that is missing here cannot speak for itself; the others still do.
        let known = trust.earlier_freshness.iter().filter(|k| trust.certificates.contains_key(*k));
        keys.extend(known.cloned());
    }
    let role = KeyRole { keys };
    let earliest = match signers {
        IndexSigners::Reader => generated.saturating_sub(SKEW).unwrap_or(Timestamp::MIN),
        IndexSigners::Current | IndexSigners::Chain => Timestamp::MIN,
    };
    let window = Window { earliest, recorded: None, good_at: None, now };
    let hashed = Hashed::of(bytes)?;
    let mut why = None;
    for (name, signature) in signatures {
        let checked = Detached::parse(signature, name)
            .and_then(|s| check_key_signature(trust, ("freshness", &role), &s, &hashed, &window));
        match checked {
            Ok(_) => return Ok(signature.clone()),
            Err(e) => why = Some(e),
        }
    }
    Err(why.unwrap_or_else(|| Error::verification("it has no signature")))
}

/// The index that a store serves, if it has one, as what may be moved forward. Its signature lies under its own digest, and
/// beside it unless a writer was killed in between.
///
/// # Errors
/// As [`check_index`]; the store's.
pub async fn read_index(store: &dyn Store, trust: &TrustedRoot, now: Timestamp) -> Result<Option<SignedIndex>> {
    let Some(bytes) = read_public(store, layout::INDEX).await? else { return Ok(None) };
    let mut signatures = Vec::new();
    for name in [layout::index_signature(&bytes), layout::INDEX_SIGNATURE.to_owned()] {
        if let Some(signature) = read_public(store, &name).await? {
            signatures.push((name, signature));
        }
    }
    check_index(trust, &bytes, &signatures, IndexSigners::Chain, now).map(Some)
}
