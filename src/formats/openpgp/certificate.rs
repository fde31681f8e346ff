//! Certificates: which signatures they made, and whether a key was good at a time.

use jiff::Timestamp;
use openpgp::cert::amalgamation::ValidateAmalgamation as _;
use openpgp::parse::Parse as _;
use openpgp::policy::{HashAlgoSecurity, Policy as _, StandardPolicy};
use openpgp::types::RevocationStatus;
use sequoia_openpgp as openpgp;
use std::time::SystemTime;

use super::signature::{Detached, SignatureFact};
use super::{Hashed, cause, timestamp};
use crate::error::{Error, Result};
use crate::model::Fingerprint;

/// A public certificate; never holds a secret key.
#[derive(Debug, Clone)]
pub struct Certificate {
    cert: openpgp::Cert,
    fingerprint: Fingerprint,
}

/// Whether a key could sign at some time. Expiry and soft revocation are judged at that time, hard revocation always.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It could.
    Good,
    /// It had expired.
    Expired,
    /// It was not yet made.
    NotYetMade,
    /// It was revoked; the reason, if one was given.
    Revoked(String),
    /// It is not for signing, or too weak by today's standard.
    Unusable(String),
}

/// Whether the revocations of those whom an owner designated for it count, unchecked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Revokers {
    /// In a directory that people look after.
    Believed,
    /// In what a server sent.
    Ignored,
}

impl Certificate {
    /// Reads one certificate, ASCII-armored or binary; `name` is the file, for messages.
    ///
    /// # Errors
    /// Anything else: several certificates, a secret key.
    pub fn parse(bytes: &[u8], name: &str) -> Result<Self> {
        Self::parse_with(bytes, name, Revokers::Believed)
    }

    /// The same, from somebody who is not believed: what a designated revoker said counts for nothing, since its signature is
    /// not checked.
    pub(crate) fn parse_fetched(bytes: &[u8], name: &str) -> Result<Self> {
        Self::parse_with(bytes, name, Revokers::Ignored)
    }

    fn parse_with(bytes: &[u8], name: &str, revokers: Revokers) -> Result<Self> {
        let broken = |e: openpgp::anyhow::Error| {
            Error::verification(format!("`{name}` is not one OpenPGP certificate"))
                .because(cause(&e))
                .hint("write it with `gpg --armor --export-options export-minimal --export FINGERPRINT`")
        };
        let cert = openpgp::Cert::from_bytes(bytes).map_err(broken)?;
        if cert.is_tsk() {
            return Err(Error::verification(format!("`{name}` holds a secret key"))
                .hint("export the certificate alone, and treat the key as known to others if the file was shared"));
        }
        let fingerprint = cert.fingerprint().to_hex().parse()?;
        Ok(Self { cert: own_word(&cert, revokers).map_err(broken)?, fingerprint })
    }

    /// The certificate of a secret key, ASCII-armored or binary; nothing is unlocked. `name` is the file, for messages.
    pub fn of_secret(bytes: &[u8], name: &str) -> Result<Self> {
        let broken = |e: openpgp::anyhow::Error| {
            Error::input(format!("`{name}` is not an OpenPGP secret key")).because(cause(&e))
        };
        let cert = openpgp::Cert::from_bytes(bytes).map_err(broken)?.strip_secret_key_material();
        let fingerprint = cert.fingerprint().to_hex().parse()?;
        Ok(Self { cert, fingerprint })
    }

    /// The fingerprint of its primary key.
    #[must_use]
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    /// The certificate as the library has it.
    pub(super) fn cert(&self) -> &openpgp::Cert {
        &self.cert
    }

    /// Its first user id, for people.
    #[must_use]
    pub fn user_id(&self) -> Option<String> {
        self.cert.userids().next().map(|u| crate::model::escape(&String::from_utf8_lossy(u.userid().value())))
    }

    /// Whether it has this key, as its primary or as a subkey.
    #[must_use]
    pub(crate) fn has_key(&self, key: &Fingerprint) -> bool {
        self.cert.keys().any(|k| k.key().fingerprint().to_hex() == key.as_str())
    }

    /// Checks that a key of this certificate made `signature` over the hashed content.
    ///
    /// # Errors
    /// Another key, or other bytes.
    pub fn check(&self, signature: &Detached, content: &Hashed, now: Timestamp) -> Result<SignatureFact> {
        let packet = signature.packet();
        let name = signature.name();
        let issuers = packet.get_issuers();
        let mut why = None;
        for key in self.cert.keys() {
            let handle = openpgp::KeyHandle::from(key.key().fingerprint());
            if !issuers.iter().any(|i| i.aliases(&handle)) {
                continue;
            }
            if let Err(e) = packet.verify_hash(key.key(), content.context()) {
                why = Some(cause(&e));
                continue;
            }
            policy(now).signature(packet, HashAlgoSecurity::CollisionResistance).map_err(|e| {
                Error::verification(format!("`{name}` is a signature that today's standard refuses")).because(cause(&e))
            })?;
            return Ok(SignatureFact {
                certificate: self.fingerprint.clone(),
                key: key.key().fingerprint().to_hex().parse()?,
                made: signature.made(),
                expires: packet.signature_expiration_time().map(timestamp).transpose()?,
            });
        }
        Err(match why {
            Some(why) => {
                Error::verification(format!("`{name}` does not match the bytes that it should sign")).because(why)
            }
            None => Error::verification(format!(
                "`{name}` was made by {}, not by {}",
                signature.issuers(),
                self.fingerprint
            )),
        })
    }

    /// Whether a key of this certificate could sign at `at`, by the standard of `now`.
    #[must_use]
    pub fn standing(&self, key: &Fingerprint, at: Timestamp, now: Timestamp) -> Standing {
        let (policy, when) = (policy(now), SystemTime::from(at));
        if let Some(revoked) = revoked(&self.cert.revocation_status(&policy, when)) {
            return revoked;
        }
        let Some(key) = self.cert.keys().find(|k| k.key().fingerprint().to_hex() == key.as_str()) else {
            return Standing::Unusable("the certificate does not have the key".into());
        };
        if when < key.key().creation_time() || when < self.cert.primary_key().key().creation_time() {
            return Standing::NotYetMade;
        }
        let subkey = self.cert.keys().subkeys().find(|k| k.key().fingerprint() == key.key().fingerprint());
        if let Some(revoked) = subkey.and_then(|k| revoked(&k.revocation_status(&policy, when))) {
            return revoked;
        }
        let bound = |at: SystemTime| -> openpgp::Result<_> {
            let valid = self.cert.with_policy(&policy, at)?;
            Ok((valid.primary_key().key_expiration_time(), key.clone().with_policy(&policy, at)?))
        };
        // GnuPG drops the self-signatures before the one that extends a key, so that an extended certificate may say
        // nothing of the time before. The first thing that its owner says afterwards counts from the key's beginning on.
        let mut found = bound(when);
        if found.is_err() {
            found = self.said_after(when).into_iter().find_map(|at| bound(at).ok()).map_or(found, Ok);
        }
        let (primary_expires, key) = match found {
            Ok(found) => found,
            Err(e) => return Standing::Unusable(cause(&e)),
        };
        let expired = |expires: Option<SystemTime>| expires.is_some_and(|at| at <= when);
        if expired(primary_expires) || expired(key.key_expiration_time()) {
            return Standing::Expired;
        }
        if key.for_signing() { Standing::Good } else { Standing::Unusable("the key is not for signing".into()) }
    }

    /// When its owner made a statement about it after `when`, in order.
    fn said_after(&self, when: SystemTime) -> Vec<SystemTime> {
        let of_ids = self.cert.userids().flat_map(|u| u.self_signatures());
        let of_keys = self.cert.keys().flat_map(|k| k.self_signatures());
        let mut times: Vec<SystemTime> =
            of_ids.chain(of_keys).filter_map(|s| s.signature_creation_time()).filter(|t| *t > when).collect();
        times.sort();
        times.dedup();
        times
    }

    /// Whether any key of this certificate can sign at `now`.
    #[must_use]
    pub fn standing_now(&self, now: Timestamp) -> Standing {
        let mut worst: Option<Standing> = None;
        for key in self.cert.keys() {
            let Ok(fingerprint) = key.key().fingerprint().to_hex().parse() else { continue };
            match self.standing(&fingerprint, now, now) {
                Standing::Good => return Standing::Good,
                // What holds for the whole certificate is reported first: it is the primary key's.
                Standing::Unusable(why) => worst = worst.or(Some(Standing::Unusable(why))),
                other if worst.as_ref().is_none_or(|w| matches!(w, Standing::Unusable(_))) => worst = Some(other),
                _ => {}
            }
        }
        worst.unwrap_or_else(|| Standing::Unusable("no key of the certificate is for signing".into()))
    }

    /// When it stops signing: its primary key ends, or the last of its keys that sign; none if it does not end, or
    /// cannot sign at `now`.
    #[must_use]
    pub fn expires(&self, now: Timestamp) -> Option<Timestamp> {
        let (policy, when) = (policy(now), SystemTime::from(now));
        let valid = self.cert.with_policy(&policy, when).ok()?;
        let primary = valid.primary_key().key_expiration_time();
        let ends: Vec<Option<SystemTime>> =
            valid.keys().alive().revoked(false).for_signing().map(|k| k.key_expiration_time()).collect();
        // One that does not end is later than any that does.
        let last = if ends.contains(&None) { None } else { ends.into_iter().flatten().max() };
        [primary, last].into_iter().flatten().min().and_then(|t| timestamp(t).ok())
    }

    /// This certificate with everything that another copy of it knows too; a revocation in either revokes it.
    ///
    /// # Errors
    /// The copy is of another certificate.
    pub fn merged(&self, copy: &Self) -> Result<Self> {
        let cert = self.cert.clone().merge_public(copy.cert.clone()).map_err(|e| {
            let what = format!("{} and {} are not one certificate", self.fingerprint, copy.fingerprint);
            Error::verification(what).because(cause(&e))
        })?;
        Ok(Self { cert, fingerprint: self.fingerprint.clone() })
    }

    /// The certificate, ASCII-armored.
    ///
    /// # Errors
    /// Never; it is written to memory.
    pub fn armored(&self) -> Result<String> {
        use openpgp::serialize::SerializeInto as _;
        let what = "cannot write a certificate";
        let bytes = self.cert.armored().to_vec().map_err(|e| Error::fatal(what).because(cause(&e)))?;
        String::from_utf8(bytes).map_err(|e| Error::fatal(what).because(e))
    }
}

/// A certificate as its owner speaks of it: keys, user ids and what they signed themselves. What others put to it says
/// nothing that counts here, and an unchecked revocation by a third party would silence the owner. A revoker whom the owner
/// designated is believed where the copy itself is.
fn own_word(cert: &openpgp::Cert, revokers: Revokers) -> openpgp::Result<openpgp::Cert> {
    let designated: Vec<openpgp::KeyHandle> = if revokers == Revokers::Ignored {
        Vec::new()
    } else {
        let of_ids = cert.userids().flat_map(|u| u.self_signatures());
        let all = of_ids.chain(cert.primary_key().self_signatures());
        all.flat_map(|s| s.revocation_keys()).map(|k| openpgp::KeyHandle::from(k.revoker().1.clone())).collect()
    };
    let by_designated =
        |s: &&openpgp::packet::Signature| s.get_issuers().iter().any(|i| designated.iter().any(|d| d.aliases(i)));
    let mut packets: Vec<openpgp::Packet> = Vec::new();
    let primary = cert.primary_key();
    packets.push(primary.key().clone().into());
    let signatures = primary.self_revocations().chain(primary.self_signatures());
    packets.extend(signatures.chain(primary.other_revocations().filter(by_designated)).cloned().map(Into::into));
    for id in cert.userids().filter(|u| u.self_signatures().next().is_some()) {
        packets.push(id.userid().clone().into());
        packets.extend(id.self_revocations().chain(id.self_signatures()).cloned().map(Into::into));
    }
    for key in cert.keys().subkeys().filter(|k| k.self_signatures().next().is_some()) {
        packets.push(key.key().clone().into());
        let signatures = key.self_revocations().chain(key.self_signatures());
        packets.extend(signatures.chain(key.other_revocations().filter(by_designated)).cloned().map(Into::into));
    }
    openpgp::Cert::from_packets(packets.into_iter())
}

/// The standard of `now`: what was strong enough when a signature was made may not be any more.
fn policy(now: Timestamp) -> StandardPolicy<'static> {
    StandardPolicy::at(SystemTime::from(now))
}

fn revoked(status: &RevocationStatus<'_>) -> Option<Standing> {
    let by = match status {
        RevocationStatus::NotAsFarAsWeKnow => return None,
        RevocationStatus::Revoked(by) => by,
        // A designated revoker's word is not checked; in a curated directory it is safer to believe it.
        RevocationStatus::CouldBe(by) => by,
    };
    let reason = by.iter().find_map(|s| s.reason_for_revocation()).map(|(code, text)| {
        let text = crate::model::escape(&String::from_utf8_lossy(text));
        if text.is_empty() { code.to_string() } else { format!("{code}: {text}") }
    });
    Some(Standing::Revoked(reason.unwrap_or_else(|| "no reason given".into())))
}

#[cfg(test)]
mod tests {
    use openpgp::cert::CertBuilder;
    use openpgp::packet::signature::SignatureBuilder;
    use openpgp::serialize::SerializeInto as _;
    use openpgp::types::{ReasonForRevocation, SignatureType};

    use super::*;

    /// Anybody can write a signature that says it is the revoker's.
    #[test]
    fn a_revoker_s_word_from_a_server_counts_for_nothing() {
        let key = |name: &str| CertBuilder::general_purpose(Some(name)).generate().unwrap().0;
        let (revoker, mallory) = (key("revoker"), key("mallory"));
        let owner = CertBuilder::general_purpose(Some("owner")).set_revocation_keys(vec![(&revoker).into()]);
        let owner = owner.generate().unwrap().0;
        let mut pair = mallory.primary_key().key().clone().parts_into_secret().unwrap().into_keypair().unwrap();
        let forged = SignatureBuilder::new(SignatureType::KeyRevocation)
            .set_reason_for_revocation(ReasonForRevocation::KeyCompromised, b"")
            .unwrap()
            .set_issuer_fingerprint(revoker.fingerprint())
            .unwrap()
            .sign_direct_key(&mut pair, owner.primary_key().key())
            .unwrap();
        let bytes = owner.strip_secret_key_material().insert_packets(forged).unwrap().0.armored().to_vec().unwrap();
        let now = Timestamp::now();
        let curated = Certificate::parse(&bytes, "x").unwrap().standing_now(now);
        assert!(matches!(curated, Standing::Revoked(_)), "the forgery is none: {curated:?}");
        assert_eq!(Certificate::parse_fetched(&bytes, "x").unwrap().standing_now(now), Standing::Good);
    }
}
