//! To whom something can be encrypted.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::trusted::TrustedRoot;
use crate::error::{Error, Result};
use crate::formats::openpgp::Certificate;
use crate::model::{Fingerprint, PersonId};

/// The certificates of people to which something can be encrypted at `now`: for each person, at least one. `what` is encrypted,
/// for messages: `the bundle`.
///
/// # Errors
/// A person whom the root does not have, or to whom nothing can be encrypted: names them, says why, and how they add a key.
pub fn recipients<'a>(
    trust: &'a TrustedRoot,
    people: impl IntoIterator<Item = &'a PersonId>,
    what: &str,
    now: Timestamp,
) -> Result<BTreeMap<&'a PersonId, Vec<&'a Certificate>>> {
    let mut out = BTreeMap::new();
    for name in people {
        let person = trust.root.people.get(name).ok_or_else(|| {
            let known: Vec<&str> = trust.root.people.keys().map(PersonId::as_str).collect();
            Error::input(format!("`{name}` is not a person of the trust root: {}", known.join(", ")))
                .hint("`lifeboat trust show` says who is")
        })?;
        let certificates = person.certificates.iter().map(|fingerprint| (fingerprint, trust.certificate(fingerprint)));
        out.insert(name, usable(name, certificates, what, now)?);
    }
    Ok(out)
}

/// Those of a person's certificates to which something can be encrypted at `now`: at least one.
///
/// # Errors
/// As [`recipients`].
pub fn usable<'a>(
    name: &PersonId,
    certificates: impl IntoIterator<Item = (&'a Fingerprint, Result<&'a Certificate>)>,
    what: &str,
    now: Timestamp,
) -> Result<Vec<&'a Certificate>> {
    let mut error = Error::input(format!("`{name}` has no key to which {what} could be encrypted"));
    let (mut usable, mut first) = (Vec::new(), "FINGERPRINT");
    for (fingerprint, certificate) in certificates {
        match certificate {
            Ok(certificate) => match certificate.not_for_encryption(now) {
                None => usable.push(certificate),
                Some(why) => error = error.detail(format!("certificate {fingerprint}: {why}")),
            },
            Err(e) => error = error.detail(e.message()),
        }
        if first == "FINGERPRINT" {
            first = fingerprint.as_str();
        }
    }
    if !usable.is_empty() {
        return Ok(usable);
    }
    Err(error.hint(format!(
        "{name} adds one with `gpg --quick-add-key {first} cv25519 encr`; its new export goes into `keys/`"
    )))
}
