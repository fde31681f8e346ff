//! What this machine must have: programs, keys, room, a clock.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::report::{Health, HealthCheck};
use super::{Work, health};
use crate::adapter::{FoundKey, Program, Registries, Spec};
use crate::config::Config;
use crate::effects::{Signer, aside, blocking};
use crate::error::{Error, Result};
use crate::git::GitProgram;
use crate::host::HostDisk;
use crate::model::counted;
use crate::sandbox::{self, Sandbox};
use crate::step::Importance;
use crate::subprocess::Subprocess;

/// Less than this and a train of one line may not fit.
const LITTLE_ROOM: u64 = 1 << 30;
/// Less than this and a train of several lines may not.
const SOME_ROOM: u64 = 10 << 30;
/// No clock that is right shows a time before this program was written.
const EPOCH: &str = "2026-01-01T00:00:00Z";

/// Asks each program for its version: git, and what some kind of adapter starts.
pub(super) fn programs(config: Option<&Config>, registries: &Registries, work: &mut Work) {
    git(work);
    for (known, importance) in of_adapters(config, registries) {
        program(known, health(importance), work);
    }
    if config.is_some_and(|c| c.bundle.vendor) {
        program(CARGO, Health::Fail, work);
    }
    // Jobs and the project's own commands; a runner says more about itself.
    let same_user = config.is_some_and(|c| c.runners.iter().all(|r| r.spec.may_not_isolate()));
    work.later("program", "sandbox".to_owned(), health(Importance::of(!same_user)), async {
        let program = sandbox::this_program()?;
        blocking(|| Sandbox::probe(&program)).map(|_| "programs that read the tree can be isolated".to_owned())
    });
}

/// What some kind of adapter starts, and whether a train of this project needs it to be released.
pub(super) fn of_adapters(config: Option<&Config>, registries: &Registries) -> Vec<(Program, Importance)> {
    let required = config.into_iter().flat_map(|config| config.specs().filter(|table| table.required));
    let needed: Vec<Program> = required.flat_map(|table| table.programs).collect();
    registries.programs().into_iter().map(|known| (known, Importance::of(needed.contains(&known)))).collect()
}

/// Whether git is new enough.
pub(super) fn git(work: &mut Work) {
    work.later("program", "git".to_owned(), Health::Fail, async { GitProgram::from_env().check() });
}

/// How long a program may take to say its version.
const VERSION_LIMIT: Duration = Duration::from_secs(60);

/// What `vendor = true` needs.
const CARGO: Program = Program { name: "cargo", version: &["--version"], package: "cargo" };

/// Whether a program is there.
pub(super) fn program(program: Program, missing: Health, work: &mut Work) {
    work.later("program", program.name.to_owned(), missing, first_line(program));
}

/// Runs a program and returns the first line that it prints.
async fn first_line(program: Program) -> Result<String> {
    let mut command = Command::new(program.name);
    command.args(program.version);
    let asked = aside(|| Subprocess::new(command).limit(Some(VERSION_LIMIT)).run()).await;
    let failed = || Error::fatal(format!("`{}` does not say its version", program.name));
    let output = match asked.ok_or_else(failed)? {
        Err(e) if program == CARGO && e.is_missing() => return Err(e.explained("`cargo`").hint("see rustup.rs")),
        asked => asked.map_err(|e| program.not_run(e))?,
    };
    // ssh prints its version on standard error.
    let text = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    match String::from_utf8_lossy(&text).lines().next() {
        Some(line) if output.status.success() => Ok(line.trim().to_owned()),
        _ => Err(failed()),
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

/// What builds need from elsewhere: on the day nothing is fetched.
pub(super) fn inputs(config: &Config, state: &Path, work: &mut Work) {
    if config.inputs.is_empty() {
        return;
    }
    let (area, name) = ("inputs", "cache");
    work.now(match crate::inputs::missing(config, state, &HostDisk) {
        Ok(missing) => {
            let missing = config.inputs.iter().filter(|input| missing.contains(&input.sha256));
            let missing: Vec<&str> = missing.map(|input| input.name.as_str()).collect();
            if missing.is_empty() {
                let found = format!("{} fetched", counted(config.inputs.len(), "input"));
                HealthCheck::ok(area, name, found)
            } else {
                let hint = Some("run `lifeboat inputs fetch` while their addresses answer".to_owned());
                let found = format!("not fetched: {}", missing.join(", "));
                HealthCheck { health: Health::Fail, hint, ..HealthCheck::ok(area, name, found) }
            }
        }
        Err(e) => HealthCheck::from_error(area, name, Health::Fail, &e),
    });
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

/// Whether keys can be read; unlocks none of them.
pub(super) fn keys(config: &Config, work: &mut Work) {
    let signing = &config.signing;
    for (role, missing) in [("release", signing.release.is_none()), ("freshness", signing.freshness.is_none())] {
        if missing {
            let e = Error::fatal("no key is configured on this machine")
                .hint(format!("add {} to `[signing]`", signing.example(role)));
            work.now(HealthCheck::from_error("key", role, Health::Warn, &e));
        }
    }
    for (place, own) in signing.keys() {
        // A person's key is needed where that person approves.
        let (name, missing) = match place.strip_prefix("people.") {
            Some(person) => (person, Health::Warn),
            None => (place.as_str(), Health::Fail),
        };
        key(name.to_owned(), own, missing, work, move |check| elsewhere(check, missing));
    }
}

/// Whether the key of a person who approves here is here; the person may have another one.
pub(super) fn key_of_approver(person: String, own: &Spec<dyn Signer>, work: &mut Work) {
    key(person, own, Health::Fail, work, |check| {
        let own = super::approver::own_key(&check.name);
        let hint = check.hint.as_ref().map_or_else(|| own.clone(), |hint| format!("{hint}; or {own}"));
        HealthCheck { hint: Some(hint), ..check }
    });
}

/// Whether one key is here; its absence is as bad as `missing`.
fn key(
    name: String,
    own: &Spec<dyn Signer>,
    missing: Health,
    work: &mut Work,
    absent: impl FnOnce(HealthCheck) -> HealthCheck + Send + 'static,
) {
    let own = Arc::clone(own);
    work.later_all("key", name.clone(), missing, async move {
        vec![match own.find().await {
            Ok(FoundKey { doubt: Some(doubt), .. }) => HealthCheck::from_error("key", name, Health::Warn, &doubt),
            Ok(FoundKey { shown, .. }) => HealthCheck::ok("key", name, shown),
            Err(e) => absent(HealthCheck::from_error("key", name, missing, &e)),
        }]
    });
}

/// What a key's absence means where another machine may have it.
fn elsewhere(check: HealthCheck, missing: Health) -> HealthCheck {
    if check.health == Health::Ok || missing == Health::Fail {
        return check;
    }
    let hint = format!("needed only where {0} approves; there: `lifeboat doctor --as {0}`", check.name);
    HealthCheck { hint: Some(hint), ..check }
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
