//! SHA-256 and SHA-512 digests as values.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::GrammarError;

macro_rules! digest {
    ($name:ident, $bytes:literal, $standard:literal) => {
        #[doc = concat!("A ", $standard, " digest (FIPS 180-4); written as lowercase hexadecimal.")]
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub [u8; $bytes]);

        impl $name {
            /// The digest as lowercase hexadecimal.
            #[must_use]
            pub fn hex(&self) -> String {
                self.0.iter().map(|b| format!("{b:02x}")).collect()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.hex())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.hex())
            }
        }

        impl FromStr for $name {
            type Err = GrammarError;

            fn from_str(s: &str) -> Result<Self, GrammarError> {
                let mut out = [0u8; $bytes];
                let lowercase = |c: u8| matches!(c, b'0'..=b'9' | b'a'..=b'f');
                if s.len() != 2 * $bytes || !s.bytes().all(lowercase) {
                    return Err(GrammarError::new($standard, s, concat!("2 x ", $bytes, " lowercase hexadecimal digits")));
                }
                for (i, byte) in out.iter_mut().enumerate() {
                    *byte = u8::from_str_radix(&s[2 * i..2 * i + 2], 16)
                        .map_err(|_| GrammarError::new($standard, s, "hexadecimal digits"))?;
                }
                Ok(Self(out))
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(&self.hex())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = String::deserialize(d)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

digest!(Sha256, 32, "SHA-256");
digest!(Sha512, 64, "SHA-512");

impl Sha256 {
    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// The first 12 hexadecimal digits, for display only.
    #[must_use]
    pub fn short(&self) -> String {
        self.hex()[..12].to_owned()
    }
}

impl Sha512 {
    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        Self(sha2::Sha512::digest(bytes).into())
    }
}

/// Size in bytes and both digests of one content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Digests {
    /// Length in bytes.
    pub size: u64,
    /// SHA-256 of the content.
    pub sha256: Sha256,
    /// SHA-512 of the content.
    pub sha512: Sha512,
}

/// Which bytes were seen somewhere, as far as they are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenBytes {
    /// Length in bytes.
    pub size: u64,
    /// SHA-256 of the bytes.
    pub sha256: Sha256,
}

impl Digests {
    /// Size and digests of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self { size: bytes.len() as u64, sha256: Sha256::of(bytes), sha512: Sha512::of(bytes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_round_trip() {
        let d = Sha256::of(b"abc");
        assert_eq!(d.hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(d.hex().parse::<Sha256>().unwrap(), d);
        assert!("BA7816".parse::<Sha256>().is_err());
        assert!(d.hex().to_uppercase().parse::<Sha256>().is_err());
    }
}
