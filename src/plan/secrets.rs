//! Where keys and secrets are found: shown before a plan is adopted, and the same ever after.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::config::{Config, TargetConfig};
use crate::model::SecretRef;

/// How a source that is a command begins.
const COMMAND: &str = "output of the command ";

/// Where a configuration finds each key and secret, by the place where it says so. A command is named with all its
/// arguments: it runs on the machine of whoever ships. Paths below the project are relative to it, so that the clones of
/// two maintainers say the same.
#[must_use]
pub fn secrets(config: &Config) -> BTreeMap<String, String> {
    let base = &config.project.repository;
    let mut out = BTreeMap::new();
    for table in config.specs() {
        if table.is_key() {
            let mut place = table.place;
            table.pins.iter().for_each(|(what, at)| place.push_str(&format!(", its {what}: {at}")));
            let secrets = table.secrets.iter().map(|(key, from)| format!(", its {key}: {}", of_secret(from, base)));
            place.extend(secrets);
            out.insert(format!("{}.{}", table.table, table.name), place);
        } else {
            let name = |key| format!("{}.{}.{key}", table.table, table.name);
            out.extend(table.secrets.iter().map(|(key, from)| (name(key), of_secret(from, base))));
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

/// What differs between the sources that a plan pinned and those of today, by name, where it matters. A key of ours is
/// judged by the trust root whenever it signs, so it may move to another file or agent; but no command runs for it, or for
/// anything else, that the plan does not show.
#[must_use]
pub fn moved(planned: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> Vec<String> {
    let names: BTreeSet<&String> = planned.keys().chain(now.keys()).collect();
    let differs = |name: &&String| {
        let (planned, now) = (planned.get(*name), now.get(*name));
        let harmless = name.starts_with("signing.") && !now.is_some_and(|from| from.contains(COMMAND));
        planned != now && !harmless
    };
    names.into_iter().filter(differs).cloned().collect()
}

/// Whether every command that prints a secret today is one that the plan shows.
#[must_use]
pub fn shows_commands(planned: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> bool {
    now.iter().filter(|(_, from)| from.contains(COMMAND)).all(|(name, from)| planned.get(name) == Some(from))
}

fn variable_of(kind: &str, job: &TargetConfig, name: &str) -> String {
    format!("{kind}.{}.secret_env.{name}", job.name)
}

fn of_secret(from: &SecretRef, base: &Path) -> String {
    match from {
        SecretRef::Env(name) => format!("environment variable `{name}`"),
        SecretRef::File(path) => format!("file `{}`", shown(path, base)),
        // Word by word, so that no two commands look the same.
        SecretRef::Command(words) => format!("{COMMAND}{words:?}"),
    }
}

fn shown(path: &Path, base: &Path) -> String {
    path.strip_prefix(base).unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(all: &[(&str, &str)]) -> BTreeMap<String, String> {
        all.iter().map(|(name, from)| ((*name).to_owned(), (*from).to_owned())).collect()
    }

    #[test]
    fn a_key_may_move_and_a_token_or_command_may_not() {
        let planned = sources(&[("signing.release", "key file `a`"), ("forge.github.token", "file `t`")]);
        let moved_to = |name: &str, from: &str| {
            let mut now = planned.clone();
            now.insert(name.to_owned(), from.to_owned());
            moved(&planned, &now)
        };
        assert_eq!(moved(&planned, &planned), Vec::<String>::new());
        assert_eq!(moved_to("signing.release", "gpg key 0707"), Vec::<String>::new());
        assert_eq!(moved_to("signing.people.alice", "key file `b`"), Vec::<String>::new());
        assert_eq!(moved_to("forge.github.token", "file `u`"), ["forge.github.token"]);
        assert_eq!(moved_to("target.linux.secret_env.T", "environment variable `T`"), ["target.linux.secret_env.T"]);
        let command = "key file `a`, its passphrase: output of the command [\"pass\"]";
        assert_eq!(moved_to("signing.release", command), ["signing.release"]);
        let mut now = planned.clone();
        now.remove("forge.github.token");
        assert_eq!(moved(&planned, &now), ["forge.github.token"]);
    }

    #[test]
    fn a_command_is_known_only_where_the_plan_shows_it() {
        let pass = [("forge.github.token", "output of the command [\"pass\"]")];
        assert!(shows_commands(&sources(&pass), &sources(&pass)));
        assert!(shows_commands(&sources(&pass), &sources(&[("signing.release", "key file `b`")])));
        assert!(!shows_commands(&sources(&[]), &sources(&pass)));
        assert!(!shows_commands(&sources(&pass), &sources(&[("signing.release", pass[0].1)])));
    }
}
