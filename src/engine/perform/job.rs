//! Jobs on runners, for whatever step needs one.
//!
//! A step has one job at a time, or two while the first takes too long. How each ends is recorded here; whether the step is tried
//! on another runner is decided by the loop, from what is recorded.

mod handing_over;
mod report;

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use self::handing_over::{handed_over, whose_job};
use self::report::{Ended, lost, recipe_failed, silent};
use super::Acting;
use crate::effects::{Handle, JobReport, JobRequest, JobStatus, ProgressEvent, blocking, observe_one};
use crate::engine::placement::Placement;
use crate::engine::runner_pool::no_runner;
use crate::engine::runner_watch::{RunnerWatch, Seen};
use crate::error::{Error, ErrorKind, Result};
use crate::journal::{Event, JobEnd, StepJob};
use crate::model::{Artifact, ArtifactName, Secret, SecretRef, Sha256};
use crate::step::{Job, JobInput};

/// How long a runner may take to say how a job stands that another one was faster than.
const LAST_LOOK: Duration = Duration::from_secs(10);

/// How long to wait before what a job left is fetched again.
const FETCH_AGAIN: Duration = Duration::from_secs(1);

/// What a job that succeeded left, in the train's objects.
pub(super) struct Done {
    pub(super) runner: String,
    pub(super) artifacts: Vec<Artifact>,
    pub(super) log: Sha256,
}

/// How the work on one job ended.
enum Over {
    /// It succeeded.
    Done(u32, Done, Handle),
    /// It did not, or never began.
    Ended(Box<Ended>),
    /// We cannot go on with it: the disk's or the journal's error.
    Broken(Error),
}

/// The work on one job.
type Work<'a> = Pin<Box<dyn Future<Output = Over> + Send + 'a>>;

/// Runs a step's jobs until one succeeds or none is left, or goes on waiting for those that a crash left behind.
pub(super) async fn run(acting: &Acting<'_>, job: &Job, inputs: Vec<JobInput>) -> Result<Done> {
    let objects = acting.train.objects();
    let located = |input: JobInput| {
        let path: PathBuf = match &input {
            JobInput::SourceArchive(id) | JobInput::Archive(id) | JobInput::File { object: id, .. } => objects.path(id),
        };
        (input, path)
    };
    let request = JobRequest {
        step: acting.step.id.clone(),
        train: acting.train.nonce()?,
        key: acting.step.key,
        attempt: acting.attempt,
        job: job.clone(),
        inputs: inputs.into_iter().map(located).collect(),
        secrets: secrets(acting, job)?,
        source_date_epoch: acting.train.plan().date.as_second(),
    };
    let jobs = acting.jobs.as_ref().ok_or_else(|| no_runner(&job.labels))?;
    let first = jobs.first();
    if first.is_empty() {
        return Err(no_runner(&job.labels));
    }
    let mut more = jobs.more.lock().await;
    let mut watches: BTreeMap<u32, Arc<RunnerWatch>> = BTreeMap::new();
    let mut work: Vec<Work<'_>> = Vec::new();
    let begin = |placement: Placement, watches: &mut BTreeMap<_, _>| -> Work<'_> {
        watches.insert(placement.attempt, placement.watch.clone());
        let request = JobRequest { attempt: placement.attempt, ..request.clone() };
        Box::pin(one(acting, request, placement))
    };
    for placement in first {
        work.push(begin(placement, &mut watches));
    }
    loop {
        let over = tokio::select! {
            over = first_of(&mut work) => over,
            Some(placement) = more.recv() => {
                work.push(begin(placement, &mut watches));
                continue;
            }
        };
        match over {
            Over::Done(attempt, done, handle) => {
                // What the others do from here on, nobody waits for.
                drop(std::mem::take(&mut work));
                more.close();
                while let Ok(placement) = more.try_recv() {
                    watches.insert(placement.attempt, placement.watch);
                }
                supersede(acting, &request, &watches, (attempt, &done)).await?;
                if let Some(watch) = watches.get(&attempt)
                    && let Err(e) = watch.runner().cancel(&handle).await
                {
                    // What it made is here. A runner that went away just now keeps nothing up.
                    if e.kind() != ErrorKind::Unreachable {
                        return Err(e);
                    }
                    watch.end_later(handle);
                }
                return Ok(done);
            }
            Over::Broken(error) => return Err(error),
            Over::Ended(ended) => {
                let error = record(acting, *ended)?;
                if work.is_empty() {
                    jobs.ended.store(true, Ordering::SeqCst);
                    return Err(error);
                }
                acting.warn(&[format!("{}; its other job goes on", error.message())]);
            }
        }
    }
}

fn secrets(acting: &Acting<'_>, job: &Job) -> Result<BTreeMap<String, Secret>> {
    let value = |(name, reference): (&String, &SecretRef)| Ok((name.clone(), (acting.effects.secrets)(reference)?));
    job.secret_env.iter().map(value).collect()
}

/// The first of some works that ends; it is taken out.
async fn first_of(work: &mut Vec<Work<'_>>) -> Over {
    poll_fn(|cx| {
        for at in 0..work.len() {
            if let Poll::Ready(over) = work[at].as_mut().poll(cx) {
                drop(work.remove(at));
                return Poll::Ready(over);
            }
        }
        Poll::Pending
    })
    .await
}

/// Records how a job ended; gives back the error of the step if that was its last one.
fn record(acting: &Acting<'_>, ended: Ended) -> Result<Error> {
    let Ended { attempt, watch, handle, end, log, error } = ended;
    let leaves = matches!(end, JobEnd::Silent);
    acting.train.journal().append(Event::JobEnded {
        step: acting.step.id.clone(),
        key: acting.step.key,
        attempt,
        runner: watch.runner().name().clone(),
        job: handle.as_ref().map(|handle| handle.job.clone()),
        end,
        why: Some(error.message().to_owned()),
        log,
    })?;
    if let (true, Some(handle)) = (leaves, handle) {
        watch.end_later(handle);
    }
    if let Some(jobs) = &acting.jobs {
        jobs.job_ended(attempt);
    }
    Ok(error)
}

/// One job, from its runner's word that it has it to its end.
async fn one(acting: &Acting<'_>, request: JobRequest, placement: Placement) -> Over {
    let Placement { watch, expected_ms, .. } = &placement;
    let (runner, attempt) = (watch.runner(), request.attempt);
    let handle = match handed_over(&request, &placement).await {
        Ok((handle, recorded)) => {
            if !recorded {
                let (step, key) = (request.step.clone(), request.key);
                let waiting = Event::Waiting { step, key, handle: handle.clone() };
                if let Err(e) = acting.train.journal().append(waiting) {
                    return Over::Broken(e);
                }
            }
            handle
        }
        Err((end, error)) => return Over::Ended(Box::new(Ended::not_begun(attempt, watch, end, error))),
    };
    // A runner that cannot say where the log is says so when the job ends.
    let log = runner.log(&request, &handle).await.ok().map(|log| log.path);
    acting.effects.progress.event(ProgressEvent::Working {
        step: request.step.clone(),
        log,
        runner: runner.name().clone(),
        expected: expected_ms.map(Duration::from_millis),
    });
    let mut fetching_since = None;
    loop {
        let status = match watch.ended(&handle).await {
            Seen::Ended(status) => status,
            Seen::Silent(why) => return Over::Ended(Box::new(silent(attempt, watch, handle, &why))),
        };
        let failed = match status {
            JobStatus::Exited(0) => match fetched(acting, watch, &request, &handle).await {
                Ok(done) => return Over::Done(attempt, done, handle),
                Err(Unfetched::Ours(e)) => return Over::Broken(e),
                Err(Unfetched::Wrong(e)) => recipe_failed(acting, watch, &request, handle, (0, Some(e))).await,
                Err(Unfetched::NoAnswer(e)) => {
                    let now = acting.effects.clock.now();
                    let since = *fetching_since.get_or_insert(now);
                    watch.did_not_answer();
                    if now.duration_since(since) <= watch.lease() {
                        tokio::time::sleep(FETCH_AGAIN).await;
                        continue;
                    }
                    Ok(silent(attempt, watch, handle, e.message()))
                }
            },
            JobStatus::Exited(code) => recipe_failed(acting, watch, &request, handle, (code, None)).await,
            JobStatus::TimedOut => report::timed_out(acting, watch, &request, handle).await,
            JobStatus::Lost | JobStatus::Queued | JobStatus::Running => Ok(lost(attempt, watch, handle)),
        };
        return match failed {
            Ok(ended) => Over::Ended(Box::new(ended)),
            Err(e) => Over::Broken(e),
        };
    }
}

/// Why what a job left is not here.
enum Unfetched {
    /// The runner does not answer.
    NoAnswer(Error),
    /// It is not what the job should have left.
    Wrong(Error),
    /// It cannot be kept here.
    Ours(Error),
}

async fn fetched(
    acting: &Acting<'_>,
    watch: &RunnerWatch,
    request: &JobRequest,
    handle: &Handle,
) -> Result<Done, Unfetched> {
    let report = watch.runner().collect(request, handle).await.map_err(|e| match e.kind() {
        ErrorKind::Unreachable => Unfetched::NoAnswer(e),
        ErrorKind::Transient => Unfetched::Ours(e),
        _ => Unfetched::Wrong(e),
    })?;
    let done = blocking(|| keep(acting, watch, &report)).map_err(Unfetched::Ours)?;
    acting.warn(&report.warnings);
    Ok(done)
}

fn keep(acting: &Acting<'_>, watch: &RunnerWatch, report: &JobReport) -> Result<Done> {
    let objects = acting.train.objects();
    let mut artifacts = Vec::with_capacity(report.artifacts.len());
    for (name, path) in &report.artifacts {
        let digests = objects.put_file(path).map_err(|e| e.context(format!("artifact `{name}`")))?;
        artifacts.push(Artifact::new(name.clone(), digests));
    }
    artifacts.sort_by(|a, b| a.name.cmp(&b.name));
    let log = objects.put_file(&report.log)?.sha256;
    Ok(Done { runner: watch.runner().name().to_string(), artifacts, log })
}

/// Ends the other jobs of a step that one has won. One that ended as well should have left the same bytes.
async fn supersede(
    acting: &Acting<'_>,
    request: &JobRequest,
    watches: &BTreeMap<u32, Arc<RunnerWatch>>,
    (winner, done): (u32, &Done),
) -> Result<()> {
    let others: Vec<StepJob> = {
        let journal = acting.train.journal();
        let stands = journal.state().step(&acting.step.id).map(|step| step.jobs.clone());
        stands.unwrap_or_default().into_iter().filter(|job| job.attempt != winner).collect()
    };
    for job in others {
        let Some(watch) = watches.get(&job.attempt) else { continue };
        let request = JobRequest { attempt: job.attempt, ..request.clone() };
        let handle = match job.handle() {
            Some(handle) => Some(handle),
            None => whose_job(watch, &request).await,
        };
        let differ = match &handle {
            Some(handle) => differing(acting, watch, &request, handle, done).await,
            None => Vec::new(),
        };
        let end = if differ.is_empty() { JobEnd::Superseded } else { JobEnd::Differed { artifacts: differ } };
        if matches!(end, JobEnd::Differed { .. }) {
            let (one, other) = (&done.runner, watch.runner().name());
            acting.warn(&[format!(
                "runners `{one}` and `{other}` made different bytes, and `{one}` was first: {}",
                end.about()
            )]);
        }
        acting.train.journal().append(Event::JobEnded {
            step: acting.step.id.clone(),
            key: acting.step.key,
            attempt: job.attempt,
            runner: job.runner.clone(),
            job: handle.as_ref().map(|handle| handle.job.clone()),
            end,
            why: None,
            log: None,
        })?;
        if let Some(handle) = handle {
            watch.end_later(handle);
        }
    }
    Ok(())
}

/// Which artifacts a job made with other bytes than the one that was faster, if it ended too and its runner says so soon.
async fn differing(
    acting: &Acting<'_>,
    watch: &RunnerWatch,
    request: &JobRequest,
    handle: &Handle,
    done: &Done,
) -> Vec<ArtifactName> {
    let runner = watch.runner();
    let look = async {
        let status = observe_one(runner, handle).await.ok()?;
        if status != JobStatus::Exited(0) { None } else { runner.collect(request, handle).await.ok() }
    };
    if watch.is_down() {
        return Vec::new();
    }
    let Ok(Some(report)) = tokio::time::timeout(LAST_LOOK, look).await else { return Vec::new() };
    let objects = acting.train.objects();
    let other = |artifact: &&Artifact| {
        let there = report.artifacts.iter().find(|(name, _)| *name == artifact.name);
        let there = there.and_then(|(_, path)| blocking(|| objects.put_file(path)).ok());
        there.is_some_and(|digests| digests.sha256 != artifact.digests.sha256)
    };
    done.artifacts.iter().filter(other).map(|artifact| artifact.name.clone()).collect()
}
