//! Several files hashed at once, each read once.

use std::io::{self, Read};
use std::path::PathBuf;

use rayon::prelude::*;
use sha2::Digest as _;

use super::disk::Disk;
use crate::error::{Context as _, Error, Result};
use crate::formats::openpgp::{Hashed, hash_reader};
use crate::model::{Digests, Sha256};

/// Both digests of each file, and the state from which keys can sign it; one file per processor at a time, in 256 KiB
/// pieces. The results are in the order of `paths`.
///
/// # Errors
/// The first file that is missing or cannot be read, by path.
pub fn hash_files(disk: &dyn Disk, paths: &[PathBuf]) -> Result<Vec<Hashed>> {
    paths
        .par_iter()
        .map(|path| {
            let what = || format!("cannot hash `{}`", path.display());
            let file = disk.open(path).context(what())?;
            let mut file = file.ok_or_else(|| Error::fatal(format!("{}: there is no such file", what())))?;
            let hashed = hash_reader(&mut *file, u64::MAX).context(what())?;
            hashed.ok_or_else(|| Error::fatal(format!("{}: it has no end", what())))
        })
        .collect()
}

/// Passes bytes on and computes their SHA-256 on the way.
pub struct HashingReader<R> {
    inner: R,
    hasher: sha2::Sha256,
    size: u64,
}

impl<R: Read> HashingReader<R> {
    /// Reads `inner`.
    pub fn new(inner: R) -> Self {
        Self { inner, hasher: sha2::Sha256::new(), size: 0 }
    }

    /// How many bytes were read so far, and their digest.
    pub(crate) fn so_far(&self) -> (u64, Sha256) {
        (self.size, Sha256(self.hasher.clone().finalize().into()))
    }
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..n]);
        self.size += n as u64;
        Ok(n)
    }
}

/// Passes bytes on and, at their end, fails unless they had the expected size and SHA-256: what is signed is what was
/// recorded, although it is read only once. It fails at every further call too.
pub struct CheckedReader<R> {
    inner: HashingReader<R>,
    expected: Digests,
    differs: bool,
}

impl<R: Read> CheckedReader<R> {
    /// Reads `inner`, whose content should have these digests.
    pub fn new(inner: R, expected: Digests) -> Self {
        Self { inner: HashingReader::new(inner), expected, differs: false }
    }

    /// Whether it was read to its end and had other bytes.
    pub fn differs(&self) -> bool {
        self.differs
    }
}

impl<R: Read> Read for CheckedReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        if n == 0 && !buffer.is_empty() {
            let (size, found) = self.inner.so_far();
            let expected = self.expected.sha256;
            self.differs = size != self.expected.size || found != expected;
            if self.differs {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("it has other bytes than were recorded: expected sha256:{expected}, found sha256:{found}"),
                ));
            }
        }
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_bytes_are_never_passed_as_whole() {
        let digests = Digests::of(b"artifact");
        let mut out = Vec::new();
        CheckedReader::new(&b"artifact"[..], digests).read_to_end(&mut out).unwrap();
        assert_eq!(out, b"artifact");
        for other in [&b"artifacT"[..], b"artifac", b"artifact2", b""] {
            let mut reader = CheckedReader::new(other, digests);
            for _ in 0..2 {
                assert!(reader.read_to_end(&mut Vec::new()).is_err() && reader.differs(), "{other:?}");
            }
        }
    }
}
