//! Detached signatures as bytes, and what a checked one proves.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use openpgp::packet::Signature;
use openpgp::parse::Parse as _;
use openpgp::types::{HashAlgorithm, SignatureType};
use openpgp::{Packet, PacketPile};
use sequoia_openpgp as openpgp;

use super::{cause, timestamp};
use crate::error::{Context as _, Error, Result};
use crate::model::Fingerprint;

/// The first line of a signature's armor.
const BEGIN: &str = "-----BEGIN PGP SIGNATURE-----";
/// Its last line.
const END: &str = "-----END PGP SIGNATURE-----";
/// How long gpg, sequoia and others write the lines between.
const LINE: usize = 64;

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

/// The packets in ASCII armor (RFC 9580 §6.2). One signature has one text: no headers, full lines, a right checksum if there
/// is one, and no byte before or after. What others would skip could carry anything, under the same signature.
fn unarmored(bytes: &[u8]) -> Result<Vec<u8>, &'static str> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not text")?;
    let inner = text.strip_prefix(BEGIN).and_then(|t| t.strip_prefix('\n')).ok_or("it does not begin as one")?;
    let inner =
        inner.strip_prefix('\n').ok_or("it has armor headers; write none: gpg --no-emit-version --no-comments")?;
    let inner = inner.strip_suffix('\n').and_then(|t| t.strip_suffix(END)).ok_or("it does not end with the armor")?;
    let mut lines: Vec<&str> = inner.strip_suffix('\n').ok_or("its last line is broken")?.split('\n').collect();
    let checksum = lines.pop_if(|l| l.len() == 5 && l.starts_with('='));
    let (last, full) = lines.split_last().ok_or("it is empty")?;
    if last.is_empty() || last.len() > LINE || full.iter().any(|l| l.len() != LINE) {
        return Err("its lines are not of 64 characters");
    }
    let packets = STANDARD.decode(lines.concat()).map_err(|_| "it is not base64")?;
    let right = |sum: &str| STANDARD.decode(&sum[1..]).is_ok_and(|s| s == crc24(&packets).to_be_bytes()[1..]);
    if checksum.is_some_and(|sum| !right(sum)) {
        return Err("its checksum is wrong");
    }
    // Bit 7 starts every packet; without it, the parser would look for another armor inside.
    if packets.first().is_some_and(|b| b & 0x80 != 0) { Ok(packets) } else { Err("it holds no packet") }
}

/// RFC 9580 §6.1.1.
fn crc24(bytes: &[u8]) -> u32 {
    let mut crc: u32 = 0x00b7_04ce;
    for byte in bytes {
        crc ^= u32::from(*byte) << 16;
        for _ in 0..8 {
            crc <<= 1;
            if crc & 0x0100_0000 != 0 {
                crc ^= 0x0186_4cfb;
            }
        }
    }
    crc & 0x00ff_ffff
}

impl Detached {
    /// Reads exactly one signature in ASCII armor; `name` is the file, for messages.
    ///
    /// # Errors
    /// Anything but one version 4 binary SHA-512 signature with a creation time; armor with headers, or with anything
    /// before or after it.
    pub fn parse(bytes: &[u8], name: &str) -> Result<Self> {
        let bad = |what: String| {
            Error::verification(format!("`{name}` {what}"))
                .hint("one file holds one signature of version 4 with SHA-512: gpg --armor --detach-sign --digest-algo SHA512")
        };
        let binary = unarmored(bytes).map_err(|why| bad(format!("is not one ASCII-armored signature: {why}")))?;
        let pile = PacketPile::from_bytes(&binary)
            .map_err(|e| bad("is not an OpenPGP signature".into()).because(cause(&e)))?;
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
    pub(crate) fn issuers(&self) -> String {
        let mut ids: Vec<String> = self.packet.get_issuers().iter().map(ToString::to_string).collect();
        ids.sort();
        ids.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_signature_has_one_text() {
        let packets: Vec<u8> = (0x80..0xd0).collect();
        let body = STANDARD.encode(&packets);
        let (one, two) = body.split_at(64);
        let sum = STANDARD.encode(&crc24(&packets).to_be_bytes()[1..]);
        let good = format!("{BEGIN}\n\n{one}\n{two}\n={sum}\n{END}\n");
        assert_eq!(unarmored(good.as_bytes()).unwrap(), packets);
        assert_eq!(unarmored(good.replace(&format!("={sum}\n"), "").as_bytes()).unwrap(), packets);
        for bad in [
            format!("{good}x"),
            format!("{good}\n"),
            format!("{good}{good}"),
            format!(" {good}"),
            good.trim_end().to_owned(),
            good.replace('\n', "\r\n"),
            good.replacen("\n\n", "\nComment: a\n\n", 1),
            good.replacen("\n\n", "\nVersion: 1\n\n", 1),
            good.replacen("\n\n", "\n", 1),
            good.replace(one, &format!("{}\n{}", &one[..32], &one[32..])),
            good.replace(one, &format!("{one} ")),
            good.replace(&sum, "AAAA"),
            body.clone(),
            String::new(),
        ] {
            assert!(unarmored(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert!(unarmored(&packets).is_err(), "binary");
        assert_eq!(crc24(b"123456789"), 0x21_cf02);
    }
}
