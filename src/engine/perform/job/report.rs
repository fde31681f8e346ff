//! What is said of a job that did not succeed: on which runner, how, and the end of its log.

use std::path::Path;
use std::sync::Arc;

use super::super::Acting;
use crate::effects::{Handle, JobRequest, blocking};
use crate::engine::PlanInputs;
use crate::engine::runner_watch::RunnerWatch;
use crate::error::{Context as _, Error, ErrorKind, Result};
use crate::journal::{EndedJob, JobEnd, LOST};
use crate::model::{Sha256, escape, shell_path};

/// How many lines of a failed job's log an error shows.
const LOG_TAIL_LINES: usize = 20;

/// A job that ended without success.
pub(super) struct Ended {
    pub(super) attempt: u32,
    pub(super) watch: Arc<RunnerWatch>,
    pub(super) handle: Option<Handle>,
    pub(super) end: JobEnd,
    pub(super) log: Option<Sha256>,
    pub(super) error: Error,
}

impl Ended {
    /// Of a job that its runner does not have.
    pub(super) fn not_begun(attempt: u32, watch: &Arc<RunnerWatch>, end: JobEnd, error: Error) -> Self {
        Self { attempt, watch: watch.clone(), handle: None, end, log: None, error }
    }
}

/// The runner does not know the job any more.
pub(super) fn lost(attempt: u32, watch: &Arc<RunnerWatch>, handle: Handle) -> Ended {
    let error = Error::transient(format!("runner `{}` {LOST}", watch.runner().name()));
    Ended { attempt, watch: watch.clone(), handle: Some(handle), end: JobEnd::Lost, log: None, error }
}

/// The runner did not answer until the lease was over.
pub(super) fn silent(attempt: u32, watch: &Arc<RunnerWatch>, handle: Handle, why: &str) -> Ended {
    let (name, lease) = (watch.runner().name(), watch.lease().as_secs());
    let message = format!("runner `{name}` did not answer for {lease} s, and counts as silent: {why}");
    let error = Error::new(ErrorKind::Unreachable, message);
    Ended { attempt, watch: watch.clone(), handle: Some(handle), end: JobEnd::Silent, log: None, error }
}

/// The recipe ended with an exit code, or with 0 and not with what it should leave.
pub(super) async fn recipe_failed(
    acting: &Acting<'_>,
    watch: &Arc<RunnerWatch>,
    request: &JobRequest,
    handle: Handle,
    (code, wrong): (i32, Option<Error>),
) -> Result<Ended> {
    let end = JobEnd::RecipeFailed { code };
    match wrong {
        // The runner has said where the log is.
        Some(error) => {
            let log = kept_log(acting, watch, request, &handle).await.ok().map(|(log, _)| log);
            let error = after_others(acting, watch, error);
            Ok(Ended { attempt: request.attempt, watch: watch.clone(), handle: Some(handle), end, log, error })
        }
        None => {
            let what = format!("the recipe ended with exit code {code}");
            own(acting, watch, request, handle, (end, what)).await
        }
    }
}

/// It ran longer than it may.
pub(super) async fn timed_out(
    acting: &Acting<'_>,
    watch: &Arc<RunnerWatch>,
    request: &JobRequest,
    handle: Handle,
) -> Result<Ended> {
    let what = format!("the recipe ran longer than {} s and was killed", request.job.timeout_s);
    own(acting, watch, request, handle, (JobEnd::TimedOut, what)).await
}

async fn own(
    acting: &Acting<'_>,
    watch: &Arc<RunnerWatch>,
    request: &JobRequest,
    handle: Handle,
    (end, what): (JobEnd, String),
) -> Result<Ended> {
    let error = Error::new(ErrorKind::Fatal, what).detail(format!("runner: {}", watch.runner().name()));
    let (log, error) = match kept_log(acting, watch, request, &handle).await {
        Ok((log, path)) => (Some(log), with_tail(acting, error, &path)),
        Err(e) => (None, error.because(e)),
    };
    let error = after_others(acting, watch, error.hint(fix(acting)));
    Ok(Ended { attempt: request.attempt, watch: watch.clone(), handle: Some(handle), end, log, error })
}

/// The log of a job that ended, as an object of the train, and where it lies for people.
async fn kept_log(
    acting: &Acting<'_>,
    watch: &RunnerWatch,
    request: &JobRequest,
    handle: &Handle,
) -> Result<(Sha256, std::path::PathBuf)> {
    let log = watch.runner().log(request, handle).await?;
    acting.warn(&log.warnings);
    let kept = blocking(|| acting.train.objects().put_file(&log.path)).context("cannot keep the job's log")?;
    Ok((kept.sha256, log.path))
}

/// Adds the last lines of a log.
fn with_tail(acting: &Acting<'_>, error: Error, path: &Path) -> Error {
    let error = match acting.effects.disk.read(path).context("cannot read the job's log") {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned();
            let lines: Vec<&str> = text.lines().collect();
            let from = lines.len().saturating_sub(LOG_TAIL_LINES);
            lines[from..].iter().fold(error, |e, l| e.detail(format!("| {}", escape(l))))
        }
        Err(e) => error.because(e),
    };
    error.detail(format!("log: {}", path.display()))
}

/// Adds that the recipe failed on another runner before, with the end of the log there.
fn after_others(acting: &Acting<'_>, watch: &RunnerWatch, error: Error) -> Error {
    let state = acting.train.state();
    let own = watch.runner().name();
    let others: Vec<&EndedJob> = state.step(&acting.step.id).map_or_else(Vec::new, |step| {
        step.ends().iter().filter(|ended| ended.end.is_of_recipe() && ended.runner != *own).collect()
    });
    let Some(first) = others.first() else { return error };
    let names = format!("on runner `{own}`, and on runner `{}` before: {}", first.runner, first.end.about());
    let mut error = error.followed_by(names).detail(format!("runner before: {}", first.runner));
    for ended in others {
        if let Some(log) = &ended.log {
            error = with_tail(acting, error, &acting.train.objects().path(log));
        }
    }
    error
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
