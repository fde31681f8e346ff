//! What one person needs who approves on this machine.

use std::sync::Arc;

use super::report::{Health, HealthCheck};
use super::{Subjects, Work, machine, trust};
use crate::adapter::Spec;
use crate::config::Config;
use crate::effects::Signer;
use crate::error::{Error, Result};
use crate::gather;
use crate::host::HostDisk;
use crate::model::{Fingerprint, PersonId};

pub(super) fn examine(config: &Config, subjects: &Subjects<'_>, person: &PersonId, work: &mut Work) {
    let key = config.signing.people.get(person);
    machine::git(work);
    for program in key.into_iter().flat_map(|key| key.programs()) {
        machine::program(program, Health::Fail, work);
    }
    work.now(machine::disk_space(subjects.state));
    work.now(machine::clock(subjects.now));
    trust::root(config, subjects, work);
    let name = person.to_string();
    work.now(match may_approve(config, subjects, person, key) {
        Ok(found) => HealthCheck::ok("person", name.clone(), found),
        Err(e) => HealthCheck::from_error("person", name.clone(), Health::Fail, &e),
    });
    trust::repository(config, work);
    match key {
        Some(key) => machine::key_of_approver(name, key, work),
        None => {
            let e = Error::fatal("no key is configured for this person on this machine").hint(own_key(person.as_str()));
            work.now(HealthCheck::from_error("key", name, Health::Warn, &e));
        }
    }
    for store in subjects.stores {
        let store = Arc::clone(store);
        work.later("store", store.name().to_string(), Health::Warn, async move {
            // Approving only reads: what a store can do is the operator's to know.
            let staged = store.staged().await.map_err(|e| {
                e.hint("its staged files cannot be read from here: ask the operator for a bundle, there: `lifeboat export TRAIN --to FILE --bytes`")
            })?;
            Ok(format!("its staging area can be read ({} staged)", staged.len()))
        });
    }
}

/// How a person names a key that the configuration does not.
pub(super) fn own_key(person: &str) -> String {
    format!("`lifeboat approve --as {person}` takes one with `--gpg FINGERPRINT` or `--key FILE`")
}

/// Whether the trust root lets this person approve, with the configured key.
fn may_approve(
    config: &Config,
    subjects: &Subjects<'_>,
    person: &PersonId,
    key: Option<&Spec<dyn Signer>>,
) -> Result<String> {
    let trust = gather::trusted(config, subjects.state, &HostDisk, subjects.now)?;
    let role = &trust.root.roles.approve;
    if !role.people.contains(person) {
        let names: Vec<&str> = role.people.iter().map(PersonId::as_str).collect();
        return Err(Error::verification(format!("`{person}` is not one of those who approve: {}", names.join(", ")))
            .hint("`lifeboat trust show` says who may do what"));
    }
    let known = trust.root.people.get(person).into_iter().flat_map(|p| &p.certificates);
    // One that cannot be read is reported where the key is looked at.
    if let Some(Ok(Some(key))) = key.map(|key| key.fingerprint(&HostDisk))
        && !known.clone().any(|c| c == &key || trust.certificate(c).is_ok_and(|c| c.has_key(&key)))
    {
        return Err(Error::verification(format!("key {key} is not in a certificate that the trust root has for them"))
            .hint("name one that is: `lifeboat trust show` lists their certificates"));
    }
    let known: Vec<&str> = known.map(Fingerprint::as_str).collect();
    Ok(format!("may approve, with certificate {}", known.join(" or ")))
}
