//! The keys that a train will sign with, compared with the trust root before there is a plan; and those to which it encrypts.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::adapter::Spec;
use crate::config::{Config, SigningConfig};
use crate::effects::{Disk, Signer};
use crate::error::Result;
use crate::formats::openpgp::Certificate;
use crate::model::{Fingerprint, PersonId, Staging, StoreName};
use crate::trust::{self, KeyRole, TrustedRoot, check_own_key};

/// A configured key, its place in `[signing]`, and the role of the trust root that it must have.
pub type OwnKey<'a> = (&'static str, &'a Spec<dyn Signer>, &'a KeyRole);

/// The keys of `[signing]` that sign for a role of keys.
#[must_use]
pub fn own_keys<'a>(signing: &'a SigningConfig, trust: &'a TrustedRoot) -> Vec<OwnKey<'a>> {
    let roles = &trust.root.roles;
    let all = [("release", &signing.release, &roles.release), ("freshness", &signing.freshness, &roles.freshness)];
    all.into_iter().filter_map(|(name, key, role)| Some((name, key.as_ref()?, role))).collect()
}

/// Whether the trust root knows a key; one that is not on this machine says nothing.
///
/// # Errors
/// It does not count for its role.
pub fn known(disk: &dyn Disk, trust: &TrustedRoot, (name, key, role): OwnKey<'_>, now: Timestamp) -> Result<()> {
    let Some(fingerprint) = key.fingerprint(disk)? else { return Ok(()) };
    check_own_key(trust, (name, role), &fingerprint, now)
}

/// To whom the files are encrypted that stores stage so: everybody whom the trust root names, so that each of them can take over.
/// None where no store asks for it.
///
/// # Errors
/// A person to whom nothing can be encrypted.
pub fn recipients(
    config: &Config,
    trust: &TrustedRoot,
    now: Timestamp,
) -> Result<Option<BTreeMap<PersonId, BTreeSet<Fingerprint>>>> {
    let Some(store) = config.stores.iter().find(|store| store.staging == Staging::Encrypted) else { return Ok(None) };
    let found = trust::recipients(trust, trust.root.people.keys(), "staged files", now).map_err(|e| {
        e.detail(encrypting(&store.name))
            .hint("or set `staging = \"private\"`, where strangers cannot read the staging area")
    })?;
    let keys = |of: Vec<&Certificate>| of.into_iter().map(|c| c.fingerprint().clone()).collect();
    Ok(Some(found.into_iter().map(|(person, of)| (person.clone(), keys(of))).collect()))
}

/// Why a person needs a key for encryption.
#[must_use]
pub fn encrypting(store: &StoreName) -> String {
    format!("store `{store}` has `staging = \"encrypted\"`: everybody of the trust root must be able to decrypt")
}
