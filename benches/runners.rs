//! What a job costs beyond its recipe, here and on a machine with sshd, and how fast an artifact comes back beside `scp`.
//! `benches/runners.sh` runs it.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "a measuring program for people, which shares the tests' servers"
)]

#[path = "../tests/support/runner_contract.rs"]
mod runner_contract;
#[path = "../tests/support/servers.rs"]
mod servers;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lifeboat::adapter::{Around, Jobs};
use lifeboat::effects::{JobRequest, JobStatus, Runner, observe_one};
use lifeboat::host::{HostClock, HostDisk};
use lifeboat::model::Sha256;

use self::servers::Sshd;

fn main() {
    // `cargo bench` adds `--bench`; `cargo test --benches` says nothing: then there is nothing to measure.
    let words: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["all", dir, jobs, mib, rounds] => {
            let (jobs, mib, rounds) = (jobs.parse().unwrap(), mib.parse().unwrap(), rounds.parse().unwrap());
            runtime.block_on(all(Path::new(dir), jobs, mib, rounds));
        }
        _ => println!("usage: cargo bench --bench runners -- all DIR JOBS MIB ROUNDS"),
    }
}

fn open(dir: &Path, table: &str) -> Arc<dyn Runner> {
    let head = "[project]\nname = \"acme\"\ncommitter = \"Acme <release@acme.example>\"\n[[store]]\nname = \"web\"\nurl = \"/srv\"\n";
    let text = format!("{head}[[runner]]\nname = \"one\"\n{table}");
    let config = lifeboat::config::parse(&text, Path::new("/src/acme/lifeboat.toml"), &lifeboat::wiring::registries());
    let table = config.unwrap_or_else(|e| panic!("{}", e.report())).runners.remove(0);
    let program = PathBuf::from(env!("CARGO_BIN_EXE_lifeboat"));
    let jobs = Jobs { dir: dir.to_owned(), program, hidden: Vec::new(), end_with_program: false };
    let around = Around {
        disk: Arc::new(HostDisk),
        clock: Arc::new(HostClock),
        secrets: Arc::new(lifeboat::signers::resolve),
        hosts: Default::default(),
        repository: dir.to_owned(),
        jobs: Some(jobs),
    };
    table.spec.open(&around).unwrap()
}

fn request(dir: &Path, run: &[&str], artifacts: &[&str]) -> JobRequest {
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    let mut header = tar::Header::new_ustar();
    header.set_mode(0o644);
    header.set_size(5);
    tar.append_data(&mut header, "top/README", &b"hello"[..]).unwrap();
    let bytes = tar.into_inner().unwrap().finish().unwrap();
    let source = dir.join("source.tar.gz");
    std::fs::write(&source, &bytes).unwrap();
    runner_contract::job(run, artifacts, (Sha256::of(&bytes), source))
}

/// As the engine does it: dispatch, ask until it has ended, collect, cancel. Gives the time of all, and of collecting.
async fn run(runner: &dyn Runner, request: &JobRequest) -> (Duration, Duration) {
    let begun = Instant::now();
    let handle = runner.dispatch(request).await.unwrap_or_else(|e| panic!("{}", e.report()));
    let mut pause = Duration::from_millis(5);
    loop {
        match observe_one(runner, &handle).await.unwrap() {
            JobStatus::Queued | JobStatus::Running => tokio::time::sleep(pause).await,
            JobStatus::Exited(0) => break,
            other => panic!("{other:?}"),
        }
        pause = (pause * 3 / 2).min(Duration::from_millis(500));
    }
    let collecting = Instant::now();
    let report = runner.collect(request, &handle).await.unwrap_or_else(|e| panic!("{}", e.report()));
    let collected = collecting.elapsed();
    assert_eq!(report.artifacts.len(), request.job.artifacts.len());
    runner.cancel(&handle).await.unwrap();
    (begun.elapsed(), collected)
}

async fn all(dir: &Path, jobs: u32, mib: u64, rounds: usize) {
    let sshd = Sshd::start(dir);
    let far = dir.join("far");
    let ssh = format!(
        "kind = \"ssh\"\nhost = \"127.0.0.1:{}\"\nssh_config = \"{}\"\ndir = \"{}\"\n",
        sshd.port,
        sshd.config.display(),
        far.display()
    );
    for (name, table) in [("local", "kind = \"local\"\n"), ("ssh", &*ssh)] {
        let runner = open(&dir.join(name), table);
        let job = |attempt| JobRequest { attempt, ..request(dir, &["mkdir dist; echo 1 > dist/a"], &["dist/a"]) };
        // The first one finds out what the machine is.
        run(&*runner, &job(1)).await;
        let mut all = Vec::new();
        for attempt in 0..jobs {
            // Other jobs, not later attempts of one.
            let mut job = job(1);
            job.job.env.insert("NUMBER".into(), attempt.to_string());
            job.key = lifeboat::step::StepKey(Sha256::of(&attempt.to_be_bytes()));
            all.push(run(&*runner, &job).await.0);
        }
        all.sort();
        println!("{name:<6} a job beyond its recipe: best {:?}, median {:?}", all[0], all[all.len() / 2]);
    }
    let runner = open(&dir.join("ssh"), &ssh);
    let make = format!("mkdir dist; head -c {} /dev/urandom > dist/large", mib << 20);
    let mut ratios = Vec::new();
    for round in 0..rounds {
        let mut job = request(dir, &[&make], &["dist/large"]);
        job.key = lifeboat::step::StepKey(Sha256::of(&round.to_le_bytes()));
        let (_, ours) = run(&*runner, &job).await;
        let source = dir.join("scp-source");
        std::fs::write(&source, vec![0x5a; (mib << 20) as usize]).unwrap();
        let begun = Instant::now();
        let mut scp = Command::new("scp");
        scp.args(["-q", "-F"]).arg(&sshd.config).args(["-P", &sshd.port.to_string()]);
        scp.arg(format!("127.0.0.1:{}", source.display())).arg(dir.join("scp-copy"));
        assert!(scp.status().unwrap().success());
        let theirs = begun.elapsed();
        let rate = |time: Duration| (mib << 20) as f64 / 1e6 / time.as_secs_f64();
        println!("an artifact of {mib} MiB: {:.0} MB/s, scp {:.0} MB/s", rate(ours), rate(theirs));
        ratios.push(theirs.as_secs_f64() / ours.as_secs_f64());
    }
    ratios.sort_by(f64::total_cmp);
    println!("median of {rounds}: {:.2} of scp", ratios[rounds / 2]);
}
