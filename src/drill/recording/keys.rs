//! Throwaway keys in place of everybody's, and the trust root that names them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::sync::Arc;

use jiff::SignedDuration;
use parking_lot::Mutex;

use crate::effects::{Clock, Keys, Role, Signer};
use crate::error::{Context as _, Error, Result};
use crate::formats::openpgp::{Certificate, hash_reader};
use crate::model::{Fingerprint, PersonId};
use crate::signers::openpgp::{GeneratedKey, SecretKey, generate_for_person};
use crate::trust::{KeyRole, Person, TrustedRoot};

/// The keys of one dry run.
pub struct Throwaway {
    clock: Arc<dyn Clock>,
    keys: BTreeMap<String, GeneratedKey>,
    open: Mutex<BTreeMap<String, Arc<dyn Signer>>>,
}

/// Makes a throwaway key for every role and person of `real`, and the root in which they stand for the real ones.
///
/// # Errors
/// No key can be made.
pub fn throwaway(real: &TrustedRoot, clock: Arc<dyn Clock>) -> Result<(Throwaway, TrustedRoot)> {
    let created = clock.now().checked_sub(SignedDuration::from_mins(1)).context("the clock is wrong")?;
    let mut keys = BTreeMap::new();
    let mut certificates = BTreeMap::new();
    let mut make = |name: String| -> Result<Fingerprint> {
        let key = generate_for_person(&format!("{name} (dry run, throwaway)"), created)?;
        let fingerprint = key.fingerprint.clone();
        certificates.insert(fingerprint.clone(), Certificate::parse(key.certificate_armored.as_bytes(), &name)?);
        keys.insert(name, key);
        Ok(fingerprint)
    };
    let mut root = real.root.clone();
    for (person, known) in &mut root.people {
        *known = Person { certificates: BTreeSet::from([make(name(&Role::Person(person.clone())))?]) };
    }
    root.roles.release = KeyRole { keys: BTreeSet::from([make(name(&Role::Release))?]) };
    root.roles.freshness = KeyRole { keys: BTreeSet::from([make(name(&Role::Freshness))?]) };
    make(name(&Role::Operator))?;
    // The digest stays that of the real root, so that the plan is the very plan that would be adopted.
    let (digest, accepted) = (real.digest, real.accepted.clone());
    // What the stores serve was signed by the real keys: a rehearsal goes forward from it.
    let earlier_freshness = real.root.roles.freshness.keys.union(&real.earlier_freshness).cloned().collect();
    let mut known = real.certificates.clone();
    known.extend(certificates);
    let trusted = TrustedRoot {
        earlier: std::collections::BTreeMap::new(),
        root,
        digest,
        accepted,
        earlier_freshness,
        certificates: known,
        fetched: false,
        published: real.published.clone(),
    };
    Ok((Throwaway { clock, keys, open: Mutex::default() }, trusted))
}

fn name(role: &Role) -> String {
    match role {
        Role::Release => "release".to_owned(),
        Role::Freshness => "freshness".to_owned(),
        Role::Operator => "operator".to_owned(),
        Role::Person(person) => format!("person {person}"),
    }
}

impl Throwaway {
    /// The people who can approve here.
    #[must_use]
    pub fn people(real: &TrustedRoot) -> Vec<PersonId> {
        real.root.roles.approve.people.iter().cloned().collect()
    }
}

impl Keys for Throwaway {
    fn signer(&self, role: &Role) -> Result<Arc<dyn Signer>> {
        let name = name(role);
        let mut open = self.open.lock();
        if let Some(signer) = open.get(&name) {
            return Ok(signer.clone());
        }
        let key = self.keys.get(&name).ok_or_else(|| Error::input(format!("the trust root knows no {name}")))?;
        let secret = SecretKey::parse(key.secret_armored.expose().as_bytes(), &name, None, self.clock.now())?;
        let signer: Arc<dyn Signer> = Arc::new(Dated { secret, clock: self.clock.clone() });
        open.insert(name, signer.clone());
        Ok(signer)
    }
}

/// Signs with the dry run's own time.
struct Dated {
    secret: SecretKey,
    clock: Arc<dyn Clock>,
}

impl Signer for Dated {
    fn fingerprint(&self) -> String {
        self.secret.fingerprint()
    }

    fn certificate(&self) -> Result<String> {
        self.secret.certificate()
    }

    fn sign(&self, data: &mut (dyn Read + Send)) -> Result<String> {
        let hashed = hash_reader(data, u64::MAX).context("cannot read what is signed")?;
        let hashed = hashed.ok_or_else(|| Error::fatal("what is signed has no end"))?;
        self.secret.sign_hashed_at(&hashed, self.clock.now())
    }
}
