//! A runner that does to its jobs what a test wants, and a clock on which time passes only while it does.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};
use lifeboat::effects::{Clock, Handle, JobLog, JobReport, JobRequest, JobStatus, Runner, RunnerFacts};
use lifeboat::error::{Error, ErrorKind, Result};
use lifeboat::model::{Label, RunnerName, TrainNonce};
use lifeboat::step::{Exposure, JobName};

use super::instant_runner::InstantRunner;

/// A clock that stands until somebody waits, or a runner makes it go on.
pub struct PushedClock(Mutex<Timestamp>);

impl PushedClock {
    pub fn at(now: Timestamp) -> Arc<Self> {
        Arc::new(Self(Mutex::new(now)))
    }

    fn push(&self, by: SignedDuration) {
        let mut now = self.0.lock().unwrap();
        *now = now.checked_add(by).unwrap();
    }
}

#[async_trait::async_trait]
impl Clock for PushedClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    async fn sleep_until(&self, when: Timestamp) {
        let mut now = self.0.lock().unwrap();
        *now = when.max(*now);
    }

    fn nonce(&self) -> Result<[u8; 16]> {
        Ok(*b"sixteen bytes...")
    }
}

/// What becomes of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// It ends well.
    Ends,
    /// Its recipe ends with this code.
    Fails(i32),
    /// The runner knows nothing of it.
    IsLost,
    /// It runs on. A minute passes with each look.
    Hangs,
    /// The runner does not answer any more once it has it. A minute passes with each call.
    CutsOff,
}

/// Decides what becomes of a job, by its step and by how many jobs the runner had of it before.
pub type Script = Box<dyn Fn(&str, usize) -> Act + Send + Sync>;

/// What a test looks at, and changes meanwhile.
#[derive(Default)]
pub struct Seen {
    jobs: BTreeMap<String, (String, Act)>,
    /// The steps of all jobs that were taken, in their order.
    pub taken: Vec<String>,
    /// The jobs that were ended, by their steps.
    pub cancelled: Vec<String>,
    /// Looks at jobs, and how many jobs the largest one was for.
    pub looks: (usize, usize),
    /// So many more calls get no answer.
    pub no_answer: usize,
    /// The next dispatch takes its job, and gets no answer.
    pub loses_answer: bool,
    /// The next dispatch takes its job, and never returns.
    pub never_returns: bool,
    /// What hangs ends well from now on.
    pub hanging_ends: bool,
    /// What jobs leave, where that is not what all others leave.
    pub other_bytes: Option<&'static str>,
}

pub struct ScriptedRunner {
    name: RunnerName,
    inner: Arc<dyn Runner>,
    slots: usize,
    clock: Arc<PushedClock>,
    script: Script,
    seen: Mutex<Seen>,
}

impl ScriptedRunner {
    pub fn new(
        name: &str,
        slots: usize,
        (jobs, clock): (PathBuf, &Arc<PushedClock>),
        script: impl Fn(&str, usize) -> Act + Send + Sync + 'static,
    ) -> Arc<Self> {
        let (inner, clock) = (InstantRunner::port(jobs.join(name)), clock.clone());
        let name = RunnerName::new(name).unwrap();
        Arc::new(Self { name, inner, slots, clock, script: Box::new(script), seen: Mutex::default() })
    }

    /// Looks at what happened, or changes what will.
    pub fn with<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.seen.lock().unwrap())
    }

    /// The steps whose jobs it took, builds and tests.
    pub fn taken(&self) -> Vec<String> {
        let of_target = |step: &&String| step.starts_with("build/") || step.starts_with("test/");
        self.with(|seen| seen.taken.iter().filter(of_target).cloned().collect())
    }

    fn answers(&self) -> Result<()> {
        let mut seen = self.seen.lock().unwrap();
        if seen.no_answer == 0 {
            return Ok(());
        }
        seen.no_answer -= 1;
        self.clock.push(SignedDuration::from_mins(1));
        Err(Error::new(ErrorKind::Unreachable, format!("`{}` cannot be reached: cut off", self.name)))
    }

    fn status(&self, handle: &Handle) -> JobStatus {
        let seen = self.seen.lock().unwrap();
        let Some((_, act)) = seen.jobs.get(&handle.job) else { return JobStatus::Lost };
        match act {
            Act::Ends | Act::CutsOff => JobStatus::Exited(0),
            Act::Fails(code) => JobStatus::Exited(*code),
            Act::IsLost => JobStatus::Lost,
            Act::Hangs if seen.hanging_ends => JobStatus::Exited(0),
            Act::Hangs => {
                self.clock.push(SignedDuration::from_mins(1));
                JobStatus::Running
            }
        }
    }
}

#[async_trait::async_trait]
impl Runner for ScriptedRunner {
    fn name(&self) -> &RunnerName {
        &self.name
    }

    fn labels(&self) -> &[Label] {
        &[]
    }

    fn exposure(&self) -> Exposure {
        Exposure::Private
    }

    fn slots(&self) -> usize {
        self.slots
    }

    async fn probe(&self) -> Result<RunnerFacts> {
        self.answers()?;
        Ok(RunnerFacts { about: "scripted".to_owned(), exposure: Exposure::Private })
    }

    async fn dispatch(&self, request: &JobRequest) -> Result<Handle> {
        self.answers()?;
        let inner = self.inner.dispatch(request).await?;
        let step = request.step.to_string();
        let (loses_answer, never_returns) = self.with(|seen| {
            let before = seen.taken.iter().filter(|s| **s == step).count();
            let act = (self.script)(&step, before);
            if act == Act::CutsOff {
                seen.no_answer = usize::MAX;
            }
            seen.jobs.insert(inner.job.clone(), (step.clone(), act));
            seen.taken.push(step);
            (std::mem::take(&mut seen.loses_answer), std::mem::take(&mut seen.never_returns))
        });
        if never_returns {
            std::future::pending::<()>().await;
        }
        if loses_answer {
            return Err(Error::new(ErrorKind::Unreachable, "the answer was lost"));
        }
        Ok(Handle { runner: self.name.clone(), job: inner.job })
    }

    async fn find(&self, name: &JobName) -> Result<Option<Handle>> {
        self.answers()?;
        let there = self.with(|seen| seen.jobs.contains_key(name.as_str()));
        Ok(there.then(|| Handle { runner: self.name.clone(), job: name.to_string() }))
    }

    async fn observe(&self, handles: &[Handle]) -> Result<Vec<JobStatus>> {
        self.with(|seen| seen.looks = (seen.looks.0 + 1, seen.looks.1.max(handles.len())));
        self.answers()?;
        Ok(handles.iter().map(|handle| self.status(handle)).collect())
    }

    async fn collect(&self, request: &JobRequest, handle: &Handle) -> Result<JobReport> {
        self.answers()?;
        let report = self.inner.collect(request, handle).await?;
        if let Some(bytes) = self.with(|seen| seen.other_bytes).filter(|_| request.step.as_str().starts_with("build/"))
        {
            report.artifacts.iter().for_each(|(_, path)| std::fs::write(path, bytes).unwrap());
        }
        Ok(report)
    }

    async fn log(&self, request: &JobRequest, handle: &Handle) -> Result<JobLog> {
        self.answers()?;
        let log = self.inner.log(request, handle).await?;
        // One that was ended before has no directory any more.
        drop(std::fs::write(&log.path, format!("what `{}` prints\n", self.name)));
        Ok(log)
    }

    async fn cancel(&self, handle: &Handle) -> Result<()> {
        self.answers()?;
        if let Some((step, _)) = self.with(|seen| seen.jobs.remove(&handle.job)) {
            self.with(|seen| seen.cancelled.push(step));
            self.inner.cancel(handle).await?;
        }
        Ok(())
    }

    async fn sweep(&self, train: &TrainNonce) -> Result<()> {
        self.answers()?;
        self.inner.sweep(train).await
    }
}
