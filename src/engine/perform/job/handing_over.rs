//! A job comes to its runner: once, even if answers are lost on the way.

use crate::effects::{Handle, JobRequest};
use crate::engine::placement::{Placement, There};
use crate::engine::runner_watch::{RunnerWatch, is_no_answer};
use crate::error::{Error, ErrorKind};
use crate::journal::JobEnd;

/// The handle of a job on its runner, and whether that is recorded; or how the job ended before it began.
pub(super) async fn handed_over(
    request: &JobRequest,
    placement: &Placement,
) -> Result<(Handle, bool), (JobEnd, Error)> {
    let watch = &placement.watch;
    let runner = watch.runner();
    let not_taken = |e: Error| {
        if e.kind() == ErrorKind::Unreachable {
            watch.did_not_answer();
            (JobEnd::Unreachable, e)
        } else {
            (JobEnd::NotTaken, e)
        }
    };
    match &placement.there {
        There::Yes(handle) => return Ok((handle.clone(), true)),
        There::Perhaps => {
            if let Some(handle) = runner.find(&request.name()).await.map_err(not_taken)? {
                return Ok((handle, false));
            }
        }
        There::No => {}
    }
    watch.is_private().await.map_err(not_taken)?;
    let error = match runner.dispatch(request).await {
        Ok(handle) => return Ok((handle, false)),
        Err(e) if is_no_answer(&e) => e,
        Err(e) => return Err(not_taken(e)),
    };
    // The answer may have been lost after the job was taken.
    match runner.find(&request.name()).await {
        Ok(Some(handle)) => Ok((handle, false)),
        Ok(None) if error.kind() == ErrorKind::Unreachable => match runner.dispatch(request).await {
            Ok(handle) => Ok((handle, false)),
            Err(e) => Err(not_taken(e)),
        },
        Ok(None) | Err(_) => Err(not_taken(error)),
    }
}

/// A job whose handle was not recorded, if its runner has it.
pub(super) async fn whose_job(watch: &RunnerWatch, request: &JobRequest) -> Option<Handle> {
    if watch.is_down() { None } else { watch.runner().find(&request.name()).await.ok().flatten() }
}
