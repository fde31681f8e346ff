//! OpenPGP values (RFC 9580), without keys that sign: hash states, certificates, detached signatures and what they prove.
//!
//! Only one kind of signature is known here: detached, version 4, binary, SHA-512. It is what every verifier since gpg 2.1
//! reads, and one hash state serves any number of signers.

mod certificate;
mod encrypt;
mod hash;
mod signature;

pub use certificate::{Certificate, Standing};
pub use encrypt::{BEGIN as MESSAGE_BEGIN, MessageForm, encrypt};
pub use hash::{Hashed, SigningHasher, hash_reader};
pub use signature::{Detached, SignatureFact, armor};

use crate::error::{Error, Result};
use jiff::Timestamp;
use sequoia_openpgp as openpgp;

/// `openpgp`'s errors do not implement the standard trait; their whole chain becomes one cause.
pub(crate) fn cause(error: &openpgp::anyhow::Error) -> String {
    format!("{error:#}")
}

/// A time of this crate from one of `openpgp`'s.
pub(crate) fn timestamp(time: std::time::SystemTime) -> Result<Timestamp> {
    Timestamp::try_from(time).map_err(|e| Error::verification("a time is out of range").because(e))
}
