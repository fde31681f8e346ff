//! One read of a content yields SHA-256, SHA-512 and the state from which any number of keys can sign it.

use std::io::{self, Read};

use openpgp::crypto::hash::Context;
use openpgp::types::HashAlgorithm;
use sequoia_openpgp as openpgp;
use sha2::Digest as _;

use super::cause;
use crate::error::{Error, Result};
use crate::model::{Digests, Sha256, Sha512};

/// Pieces in which contents are read: larger ones are not faster, smaller ones are slower.
const PIECE: usize = 256 * 1024;

/// Computes both digests and the OpenPGP hash state of what it is fed. A version 4 signature hashes the content first and
/// its own fields after it, so that the state serves as the SHA-512 digest and for every signer.
#[derive(Clone)]
pub struct SigningHasher {
    sha256: sha2::Sha256,
    sha512: Context,
    size: u64,
}

/// A content that was hashed once: its digests, and what signers sign from.
#[derive(Clone)]
pub struct Hashed {
    digests: Digests,
    context: Context,
}

impl SigningHasher {
    /// An empty content.
    ///
    /// # Errors
    /// A build of `openpgp` without SHA-512.
    pub fn new() -> Result<Self> {
        let sha512 = HashAlgorithm::SHA512
            .context()
            .map_err(|e| Error::fatal("this build has no SHA-512 for OpenPGP").because(cause(&e)))?
            .for_signature(4);
        Ok(Self { sha256: sha2::Sha256::new(), sha512, size: 0 })
    }

    /// Appends bytes to the content.
    pub fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.sha512.update(bytes);
        self.size += bytes.len() as u64;
    }

    /// How many bytes were fed.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The digests of all that was fed, and the state to sign from.
    ///
    /// # Errors
    /// Never; the length of SHA-512 is fixed.
    pub fn finish(self) -> Result<Hashed> {
        let mut sha512 = [0; 64];
        self.sha512
            .clone()
            .digest(&mut sha512)
            .map_err(|e| Error::fatal("cannot finish a SHA-512 digest").because(cause(&e)))?;
        let digests =
            Digests { size: self.size, sha256: Sha256(self.sha256.finalize().into()), sha512: Sha512(sha512) };
        Ok(Hashed { digests, context: self.sha512 })
    }
}

impl Hashed {
    /// Hashes bytes in memory.
    pub fn of(bytes: &[u8]) -> Result<Self> {
        let mut hasher = SigningHasher::new()?;
        hasher.update(bytes);
        hasher.finish()
    }

    /// Size and digests of the content.
    #[must_use]
    pub fn digests(&self) -> &Digests {
        &self.digests
    }

    /// The OpenPGP hash state after the content.
    pub(crate) fn context(&self) -> Context {
        self.context.clone()
    }
}

/// Reads to the end, at most `limit` bytes; `None` if there are more.
pub fn hash_reader(source: &mut dyn Read, limit: u64) -> io::Result<Option<Hashed>> {
    let mut hasher = SigningHasher::new().map_err(io::Error::other)?;
    let mut buffer = vec![0u8; PIECE];
    loop {
        match source.read(&mut buffer) {
            Ok(0) => return hasher.finish().map(Some).map_err(io::Error::other),
            Ok(n) => hasher.update(&buffer[..n]),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
        if hasher.size() > limit {
            return Ok(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_digests_as_the_plain_hasher() {
        for size in [0, 1, 127, 128, 300_000] {
            let bytes = vec![0x5a; size];
            let hashed = hash_reader(&mut &*bytes, u64::MAX).unwrap().unwrap();
            assert_eq!(*hashed.digests(), Digests::of(&bytes), "{size}");
        }
    }

    #[test]
    fn endless_input_is_cut_off() {
        assert!(hash_reader(&mut io::repeat(1), 1000).unwrap().is_none());
        assert!(hash_reader(&mut io::repeat(1).take(1000), 1000).unwrap().is_some());
    }
}
