//! Fingerprints of OpenPGP certificates, and the nonce of a train.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::GrammarError;

/// The fingerprint of an OpenPGP key (RFC 9580 §5.5.4): 40 (v4) or 64 (v6) uppercase hexadecimal digits.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint(String);

/// 16 random bytes that make a train unlike every other, as 32 lowercase hexadecimal digits.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TrainNonce(String);

impl TrainNonce {
    /// Writes the bytes that a clock drew.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes.iter().map(|b| format!("{b:02x}")).collect())
    }
}

impl FromStr for Fingerprint {
    type Err = GrammarError;

    fn from_str(s: &str) -> Result<Self, GrammarError> {
        if matches!(s.len(), 40 | 64) && s.bytes().all(|c| matches!(c, b'0'..=b'9' | b'A'..=b'F')) {
            Ok(Self(s.to_owned()))
        } else {
            Err(GrammarError::new("certificate fingerprint", s, "40 or 64 uppercase hexadecimal digits"))
        }
    }
}

impl FromStr for TrainNonce {
    type Err = GrammarError;

    fn from_str(s: &str) -> Result<Self, GrammarError> {
        if s.len() == 32 && s.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f')) {
            Ok(Self(s.to_owned()))
        } else {
            Err(GrammarError::new("train nonce", s, "32 lowercase hexadecimal digits"))
        }
    }
}

macro_rules! text {
    ($name:ident) => {
        impl $name {
            /// The hexadecimal digits.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = GrammarError;

            fn try_from(s: String) -> Result<Self, GrammarError> {
                s.parse()
            }
        }

        impl From<$name> for String {
            fn from(v: $name) -> Self {
                v.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text!(Fingerprint);
text!(TrainNonce);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_spelling() {
        assert!("A".repeat(40).parse::<Fingerprint>().is_ok());
        for bad in ["a".repeat(40), "A".repeat(39), "A".repeat(16), format!("0x{}", "A".repeat(38))] {
            assert!(bad.parse::<Fingerprint>().is_err(), "{bad}");
        }
        assert_eq!(TrainNonce::from_bytes([0xab; 16]).as_str(), "ab".repeat(16));
        assert!("AB".repeat(16).parse::<TrainNonce>().is_err());
    }
}
