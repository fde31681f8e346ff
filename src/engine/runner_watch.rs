//! One look at all jobs of a runner that somebody waits for, again and again; and whether the runner answers at all.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{sleep, timeout};

use crate::effects::{Clock, Handle, JobStatus, Runner};
use crate::error::{Error, ErrorKind, Result};
use crate::step::Exposure;

/// The first pause between two looks; it grows.
const FIRST_PAUSE: Duration = Duration::from_millis(5);

/// The longest pause between two looks.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// How often a runner that does not answer, and has no jobs, is asked whether it is back.
const PROBE_PAUSE: Duration = Duration::from_secs(15);

/// An adapter that has not answered by then never will: each has earlier deadlines of its own.
const ANSWER_LIMIT: Duration = Duration::from_secs(120);

/// What the loop of the engine should look at again.
#[derive(Debug)]
pub(super) enum News {
    /// A job ended without success, and its step goes on: the position of the step, and the attempt.
    JobEnded(usize, u32),
    /// A runner answers again, or does not any more.
    Changed,
}

/// Takes news.
pub(super) type ToLoop = mpsc::UnboundedSender<News>;

/// What became of a job that somebody waits for.
#[derive(Debug)]
pub(super) enum Seen {
    /// It ended, or the runner does not know it.
    Ended(JobStatus),
    /// The runner gave no answer until the lease was over; the last error.
    Silent(String),
}

/// A runner and all its jobs that are waited for.
pub(super) struct RunnerWatch {
    runner: Arc<dyn Runner>,
    clock: Arc<dyn Clock>,
    /// How long a job stays with a runner that does not answer.
    lease: SignedDuration,
    state: Mutex<Watched>,
    changed: Notify,
    to_loop: ToLoop,
}

#[derive(Default)]
struct Watched {
    jobs: Vec<WatchedJob>,
    /// Jobs that nobody waits for, and that may still run.
    left_behind: Vec<Handle>,
    /// Since when it does not answer.
    down: Option<Timestamp>,
    /// Strangers were found to read what is there: it gets no jobs.
    public: bool,
    /// Whether that was asked.
    probed: bool,
}

struct WatchedJob {
    handle: Handle,
    /// When the runner last said something of it.
    answered: Timestamp,
    tell: oneshot::Sender<Seen>,
}

impl RunnerWatch {
    pub(super) fn new(
        runner: Arc<dyn Runner>,
        clock: Arc<dyn Clock>,
        lease: SignedDuration,
        to_loop: ToLoop,
    ) -> Arc<Self> {
        Arc::new(Self { runner, clock, lease, state: Mutex::default(), changed: Notify::new(), to_loop })
    }

    /// The runner.
    pub(super) fn runner(&self) -> &dyn Runner {
        &*self.runner
    }

    /// Until when a call that failed now may be tried again.
    pub(super) fn lease(&self) -> SignedDuration {
        self.lease
    }

    /// Whether it does not answer.
    pub(super) fn is_down(&self) -> bool {
        self.state.lock().down.is_some()
    }

    /// Whether it does not answer, and may do so again before the lease is over.
    pub(super) fn may_come_back(&self) -> bool {
        let since = self.state.lock().down;
        since.is_some_and(|since| self.clock.now().duration_since(since) <= self.lease)
    }

    /// Whether strangers were found to read what it has.
    pub(super) fn is_public(&self) -> bool {
        self.state.lock().public
    }

    /// It did not answer to another call.
    pub(super) fn did_not_answer(&self) {
        self.answers(Err(()));
        self.changed.notify_one();
    }

    fn answers(&self, answer: Result<(), ()>) {
        let mut state = self.state.lock();
        let before = state.down.is_some();
        state.down = answer.is_err().then(|| state.down.unwrap_or_else(|| self.clock.now()));
        let now = state.down.is_some();
        drop(state);
        if now != before {
            // Without a loop nobody needs to know.
            drop(self.to_loop.send(News::Changed));
        }
    }

    /// Waits until a job has ended, or counts as silent.
    pub(super) async fn ended(&self, handle: &Handle) -> Seen {
        let (tell, told) = oneshot::channel();
        let job = WatchedJob { handle: handle.clone(), answered: self.clock.now(), tell };
        self.state.lock().jobs.push(job);
        self.changed.notify_one();
        // The watcher ends after all steps.
        told.await.unwrap_or_else(|_| Seen::Silent("nobody asks any more".to_owned()))
    }

    /// Ends a job for which nobody waits any more, as soon as the runner answers.
    pub(super) fn end_later(&self, handle: Handle) {
        self.state.lock().left_behind.push(handle);
        self.changed.notify_one();
    }

    /// Ends what nobody waits for now; says what may still run.
    pub(super) async fn end_left_behind(&self) -> Vec<Handle> {
        let left: Vec<Handle> = std::mem::take(&mut self.state.lock().left_behind);
        let mut still = Vec::new();
        for handle in left {
            let ended = limited(self.runner.cancel(&handle)).await;
            if let Err(e) = &ended {
                if is_no_answer(e) {
                    self.answers(Err(()));
                }
                still.push(handle);
            }
        }
        self.state.lock().left_behind.extend(still.iter().cloned());
        still
    }

    /// Looks again and again; never returns.
    pub(super) async fn keep_looking(self: Arc<Self>) {
        let mut pause = FIRST_PAUSE;
        loop {
            let (handles, left, down) = {
                let mut state = self.state.lock();
                state.jobs.retain(|job| !job.tell.is_closed());
                let handles: Vec<Handle> = state.jobs.iter().map(|job| job.handle.clone()).collect();
                (handles, !state.left_behind.is_empty(), state.down.is_some())
            };
            let longest = if handles.is_empty() { PROBE_PAUSE } else { LONGEST_PAUSE };
            if !handles.is_empty() {
                self.look(&handles).await;
            } else if down {
                self.probe().await;
            } else if !left {
                self.changed.notified().await;
                pause = FIRST_PAUSE;
                continue;
            }
            if left && !self.is_down() {
                self.end_left_behind().await;
            }
            tokio::select! {
                () = sleep(pause) => pause = (pause * 3 / 2).min(longest),
                () = self.changed.notified() => pause = FIRST_PAUSE,
            }
        }
    }

    async fn look(&self, handles: &[Handle]) {
        let seen = limited(self.runner.observe(handles)).await;
        let seen = seen.and_then(|seen| {
            let all = seen.len() == handles.len();
            let silent = || Error::new(ErrorKind::Unreachable, "it says nothing of some of its jobs");
            if all { Ok(seen) } else { Err(silent()) }
        });
        let now = self.clock.now();
        self.answers(seen.as_ref().map(|_| ()).map_err(|_| ()));
        let mut state = self.state.lock();
        match seen {
            Ok(seen) => {
                let jobs = std::mem::take(&mut state.jobs);
                for mut job in jobs {
                    match handles.iter().position(|h| *h == job.handle).map(|at| &seen[at]) {
                        Some(status) if !status.is_under_way() => drop(job.tell.send(Seen::Ended(status.clone()))),
                        found => {
                            if found.is_some() {
                                job.answered = now;
                            }
                            state.jobs.push(job);
                        }
                    }
                }
            }
            Err(why) => {
                let over = |job: &mut WatchedJob| now.duration_since(job.answered) > self.lease;
                for job in state.jobs.extract_if(.., over) {
                    drop(job.tell.send(Seen::Silent(why.message().to_owned())));
                }
            }
        }
    }

    async fn probe(&self) {
        match limited(self.runner.probe()).await {
            Ok(facts) => {
                let mut state = self.state.lock();
                (state.public, state.probed) = (facts.exposure == Exposure::Public, true);
                drop(state);
                self.answers(Ok(()));
            }
            Err(_) => self.answers(Err(())),
        }
    }

    /// Asks once, before the first job, whether strangers can read what the runner gets.
    ///
    /// # Errors
    /// They can; the runner does not answer. What else is wrong is found out with the job.
    pub(super) async fn is_private(&self) -> Result<()> {
        // This machine shows nothing to anybody else.
        if self.runner.exposure() != Exposure::Local && !self.state.lock().probed {
            match limited(self.runner.probe()).await {
                Ok(facts) => {
                    let mut state = self.state.lock();
                    (state.public, state.probed) = (facts.exposure == Exposure::Public, true);
                }
                Err(e) if e.kind() == ErrorKind::Unreachable => return Err(e),
                Err(_) => {}
            }
        }
        if self.is_public() {
            let name = self.runner.name();
            return Err(Error::input(format!(
                "strangers can read what runner `{name}` has: it gets no embargoed sources"
            ))
            .hint("close it to strangers; `lifeboat doctor` says what it found"));
        }
        Ok(())
    }
}

/// Whether a call got no answer, which says nothing of what it was about.
pub(super) fn is_no_answer(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unreachable | ErrorKind::Transient)
}

/// The answer to a call, or an error once it is sure that there will be none.
async fn limited<T>(call: impl Future<Output = Result<T>>) -> Result<T> {
    let late = |_| Error::new(ErrorKind::Unreachable, format!("no answer within {} s", ANSWER_LIMIT.as_secs()));
    timeout(ANSWER_LIMIT, call).await.map_err(late)?
}
