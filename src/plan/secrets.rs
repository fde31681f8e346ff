//! Where keys and secrets are found: shown before a plan is adopted, and the same ever after.

use std::collections::BTreeMap;
use std::path::Path;

use crate::config::{Config, KeySource, TargetConfig};
use crate::model::{PersonId, SecretRef};

/// Where a configuration finds each key and secret, by the place where it says so. A command is named with all its
/// arguments: it runs on the machine of whoever ships. Paths below the project are relative to it, so that the clones of
/// two maintainers say the same.
#[must_use]
pub fn secrets(config: &Config) -> BTreeMap<String, String> {
    let base = &config.project.repository;
    let signing = &config.signing;
    let roles = [("release", &signing.release), ("freshness", &signing.freshness), ("operator", &signing.operator)];
    let roles = roles.into_iter().filter_map(|(name, key)| Some((format!("signing.{name}"), key.as_ref()?)));
    let person = |(person, key): (&PersonId, _)| (format!("signing.people.{person}"), key);
    let people = signing.people.iter().map(person);
    let mut out: BTreeMap<String, String> = roles.chain(people).map(|(name, key)| (name, of_key(key, base))).collect();
    for forge in &config.forges {
        if let Some(token) = &forge.token {
            out.insert(format!("forge.{}.token", forge.name), of_secret(token, base));
        }
        if let Some(app) = &forge.app {
            let from = of_secret(&app.private_key, base);
            out.insert(format!("forge.{}.app.private_key", forge.name), from);
        }
    }
    let jobs = config.targets.iter().map(|t| ("target", t));
    let jobs = jobs.chain(config.assemblies.iter().map(|a| ("assemble", &a.recipe)));
    for (kind, job) in jobs {
        let variable = |(name, from): (&String, &SecretRef)| (variable_of(kind, job, name), of_secret(from, base));
        out.extend(job.secret_env.iter().map(variable));
    }
    out
}

fn variable_of(kind: &str, job: &TargetConfig, name: &str) -> String {
    format!("{kind}.{}.secret_env.{name}", job.name)
}

fn of_key(key: &KeySource, base: &Path) -> String {
    match key {
        KeySource::Gpg { fingerprint } => format!("gpg key {fingerprint}"),
        KeySource::File { path, passphrase: None } => format!("key file `{}`", shown(path, base)),
        KeySource::File { path, passphrase: Some(from) } => {
            format!("key file `{}`, its passphrase: {}", shown(path, base), of_secret(from, base))
        }
    }
}

fn of_secret(from: &SecretRef, base: &Path) -> String {
    match from {
        SecretRef::Env(name) => format!("environment variable `{name}`"),
        SecretRef::File(path) => format!("file `{}`", shown(path, base)),
        // Word by word, so that no two commands look the same.
        SecretRef::Command(words) => format!("output of the command {words:?}"),
    }
}

fn shown(path: &Path, base: &Path) -> String {
    path.strip_prefix(base).unwrap_or(path).display().to_string()
}
