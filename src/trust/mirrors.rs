//! The signed list of mirrors: as the index, it counts by the freshness key.

use jiff::Timestamp;

use super::index::{IndexSigners, check_fresh};
use super::trusted::TrustedRoot;
use crate::effects::{Store, read_public};
use crate::error::{Error, ErrorKind, Result};
use crate::formats::layout;
use crate::formats::mirrors::MirrorList;

/// A list of mirrors with a signature that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedMirrors {
    /// Its exact bytes.
    pub bytes: Vec<u8>,
    /// What they say.
    pub list: MirrorList,
    /// The signature over them, ASCII-armored.
    pub signature: Vec<u8>,
}

/// Checks a list of mirrors of the root's project by the signature that lies under its digest.
///
/// # Errors
/// Another project's list, one that contradicts itself, a signature that is missing or does not count.
pub fn check_mirrors(
    trust: &TrustedRoot,
    bytes: &[u8],
    signature: Option<Vec<u8>>,
    signers: IndexSigners,
    now: Timestamp,
) -> Result<SignedMirrors> {
    let list = MirrorList::from_bytes(bytes)?;
    let name = layout::mirrors_signature(bytes);
    let signature =
        signature.ok_or_else(|| Error::verification(format!("its signature `{name}` is missing")).absent())?;
    let what = ("list of mirrors", &list.project, list.generated);
    let signature = check_fresh(trust, what, (bytes, &[(name, signature)]), signers, now)?;
    Ok(SignedMirrors { bytes: bytes.to_vec(), list, signature })
}

/// The bytes of the list that a store serves, if it has one, and what they say if they count: whoever moves the list
/// forward replaces anything else.
///
/// # Errors
/// The store's.
pub async fn read_mirrors(
    store: &dyn Store,
    trust: &TrustedRoot,
    now: Timestamp,
) -> Result<Option<(Vec<u8>, Option<SignedMirrors>)>> {
    let Some(bytes) = read_public(store, layout::MIRRORS).await? else { return Ok(None) };
    let signature = read_public(store, &layout::mirrors_signature(&bytes)).await?;
    match check_mirrors(trust, &bytes, signature, IndexSigners::Current, now) {
        Ok(signed) => Ok(Some((bytes, Some(signed)))),
        Err(e) if e.kind() == ErrorKind::Verification => Ok(Some((bytes, None))),
        Err(e) => Err(e),
    }
}
