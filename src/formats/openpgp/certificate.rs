//! Certificates: which signatures they made, and whether a key was good at a time.

use jiff::Timestamp;
use openpgp::cert::amalgamation::{ValidAmalgamation as _, ValidateAmalgamation as _};
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

impl Certificate {
    /// Reads one certificate, ASCII-armored or binary; `name` is the file, for messages.
    ///
    /// # Errors
    /// Anything else: several certificates, a secret key.
    pub fn parse(bytes: &[u8], name: &str) -> Result<Self> {
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
        Ok(Self { cert, fingerprint })
    }

    /// The fingerprint of its primary key.
    #[must_use]
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    /// Its first user id, for people.
    #[must_use]
    pub fn user_id(&self) -> Option<String> {
        self.cert.userids().next().map(|u| crate::model::escape(&String::from_utf8_lossy(u.userid().value())))
    }

    /// Whether it has this key, as its primary or as a subkey.
    #[must_use]
    pub fn has_key(&self, key: &Fingerprint) -> bool {
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
        let valid = match self.cert.with_policy(&policy, when) {
            Ok(valid) => valid,
            Err(e) => return Standing::Unusable(cause(&e)),
        };
        let key = match key.with_policy(&policy, when) {
            Ok(key) => key,
            Err(e) => return Standing::Unusable(cause(&e)),
        };
        if let Some(revoked) = revoked(&key.revocation_status()) {
            return revoked;
        }
        if valid.alive().is_err() || key.alive().is_err() {
            return Standing::Expired;
        }
        if key.for_signing() { Standing::Good } else { Standing::Unusable("the key is not for signing".into()) }
    }

    /// Whether any key of this certificate can sign at `now`.
    #[must_use]
    pub fn standing_now(&self, now: Timestamp) -> Standing {
        let mut worst = Standing::Unusable("no key of the certificate is for signing".into());
        for key in self.cert.keys() {
            let Ok(fingerprint) = key.key().fingerprint().to_hex().parse() else { continue };
            match self.standing(&fingerprint, now, now) {
                Standing::Good => return Standing::Good,
                Standing::Unusable(_) => {}
                other => worst = other,
            }
        }
        worst
    }

    /// When it can sign no more: its primary key ends, or the last of its keys that sign; none if it does not end, or
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
