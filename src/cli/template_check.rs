//! A project's own templates, tried in a process of their own before a train is planned.
//!
//! The template engine's fuel bounds how much a template does and prints, not what lists grow to that are joined or repeated
//! again and again, nor how long that takes. The kernel ends a process that outgrows its limits, so nothing else suffers.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};

use crate::config::TemplateSet;
use crate::error::{Context as _, Error, Result};
use crate::sandbox::this_program;
use crate::subprocess::Subprocess;
use crate::{site, templates};

/// The first argument of a process that tries a template; the second is of no use.
pub const VERB: &str = "try-template";

/// What a template may take, in bytes of address space; a few of them are the program's own.
const MEMORY: u64 = 1 << 30;
/// In seconds of a processor.
const TIME: u64 = 3;
/// The same while its line is looked for.
const LITTLE_TIME: u64 = 1;

/// What is to be tried.
#[derive(Serialize, Deserialize)]
struct Trial {
    name: String,
    text: String,
    fuel: u64,
    seconds: u64,
}

/// What the trial found, on standard output; nothing if the process was ended.
#[derive(Serialize, Deserialize)]
struct TrialResult {
    /// Why it is refused: message, details, hints.
    refused: Option<(String, Vec<String>, Vec<String>)>,
}

/// Tries the template on standard input, within its limits; the process does nothing else.
#[must_use]
pub fn child() -> u8 {
    match tried() {
        Ok(()) => 0,
        Err(_) => 1,
    }
}

fn tried() -> Result<()> {
    let mut order = Vec::new();
    std::io::stdin().read_to_end(&mut order).context("cannot read the template")?;
    let trial: Trial = serde_json::from_slice(&order).context("cannot read the template")?;
    crate::host::forbid_core_dumps()?;
    for (what, most) in [(Resource::As, MEMORY), (Resource::Cpu, trial.seconds)] {
        let limit = Rlimit { current: Some(most), maximum: Some(most) };
        setrlimit(what, limit).context("cannot set a limit")?;
    }
    templates::less_fuel(trial.fuel);
    let set = TemplateSet { texts: [(trial.name, trial.text)].into() };
    let refused = site::check_templates(&set).err();
    let refused = refused.map(|e| (e.message().to_owned(), e.details().to_vec(), e.hints().to_vec()));
    let said = serde_json::to_vec(&TrialResult { refused }).context("cannot answer")?;
    std::io::stdout().write_all(&said).context("cannot answer")
}

/// Refuses templates that take more than they may.
///
/// # Errors
/// With the file and the line; this program cannot be started again.
pub(super) fn check(set: &TemplateSet) -> Result<()> {
    for (name, text) in &set.texts {
        let alone = |fuel, seconds| start(&Trial { name: name.clone(), text: text.clone(), fuel, seconds });
        // What is broken in another way is for planning to say.
        if alone(templates::FUEL, TIME)?.is_some() {
            continue;
        }
        // With less fuel it ends before it grows, and names its line: as much as it survives.
        let (mut alive, mut dead, mut at) = (0, templates::FUEL, None);
        while dead - alive > 1 {
            let fuel = if dead == templates::FUEL { (alive * 2).max(64).min(dead - 1) } else { alive.midpoint(dead) };
            match alone(fuel, LITTLE_TIME)? {
                Some(found) => (alive, at) = (fuel, found.refused),
                None => dead = fuel,
            }
        }
        let (message, details, _) =
            at.unwrap_or_else(|| (format!("`release-templates/{name}`"), Vec::new(), Vec::new()));
        let place = message.split(": ").next().unwrap_or_default();
        let error = Error::input(format!("{place}: it takes more than {TIME} s, or more than {} MiB", MEMORY >> 20));
        return Err(details.into_iter().fold(error, Error::detail).hint(
            "a list that is joined with `+`, or repeated with `*`, again and again doubles each time: write out what is meant",
        ));
    }
    Ok(())
}

/// Tries one; nothing if it outgrew its limits.
fn start(trial: &Trial) -> Result<Option<TrialResult>> {
    let what = || format!("cannot try `release-templates/{}`", trial.name);
    let order = serde_json::to_vec(trial).context(what())?;
    let mut command = Command::new(this_program()?);
    command.args([VERB, "-"]).env_clear();
    let trying = Subprocess::new(command).input(order).stderr(Stdio::null());
    let ended = trying.run().map_err(|e| e.explained("this program").context(what()))?;
    if ended.status.code() == Some(1) {
        return Err(Error::fatal(format!("{}: its process could not be limited", what())));
    }
    ended.status.success().then(|| serde_json::from_slice(&ended.stdout).context(what())).transpose()
}
