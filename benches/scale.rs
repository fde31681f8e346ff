//! A release of wasmtime's size: planning it, folding its journal, opening it when all is done, and handling 2 GiB files.
//!
//! `cargo bench --bench scale -- VERB …`; `benches/run.sh` runs every verb and prints each number beside its bar. Each verb
//! runs in a process of its own, because the peak of resident memory is that of a whole process.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    reason = "a measuring program for people"
)]

#[path = "../tests/trains/model/made.rs"]
mod made;
mod train;

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lifeboat::effects::{ArchiveSpec, Area, Git as _, Objects, PrivateRepo};
use lifeboat::engine::Next;
use lifeboat::engine::schedule::{Fitting, RunnerStanding, RunnerState, WaitingJob, assign, candidates};
use lifeboat::formats::openpgp::hash_reader;
use lifeboat::git::{GitProgram, LocalGit};
use lifeboat::host::HostDisk;
use lifeboat::journal::{Event, FailureClass, Journal, Record, State};
use lifeboat::model::{Digests, Sha256};
use lifeboat::plan::{Graph, check, plan};
use lifeboat::sandbox::{Sandbox, SandboxView};
use lifeboat::step::Exposure;

fn main() {
    // `cargo bench` adds `--bench`; `cargo test --benches` says nothing: then there is nothing to measure.
    let words: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["plan"] => planning(),
        ["fold"] => folding(),
        ["builds"] => builds(),
        ["finish", dir] => train::finished(Path::new(dir)),
        ["ship", dir] => shipping(Path::new(dir)),
        ["hash", file] => memory(&format!("hash {file}"), || {
            hash_reader(&mut std::fs::File::open(file).unwrap(), u64::MAX).unwrap().unwrap();
        }),
        ["copy", file, dir] => {
            memory(&format!("copy {file} into objects and a store"), || copying(Path::new(file), Path::new(dir)))
        }
        ["sandbox"] => sandboxed(),
        ["schedule"] => scheduling(),
        ["archive", repo, commit] => memory(&format!("archive {commit}"), || archiving(Path::new(repo), commit)),
        _ => println!(
            "usage: cargo bench --bench scale -- plan | builds | fold | finish DIR | ship DIR | hash FILE | copy FILE DIR | sandbox | schedule | archive REPO COMMIT"
        ),
    }
}

/// The best and the median of some runs.
fn timed(runs: usize, mut work: impl FnMut()) -> (Duration, Duration) {
    let mut took: Vec<Duration> = (0..runs)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed()
        })
        .collect();
    took.sort_unstable();
    (took[0], took[runs / 2])
}

fn ms(d: Duration) -> f64 {
    d.as_secs_f64() * 1e3
}

/// Which job starts where, while 10,000 jobs wait for five runners: each time that a job ends, until all have started.
fn scheduling() {
    const JOBS: usize = 10_000;
    let fitting: [Fitting; 4] = [vec![0, 1, 2, 3, 4], vec![0, 1], vec![2], vec![3, 4]];
    let standing = [RunnerStanding::default(); 5];
    let mut waiting: Vec<WaitingJob> = (0..JOBS)
        .map(|id| WaitingJob { id, kind: id % 4, expected_ms: 60_000 + (id as u64 * 7919) % 2_400_000 })
        .collect();
    waiting.sort_by_key(|job| std::cmp::Reverse(job.expected_ms));
    let mut runners: Vec<RunnerState> = [(64, 1.0), (32, 2.0), (16, 0.5), (48, 1.3), (96, 0.8)]
        .map(|(slots, speed)| RunnerState { slots, speed, busy_ms: Vec::new() })
        .into();
    let (mut took, mut decisions) = (Duration::ZERO, 0_u32);
    while !waiting.is_empty() {
        let start = Instant::now();
        let kinds: Vec<Fitting> = fitting.iter().map(|kind| candidates(kind, &[], &standing)).collect();
        let assigned = assign(&waiting, &kinds, &runners);
        took += start.elapsed();
        decisions += 1;
        let started: std::collections::BTreeSet<usize> = assigned.iter().map(|a| a.id).collect();
        for job in waiting.iter().filter(|job| started.contains(&job.id)) {
            let on = assigned.iter().find(|a| a.id == job.id).unwrap().runner;
            let left = runners[on].duration_ms(job.expected_ms) as u64;
            runners[on].busy_ms.push(left);
        }
        waiting.retain(|job| !started.contains(&job.id));
        // The next job ends.
        let next = runners.iter().flat_map(|r| r.busy_ms.iter().copied()).min().unwrap();
        for runner in &mut runners {
            runner.busy_ms.iter_mut().for_each(|left| *left -= next);
            runner.busy_ms.retain(|left| *left > 0);
        }
    }
    let mean = ms(took) / f64::from(decisions);
    println!("schedule of {JOBS} jobs on 5 runners: {decisions} decisions, {mean:.3} ms each on average");
}

/// The most memory that this process ever held, in MiB.
fn peak() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

fn verdict(bar: f64, is: f64) -> &'static str {
    if is < bar { "ok" } else { "MISSED" }
}

fn planning() {
    let (config, snapshot, request) = train::inputs(Path::new("/srv/wasmtime"), Sha256::of(b"root"), 1);
    let mut made = None;
    let (best, median) = timed(15, || made = Some(plan(&config, &snapshot, &request).unwrap()));
    let plan = made.unwrap();
    let (checked, _) = timed(15, || check(&plan).unwrap());
    let bytes = plan.to_bytes().unwrap().len();
    let builds = plan.steps.iter().filter(|s| s.step.kind() == "build").count();
    println!("plan of 5 lines, {builds} builds, {} steps, {bytes} bytes", plan.steps.len());
    println!(
        "  time    {:8.1} ms best, {:.1} ms median (bar 100 ms: {})",
        ms(best),
        ms(median),
        verdict(100.0, ms(median))
    );
    println!("  of that {:8.1} ms are the check", ms(checked));
    println!("  memory  {:8.1} MiB peak of the process (bar 50 MiB: {})", peak(), verdict(50.0, peak()));
}

/// How many steps of [`builds`] are in flight at once.
const IN_FLIGHT: usize = 40;

/// Ten thousand builds: the plan, and the state while each step in flight keeps the one in which it began, as the engine does.
fn builds() {
    let (config, snapshot, request) = train::many(5_000);
    let mut made = None;
    let (best, _) = timed(3, || made = Some(plan(&config, &snapshot, &request).unwrap()));
    let plan = Arc::new(made.unwrap());
    println!("plan of 2 lines, {} steps", plan.steps.len());
    println!("  time    {:8.1} ms best (bar 1700 ms: {})", ms(best), verdict(1700.0, ms(best)));
    println!("  memory  {:8.1} MiB peak of the process (bar 100 MiB: {})", peak(), verdict(100.0, peak()));
    let graph = Arc::new(Graph::new(plan).unwrap());
    let mut state = Arc::new(State::new(graph.clone()));
    let adopted = Event::PlanAdopted { plan: graph.id(), nonce: made::nonce(), certificate: String::new() };
    Arc::make_mut(&mut state).apply(&adopted, request.date).unwrap();
    let (mut flying, start, mut events) = (VecDeque::new(), Instant::now(), 0_u32);
    for &at in graph.order() {
        let planned = graph.at(at);
        if planned.exposure != Exposure::Local {
            break;
        }
        let (step, key) = (planned.id.clone(), planned.key);
        let started = Event::Started { step: step.clone(), key, attempt: 1, runner: None };
        let succeeded = Event::Succeeded { step, key, outcome: made::outcome(&planned.step).into() };
        for event in [started, succeeded] {
            let Next::Run(ready) = made::next(&state, request.date) else { panic!("nothing is ready") };
            assert!(!ready.is_empty());
            Arc::make_mut(&mut state).apply(&event, request.date).unwrap();
            flying.push_back(state.clone());
            events += 1;
        }
        flying.drain(..flying.len().saturating_sub(IN_FLIGHT));
    }
    println!("{events} events with {IN_FLIGHT} snapshots kept");
    println!("  time    {:8.3} ms for each event, with what is ready then", ms(start.elapsed() / events));
    println!("  memory  {:8.1} MiB peak of the process (bar 200 MiB: {})", peak(), verdict(200.0, peak()));
}

/// What isolation adds to a job: `true` in a sandbox and without one, by turns.
fn sandboxed() {
    let program = Path::new(env!("CARGO_BIN_EXE_lifeboat"));
    let sandbox = Sandbox::probe(program).unwrap();
    let line = ["/bin/true".to_owned()];
    let run = |mut command: Command| assert!(command.current_dir("/").status().unwrap().success());
    let plain = || run(Command::new(&line[0]));
    let inside = || {
        let view = SandboxView::system(false).at(Path::new("/"));
        run(sandbox.command(program, view, &BTreeMap::new(), &line).unwrap());
    };
    let (_, without) = timed(50, plain);
    let (best, with) = timed(50, inside);
    let more = ms(with) - ms(without);
    println!("`true` in a sandbox, 50 times");
    println!("  time    {:8.1} ms best, {:.1} ms median; {:.1} ms without a sandbox", ms(best), ms(with), ms(without));
    println!("  of that {more:8.1} ms are the sandbox (bar 50 ms: {})", verdict(50.0, more));
}

fn folding() {
    let (config, snapshot, request) = train::inputs(Path::new("/srv/wasmtime"), Sha256::of(b"root"), 1);
    let graph = Arc::new(Graph::new(Arc::new(plan(&config, &snapshot, &request).unwrap())).unwrap());
    let at = request.date;
    let mut events = vec![Event::PlanAdopted { plan: graph.id(), nonce: made::nonce(), certificate: String::new() }];
    let prepare = graph.plan().steps.iter().find(|s| s.step.kind() == "prepare").unwrap();
    // Everything once, and one step that fails and is tried again until there are 10,000 records.
    let done = 2 * graph.len() + 3;
    for attempt in 1.. {
        if events.len() + done >= 10_000 {
            break;
        }
        let (step, key) = (prepare.id.clone(), prepare.key);
        events.push(Event::Started { step: step.clone(), key, attempt, runner: None });
        let error = "error: the runner's disk is full\n\nhint: free some space".to_owned();
        events.push(Event::Failed { step, key, class: FailureClass::Transient, error, retry_at: Some(at) });
    }
    let attempts = (events.len() as u32 - 1) / 2;
    events.extend(train::everything(&graph, at, |id| if *id == prepare.id { attempts } else { 0 }));
    let records: Vec<Record> = chained(&graph, events, at);
    let (best, median) = timed(15, || drop(State::fold(graph.clone(), &records).unwrap()));
    println!("fold of {} records", records.len());
    println!(
        "  time    {:8.1} ms best, {:.1} ms median (bar 50 ms: {})",
        ms(best),
        ms(median),
        verdict(50.0, ms(median))
    );
    // Reading them from a file parses and hashes each: no bar, for comparison.
    let lines: Vec<String> = records
        .iter()
        .map(|r| String::from_utf8(lifeboat::formats::canonical::to_bytes(r).unwrap()).unwrap())
        .collect();
    let (read, _) = timed(3, || lines.iter().enumerate().for_each(|(i, l)| drop(Record::parse(l, i + 1).unwrap())));
    println!("  parsing and hashing the same records: {:.1} ms", ms(read));
}

/// Records with true hashes; the fold looks at no signature.
fn chained(graph: &Graph, events: Vec<Event>, at: jiff::Timestamp) -> Vec<Record> {
    let mut prev = graph.id().0;
    let record = |(seq, what): (usize, Event)| {
        let (seq, by) = (seq as u64, "A".repeat(40));
        let hash = Record::hash_of(seq, prev, at, &by, &what).unwrap();
        let record = Record { format: 1, seq, prev, at, by, what, hash, signature: "-".repeat(250) };
        prev = hash;
        record
    };
    events.into_iter().enumerate().map(record).collect()
}

/// The whole program, on a train that is finished.
fn shipping(dir: &Path) {
    let (config, state) = (dir.join("lifeboat.toml"), dir.join("state"));
    let mut outputs = Vec::new();
    let (best, median) = timed(15, || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lifeboat"));
        command.arg("ship").arg("--config").arg(&config).arg("--state").arg(&state);
        let out = command.output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        outputs.push(out.stdout);
    });
    let text = String::from_utf8_lossy(&outputs[0]).into_owned();
    let graph = Graph::new(Arc::new(train::dir(dir).load_plan(&HostDisk).unwrap())).unwrap();
    let (records, _) = Journal::read(&HostDisk, &train::dir(dir).journal(), &graph).unwrap();
    println!(
        "ship, everything done: {} steps, {} records; {}",
        graph.len(),
        records.len(),
        text.lines().next().unwrap()
    );
    println!(
        "  time    {:8.1} ms best, {:.1} ms median (bar 200 ms: {})",
        ms(best),
        ms(median),
        verdict(200.0, ms(median))
    );
}

fn memory(what: &str, work: impl FnOnce()) {
    let (idle, start) = (peak(), Instant::now());
    work();
    println!("{what}: {:.1} s", start.elapsed().as_secs_f64());
    println!("  memory  {:8.1} MiB peak, {idle:.1} MiB before it (bar 100 MiB: {})", peak(), verdict(100.0, peak()));
}

fn copying(file: &Path, dir: &Path) {
    let disk = Arc::new(HostDisk);
    let objects = Objects::new(disk.clone(), dir.join("objects"));
    let digests: Digests = objects.put_file(file).unwrap();
    std::fs::create_dir_all(dir.join("store")).unwrap();
    let store = lifeboat::stores::directory("mirror".parse().unwrap(), &dir.join("store"), disk);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let staging = Area::Staging("train".to_owned());
        store.put_new(&staging, "releases/1.0.0/big.bin", &objects.path(&digests.sha256), &digests).await.unwrap();
        store.promote("train", "releases/1.0.0/big.bin", &digests).await.unwrap();
    });
}

fn archiving(repo: &Path, commit: &str) {
    let git = LocalGit::new(GitProgram::from_env());
    let scratch = tempfile::tempdir().unwrap();
    let repo = PrivateRepo { dir: scratch.path().join("private.git"), borrow: repo.to_owned() };
    git.ensure(&repo).unwrap();
    let commit = commit.parse().unwrap();
    let date = jiff::Timestamp::from_second(1_800_000_000).unwrap();
    let spec = ArchiveSpec { commit: &commit, prefix: "big-v1.0.0", submodules: &[], date };
    git.archive(&repo, &spec, &mut std::io::sink()).unwrap();
}
