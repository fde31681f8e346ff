//! Jobs on runners, for whatever step needs one.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::Acting;
use crate::effects::{Handle, JobReport, JobRequest, JobStatus, ProgressEvent, Runner, blocking, observe_one};
use crate::engine::PlanInputs;
use crate::engine::runner_pool::no_runner;
use crate::error::{Context as _, Error, ErrorKind, Result};
use crate::journal::{Event, LOST, StepStatus};
use crate::model::{Artifact, Secret, SecretRef, Sha256, shell_path};
use crate::step::{Job, JobInput};

/// The longest pause between two polls of a job.
const SLOWEST_POLL: Duration = Duration::from_millis(500);

/// How many lines of a failed job's log an error shows.
const LOG_TAIL_LINES: usize = 20;

/// What a job that succeeded left, in the train's objects.
pub(super) struct Done {
    pub(super) runner: String,
    pub(super) artifacts: Vec<Artifact>,
    pub(super) log: Sha256,
}

/// Runs a job to its end on a runner that has what it needs, or goes on waiting for the one that a crash left behind.
pub(super) async fn run(acting: &Acting<'_>, job: &Job, inputs: Vec<JobInput>, before: &StepStatus) -> Result<Done> {
    let objects = acting.train.objects();
    let located = |input: JobInput| {
        let path: PathBuf = match &input {
            JobInput::SourceArchive(id) | JobInput::Archive(id) | JobInput::File { object: id, .. } => objects.path(id),
        };
        (input, path)
    };
    let mut request = JobRequest {
        step: acting.step.id.clone(),
        train: acting.train.nonce()?,
        key: acting.step.key,
        attempt: acting.attempt,
        job: job.clone(),
        inputs: inputs.into_iter().map(located).collect(),
        secrets: secrets(acting, job)?,
        source_date_epoch: acting.train.plan().date.as_second(),
    };
    let runner = acting.runner.clone().ok_or_else(|| no_runner(&job.labels))?;
    if let StepStatus::Waiting(handle) = before {
        if *runner.name() == handle.runner && observe_one(&*runner, handle).await? != JobStatus::Lost {
            return wait(acting, &*runner, &request, handle.clone()).await;
        }
        // The job is gone with its runner or its machine: this is a new attempt, recorded as one.
        request.attempt += 1;
        let (step, key) = (request.step.clone(), request.key);
        acting.train.journal().append(Event::Started { step, key, attempt: request.attempt })?;
    }
    let handle = runner.dispatch(&request).await?;
    acting.train.journal().append(Event::Waiting {
        step: request.step.clone(),
        key: request.key,
        handle: handle.clone(),
    })?;
    wait(acting, &*runner, &request, handle).await
}

fn secrets(acting: &Acting<'_>, job: &Job) -> Result<BTreeMap<String, Secret>> {
    let value = |(name, reference): (&String, &SecretRef)| Ok((name.clone(), (acting.effects.secrets)(reference)?));
    job.secret_env.iter().map(value).collect()
}

async fn wait(acting: &Acting<'_>, runner: &dyn Runner, request: &JobRequest, handle: Handle) -> Result<Done> {
    // A runner that cannot say where the log is says so when the job ends.
    if let Ok(log) = runner.log(request, &handle).await {
        acting.effects.progress.event(ProgressEvent::Working(request.step.clone(), log.path));
    }
    let mut pause = Duration::from_millis(5);
    let status = loop {
        let status = observe_one(runner, &handle).await?;
        if !status.is_under_way() {
            break status;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 3 / 2).min(SLOWEST_POLL);
    };
    let what = match status {
        JobStatus::Exited(0) => {
            let report = runner.collect(request, &handle).await?;
            let done = blocking(|| keep(acting, runner, &report))?;
            acting.warn(&report.warnings);
            runner.cancel(&handle).await?;
            return Ok(done);
        }
        JobStatus::Exited(code) => format!("the recipe ended with exit code {code}"),
        JobStatus::TimedOut => format!("the recipe ran longer than {} s and was killed", request.job.timeout_s),
        JobStatus::Lost => {
            return Err(Error::transient(format!("runner `{}` {LOST}", runner.name())));
        }
        JobStatus::Queued | JobStatus::Running => "the job did not end".to_owned(),
    };
    Err(failed(acting, runner, request, &handle, what).await)
}

/// What helps after a failed recipe. A rehearsal keeps nothing, so nothing of it is amended.
fn fix(acting: &Acting<'_>) -> String {
    match PlanInputs::read(&*acting.effects.disk, acting.train.dir()) {
        None => "fix the recipe or the machine, then run the same command again: a dry run starts from the beginning"
            .to_owned(),
        Some(facts) => format!(
            "fix the recipe, then run `lifeboat amend {}`: finished steps that do not change are kept; or fix the machine, \
             then run `lifeboat ship`",
            shell_path(&facts.file)
        ),
    }
}

fn keep(acting: &Acting<'_>, runner: &dyn Runner, report: &JobReport) -> Result<Done> {
    let objects = acting.train.objects();
    let mut artifacts = Vec::with_capacity(report.artifacts.len());
    for (name, path) in &report.artifacts {
        let digests = objects.put_file(path).map_err(|e| e.context(format!("artifact `{name}`")))?;
        artifacts.push(Artifact::new(name.clone(), digests));
    }
    artifacts.sort_by(|a, b| a.name.cmp(&b.name));
    let log = objects.put_file(&report.log)?.sha256;
    Ok(Done { runner: runner.name().to_string(), artifacts, log })
}

async fn failed(
    acting: &Acting<'_>,
    runner: &dyn Runner,
    request: &JobRequest,
    handle: &Handle,
    what: String,
) -> Error {
    let error = Error::new(ErrorKind::Fatal, what).detail(format!("runner: {}", runner.name()));
    let path = match runner.log(request, handle).await {
        Ok(log) => {
            acting.warn(&log.warnings);
            log.path
        }
        Err(e) => return error.because(e),
    };
    let tail = acting.effects.disk.read(&path).context("cannot read the job's log");
    let error = match tail {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned();
            let lines: Vec<&str> = text.lines().collect();
            let from = lines.len().saturating_sub(LOG_TAIL_LINES);
            lines[from..].iter().fold(error, |e, l| e.detail(format!("| {}", crate::model::escape(l))))
        }
        Err(e) => error.because(e),
    };
    error.detail(format!("log: {}", path.display())).hint(fix(acting))
}
