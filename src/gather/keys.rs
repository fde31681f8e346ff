//! The keys that a train will sign with, compared with the trust root before there is a plan.

use jiff::Timestamp;

use crate::adapter::Spec;
use crate::config::SigningConfig;
use crate::effects::{Disk, Signer};
use crate::error::Result;
use crate::trust::{KeyRole, TrustedRoot, check_own_key};

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
