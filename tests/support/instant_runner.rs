//! A runner whose jobs end before they begin: for tests of what happens to their results.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use lifeboat::effects::{Handle, JobLog, JobReport, JobRequest, JobStatus, Runner, RunnerFacts};
use lifeboat::error::{Context as _, Result};
use lifeboat::model::{Label, RunnerName, TrainNonce};
use lifeboat::step::{Exposure, JobName};

/// Writes what a job should leave into a directory of its own; a job whose directory is gone is lost.
pub struct InstantRunner {
    name: RunnerName,
    jobs: PathBuf,
}

impl InstantRunner {
    pub fn port(jobs: PathBuf) -> Arc<dyn Runner> {
        Arc::new(Self { name: RunnerName::new("instant").unwrap(), jobs })
    }
}

#[async_trait::async_trait]
impl Runner for InstantRunner {
    fn name(&self) -> &RunnerName {
        &self.name
    }

    fn labels(&self) -> &[Label] {
        &[]
    }

    fn exposure(&self) -> Exposure {
        Exposure::Local
    }

    fn slots(&self) -> usize {
        2
    }

    async fn probe(&self) -> Result<RunnerFacts> {
        Ok(RunnerFacts { about: "instant".to_owned(), exposure: self.exposure() })
    }

    async fn dispatch(&self, request: &JobRequest) -> Result<Handle> {
        let job = request.name().to_string();
        let dir = self.jobs.join(&job);
        fs::create_dir_all(&dir).context("job")?;
        for artifact in &request.job.artifacts {
            // An empty archive for whoever opens it.
            let empty = artifact.name.as_str().ends_with(".tar").then(|| vec![0; 1024]);
            let bytes = empty.unwrap_or_else(|| format!("{:?}\n", request.job.run).into_bytes());
            fs::write(dir.join(artifact.name.as_str()), bytes).context("job")?;
        }
        fs::write(dir.join("log"), "done\n").context("job")?;
        Ok(Handle { runner: self.name.clone(), job })
    }

    async fn find(&self, name: &JobName) -> Result<Option<Handle>> {
        let there = self.jobs.join(name.as_str()).is_dir();
        Ok(there.then(|| Handle { runner: self.name.clone(), job: name.to_string() }))
    }

    async fn observe(&self, handles: &[Handle]) -> Result<Vec<JobStatus>> {
        let status = |handle: &Handle| {
            if self.jobs.join(&handle.job).is_dir() { JobStatus::Exited(0) } else { JobStatus::Lost }
        };
        Ok(handles.iter().map(status).collect())
    }

    async fn collect(&self, request: &JobRequest, handle: &Handle) -> Result<JobReport> {
        let dir = self.jobs.join(&handle.job);
        let artifacts = &request.job.artifacts;
        let artifacts = artifacts.iter().map(|a| (a.name.clone(), dir.join(a.name.as_str()))).collect();
        Ok(JobReport { artifacts, log: dir.join("log"), warnings: Vec::new() })
    }

    async fn log(&self, _: &JobRequest, handle: &Handle) -> Result<JobLog> {
        Ok(JobLog { path: self.jobs.join(&handle.job).join("log"), warnings: Vec::new() })
    }

    async fn cancel(&self, handle: &Handle) -> Result<()> {
        fs::remove_dir_all(self.jobs.join(&handle.job)).context("job")
    }

    async fn sweep(&self, _: &TrainNonce) -> Result<()> {
        match fs::remove_dir_all(&self.jobs) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e).context("jobs"),
            _ => Ok(()),
        }
    }
}
