//! The port to what executes jobs.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::error::Result;
use crate::model::{ArtifactName, Label, RunnerName, Secret};
use crate::step::{Exposure, Job, JobInput, StepId, StepKey};

pub use crate::step::Handle;

/// A job as it is handed to a runner.
#[derive(Debug, Clone)]
pub struct JobRequest {
    /// The step, for logs and errors.
    pub step: StepId,
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

/// What a runner says of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobStatus {
    /// It runs, or waits to.
    Running,
    /// It ended; the code is 0 on success.
    Exited(i32),
    /// It was killed after its time limit.
    TimedOut,
    /// The runner knows nothing of it: dispatch again.
    Lost,
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
#[async_trait::async_trait]
pub trait Runner: Send + Sync {
    /// Its name in the configuration.
    fn name(&self) -> &RunnerName;

    /// What it has.
    fn labels(&self) -> &[Label];

    /// Who can read its logs and its files.
    fn exposure(&self) -> Exposure;

    /// How many jobs it runs at a time.
    fn slots(&self) -> usize;

    /// Whether it can work now; says what it is.
    async fn check(&self) -> Result<String>;

    /// Starts a job and returns at once.
    async fn dispatch(&self, request: &JobRequest) -> Result<Handle>;

    /// How a job stands.
    async fn observe(&self, handle: &Handle) -> Result<JobStatus>;

    /// Checks the exact artifact set of an ended job and says where the files are.
    ///
    /// # Errors
    /// A file missing, stale, outside, undeclared, or of a wrong kind: names it.
    async fn collect(&self, request: &JobRequest, handle: &Handle) -> Result<JobReport>;

    /// The log of a job so far, secrets masked.
    async fn log(&self, request: &JobRequest, handle: &Handle) -> Result<JobLog>;

    /// Ends a job with all its children and removes its files.
    async fn cancel(&self, handle: &Handle) -> Result<()>;

    /// Ends every job of the train with all its children, also one whose handle nobody recorded, and removes the files of
    /// all of them, logs too.
    ///
    /// # Errors
    /// The runner's; jobs may still run then, and the same call ends them later.
    async fn cancel_all(&self) -> Result<()>;
}
