//! The calls that the scripts answer.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use super::orders::tarball;
use super::scripts;
use crate::effects::JobStatus;
use crate::error::{Context as _, Error, Result};
use crate::model::Sha256;
use crate::ssh::{ScriptAnswer, ScriptCall, ScriptInput, SharedConnection, SshHost};
use crate::step::JobName;

/// How long a call may take that only looks.
const LOOK: Duration = Duration::from_secs(60);
/// How long a call may take that unpacks, hashes, kills or removes.
const WORK: Duration = Duration::from_secs(1200);
/// How long the probe may take; a caller may wait less.
const PROBE: Duration = Duration::from_secs(30);
/// How a script ends that says what is wrong.
const SAID: i32 = 9;
/// What it puts before that.
const OURS: &str = "lifeboat: ";
/// How `start` ends when an object is not there.
const NO_OBJECT: i32 = 8;
/// How many bytes a second come over a slow line.
const SLOWEST: u64 = 100_000;

/// How a job stands on the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JobState {
    Lost,
    Queued,
    Running,
    Exited {
        code: i32,
        /// Processes of it could not be killed.
        left: bool,
    },
    Late {
        left: bool,
    },
}

impl JobState {
    fn parse(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split(' ').collect();
        let left = words.last() == Some(&"left");
        match words.as_slice() {
            ["lost"] => Some(Self::Lost),
            ["queued"] => Some(Self::Queued),
            ["running"] => Some(Self::Running),
            ["late"] | ["late", "left"] => Some(Self::Late { left }),
            ["exited", code] | ["exited", code, "left"] => Some(Self::Exited { code: code.parse().ok()?, left }),
            _ => None,
        }
    }

    pub(super) fn left_processes(self) -> bool {
        matches!(self, Self::Exited { left: true, .. } | Self::Late { left: true })
    }

    pub(super) fn has_ended(self) -> bool {
        matches!(self, Self::Exited { .. } | Self::Late { .. })
    }

    pub(super) fn status(self) -> JobStatus {
        match self {
            Self::Lost => JobStatus::Lost,
            Self::Queued => JobStatus::Queued,
            Self::Running => JobStatus::Running,
            // They could change what it left while that is read.
            Self::Exited { code, left: true } => JobStatus::Exited(code.max(1)),
            Self::Exited { code, left: false } => JobStatus::Exited(code),
            Self::Late { .. } => JobStatus::TimedOut,
        }
    }
}

/// What the machine is.
pub(super) struct Probed {
    /// Its system and processor.
    pub(super) system: String,
    /// Why it does not isolate jobs; none if it does.
    pub(super) not_isolated: Option<String>,
}

/// The machine.
pub(super) struct Host {
    connection: SharedConnection,
    dir: String,
}

type Input<'a> = Option<ScriptInput<'a>>;

impl Host {
    pub(super) fn new(at: SshHost, dir: String) -> Self {
        Self { connection: SharedConnection::new(at), dir }
    }

    /// What it is called.
    pub(super) fn shown(&self) -> String {
        self.connection.host().host.clone()
    }

    fn call(&self, script: &str, verb: &str, rest: &[&str], input: Input<'_>, limit: Duration) -> Result<ScriptAnswer> {
        let arguments: Vec<&str> = [verb, &self.dir].into_iter().chain(rest.iter().copied()).collect();
        self.ended(self.connection.run(ScriptCall { script, arguments: &arguments, limit, input })?)
    }

    /// The same with bytes that are handed over.
    fn tell(&self, script: &str, verb: &str, rest: &[&str], input: &[u8], limit: Duration) -> Result<ScriptAnswer> {
        self.call(script, verb, rest, Some(Box::new(move |pipe| pipe.write_all(input))), limit)
    }

    fn ended(&self, answer: ScriptAnswer) -> Result<ScriptAnswer> {
        let what = |why: &str| Error::fatal(format!("`{}` {why}", self.shown()));
        match answer.code {
            0 | NO_OBJECT => Ok(answer),
            SAID => {
                let said = answer.said.iter().rev().find_map(|line| line.strip_prefix(OURS));
                Err(what(&format!("refuses: {}", said.unwrap_or("it does not say why"))))
            }
            code => {
                let e = what(&format!("cannot do what was asked: its shell ended with {code}"));
                Err(answer.said.iter().fold(e, |e, line| e.detail(line.clone())))
            }
        }
    }

    fn nonsense(&self) -> Error {
        Error::fatal(format!("`{}` does not answer as the scripts do that were sent", self.shown()))
    }

    fn text(&self, answer: ScriptAnswer) -> Result<String> {
        String::from_utf8(answer.out).map_err(|_| self.nonsense())
    }

    fn state(&self, text: &str) -> Result<JobState> {
        JobState::parse(text).ok_or_else(|| self.nonsense())
    }

    pub(super) fn probe(&self) -> Result<Probed> {
        let input = tarball(&[("recipe", scripts::RECIPE), ("isolate", scripts::ISOLATE)])?;
        let said = self.text(self.tell(&scripts::probe(), "probe", &[], &input, PROBE)?)?;
        let mut lines = said.lines().map(crate::model::escape);
        let system = lines.next().ok_or_else(|| self.nonsense())?;
        let isolates = lines.next().unwrap_or_default();
        Ok(Probed { system, not_isolated: (isolates != "isolates").then_some(isolates) })
    }

    pub(super) fn put(&self, digest: &Sha256, file: &Path) -> Result<()> {
        let mut bytes = File::open(file).context(format!("cannot read `{}`", file.display()))?;
        let input: ScriptInput<'_> = Box::new(move |pipe| io::copy(&mut bytes, pipe).map(drop));
        self.call(&scripts::put(), "put", &[&digest.hex()], Some(input), WORK).map(drop)
    }

    /// Starts a job that is not there yet; names the objects that are missing for it, and starts nothing then.
    pub(super) fn start(&self, name: &JobName, older: &[String], orders: &[u8]) -> Result<Vec<Sha256>> {
        let names: Vec<&str> = std::iter::once(name.as_str()).chain(older.iter().map(String::as_str)).collect();
        let answer = self.tell(&scripts::start(), "start", &names, orders, WORK)?;
        let code = answer.code;
        let said = self.text(answer)?;
        let missing = said.lines().map(|line| line.parse().map_err(|_| self.nonsense()));
        let missing = missing.collect::<Result<Vec<Sha256>>>()?;
        if (code == NO_OBJECT) == missing.is_empty() { Err(self.nonsense()) } else { Ok(missing) }
    }

    pub(super) fn observe(&self, names: &[JobName]) -> Result<Vec<JobState>> {
        let input: String = names.iter().map(|name| format!("{name}\n")).collect();
        let said = self.text(self.tell(&scripts::ask(), "observe", &[], input.as_bytes(), LOOK)?)?;
        let mut lines = said.lines();
        let one = |name: &JobName| {
            let line = lines.next().and_then(|line| line.strip_prefix(name.as_str())?.strip_prefix(' '));
            self.state(line.unwrap_or_default())
        };
        names.iter().map(one).collect()
    }

    /// How a job stood, and at most `most` bytes of its log from `from` on, as they were after that.
    pub(super) fn log(&self, name: &JobName, from: u64, most: u64) -> Result<(JobState, Vec<u8>)> {
        let (from, most) = (from.to_string(), most.to_string());
        let mut out = self.call(&scripts::ask(), "log", &[name.as_str(), &from, &most], None, LOOK)?.out;
        let end = out.iter().position(|b| *b == b'\n').ok_or_else(|| self.nonsense())?;
        let state = self.state(std::str::from_utf8(&out[..end]).unwrap_or_default())?;
        out.drain(..=end);
        Ok((state, out))
    }

    /// The listing of what a job left, as it comes.
    pub(super) fn left(&self, name: &JobName) -> Result<Vec<u8>> {
        Ok(self.call(&scripts::fetch(), "collect", &[name.as_str()], None, WORK)?.out)
    }

    /// Writes the bytes of a file, of which there are at most `size`.
    pub(super) fn get(&self, name: &JobName, path: &str, to: File, size: u64) -> Result<()> {
        let (script, arguments) = (scripts::fetch(), ["get", &self.dir, name.as_str(), path]);
        let limit = LOOK + Duration::from_secs(size / SLOWEST);
        let call = ScriptCall { script: &script, arguments: &arguments, limit, input: None };
        self.ended(self.connection.run_to(call, to, size)?).map(drop)
    }

    pub(super) fn cancel(&self, name: &JobName) -> Result<()> {
        self.call(&scripts::end(), "cancel", &[name.as_str()], None, WORK).map(drop)
    }

    pub(super) fn sweep(&self, prefix: &str) -> Result<()> {
        self.call(&scripts::end(), "sweep", &[prefix], None, WORK).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_read_as_they_are_written() {
        assert_eq!(JobState::parse("exited 7"), Some(JobState::Exited { code: 7, left: false }));
        assert_eq!(JobState::parse("exited 0 left").map(JobState::status), Some(JobStatus::Exited(1)));
        assert_eq!(JobState::parse("late left").map(JobState::left_processes), Some(true));
        for word in ["", "exited", "exited x", "done", "running 1", "exited 0 maybe"] {
            assert_eq!(JobState::parse(word), None, "{word}");
        }
    }
}
