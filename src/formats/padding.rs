//! Zeros after a content, so that the size of what is encrypted says little about it.

use std::io::{self, Read, Write};

/// The smallest padded size, in bytes: manifests, sums and notes all look alike.
const SMALLEST: u64 = 4096;

/// The size to which a content of `size` bytes is padded: the next one whose binary form ends in zeros but for as many digits as
/// its exponent has (Padmé, from "Reducing Metadata Leakage from Encrypted Files", 2019). At most a sixteenth is added to what
/// is larger than the smallest size.
#[must_use]
pub fn padded(size: u64) -> u64 {
    if size <= SMALLEST {
        return SMALLEST;
    }
    let exponent = u64::from(size.ilog2());
    let kept = u64::from(exponent.ilog2()) + 1;
    let mask = (1u64 << (exponent - kept)) - 1;
    size.saturating_add(mask) & !mask
}

/// The zeros that follow a content of `size` bytes.
pub fn zeros(size: u64) -> impl Read {
    io::repeat(0).take(padded(size).saturating_sub(size))
}

/// Takes the zeros from the end of a text.
pub fn strip(text: &mut Vec<u8>) {
    text.truncate(text.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1));
}

/// Passes the first bytes on, and refuses anything after them but as many zeros as belong there.
pub struct Unpadded<'a> {
    out: &'a mut (dyn Write + Send),
    left: u64,
    zeros: u64,
}

impl<'a> Unpadded<'a> {
    /// Passes `size` bytes on to `out`.
    pub fn new(size: u64, out: &'a mut (dyn Write + Send)) -> Self {
        Self { out, left: size, zeros: padded(size).saturating_sub(size) }
    }

    /// Whether as many bytes came as should.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.left == 0
    }
}

impl Write for Unpadded<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let own = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
        let (content, zeros) = bytes.split_at(own);
        self.out.write_all(content)?;
        self.left -= own as u64;
        match self.zeros.checked_sub(zeros.len() as u64) {
            Some(left) if zeros.iter().all(|b| *b == 0) => self.zeros = left,
            _ => return Err(io::Error::new(io::ErrorKind::InvalidData, "it holds more than it should")),
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_says_little_and_costs_little() {
        for size in [0, 1, 4095, 4096] {
            assert_eq!(padded(size), 4096);
        }
        assert_eq!(padded(4097), 4352);
        assert_eq!(padded(1 << 30), 1 << 30);
        assert_eq!(padded((1 << 30) + 1), (1 << 30) + (1 << 25));
        assert_eq!(padded(u64::MAX) & ((1 << 50) - 1), 0);
        let sizes: std::collections::BTreeSet<u64> = (100_000..200_000).map(padded).collect();
        assert!(sizes.len() < 40, "{} sizes", sizes.len());
        for size in (4097..5_000_000).step_by(997) {
            let more = padded(size) - size;
            assert!(more * 16 <= size && padded(padded(size)) == padded(size), "{size} and {more}");
        }
    }

    #[test]
    fn what_follows_a_content_is_zeros_and_nothing_else() {
        let content = [7; 5000];
        let mut whole = content.to_vec();
        zeros(5000).read_to_end(&mut whole).unwrap();
        assert_eq!(whole.len() as u64, padded(5000));
        let taken = |bytes: &[u8]| {
            let mut out = Vec::new();
            let mut unpadded = Unpadded::new(5000, &mut out);
            let written = bytes.chunks(777).try_for_each(|part| unpadded.write_all(part));
            written.map(|()| unpadded.is_whole()).map(|whole| (whole, out))
        };
        assert_eq!(taken(&whole).unwrap(), (true, content.to_vec()));
        assert!(!taken(&content[1..]).unwrap().0);
        strip(&mut whole);
        assert_eq!(whole, content);
        whole.extend([0; 120]);
        *whole.last_mut().unwrap() = 1;
        assert!(taken(&whole).is_err(), "no zero");
        *whole.last_mut().unwrap() = 0;
        whole.push(0);
        assert!(taken(&whole).is_err(), "a zero too many");
    }
}
