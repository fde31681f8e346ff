//! What a plan needs to see: the trust root as it is pinned here, and a repository with its whole history.

use std::path::PathBuf;

use jiff::Timestamp;

use super::report::{Health, HealthCheck};
use super::{Subjects, Work};
use crate::config::Config;
use crate::effects::RefUpdate;
use crate::error::{Error, Result};
use crate::formats::openpgp::Standing;
use crate::gather;
use crate::git::GitProgram;
use crate::git::facts::{BranchFact, UserRepository};
use crate::host::HostDisk;
use crate::model::{Fingerprint, PersonId};
use crate::plan::check_hosts;
use crate::trust::{TrustedRoot, check_names};

/// The same judgement as before a plan: pinned, not expired, following from the pinned one; and enough certificates.
pub(super) fn root(config: &Config, subjects: &Subjects<'_>, work: &mut Work) {
    let found = gather::trusted(config, subjects.state, &HostDisk, subjects.now)
        .and_then(|trust| certificates(&trust, subjects.now).map(|()| trust))
        .and_then(|trust| check_names(&trust.root).map(|()| trust));
    if let Ok(trust) = &found {
        for key in gather::own_keys(&config.signing, trust) {
            // One that cannot be read is reported where the keys are looked at; to open a pipe would wait for a writer.
            let is_file = |path: &PathBuf| std::fs::metadata(path).is_ok_and(|m| m.is_file());
            let (name, own, _) = key;
            if !own.files().iter().all(is_file) {
                continue;
            }
            if let Err(e) = gather::known(&HostDisk, trust, key, subjects.now) {
                work.now(HealthCheck::from_error("trust", name, Health::Fail, &e));
            }
        }
    }
    if let Some(e) = found.as_ref().ok().and_then(|trust| check_hosts(config, &trust.root.hosts).err()) {
        work.now(HealthCheck::from_error("trust", "hosts", Health::Fail, &e));
    }
    if let Ok(trust) = &found {
        // What a plan would refuse.
        match gather::recipients(config, trust, subjects.now) {
            Ok(None) => {}
            Ok(Some(people)) => {
                let names: Vec<&str> = people.keys().map(PersonId::as_str).collect();
                let found = format!("staged files are encrypted to {}", names.join(", "));
                work.now(HealthCheck::ok("trust", "encryption", found));
            }
            Err(e) => work.now(HealthCheck::from_error("trust", "encryption", Health::Fail, &e)),
        }
    }
    work.now(match found {
        Ok(trust) => {
            let approve = &trust.root.roles.approve;
            let (need, of, until) = (approve.threshold, approve.people.len(), crate::model::utc(trust.root.expires));
            let found = format!("version {}, {need} of {of} people approve, until {until}", trust.root.version);
            HealthCheck::ok("trust", "root", found)
        }
        Err(e) => HealthCheck::from_error("trust", "root", Health::Fail, &e),
    });
}

/// Whether the threshold can be reached, and each role of keys can be checked, with the certificates that are here.
fn certificates(trust: &TrustedRoot, now: Timestamp) -> Result<()> {
    let usable = |key: &Fingerprint| {
        let certificate = trust.certificate(key)?;
        let why = match certificate.standing_now(now) {
            Standing::Good => return Ok(()),
            Standing::Expired => "has expired".to_owned(),
            Standing::NotYetMade => "is not valid yet: this machine's clock may be behind".to_owned(),
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
        let branches = repository.branches(&config.project.branches).unwrap_or_default();
        repository.has_history(&branches.iter().map(|b| b.head.clone()).collect::<Vec<_>>())?;
        Ok((path.display().to_string(), repository, branches))
    });
    if let Ok((_, repository, branches)) = &found
        && config.bundle.vendor
    {
        for branch in branches {
            if let Some(check) = crates(config, repository, branch) {
                work.now(check);
            }
        }
    }
    work.now(match found {
        Ok((found, ..)) => HealthCheck::ok("project", "repository", found),
        Err(e) => HealthCheck::from_error("project", "repository", Health::Fail, &e),
    });
}

/// What a push is tried with, from the user's clone: a commit of a release line under a name that nobody has. Nothing is
/// sent.
pub(super) fn trial_push(config: &Config) -> Option<(PathBuf, RefUpdate)> {
    let repository = UserRepository::open(&GitProgram::from_env(), &config.project.repository).ok()?;
    let branch = repository.branches(&config.project.branches).ok()?.into_iter().next()?;
    let name = "refs/heads/lifeboat-doctor".to_owned();
    Some((repository.git_dir().to_owned(), RefUpdate { name, old: None, new: branch.head }))
}

/// The crates of a line that were not fetched ahead: without them it cannot be planned.
fn crates(config: &Config, repository: &UserRepository, branch: &BranchFact) -> Option<HealthCheck> {
    let name = branch.name.as_str();
    let missing = match gather::missing_crates(config, repository, &branch.head) {
        Ok(missing) if missing.is_empty() => return None,
        Ok(missing) => missing,
        Err(e) => return Some(HealthCheck::from_error("crates", name, Health::Warn, &e)),
    };
    let first: Vec<&str> = missing.iter().take(3).map(String::as_str).collect();
    let e = Error::input(format!("{} crates were not fetched, among them {}", missing.len(), first.join(", ")))
        .hint(format!("check `{name}` out and run `cargo fetch --locked` before a train of this line"));
    Some(HealthCheck::from_error("crates", name, Health::Warn, &e))
}
