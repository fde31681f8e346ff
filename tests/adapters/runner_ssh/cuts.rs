//! Connections that are cut: jobs go on, and a half-made start is made anew.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lifeboat::effects::{JobStatus, observe_one};
use lifeboat::error::ErrorKind;

use super::{Bench, ended, open};
use crate::support::stream_proxy::{self, Verdict};

/// A recipe that counts how often it runs, in a file that the machine keeps.
const COUNTS: &str = "mkdir dist; cat /proc/sys/kernel/random/uuid > dist/id";

#[tokio::test]
async fn a_job_outlives_its_connection_and_is_found_again() {
    let bench = Bench::new();
    let dead = Arc::new(AtomicU64::new(0));
    let is_dead = dead.clone();
    let port = stream_proxy::start(bench.sshd.port, move |_| {
        if is_dead.load(Ordering::SeqCst) == 1 { Verdict::Cut(0) } else { Verdict::Pass }
    });
    let runner = open(&bench.dir, &bench.sshd, port, "");
    let request = bench.request(&["while ! test -e ../go; do sleep 0.05; done", COUNTS], &["dist/id"]);
    let handle = runner.dispatch(&request).await.unwrap();
    dead.store(1, Ordering::SeqCst);
    for _ in 0..2 {
        let e = observe_one(&*runner, &handle).await.unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Unreachable, "{}", e.report());
        let e = runner.cancel(&handle).await.unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Unreachable, "{}", e.report());
    }
    dead.store(0, Ordering::SeqCst);
    assert_eq!(observe_one(&*runner, &handle).await.unwrap(), JobStatus::Running);
    assert_eq!(runner.find(&request.name()).await.unwrap(), Some(handle.clone()));
    assert_eq!(runner.dispatch(&request).await.unwrap(), handle, "the same job");
    std::fs::write(bench.far(&handle).join("inside/work/go"), "").unwrap();
    assert_eq!(ended(&*runner, &handle).await, JobStatus::Exited(0));
    assert_eq!(runner.collect(&request, &handle).await.unwrap().artifacts.len(), 1);
}

/// Cut after so many bytes: in the greeting, while an object is sent, in the orders, before the answer.
#[tokio::test]
async fn wherever_a_start_is_cut_the_next_one_is_whole() {
    let text = vec![b'x'; 200_000];
    let mut happened = 0;
    for cut in [500, 6_000, 30_000, 100_000, 215_000, 230_000, 240_000, 250_000] {
        let bench = Bench::new();
        let count = Arc::new(AtomicU64::new(0));
        let counted = count.clone();
        let port = stream_proxy::start(bench.sshd.port, move |piece| {
            if !piece.to_server || counted.fetch_add(piece.length as u64, Ordering::SeqCst) < cut {
                return Verdict::Pass;
            }
            Verdict::Cut(0)
        });
        let cutting = open(&bench.dir, &bench.sshd, port, "");
        let request = bench.request_of(&text, &[COUNTS], &["dist/id"]);
        match cutting.dispatch(&request).await {
            Ok(_) => {}
            Err(e) => {
                assert_eq!(e.kind(), ErrorKind::Unreachable, "{}", e.report());
                happened += 1;
            }
        }
        let (handle, status) = bench.ended(&request).await;
        assert_eq!(status, JobStatus::Exited(0), "cut after {cut}");
        assert_eq!(bench.runner.collect(&request, &handle).await.unwrap().artifacts.len(), 1, "cut after {cut}");
    }
    assert!(happened >= 6, "only {happened} starts were cut");
}

/// A start that was killed on the machine itself leaves a directory without anybody who fills it.
#[tokio::test]
async fn a_half_made_directory_is_made_anew() {
    let bench = Bench::new();
    let request = bench.request(&[COUNTS], &["dist/id"]);
    for queued in [None, Some("1\nof an earlier boot\n")] {
        let handle = bench.runner.dispatch(&request).await.unwrap();
        assert_eq!(ended(&*bench.runner, &handle).await, JobStatus::Exited(0));
        bench.runner.cancel(&handle).await.unwrap();
        let far = bench.far(&handle);
        std::fs::create_dir_all(far.join("inside/work/left")).unwrap();
        if let Some(queued) = queued {
            std::fs::write(far.join("queued"), queued).unwrap();
        }
        assert_eq!(observe_one(&*bench.runner, &handle).await.unwrap(), JobStatus::Lost);
        assert_eq!(bench.ended(&request).await.1, JobStatus::Exited(0));
        assert!(!far.join("inside/work/left").exists());
        bench.runner.cancel(&handle).await.unwrap();
    }
}

/// Its supervisor was killed, as by a machine that has no memory left: the job is lost, and ended before it runs again.
#[tokio::test]
async fn a_job_without_supervisor_is_lost_and_ends() {
    let bench = Bench::new();
    let sleep = super::nap(40500);
    let request = bench.request(&[&format!("sleep {sleep}")], &[]);
    let handle = bench.runner.dispatch(&request).await.unwrap();
    let running = std::fs::read_to_string(bench.far(&handle).join("running")).unwrap();
    let pid: i32 = running.lines().next().unwrap().parse().unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    assert_eq!(ended(&*bench.runner, &handle).await, JobStatus::Lost);
    assert_eq!(bench.runner.dispatch(&request).await.unwrap(), handle);
    assert_eq!(observe_one(&*bench.runner, &handle).await.unwrap(), JobStatus::Running);
    bench.runner.cancel(&handle).await.unwrap();
    assert_eq!(super::attacks::with_argument(&sleep), 0);
}
