//! `keys/trust.json`: people and their certificates, roles, thresholds, and the hosts that may receive credentials.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::formats::signed::{self, SignedDocument};
use crate::model::{Fingerprint, PersonId, ProjectName, Sha256};

/// Its file name in the directory of keys; the certificate with fingerprint `F` is `F.asc` beside it.
pub const FILE: &str = "trust.json";

/// Who may decide what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Root {
    /// `lifeboat-trust-root`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The project.
    pub project: ProjectName,
    /// 1 for the first root; each new one has the next number.
    pub version: u64,
    /// Version of this format: 1.
    pub format: u32,
    /// SHA-256 of the root before; none in the first.
    pub previous: Option<Sha256>,
    /// When it no longer counts; a new root, signed by the old one's threshold, must stand before.
    pub expires: Timestamp,
    /// Everyone whom a role names.
    pub people: BTreeMap<PersonId, Person>,
    /// Who may do what.
    pub roles: Roles,
    /// The hosts to which credentials may be sent.
    pub hosts: BTreeSet<String>,
}

/// A person: however many certificates, one voice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// The person's certificates, at least one.
    pub certificates: BTreeSet<Fingerprint>,
}

/// The roles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Roles {
    /// Approve releases.
    pub approve: PeopleRole,
    /// Approve a new trust root.
    pub root: PeopleRole,
    /// Sign tags and artifacts, after the threshold.
    pub release: KeyRole,
    /// Sign indexes.
    pub freshness: KeyRole,
}

/// A role of people, of whom so many must agree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeopleRole {
    /// Who has it.
    pub people: BTreeSet<PersonId>,
    /// How many of them must agree.
    pub threshold: u32,
}

/// A role of keys, any of which may act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRole {
    /// The certificates.
    pub keys: BTreeSet<Fingerprint>,
}

impl SignedDocument for Root {
    const TYPE: &'static str = "lifeboat-trust-root";

    fn check(&self) -> Result<()> {
        let bad = |what: String| Err(Error::verification(what).hint("fix `keys/trust.json` and have it signed again"));
        if self.version == 0 {
            return bad("root versions start at 1".into());
        }
        if (self.version == 1) != self.previous.is_none() {
            return bad("every root but the first names the digest of the one before as `previous`".into());
        }
        let mut owners: BTreeMap<&Fingerprint, String> = BTreeMap::new();
        let people =
            self.people.iter().flat_map(|(p, v)| v.certificates.iter().map(move |c| (c, format!("person {p}"))));
        let release = self.roles.release.keys.iter().map(|c| (c, "role release".to_owned()));
        let freshness = self.roles.freshness.keys.iter().map(|c| (c, "role freshness".to_owned()));
        for (certificate, owner) in people.chain(release).chain(freshness) {
            // One certificate with two owners would let one person speak for two, or one role act for another.
            if let Some(other) = owners.insert(certificate, owner.clone()) {
                return bad(format!("certificate {certificate} belongs to {other} and to {owner}"));
            }
        }
        if let Some((person, _)) = self.people.iter().find(|(_, v)| v.certificates.is_empty()) {
            return bad(format!("person {person} has no certificate"));
        }
        for (name, role) in [("approve", &self.roles.approve), ("root", &self.roles.root)] {
            if let Some(person) = role.people.iter().find(|p| !self.people.contains_key(p)) {
                return bad(format!("role {name} names {person}, who is not in `people`"));
            }
            if role.threshold == 0 || role.threshold as usize > role.people.len() {
                let (k, n) = (role.threshold, role.people.len());
                return bad(format!("role {name} has threshold {k} of {n} people: expected 1 to {n}"));
            }
        }
        if self.roles.release.keys.is_empty() {
            return bad("role release has no key".into());
        }
        Ok(())
    }
}

impl Root {
    /// Reads `trust.json`; `name` is for messages.
    ///
    /// # Errors
    /// As [`signed::from_bytes`]; roles that contradict the people.
    pub fn from_bytes(bytes: &[u8], name: &str) -> Result<Self> {
        signed::from_bytes(bytes, name)
    }

    /// The bytes of `trust.json`.
    ///
    /// # Errors
    /// Roles that contradict the people.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        signed::to_bytes(self)
    }

    /// SHA-256 of `trust.json`: what is pinned.
    pub fn digest(&self) -> Result<Sha256> {
        Ok(Sha256::of(&self.to_bytes()?))
    }

    /// Every certificate that it names.
    #[must_use]
    pub fn certificates(&self) -> BTreeSet<&Fingerprint> {
        let people = self.people.values().flat_map(|p| &p.certificates);
        people.chain(&self.roles.release.keys).chain(&self.roles.freshness.keys).collect()
    }
}
