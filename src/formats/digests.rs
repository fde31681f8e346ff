//! Both digests of one content in one read.

use std::io::{self, Read};

use sha2::Digest as _;

use crate::model::{Digests, SeenBytes, Sha256, Sha512};

/// Computes SHA-256, SHA-512 and the length of what it is fed.
#[derive(Clone)]
pub struct Hasher {
    sha256: sha2::Sha256,
    sha512: sha2::Sha512,
    size: u64,
}

impl Default for Hasher {
    fn default() -> Self {
        Self::new()
    }
}

impl Hasher {
    /// An empty content.
    #[must_use]
    pub fn new() -> Self {
        Self { sha256: sha2::Sha256::new(), sha512: sha2::Sha512::new(), size: 0 }
    }

    /// Appends bytes to the content.
    pub fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.sha512.update(bytes);
        self.size += bytes.len() as u64;
    }

    /// The digests of all that was fed.
    #[must_use]
    pub fn finish(self) -> Digests {
        Digests {
            size: self.size,
            sha256: Sha256(self.sha256.finalize().into()),
            sha512: Sha512(self.sha512.finalize().into()),
        }
    }
}

/// Reads to the end, in 256 KiB pieces.
pub fn read(source: &mut dyn Read) -> io::Result<Digests> {
    let mut hasher = Hasher::new();
    pieces(source, |piece| hasher.update(piece))?;
    Ok(hasher.finish())
}

/// The same for what is compared and not signed: in a third of the time.
pub fn read_to_compare(source: &mut dyn Read) -> io::Result<SeenBytes> {
    let (mut sha256, mut size) = (sha2::Sha256::new(), 0);
    pieces(source, |piece| {
        sha256.update(piece);
        size += piece.len() as u64;
    })?;
    Ok(SeenBytes { size, sha256: Sha256(sha256.finalize().into()) })
}

fn pieces(source: &mut dyn Read, mut take: impl FnMut(&[u8])) -> io::Result<()> {
    let mut buffer = vec![0u8; 256 * 1024];
    loop {
        match source.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(n) => take(&buffer[..n]),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}
