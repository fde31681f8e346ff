//! Detached signatures as bytes, and what a checked one proves.

use jiff::Timestamp;
use openpgp::packet::Signature;
use openpgp::parse::Parse as _;
use openpgp::types::{HashAlgorithm, SignatureType};
use openpgp::{Packet, PacketPile};
use sequoia_openpgp as openpgp;

use super::{cause, timestamp};
use crate::error::{Context as _, Error, Result};
use crate::model::Fingerprint;

/// One detached signature, not yet checked.
#[derive(Debug, Clone)]
pub struct Detached {
    name: String,
    packet: Signature,
    made: Timestamp,
}

/// A signature that is mathematically right: which key made it, of which certificate, and when it says so. Whether it
/// counts is another question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureFact {
    /// The certificate (its primary key).
    pub certificate: Fingerprint,
    /// The key that signed, the primary or a subkey.
    pub key: Fingerprint,
    /// The creation time that the signature itself gives.
    pub made: Timestamp,
    /// When the signature itself expires; seldom used.
    pub expires: Option<Timestamp>,
}

/// Writes a signature as ASCII armor.
///
/// # Errors
/// Never; it is written to memory.
pub fn armor(signature: Signature) -> Result<String> {
    use openpgp::serialize::Marshal as _;
    let what = "cannot write a signature";
    let mut writer = openpgp::armor::Writer::new(Vec::new(), openpgp::armor::Kind::Signature).context(what)?;
    Packet::from(signature).serialize(&mut writer).map_err(|e| Error::fatal(what).because(cause(&e)))?;
    let bytes = writer.finalize().context(what)?;
    String::from_utf8(bytes).context(what)
}

impl Detached {
    /// Reads exactly one signature; `name` is the file, for messages.
    ///
    /// # Errors
    /// Anything but one version 4 binary SHA-512 signature with a creation time.
    pub fn parse(bytes: &[u8], name: &str) -> Result<Self> {
        let bad = |what: String| {
            Error::verification(format!("`{name}` {what}"))
                .hint("one file holds one signature of version 4 with SHA-512: gpg --armor --detach-sign --digest-algo SHA512")
        };
        let pile =
            PacketPile::from_bytes(bytes).map_err(|e| bad("is not an OpenPGP signature".into()).because(cause(&e)))?;
        let mut packets: Vec<Packet> = pile.into_children().collect();
        let packet = match (packets.pop(), packets.len()) {
            (Some(Packet::Signature(s)), 0) => s,
            (Some(_), 0) | (None, _) => return Err(bad("is not an OpenPGP signature".into())),
            _ => return Err(bad("holds more than one signature".into())),
        };
        if packet.version() != 4 {
            return Err(bad(format!("holds a signature of version {}", packet.version())));
        }
        if packet.typ() != SignatureType::Binary {
            return Err(bad(format!("holds a signature of type {:?}, not over binary data", packet.typ())));
        }
        if packet.hash_algo() != HashAlgorithm::SHA512 {
            return Err(bad(format!("holds a signature with {}", packet.hash_algo())));
        }
        let made = packet.signature_creation_time().ok_or_else(|| bad("holds a signature without a date".into()))?;
        Ok(Self { name: name.to_owned(), made: timestamp(made)?, packet })
    }

    /// The file, for messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The creation time that the signature itself gives.
    #[must_use]
    pub fn made(&self) -> Timestamp {
        self.made
    }

    pub(super) fn packet(&self) -> &Signature {
        &self.packet
    }

    /// The fingerprints or key ids of the keys that it says made it, for messages.
    #[must_use]
    pub fn issuers(&self) -> String {
        let mut ids: Vec<String> = self.packet.get_issuers().iter().map(ToString::to_string).collect();
        ids.sort();
        ids.join(", ")
    }
}
