//! What this machine must have: programs, keys, room, a clock.

use std::path::Path;
use std::process::Stdio;

use jiff::Timestamp;

use super::report::{Health, HealthCheck};
use super::{Need, Work};
use crate::config::{Config, KeySource};
use crate::effects::blocking;
use crate::error::{Error, Result};
use crate::git::GitProgram;
use crate::model::SecretRef;
use crate::sandbox::{self, Sandbox};

/// Less than this and a train of one line may not fit.
const LITTLE_ROOM: u64 = 1 << 30;
/// Less than this and a train of several lines may not.
const SOME_ROOM: u64 = 10 << 30;
/// No clock that is right shows a time before this program was written.
const EPOCH: &str = "2026-01-01T00:00:00Z";

/// Asks each program for its version.
pub(super) fn programs(config: Option<&Config>, work: &mut Work) {
    let over_ssh = |url: &str| !url.starts_with('/') && !url.starts_with("http") && !url.starts_with("file:");
    let needs_ssh = config.is_some_and(|c| c.remotes.iter().any(|r| r.required && over_ssh(&r.url)));
    let needs_gpg = config.is_some_and(|c| sources(c).iter().any(|(_, s)| matches!(s, KeySource::Gpg { .. })));
    git(work);
    work.later("program", "ssh".to_owned(), Need::of(needs_ssh).health(), first_line("ssh", &["-V"]));
    gpg(Need::of(needs_gpg).health(), work);
    if config.is_some_and(|c| c.bundle.vendor) {
        work.later("program", "cargo".to_owned(), Health::Fail, first_line("cargo", &["--version"]));
    }
    // Jobs and the project's own commands; a runner says more about itself.
    let same_user = config.is_some_and(|c| c.runners.iter().all(|r| r.spec.may_not_isolate()));
    work.later("program", "sandbox".to_owned(), Need::of(!same_user).health(), async {
        let program = sandbox::this_program()?;
        blocking(|| Sandbox::probe(&program)).map(|_| "programs that read the tree can be isolated".to_owned())
    });
}

/// Whether git is new enough.
pub(super) fn git(work: &mut Work) {
    work.later("program", "git".to_owned(), Health::Fail, async { GitProgram::from_env().check() });
}

/// Whether gpg is there.
pub(super) fn gpg(missing: Health, work: &mut Work) {
    work.later("program", "gpg".to_owned(), missing, first_line("gpg", &["--version"]));
}

/// Runs a program and returns the first line that it prints.
async fn first_line(program: &'static str, arguments: &'static [&'static str]) -> Result<String> {
    let mut command = tokio::process::Command::new(program);
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let package = if program == "ssh" { "openssh-client" } else { program };
    let missing = || {
        let hint = if program == "cargo" { "see rustup.rs".to_owned() } else { format!("`apt-get install {package}`") };
        Error::fatal(format!("`{program}` cannot be run")).hint(hint)
    };
    let output = command.output().await.map_err(|e| missing().because(e))?;
    // ssh prints its version on standard error.
    let text = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    match String::from_utf8_lossy(&text).lines().next() {
        Some(line) if output.status.success() => Ok(line.trim().to_owned()),
        _ => Err(missing()),
    }
}

/// The room where the state directory is or will be.
pub(super) fn disk_space(state: &Path) -> HealthCheck {
    let existing = state.ancestors().find(|p| p.exists()).unwrap_or(Path::new("/"));
    let Ok(room) = rustix::fs::statvfs(existing) else {
        let e = Error::fatal(format!("cannot find out how much space `{}` has", existing.display()));
        return HealthCheck::from_error("disk", "state", Health::Warn, &e);
    };
    judge_room(room.f_bavail.saturating_mul(room.f_frsize), state)
}

fn judge_room(bytes: u64, state: &Path) -> HealthCheck {
    let tenths = bytes / ((1 << 30) / 10);
    let found = format!("{}.{} GiB free for `{}`", tenths / 10, tenths % 10, state.display());
    let health = match bytes {
        b if b < LITTLE_ROOM => Health::Fail,
        b if b < SOME_ROOM => Health::Warn,
        _ => Health::Ok,
    };
    let hint = (health != Health::Ok).then(|| "make room, or set another state directory".to_owned());
    HealthCheck { health, hint, ..HealthCheck::ok("disk", "state", found) }
}

/// A wrong clock makes signatures that are not valid yet, or no longer.
pub(super) fn clock(now: Timestamp) -> HealthCheck {
    let name = "clock";
    match EPOCH.parse::<Timestamp>() {
        Ok(epoch) if now < epoch => {
            let e = Error::fatal(format!("the clock shows {}", crate::model::utc(now)))
                .hint("set it: signatures carry their time");
            HealthCheck::from_error("machine", name, Health::Fail, &e)
        }
        _ => HealthCheck::ok("machine", name, crate::model::utc(now)),
    }
}

/// All configured keys, with what each is for.
fn sources(config: &Config) -> Vec<(String, &KeySource)> {
    let signing = &config.signing;
    let roles = [("release", &signing.release), ("freshness", &signing.freshness), ("operator", &signing.operator)];
    let roles = roles.into_iter().filter_map(|(role, source)| Some((role.to_owned(), source.as_ref()?)));
    roles.chain(signing.people.iter().map(|(person, source)| (person.to_string(), source))).collect()
}

/// Whether keys can be read; unlocks none of them.
pub(super) fn keys(config: &Config, work: &mut Work) {
    for (role, missing) in
        [("release", config.signing.release.is_none()), ("freshness", config.signing.freshness.is_none())]
    {
        if missing {
            let e = Error::fatal("no key is configured on this machine")
                .hint(format!("add `{role} = {{ file = \"…\" }}` or `{{ gpg = \"…\" }}` to `[signing]`"));
            work.now(HealthCheck::from_error("key", role, Health::Warn, &e));
        }
    }
    for (role, source) in sources(config) {
        // A person's key is needed where that person approves.
        let person = config.signing.people.keys().any(|p| p.as_str() == role);
        key(role, source, if person { Health::Warn } else { Health::Fail }, work);
    }
}

/// Whether the key of a person who approves here is here; the person may have another one.
pub(super) fn key_of_approver(person: String, source: &KeySource, work: &mut Work) {
    key_or(person, source, Health::Fail, work, |check| {
        let own = super::approver::own_key(&check.name);
        let hint = check.hint.as_ref().map_or_else(|| own.clone(), |hint| format!("{hint}; or {own}"));
        HealthCheck { hint: Some(hint), ..check }
    });
}

/// Whether one key is here; its absence is as bad as `missing`.
pub(super) fn key(role: String, source: &KeySource, missing: Health, work: &mut Work) {
    key_or(role, source, missing, work, move |check| elsewhere(check, missing));
}

fn key_or(
    role: String,
    source: &KeySource,
    missing: Health,
    work: &mut Work,
    absent: impl FnOnce(HealthCheck) -> HealthCheck + Send + 'static,
) {
    match source.clone() {
        KeySource::File { path, passphrase } => {
            let mut check = key_file(role.clone(), &path, passphrase.as_ref());
            if check.health == Health::Fail {
                check = absent(HealthCheck { health: missing, ..check });
            }
            work.now(check);
        }
        KeySource::Gpg { fingerprint } => work.later_all("key", role.clone(), missing, async move {
            vec![match gpg_key(fingerprint).await {
                Ok(found) => HealthCheck::ok("key", role, found),
                Err(e) => absent(HealthCheck::from_error("key", role, missing, &e)),
            }]
        }),
    }
}

/// What a key's absence means where another machine may have it.
fn elsewhere(check: HealthCheck, missing: Health) -> HealthCheck {
    if check.health == Health::Ok || missing == Health::Fail {
        return check;
    }
    let hint = format!("needed only where {0} approves; there: `lifeboat doctor --as {0}`", check.name);
    HealthCheck { hint: Some(hint), ..check }
}

fn key_file(role: String, path: &Path, passphrase: Option<&SecretRef>) -> HealthCheck {
    use std::os::unix::fs::PermissionsExt as _;
    let shown = path.display();
    let wrong = |health, message: String, hint: String| {
        HealthCheck::from_error("key", role.clone(), health, &Error::fatal(message).hint(hint))
    };
    let meta = match std::fs::metadata(path) {
        // To open a pipe would wait until somebody writes to it.
        Ok(meta) if !meta.is_file() => {
            return wrong(Health::Fail, format!("`{shown}` is not a regular file"), "name the key's file".to_owned());
        }
        Ok(_) => match std::fs::File::open(path).and_then(|file| file.metadata()) {
            Ok(meta) => meta,
            Err(e) => return wrong(Health::Fail, format!("cannot read `{shown}`: {e}"), "check the path".to_owned()),
        },
        Err(e) => return wrong(Health::Fail, format!("cannot read `{shown}`: {e}"), "check the path".to_owned()),
    };
    if meta.permissions().mode() & 0o077 != 0 {
        return wrong(Health::Warn, format!("others can read `{shown}`"), format!("`chmod 600 {shown}`"));
    }
    match passphrase {
        Some(SecretRef::Env(name)) if std::env::var_os(name).is_none() => {
            let message = format!("the variable `{name}` with its passphrase is not set");
            wrong(Health::Warn, message, format!("set `{name}` before `lifeboat ship`"))
        }
        Some(SecretRef::File(file))
            if !std::fs::metadata(file).is_ok_and(|m| m.is_file()) || std::fs::File::open(file).is_err() =>
        {
            let message = format!("cannot read its passphrase in `{}`", file.display());
            wrong(Health::Fail, message, "check the path".to_owned())
        }
        _ => HealthCheck::ok("key", role, shown.to_string()),
    }
}

async fn gpg_key(fingerprint: String) -> Result<String> {
    let mut command = tokio::process::Command::new("gpg");
    command.args(["--batch", "--with-colons", "--list-secret-keys", "--", &fingerprint]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    match command.status().await {
        Ok(status) if status.success() => Ok(format!("gpg has {fingerprint}")),
        _ => Err(Error::fatal(format!("gpg has no secret key {fingerprint}"))
            .hint("insert the card, or import the key: `gpg --list-secret-keys` shows what there is")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_and_clock() {
        let health = |bytes| judge_room(bytes, Path::new("/s")).health;
        assert_eq!([health(1 << 20), health(2 << 30), health(20 << 30)], [Health::Fail, Health::Warn, Health::Ok]);
        assert_eq!(judge_room(3 << 29, Path::new("/s")).found, "1.5 GiB free for `/s`");
        assert_eq!(clock("1970-01-01T00:00:10Z".parse().unwrap()).health, Health::Fail);
        assert_eq!(clock("2026-11-22T00:00:00Z".parse().unwrap()).health, Health::Ok);
    }
}
