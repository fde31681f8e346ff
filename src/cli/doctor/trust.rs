//! What a plan needs to see: the trust root as it is pinned here, and a repository with its whole history.

use jiff::Timestamp;

use super::report::{Check, Health};
use super::{Subjects, Work};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::formats::openpgp::Standing;
use crate::gather;
use crate::git::GitProgram;
use crate::git::facts::UserRepository;
use crate::host::HostDisk;
use crate::model::Fingerprint;
use crate::trust::TrustedRoot;

/// The same judgement as before a plan: pinned, not expired, following from the pinned one; and enough certificates.
pub(super) fn root(config: &Config, subjects: &Subjects<'_>, work: &mut Work) {
    let found = gather::trusted(config, subjects.state, &HostDisk, subjects.now)
        .and_then(|trust| certificates(&trust, subjects.now).map(|()| trust));
    work.now(match found {
        Ok(trust) => {
            let approve = &trust.root.roles.approve;
            let (need, of, until) = (approve.threshold, approve.people.len(), trust.root.expires);
            let found = format!("version {}, {need} of {of} people approve, until {until}", trust.root.version);
            Check::ok("trust", "root", found)
        }
        Err(e) => Check::from_error("trust", "root", Health::Fail, &e),
    });
}

/// Whether the threshold can be reached, and each role of keys can be checked, with the certificates that are here.
fn certificates(trust: &TrustedRoot, now: Timestamp) -> Result<()> {
    let usable = |key: &Fingerprint| {
        let certificate = trust.certificate(key)?;
        let why = match certificate.standing_now(now) {
            Standing::Good => return Ok(()),
            Standing::Expired => "has expired".to_owned(),
            Standing::NotYetMade => "is not valid yet".to_owned(),
            Standing::Revoked(why) => format!("is revoked ({why})"),
            Standing::Unusable(why) => format!("is of no use: {why}"),
        };
        Err(Error::verification(format!("certificate {key} {why}"))
            .hint("put a newer export of it beside `trust.json`, or have a new trust root signed"))
    };
    let roles = &trust.root.roles;
    for role in [&roles.release, &roles.freshness] {
        if !role.keys.is_empty() && !role.keys.iter().any(|key| usable(key).is_ok()) {
            return role.keys.iter().try_for_each(usable);
        }
    }
    let keys_of = |person| trust.root.people.get(person).into_iter().flat_map(|p| &p.certificates);
    let (mut can, mut why) = (0u32, None);
    for person in &roles.approve.people {
        if keys_of(person).any(|key| usable(key).is_ok()) {
            can += 1;
        } else if why.is_none() {
            why = keys_of(person).find_map(|key| usable(key).err());
        }
    }
    match why {
        Some(e) if can < roles.approve.threshold => {
            Err(e.context(format!("only {can} of the {} people that must approve can", roles.approve.threshold)))
        }
        _ => Ok(()),
    }
}

/// Nobody could clone a release of a repository whose history is cut.
pub(super) fn repository(config: &Config, work: &mut Work) {
    let path = &config.project.repository;
    let found = UserRepository::open(&GitProgram::from_env(), path).and_then(|repository| {
        if repository.is_shallow() {
            return Err(Error::input(format!(
                "repository `{}` is shallow: nobody could clone from it",
                path.display()
            ))
            .hint("fetch the whole history: `git fetch --unshallow`"));
        }
        Ok(path.display().to_string())
    });
    work.now(match found {
        Ok(found) => Check::ok("project", "repository", found),
        Err(e) => Check::from_error("project", "repository", Health::Fail, &e),
    });
}
