//! How much may go to a store, and come from it, at a time.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use super::GrammarError;

/// A number of bytes a second, written `10 MB/s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRate(NonZeroU64);

impl ByteRate {
    /// In bytes a second.
    #[must_use]
    pub fn per_second(self) -> u64 {
        self.0.get()
    }
}

/// The units, largest first.
const UNITS: [(&str, u64); 6] = [
    ("GiB/s", 1 << 30),
    ("MiB/s", 1 << 20),
    ("KiB/s", 1 << 10),
    ("GB/s", 1_000_000_000),
    ("MB/s", 1_000_000),
    ("kB/s", 1000),
];

impl FromStr for ByteRate {
    type Err = GrammarError;

    fn from_str(text: &str) -> Result<Self, GrammarError> {
        let found = UNITS.iter().find_map(|(unit, bytes)| {
            let digits = text.strip_suffix(unit)?.trim_end();
            let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            let number: u64 = digits.parse().ok().filter(|_| plain)?;
            NonZeroU64::new(number.checked_mul(*bytes)?)
        });
        let valid =
            "a whole number above zero and `kB/s`, `MB/s` or `GB/s`, such as `10 MB/s` (or `KiB/s`, `MiB/s`, `GiB/s`)";
        found.map(Self).ok_or_else(|| GrammarError::new("rate", text, valid))
    }
}

impl fmt::Display for ByteRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.per_second();
        match UNITS.iter().find(|(_, unit)| bytes.is_multiple_of(*unit)) {
            Some((name, unit)) => write!(f, "{} {name}", bytes / unit),
            None => write!(f, "{bytes} B/s"),
        }
    }
}

/// What the table of a store says of its transfers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransferLimits {
    /// How many files at once.
    pub at_once: usize,
    /// How fast, all of them together; as fast as it goes if none.
    pub rate: Option<ByteRate>,
}

impl Default for TransferLimits {
    fn default() -> Self {
        Self { at_once: 8, rate: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates() {
        let of = |text: &str| text.parse::<ByteRate>().map(ByteRate::per_second);
        assert_eq!([of("10 MB/s"), of("1kB/s"), of("3 GiB/s")].map(Result::unwrap), [10_000_000, 1000, 3 << 30]);
        for bad in [
            "",
            "10",
            "MB/s",
            "0 MB/s",
            "-1 MB/s",
            "+1 MB/s",
            "1.5 MB/s",
            "10 Mb/s",
            "10 MB",
            "99999999999999999999 MB/s",
            "99999999999999 GB/s",
        ] {
            assert!(of(bad).is_err(), "{bad}");
        }
        for text in ["10 MB/s", "250 kB/s", "3 GiB/s"] {
            assert_eq!(text.parse::<ByteRate>().unwrap().to_string(), text);
        }
    }
}
