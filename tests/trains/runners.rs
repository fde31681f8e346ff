//! Jobs on several runners: who gets which, and that none has more than its slots.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use lifeboat::effects::{Effects, Handle, JobLog, JobReport, JobRequest, JobStatus, Runner, RunnerFacts};
use lifeboat::engine::Ended;
use lifeboat::error::Result;
use lifeboat::host::HostDisk;
use lifeboat::model::{Label, RunnerName, TrainNonce};
use lifeboat::step::{Exposure, JobName};

use crate::support::instant_runner::InstantRunner;
use crate::support::kill_points::KillPoints;
use crate::support::scratch;
use crate::support::train_ports::{Signatures, effects};
use crate::support::train_world::{Leg, World};

/// How often a job is asked for before it ends: long enough that others start meanwhile.
const ASKED: u32 = 12;

/// What happened on a runner.
#[derive(Default)]
struct Seen {
    /// Jobs that have not ended, and how often each was asked for.
    now: BTreeMap<String, u32>,
    most: usize,
    steps: Vec<String>,
}

/// A runner whose jobs take a while, or are all lost.
struct SlowRunner {
    name: RunnerName,
    inner: Arc<dyn Runner>,
    slots: usize,
    exposure: Exposure,
    loses: bool,
    seen: Arc<Mutex<Seen>>,
}

impl SlowRunner {
    fn new(name: &str, jobs: PathBuf, slots: usize) -> Self {
        let (name, inner) = (RunnerName::new(name).unwrap(), InstantRunner::port(jobs));
        Self { name, inner, slots, exposure: Exposure::Local, loses: false, seen: Arc::default() }
    }
}

#[async_trait::async_trait]
impl Runner for SlowRunner {
    fn name(&self) -> &RunnerName {
        &self.name
    }

    fn labels(&self) -> &[Label] {
        &[]
    }

    fn exposure(&self) -> Exposure {
        self.exposure
    }

    fn slots(&self) -> usize {
        self.slots
    }

    async fn probe(&self) -> Result<RunnerFacts> {
        self.inner.probe().await
    }

    async fn find(&self, name: &JobName) -> Result<Option<Handle>> {
        self.inner.find(name).await
    }

    async fn dispatch(&self, request: &JobRequest) -> Result<Handle> {
        let handle = self.inner.dispatch(request).await?;
        let mut seen = self.seen.lock().unwrap();
        seen.steps.push(request.step.to_string());
        seen.now.insert(handle.job.clone(), 0);
        seen.most = seen.most.max(seen.now.len());
        Ok(Handle { runner: self.name.clone(), job: handle.job })
    }

    async fn observe(&self, handles: &[Handle]) -> Result<Vec<JobStatus>> {
        let mut seen = self.seen.lock().unwrap();
        let status = |handle: &Handle| {
            if self.loses {
                seen.now.remove(&handle.job);
                return JobStatus::Lost;
            }
            let Some(asked) = seen.now.get_mut(&handle.job) else { return JobStatus::Lost };
            *asked += 1;
            if *asked < ASKED {
                return JobStatus::Running;
            }
            seen.now.remove(&handle.job);
            JobStatus::Exited(0)
        };
        Ok(handles.iter().map(status).collect())
    }

    async fn collect(&self, request: &JobRequest, handle: &Handle) -> Result<JobReport> {
        self.inner.collect(request, handle).await
    }

    async fn log(&self, request: &JobRequest, handle: &Handle) -> Result<JobLog> {
        self.inner.log(request, handle).await
    }

    async fn cancel(&self, handle: &Handle) -> Result<()> {
        self.inner.cancel(handle).await
    }

    async fn sweep(&self, train: &TrainNonce) -> Result<()> {
        self.inner.sweep(train).await
    }
}

/// A train up to its approvals on these runners; the durations that it keeps.
fn built_on(runners: Vec<SlowRunner>, world: &World) -> (Result<Ended>, Vec<Arc<Mutex<Seen>>>, String) {
    let points = KillPoints::counting();
    let mut ports: Effects = effects(world, Arc::new(HostDisk), &points, &Signatures::fresh(), None);
    let seen = runners.iter().map(|runner| runner.seen.clone()).collect();
    ports.runners = runners.into_iter().map(|runner| Arc::new(runner) as Arc<dyn Runner>).collect();
    let ended = world.go(&ports, Leg::Ship);
    let kept = world.train().path().parent().unwrap().parent().unwrap().join("durations.json");
    (ended, seen, fs::read_to_string(kept).unwrap_or_default())
}

#[test]
fn jobs_go_where_a_slot_is_free_and_never_beyond_the_slots() {
    let dir = scratch();
    let world = World::create(dir.path());
    let on = |name: &str, slots| SlowRunner::new(name, world.train().jobs(), slots);
    let (ended, seen, kept) = built_on(vec![on("one", 1), on("two", 2)], &world);
    assert!(matches!(ended, Ok(Ended::Asks(_))), "{ended:?}");
    let seen: Vec<_> = seen.iter().map(|seen| seen.lock().unwrap()).collect();
    let jobs: usize = seen.iter().map(|seen| seen.steps.len()).sum();
    println!("{jobs} jobs: {:?} and {:?}", seen[0].steps, seen[1].steps);
    assert!(!seen[0].steps.is_empty() && !seen[1].steps.is_empty(), "one runner had all of them");
    assert!(seen[0].most == 1 && seen[1].most <= 2, "never more than there are slots");
    // The next train knows how long each took, whatever its line.
    for name in ["build/any", "test/any"] {
        assert!(kept.contains(name), "{name}: {kept}");
    }
    assert!(!kept.contains("release-1.0.0"), "{kept}");
}

#[test]
fn one_slot_is_one_job_at_a_time() {
    let dir = scratch();
    let world = World::create(dir.path());
    let (ended, seen, _) = built_on(vec![SlowRunner::new("only", world.train().jobs(), 1)], &world);
    assert!(matches!(ended, Ok(Ended::Asks(_))), "{ended:?}");
    let seen = seen[0].lock().unwrap();
    assert!(seen.steps.len() > 1 && seen.most == 1, "{} of {} at a time", seen.most, seen.steps.len());
}

#[test]
fn what_a_runner_loses_goes_to_another_one() {
    let dir = scratch();
    let world = World::create(dir.path());
    let on = |name: &str, loses| SlowRunner { loses, ..SlowRunner::new(name, world.train().jobs(), 4) };
    let (ended, seen, kept) = built_on(vec![on("lossy", true), on("sound", false)], &world);
    assert!(matches!(ended, Ok(Ended::Asks(_))), "{ended:?}");
    let seen: Vec<_> = seen.iter().map(|seen| seen.lock().unwrap().steps.clone()).collect();
    assert!(!seen[0].is_empty(), "nothing was lost");
    let lost: BTreeMap<&String, usize> = seen[0].iter().fold(BTreeMap::new(), |mut all, step| {
        *all.entry(step).or_default() += 1;
        all
    });
    assert!(lost.values().all(|times| *times == 1), "a step went back to the runner that lost it: {lost:?}");
    assert!(lost.keys().all(|step| seen[1].contains(step)), "{seen:?}");
    assert!(!kept.contains("lossy"), "what was lost says nothing of how long it takes: {kept}");
}

#[test]
fn a_runner_whose_files_strangers_read_gets_nothing() {
    let dir = scratch();
    let world = World::create(dir.path());
    let on = |name: &str, exposure| SlowRunner { exposure, ..SlowRunner::new(name, world.train().jobs(), 4) };
    let (ended, seen, _) = built_on(vec![on("public", Exposure::Public), on("own", Exposure::Local)], &world);
    assert!(matches!(ended, Ok(Ended::Asks(_))), "{ended:?}");
    assert!(seen[0].lock().unwrap().steps.is_empty() && !seen[1].lock().unwrap().steps.is_empty());
}
