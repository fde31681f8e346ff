//! A run that ends because its journal cannot be written leaves no step at work: on a runtime that is taken down it would
//! panic before the eyes of the user, and the same command again would meet it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use lifeboat::effects::{Handle, JobLog, JobReport, JobRequest, JobStatus, Runner, RunnerFacts, blocking};
use lifeboat::error::Result;
use lifeboat::host::HostDisk;
use lifeboat::model::{Label, RunnerName, TrainNonce};
use lifeboat::step::{Exposure, JobName};

use crate::support::instant_runner::InstantRunner;
use crate::support::kill_points::KillPoints;
use crate::support::scratch;
use crate::support::train_ports::{Signatures, effects};
use crate::support::train_world::{Leg, World};

/// Lets two dispatches begin together; the disk is full when the first ends, and the second takes longer.
struct Slow {
    inner: Arc<dyn Runner>,
    together: Barrier,
    points: Arc<KillPoints>,
    at_work: AtomicUsize,
}

#[async_trait::async_trait]
impl Runner for Slow {
    async fn dispatch(&self, request: &JobRequest) -> Result<Handle> {
        self.at_work.fetch_add(1, Ordering::SeqCst);
        let handle = self.inner.dispatch(request).await;
        blocking(|| {
            if self.together.wait().is_leader() {
                self.points.end();
            } else {
                std::thread::sleep(Duration::from_millis(300));
            }
        });
        self.at_work.fetch_sub(1, Ordering::SeqCst);
        handle
    }

    fn name(&self) -> &RunnerName {
        self.inner.name()
    }

    fn labels(&self) -> &[Label] {
        self.inner.labels()
    }

    fn exposure(&self) -> Exposure {
        self.inner.exposure()
    }

    fn slots(&self) -> usize {
        self.inner.slots()
    }

    async fn probe(&self) -> Result<RunnerFacts> {
        self.inner.probe().await
    }

    async fn find(&self, name: &JobName) -> Result<Option<Handle>> {
        self.inner.find(name).await
    }

    async fn observe(&self, handles: &[Handle]) -> Result<Vec<JobStatus>> {
        self.inner.observe(handles).await
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

#[test]
fn nothing_is_at_work_when_a_run_has_ended() {
    let dir = scratch();
    let world = World::create(dir.path());
    let points = KillPoints::counting();
    let jobs: PathBuf = world.train().jobs();
    let slow = Arc::new(Slow {
        inner: InstantRunner::port(jobs),
        together: Barrier::new(2),
        points: points.clone(),
        at_work: AtomicUsize::new(0),
    });
    let ports = effects(&world, Arc::new(HostDisk), &points, &Signatures::fresh(), Some(slow.clone()));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let e = world.go_on(&runtime, &ports, Leg::Ship).unwrap_err();
    assert_eq!(slow.at_work.load(Ordering::SeqCst), 0, "a step goes on: {}", e.report());
    assert!(e.report().contains("journal"), "{}", e.report());
}
