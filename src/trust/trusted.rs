//! A trust root that counts, with what it names.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::root::Root;
use crate::error::{Error, Result};
use crate::formats::openpgp::Certificate;
use crate::model::{Fingerprint, Sha256};

/// A trust root that was chosen by digest or directory, with the certificates that it names.
#[derive(Debug, Clone)]
pub struct TrustedRoot {
    /// The root.
    pub root: Root,
    /// SHA-256 of its bytes.
    pub digest: Sha256,
    /// Its digest and those of the roots before it: an approval names the root of its own time.
    pub accepted: BTreeSet<Sha256>,
    /// The freshness keys of the roots before it: what they signed may be moved forward, and counts for nothing else.
    pub earlier_freshness: BTreeSet<Fingerprint>,
    /// By fingerprint, with those of `earlier_freshness`; those that are missing on disk are missing here.
    pub certificates: BTreeMap<Fingerprint, Certificate>,
    /// The roots before it as far as they are known, by digest, each with the certificates that it names.
    pub earlier: BTreeMap<Sha256, (Root, BTreeMap<Fingerprint, Certificate>)>,
    /// Whether they came from a store: what is missing there is not the fault of whoever reads it.
    pub fetched: bool,
    /// What a store publishes beside the releases, by name: the roots, their signatures and the certificates.
    pub published: BTreeMap<String, Vec<u8>>,
}

impl TrustedRoot {
    /// A certificate that the root names.
    ///
    /// # Errors
    /// Its file was missing.
    pub fn certificate(&self, fingerprint: &Fingerprint) -> Result<&Certificate> {
        self.certificates.get(fingerprint).ok_or_else(|| {
            let who = self.owner(fingerprint);
            let what = format!("the certificate `{fingerprint}.asc` of {who} is missing");
            if self.fetched {
                return Error::verification(what)
                    .hint("it should lie beside `trust.json` in the store: try another one");
            }
            Error::input(what)
                .hint(format!("put it beside `trust.json`: gpg --armor --export {fingerprint} > {fingerprint}.asc"))
        })
    }

    /// Whose certificate it is by this root, for people.
    #[must_use]
    pub fn owner(&self, fingerprint: &Fingerprint) -> String {
        let person = self.root.people.iter().find(|(_, p)| p.certificates.contains(fingerprint));
        let role =
            |name: &str, keys: &BTreeSet<Fingerprint>| keys.contains(fingerprint).then(|| format!("role {name}"));
        person
            .map(|(person, _)| person.to_string())
            .or_else(|| role("release", &self.root.roles.release.keys))
            .or_else(|| role("freshness", &self.root.roles.freshness.keys))
            .unwrap_or_else(|| "nobody in this root".to_owned())
    }

    /// What counted under each root before this one, back to `first`, the newest first.
    pub fn before(&self, first: &Sha256) -> Vec<Self> {
        let since = self.earlier.get(first).map(|(root, _)| root.version);
        let mut found: Vec<_> =
            self.earlier.iter().filter(|(_, (r, _))| since.is_some_and(|v| r.version >= v)).collect();
        found.sort_by_key(|(_, (root, _))| std::cmp::Reverse(root.version));
        let one = |(digest, (root, certificates)): (&Sha256, &(Root, BTreeMap<Fingerprint, Certificate>))| Self {
            root: root.clone(),
            digest: *digest,
            certificates: certificates.clone(),
            earlier: BTreeMap::new(),
            ..self.clone()
        };
        found.into_iter().map(one).collect()
    }

    /// Checks that the root still counts.
    ///
    /// # Errors
    /// It has expired.
    pub(crate) fn check_expiry(&self, now: Timestamp) -> Result<()> {
        if now >= self.root.expires {
            let clock = format!("this machine's clock says {now}");
            return Err(Error::verification(format!("the trust root expired on {}", self.root.expires))
                .detail(clock)
                .hint("if the clock is right, the people of role root must sign a new `keys/trust.json`"));
        }
        Ok(())
    }
}
