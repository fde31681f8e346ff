//! The port to what executes jobs.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::model::{ArtifactName, Label, RunnerName, Secret, TrainNonce};
use crate::step::{Exposure, Job, JobInput, JobName, StepId, StepKey};

pub use crate::step::Handle;

/// A job as it is handed to a runner.
#[derive(Debug, Clone)]
pub struct JobRequest {
    /// The step, for errors. It names line and target: nothing of it goes to a runner.
    pub step: StepId,
    /// The train.
    pub train: TrainNonce,
    /// The step's key: a runner asked twice for one key and attempt runs one job.
    pub key: StepKey,
    /// Which attempt of the step this is, from 1.
    pub attempt: u32,
    /// What to do.
    pub job: Job,
    /// What to put into the directory first, with the file that holds the bytes.
    pub inputs: Vec<(JobInput, PathBuf)>,
    /// The values of `job.secret_env`.
    pub secrets: BTreeMap<String, Secret>,
    /// `SOURCE_DATE_EPOCH`: the plan's date in seconds since 1970.
    pub source_date_epoch: i64,
}

impl JobRequest {
    /// What the runner calls the job.
    #[must_use]
    pub fn name(&self) -> JobName {
        JobName::of(&self.train, self.key, self.attempt)
    }

    /// What it called the attempts before this one.
    pub fn older(&self) -> impl Iterator<Item = JobName> {
        (1..self.attempt).map(|attempt| JobName::of(&self.train, self.key, attempt))
    }
}

/// What a runner is, as it was found by asking it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunnerFacts {
    /// One line for people: the machine, slots, labels, what isolates jobs.
    pub about: String,
    /// Who can read its logs and files. A server that answers strangers is public, whatever the configuration says.
    pub exposure: Exposure,
}

/// What a runner says of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobStatus {
    /// The runner has it, and has not started it yet.
    Queued,
    /// It runs.
    Running,
    /// It ended; the code is 0 on success.
    Exited(i32),
    /// It was killed after its time limit.
    TimedOut,
    /// The runner knows nothing of it: dispatch again.
    Lost,
}

impl JobStatus {
    /// Whether it may still leave something.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        matches!(self, Self::Queued | Self::Running)
    }
}

/// What a job left.
#[derive(Debug, Clone)]
pub struct JobReport {
    /// The exact artifact set, with the file that holds the bytes.
    pub artifacts: Vec<(ArtifactName, PathBuf)>,
    /// The log, secrets masked.
    pub log: PathBuf,
    /// What a person should know, such as that the recipe printed a secret.
    pub warnings: Vec<String>,
}

/// The log of a job so far.
#[derive(Debug, Clone)]
pub struct JobLog {
    /// The file, secrets masked.
    pub path: PathBuf,
    /// What a person should know of a job that ended, such as that the recipe printed a secret.
    pub warnings: Vec<String>,
}

/// Something that executes jobs.
///
/// Names, reasons, properties and paths that a runner's server shows hold the [`JobName`] and nothing else of a job.
#[async_trait::async_trait]
pub trait Runner: Send + Sync {
    /// Its name in the configuration.
    fn name(&self) -> &RunnerName;

    /// What it has.
    fn labels(&self) -> &[Label];

    /// Who can read its logs and its files, as far as that is known without asking it.
    fn exposure(&self) -> Exposure;

    /// How many jobs it runs at a time.
    fn slots(&self) -> usize;

    /// Finds out whether it can work now, and what it is.
    ///
    /// # Errors
    /// It cannot work: why, and what helps.
    async fn probe(&self) -> Result<RunnerFacts>;

    /// Starts a job and returns at once. A job of this name that is there already is the one: nothing is started again.
    async fn dispatch(&self, request: &JobRequest) -> Result<Handle>;

    /// Looks for a job whose handle nobody recorded; none if the runner does not have it.
    async fn find(&self, name: &JobName) -> Result<Option<Handle>>;

    /// How jobs stand, in the order of the handles: one call for all where the runner has one.
    ///
    /// # Errors
    /// The runner cannot be asked; that says nothing of the jobs.
    async fn observe(&self, handles: &[Handle]) -> Result<Vec<JobStatus>>;

    /// Checks the exact artifact set of an ended job and says where the files are.
    ///
    /// # Errors
    /// A file missing, stale, outside, undeclared, or of a wrong kind: names it.
    async fn collect(&self, request: &JobRequest, handle: &Handle) -> Result<JobReport>;

    /// The log of a job so far, secrets masked. Of a job elsewhere it is brought here first, as far as it is not here yet.
    async fn log(&self, request: &JobRequest, handle: &Handle) -> Result<JobLog>;

    /// Ends a job with all its children and removes its files. A job that is not there is ended.
    ///
    /// # Errors
    /// A handle that is none of this runner; a runner that cannot be asked: the job may still run.
    async fn cancel(&self, handle: &Handle) -> Result<()>;

    /// Ends every job of the train with all its children, also one whose handle nobody recorded, and removes the files of
    /// all of them, logs too.
    ///
    /// # Errors
    /// The runner's; jobs may still run then, and the same call ends them later.
    async fn sweep(&self, train: &TrainNonce) -> Result<()>;
}

/// How one job stands.
///
/// # Errors
/// Those of [`Runner::observe`].
pub async fn observe_one(runner: &dyn Runner, handle: &Handle) -> Result<JobStatus> {
    let mut seen = runner.observe(std::slice::from_ref(handle)).await?;
    seen.pop().ok_or_else(|| Error::fatal(format!("runner `{}` says nothing of a job", runner.name())))
}
