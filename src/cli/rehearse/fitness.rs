//! Whether a train could ship, in one line: fit, or what has rotted since somebody last looked.

use std::io::Write as _;

use serde::Serialize;

use crate::cli::doctor::{Health, HealthCheck, expiry};
use crate::cli::{Global, Output, consumer};
use crate::error::{Error, ErrorKind};
use crate::model::{counted, escape};
use crate::step::{Phase, Step};

/// One thing that would stop a train, or soon will.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// What kind of thing it is.
    pub(super) area: String,
    /// What was found, on one line.
    pub(super) found: String,
}

impl Finding {
    pub(super) fn new(area: &str, found: &str) -> Self {
        Self { area: area.to_owned(), found: escape(found.lines().next().unwrap_or_default()) }
    }
}

/// What a rehearsal says of the project.
#[derive(Debug, Default, Serialize)]
pub(super) struct Fitness {
    /// Whether a train could ship.
    pub(super) fit: bool,
    /// The same in one line, with the reasons.
    pub(super) summary: String,
    /// What would stop it, or soon will.
    pub(super) rotten: Vec<Finding>,
    /// What could not be looked at from here.
    pub(super) not_checked: Vec<String>,
}

/// What a failed step is about; `doctor` calls places the same.
pub(super) fn area_of(step: &Step) -> &'static str {
    match step.destination() {
        Some(destination) => destination.kind(),
        None if step.job().is_some() => "recipe",
        None if step.phase() == Phase::Preparation => "version bump",
        None => "step",
    }
}

/// What `doctor` finds on this machine; nothing where it cannot even begin, which the rehearsal says itself.
pub(super) fn look(global: &Global) -> Vec<HealthCheck> {
    consumer::with_subjects(global, |subjects| {
        Ok(crate::cli::runtime()?.block_on(crate::cli::doctor::examine(subjects)))
    })
    .unwrap_or_default()
}

/// The sum of a rehearsal's own failures and of what `doctor` found. Keys are left out: a rehearsal has its own.
pub(super) fn judge(broken: Vec<(Finding, Error)>, checks: &[HealthCheck], did: &str) -> Fitness {
    // Something else was at work, or a place was down for the moment: that says nothing of the project.
    let busy =
        !broken.is_empty() && broken.iter().all(|(f, e)| f.area == "rehearsal" && e.kind() == ErrorKind::Transient);
    let mut rotten: Vec<Finding> = broken.into_iter().map(|(finding, _)| finding).collect();
    let mut not_checked = Vec::new();
    for check in checks.iter().filter(|c| c.area != "key") {
        if check.health == Health::Skipped {
            not_checked.push(format!("{}: {}", check.name, check.found));
            continue;
        }
        // Whether a push is accepted depends on credentials, which a rehearsal does without; and a machine that is too busy to
        // answer in time has not rotted.
        let late = check.found.starts_with("no answer within");
        if check.health != Health::Ok && (check.area == "remote" || (late && check.area != "store")) {
            not_checked.push(format!("{} {}: {}", check.area, check.name, check.found));
            continue;
        }
        // A mirror that refuses, and a key that ends soon, rot in silence; a forge that is down is what trains are for.
        let rots = match check.health {
            Health::Ok | Health::Skipped => false,
            Health::Warn => matches!(check.area, "store" | expiry::AREA),
            Health::Fail => true,
        };
        let finding = Finding::new(check.area, &format!("{}: {}", check.name, check.found));
        if rots && !rotten.iter().any(|r| r.area == finding.area && finding.found.contains(&r.found)) {
            rotten.push(finding);
        }
    }
    let summary = match rotten.as_slice() {
        [] => format!("rehearsal: fit: {did}"),
        [one] if busy => format!("rehearsal: not judged: {}", one.found),
        found => {
            let all: Vec<String> = found.iter().map(|f| format!("{}: {}", f.area, f.found)).collect();
            format!("rehearsal: rotten, {}: {}", counted(found.len(), "finding"), all.join("; "))
        }
    };
    Fitness { fit: rotten.is_empty(), summary, rotten, not_checked }
}

/// Adds the line to the summary that a job of GitHub Actions or Forgejo Actions shows, where there is one.
pub(super) fn publish(summary: &str, out: &Output) {
    let Some(path) = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|p| !p.is_empty()) else { return };
    let written = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(&path)
        .and_then(|mut file| writeln!(file, "{}", markdown(summary)));
    if let Err(e) = written {
        out.note(&format!("note: cannot write the job's summary to `{}`: {e}", path.display()));
    }
}

/// The line as Markdown that shows it as it is.
fn markdown(summary: &str) -> String {
    let plain = summary.chars().fold(String::new(), |mut out, c| {
        if matches!(c, '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '\\' | '#') {
            out.push('\\');
        }
        out.push(c);
        out
    });
    format!("{} {plain}\n", if summary.starts_with("rehearsal: fit") { "✅" } else { "❌" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(area: &str, error: Error) -> Vec<(Finding, Error)> {
        vec![(Finding::new(area, error.message()), error)]
    }

    #[test]
    fn one_line_says_fit_or_what_has_rotted() {
        let checks = [
            HealthCheck::ok("store", "mirror", "put if absent: yes"),
            HealthCheck::from_error("key", "alice", Health::Fail, &Error::fatal("cannot read the file")),
            HealthCheck::from_error("forge", "github", Health::Warn, &Error::fatal("no answer")),
            HealthCheck::from_error("remote", "git", Health::Fail, &Error::fatal("refused")),
            HealthCheck::from_error(
                expiry::AREA,
                "github token",
                Health::Skipped,
                &Error::fatal("GITHUB_TOKEN is not set"),
            ),
        ];
        let fit = judge(Vec::new(), &checks, "12 steps in 3 s");
        assert_eq!((fit.fit, fit.summary.as_str()), (true, "rehearsal: fit: 12 steps in 3 s"));
        assert_eq!(fit.not_checked, ["remote git: refused", "github token: GITHUB_TOKEN is not set"]);

        let checks = [
            HealthCheck::from_error("store", "mirror", Health::Warn, &Error::fatal("read-only")),
            HealthCheck::from_error(expiry::AREA, "trust root", Health::Warn, &Error::fatal("ends in 3 days")),
        ];
        let rotten = judge(broken("recipe", Error::fatal("build/a: exit code 1")), &checks, "");
        assert_eq!(
            rotten.summary,
            "rehearsal: rotten, 3 findings: recipe: build/a: exit code 1; store: mirror: read-only; expiry: trust root: ends in 3 days"
        );
        assert!(!rotten.fit);
    }

    #[test]
    fn a_busy_machine_is_not_rot_but_it_is_not_fit_either() {
        let busy = judge(broken("rehearsal", Error::transient("another dry run is under way")), &[], "");
        assert_eq!(busy.summary, "rehearsal: not judged: another dry run is under way");
        assert!(!busy.fit);
    }

    #[test]
    fn a_summary_in_markdown_shows_what_it_says() {
        assert_eq!(markdown("rehearsal: fit: 1 step"), "✅ rehearsal: fit: 1 step\n");
        assert_eq!(markdown("rehearsal: rotten: `<b>`"), "❌ rehearsal: rotten: \\`\\<b\\>\\`\n");
    }
}
