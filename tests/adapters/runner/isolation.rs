//! What a job without network cannot reach: devices, the operator's keys, sockets.

use std::fs;
use std::os::unix::net::{UnixListener, UnixStream};

use lifeboat::effects::JobStatus;
use lifeboat::step::Isolation;

use super::{Bench, open, wait};

#[tokio::test]
async fn a_job_without_network_has_loopback_only() {
    let bench = Bench::new();
    let mut request = bench.request(&["cat /proc/net/dev; ip -o link 2>/dev/null || true"], &[]);
    request.job.isolation = Isolation::NoNetwork;
    let (handle, status) = bench.finish(&request).await;
    let log = bench.log(&request, &handle).await;
    assert_eq!(status, JobStatus::Exited(0), "{log}");
    let devices: Vec<&str> = log
        .lines()
        .filter_map(|l| l.split_once(':').map(|(device, _)| device.trim()))
        .filter(|d| d.chars().all(char::is_alphanumeric) && !d.chars().all(char::is_numeric))
        .collect();
    assert_eq!(devices, ["lo"], "{log}");
    if log.contains("LOOPBACK") {
        assert!(log.contains("UP"), "{log}");
    }
}

#[tokio::test]
async fn a_job_without_network_sees_no_keys() {
    let bench = Bench::new();
    let state = bench.dir.path().join("state/sample");
    let train = state.join("trains/one");
    fs::create_dir_all(&train).unwrap();
    fs::write(state.join("operator-key.asc"), "the operator's key").unwrap();
    fs::write(state.join("trust-root.pin"), "0000").unwrap();
    let runner = open(&train);
    let key = state.join("operator-key.asc").display().to_string();
    let root = state.display().to_string();
    let recipe = [
        "mkdir dist; echo made > dist/a; pwd; touch \"$TMPDIR/t\" \"$HOME/h\"".to_owned(),
        format!("! cat {key}; ! cat ../../../../../../operator-key.asc; ! test -e {root}/trust-root.pin"),
        format!("echo forged > {root}/trust-root.pin || :; umount -l {root} || :"),
        format!("unshare -rm umount -l {root} || :; ! cat {key}"),
        format!("for p in /proc/[0-9]*; do ! cat $p/root{key} 2>/dev/null || exit 9; done"),
    ];
    let recipe: Vec<&str> = recipe.iter().map(String::as_str).collect();
    let mut request = bench.request(&recipe, &["dist/a"]);
    request.job.isolation = Isolation::NoNetwork;
    request.job.env.insert("LD_PRELOAD".into(), "./evil.so".into());
    let handle = runner.dispatch(&request).await.unwrap_or_else(|e| panic!("{}", e.report()));
    let status = wait(&*runner, &handle).await;
    let log = fs::read_to_string(runner.log(&request, &handle).await.unwrap().path).unwrap();
    assert_eq!(status, JobStatus::Exited(0), "{log}");
    assert!(!log.contains("the operator's key"), "{log}");
    assert_eq!(fs::read_to_string(state.join("trust-root.pin")).unwrap(), "0000");
    assert_eq!(runner.collect(&request, &handle).await.unwrap().artifacts.len(), 1);
}

/// Agents and services listen on sockets with a path, which no network namespace cuts off.
#[tokio::test]
async fn a_job_reaches_no_socket() {
    for place in ["/tmp", "/var/tmp"] {
        let held = tempfile::Builder::new().prefix("an agent").tempdir_in(place).unwrap();
        let socket = held.path().join("S.agent");
        let _listener = UnixListener::bind(&socket).unwrap();
        UnixStream::connect(&socket).unwrap();
        let connect =
            format!("python3 -c 'import socket; socket.socket(socket.AF_UNIX).connect(\"{}\")'", socket.display());
        for isolation in [Isolation::NoNetwork, Isolation::Network] {
            let bench = Bench::new();
            let mut request = bench.request(&[&connect], &[]);
            request.job.isolation = isolation;
            let (handle, status) = bench.finish(&request).await;
            let log = bench.log(&request, &handle).await;
            assert!(log.contains("FileNotFoundError"), "{place}: {log}");
            assert_eq!(status, JobStatus::Exited(1), "{place}: {log}");
        }
    }
}
