//! Git packs (gitformat-pack(5), version 2) of whole objects, without deltas.
//!
//! A pack between two commits is small, and without deltas its bytes depend on the objects alone: not on the version of a
//! git program, nor on how somebody's clone happens to be packed.

use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::write::ZlibEncoder;
use sha1collisiondetection::Sha1CD;

/// The kinds of objects in a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PackedKind {
    /// A commit.
    Commit,
    /// A tree.
    Tree,
    /// A blob.
    Blob,
}

impl PackedKind {
    fn code(self) -> u8 {
        match self {
            Self::Commit => 1,
            Self::Tree => 2,
            Self::Blob => 3,
        }
    }
}

/// Writes a pack object by object.
pub struct PackWriter<W: Write> {
    out: Summed<W>,
    left: u32,
}

impl<W: Write> PackWriter<W> {
    /// Begins a pack of `count` objects.
    pub fn new(out: W, count: u32) -> io::Result<Self> {
        let mut out = Summed { out, sum: Sha1CD::default() };
        out.write_all(b"PACK")?;
        out.write_all(&2u32.to_be_bytes())?;
        out.write_all(&count.to_be_bytes())?;
        Ok(Self { out, left: count })
    }

    /// Appends an object's content, without its `blob <size>` header.
    ///
    /// # Errors
    /// The writer's; more objects than were announced.
    pub fn add(&mut self, kind: PackedKind, content: &[u8]) -> io::Result<()> {
        self.left = self.left.checked_sub(1).ok_or_else(|| io::Error::other("a pack with too many objects"))?;
        self.out.write_all(&entry_header(kind, content.len() as u64))?;
        let mut zlib = ZlibEncoder::new(&mut self.out, Compression::new(6));
        zlib.write_all(content)?;
        zlib.finish()?;
        Ok(())
    }

    /// Ends the pack with its checksum.
    ///
    /// # Errors
    /// The writer's; fewer objects than were announced; content that was made to collide in SHA-1.
    pub fn finish(mut self) -> io::Result<()> {
        if self.left != 0 {
            return Err(io::Error::other("a pack with too few objects"));
        }
        let sum = self.out.sum.finalize_cd().map_err(|_| io::Error::other("a SHA-1 collision attack"))?;
        self.out.out.write_all(&sum)
    }
}

/// The type and the length of the content, in git's variable-length form.
fn entry_header(kind: PackedKind, size: u64) -> Vec<u8> {
    let mut out = vec![(kind.code() << 4) | (size & 0x0f) as u8];
    let mut rest = size >> 4;
    while rest > 0 {
        if let Some(last) = out.last_mut() {
            *last |= 0x80;
        }
        out.push((rest & 0x7f) as u8);
        rest >>= 7;
    }
    out
}

struct Summed<W: Write> {
    out: W,
    sum: Sha1CD,
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.out.write(bytes)?;
        self.sum.update(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// How many objects a pack says it has; `None` if this is not a pack of version 2 or 3.
#[must_use]
pub(crate) fn object_count(pack: &[u8]) -> Option<u32> {
    let header: &[u8; 12] = pack.first_chunk()?;
    let number = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    (header.starts_with(b"PACK") && matches!(number(4), 2 | 3)).then(|| number(8))
}

/// Whether a pack or a pack index ends with the SHA-1 of all that stands before, as both formats demand. Reads in pieces.
pub(crate) fn is_whole(file: &mut dyn Read) -> io::Result<bool> {
    const SUM: usize = 20;
    let mut sha1 = Sha1CD::default();
    let mut buffer = vec![0u8; 256 * 1024];
    // The last bytes read are held back: they may be the sum.
    let mut held = 0;
    loop {
        match file.read(&mut buffer[held..]) {
            Ok(0) => break,
            Ok(n) => {
                let have = held + n;
                let content = have.saturating_sub(SUM);
                sha1.update(&buffer[..content]);
                buffer.copy_within(content..have, 0);
                held = have - content;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(held == SUM && sha1.finalize_cd().is_ok_and(|sum| sum.as_slice() == &buffer[..SUM]))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct OneByOne<'a>(&'a [u8]);

    impl Read for OneByOne<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let most = buffer.len().min(1);
            self.0.read(&mut buffer[..most])
        }
    }

    #[test]
    fn lengths_are_written_as_git_does() {
        assert_eq!(entry_header(PackedKind::Blob, 5), [0x35]);
        assert_eq!(entry_header(PackedKind::Commit, 16), [0x90, 0x01]);
        assert_eq!(entry_header(PackedKind::Tree, 2063), [0xaf, 0x80, 0x01]);
    }

    #[test]
    fn a_pack_ends_with_its_sum_and_holds_what_it_says() {
        let mut bytes = Vec::new();
        let mut pack = PackWriter::new(&mut bytes, 1).unwrap();
        pack.add(PackedKind::Blob, b"hello").unwrap();
        assert!(pack.add(PackedKind::Blob, b"more").is_err());
        pack.finish().unwrap();
        assert_eq!(object_count(&bytes), Some(1));
        assert!(is_whole(&mut &bytes[..]).unwrap());
        // However the bytes come, one at a time too.
        assert!(is_whole(&mut bytes.as_slice().chain(io::empty())).unwrap());
        assert!(is_whole(&mut OneByOne(&bytes)).unwrap());
        assert!(!is_whole(&mut &bytes[..bytes.len() - 1]).unwrap());
        assert!(!is_whole(&mut &bytes[..19]).unwrap());
        bytes[14] ^= 1;
        assert!(!is_whole(&mut &bytes[..]).unwrap());
        assert!(PackWriter::new(Vec::new(), 1).unwrap().finish().is_err());
        assert_eq!(object_count(b"PACK"), None);
    }
}
