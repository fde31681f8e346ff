//! The local runner with real processes: what a job sees, what it may leave, and that nothing outlives it.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking; clippy exempts test functions only")]

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fs, io::Write as _};

use lifeboat::adapter::{Around, Jobs, RunnerTable, Settings as _};
use lifeboat::effects::{Handle, JobRequest, JobStatus, Runner, observe_one};
use lifeboat::host::{HostClock, HostDisk};
use lifeboat::model::{Secret, SecretRef, Sha256};
use lifeboat::runners::local::Local;
use lifeboat::step::JobInput;

use crate::support::runner_contract;

mod attacks;
mod chosen;
mod isolation;

/// A state directory with a local runner in it.
struct Bench {
    dir: tempfile::TempDir,
    runner: Arc<dyn Runner>,
}

enum Member<'a> {
    File(&'a str, &'a str),
    Link(&'a str, &'a str),
}

fn tarball(members: &[Member<'_>]) -> Vec<u8> {
    let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut tar = tar::Builder::new(gzip);
    for member in members {
        let mut header = tar::Header::new_ustar();
        header.set_mtime(1_000_000_000);
        header.set_mode(0o644);
        let (path, data) = match member {
            Member::File(path, data) => (path, *data),
            Member::Link(path, to) => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_link_name_literal(to).unwrap();
                (path, "")
            }
        };
        header.set_size(data.len() as u64);
        // Written raw: the builder itself refuses `..`.
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.set_cksum();
        tar.append(&header, data.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let runner = open(dir.path());
        Self { dir, runner }
    }

    fn input(&self, bytes: &[u8]) -> (Sha256, PathBuf) {
        let digest = Sha256::of(bytes);
        let path = self.dir.path().join(digest.hex());
        fs::write(&path, bytes).unwrap();
        (digest, path)
    }

    fn request(&self, run: &[&str], artifacts: &[&str]) -> JobRequest {
        self.request_with(&[Member::File("top/README", "hello")], run, artifacts)
    }

    fn request_with(&self, source: &[Member<'_>], run: &[&str], artifacts: &[&str]) -> JobRequest {
        let (digest, path) = self.input(&tarball(source));
        runner_contract::job(run, artifacts, (digest, path))
    }

    /// What the job of this handle may change.
    fn inside(&self, handle: &Handle) -> PathBuf {
        self.dir.path().join("jobs").join(&handle.job).join("inside")
    }

    async fn finish(&self, request: &JobRequest) -> (Handle, JobStatus) {
        let handle = self.runner.dispatch(request).await.unwrap_or_else(|e| panic!("{}", e.report()));
        (handle.clone(), wait(&*self.runner, &handle).await)
    }

    async fn log(&self, request: &JobRequest, handle: &Handle) -> String {
        fs::read_to_string(self.runner.log(request, handle).await.unwrap().path).unwrap()
    }

    /// The error of collecting what this recipe leaves.
    async fn refused(&self, run: &[&str], artifacts: &[&str]) -> String {
        let request = self.request(run, artifacts);
        let (handle, status) = self.finish(&request).await;
        assert_eq!(status, JobStatus::Exited(0), "{}", self.log(&request, &handle).await);
        self.runner.collect(&request, &handle).await.unwrap_err().report()
    }
}

fn open(dir: &Path) -> Arc<dyn Runner> {
    open_with(dir, |_, _| {})
}

/// The program that is tested; another copy of it where a test runs as a user that cannot reach this one.
fn program() -> PathBuf {
    std::env::var_os("LIFEBOAT_TEST_PROGRAM").map_or_else(|| env!("CARGO_BIN_EXE_lifeboat").into(), PathBuf::from)
}

/// The same, with another configuration.
fn open_with(dir: &Path, change: impl FnOnce(&mut Local, &mut Jobs)) -> Arc<dyn Runner> {
    let common = RunnerTable { name: "here".parse().unwrap(), labels: Vec::new(), slots: Some(2) };
    let mut spec = Local { common, read: Vec::new(), same_user: false };
    let mut jobs = Jobs { dir: dir.join("jobs"), program: program(), hidden: Vec::new(), end_with_program: false };
    change(&mut spec, &mut jobs);
    let around = Around {
        disk: Arc::new(HostDisk),
        clock: Arc::new(HostClock),
        secrets: Arc::new(lifeboat::signers::resolve),
        hosts: Default::default(),
        repository: dir.to_owned(),
        jobs: Some(jobs),
    };
    spec.open(&around).unwrap()
}

async fn wait(runner: &dyn Runner, handle: &Handle) -> JobStatus {
    let start = Instant::now();
    loop {
        let status = observe_one(runner, handle).await.unwrap();
        if status != JobStatus::Running {
            return status;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "the job does not end");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A time to sleep that no other run of the tests uses: by it the processes of a test are known.
fn nap(seconds: u32) -> String {
    format!("{seconds}.{}", std::process::id())
}

/// Whether a process whose command line holds `marker` runs.
fn runs(marker: &str) -> bool {
    fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        let pid = entry.file_name();
        let Some(pid) = pid.to_str().filter(|p| p.bytes().all(|b| b.is_ascii_digit())) else { return false };
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        String::from_utf8_lossy(&command).split('\0').any(|word| word == marker) && !stat.contains(") Z ")
    })
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn the_contract_of_runners_holds() {
    runner_contract::holds(|dir| runner_contract::Fixture {
        runner: open(dir),
        again: open(dir),
        scratch: dir.to_owned(),
    })
    .await;
}

#[tokio::test]
async fn a_job_gets_a_clean_directory_and_an_explicit_environment() {
    let bench = Bench::new();
    let mut request = bench.request(
        &[
            "mkdir dist",
            "env | sort > dist/env.txt",
            "umask >> dist/env.txt; ulimit -c >> dist/env.txt; pwd >> dist/env.txt",
        ],
        &["dist/env.txt"],
    );
    request.job.env.insert("GITHUB_REF".into(), "refs/heads/release-1".into());
    request.job.pass_env = vec!["CARGO_MANIFEST_DIR".into(), "SURELY_UNSET".into()];
    let (handle, status) = bench.finish(&request).await;
    assert_eq!(status, JobStatus::Exited(0));
    let report = bench.runner.collect(&request, &handle).await.unwrap();
    assert_eq!(report.warnings, Vec::<String>::new());
    let (name, file) = &report.artifacts[0];
    assert_eq!(name.as_str(), "env.txt");
    let text = fs::read_to_string(file).unwrap();
    let names: Vec<&str> = text.lines().filter_map(|l| Some(l.split_once('=')?.0)).collect();
    let expected =
        ["CARGO_MANIFEST_DIR", "GITHUB_REF", "HOME", "LANG", "PATH", "PWD", "SOURCE_DATE_EPOCH", "TMPDIR", "TZ"];
    // `SHLVL`, `OLDPWD` and `_` are the shell's own.
    let names: Vec<&str> = names.into_iter().filter(|n| !matches!(*n, "SHLVL" | "OLDPWD" | "_")).collect();
    assert_eq!(names, expected);
    assert!(text.contains("SOURCE_DATE_EPOCH=1700000000\n") && text.contains("TZ=UTC\n"), "{text}");
    let tail: Vec<&str> = text.lines().rev().take(3).collect();
    assert_eq!(tail[2], "0077");
    assert_eq!(tail[1], "0");
    assert!(Path::new(tail[0]).ends_with("work/top"));
    // Nothing is readable by others.
    let mut dirs = vec![bench.dir.path().join("jobs")];
    while let Some(dir) = dirs.pop() {
        assert_eq!(fs::metadata(&dir).unwrap().mode() & 0o077, 0, "{}", dir.display());
        for entry in fs::read_dir(&dir).unwrap().flatten() {
            let meta = entry.metadata().unwrap();
            if meta.is_dir() {
                dirs.push(entry.path());
            } else if !entry.path().to_string_lossy().ends_with(".lock") {
                assert_eq!(meta.mode() & 0o077, 0, "{}", entry.path().display());
            }
        }
    }
}

#[tokio::test]
async fn commands_stop_at_the_first_failure_and_the_log_says_where() {
    let bench = Bench::new();
    let request = bench.request(&["echo one", "echo two >&2; exit 7", "echo three"], &[]);
    let (handle, status) = bench.finish(&request).await;
    assert_eq!(status, JobStatus::Exited(7));
    assert_eq!(bench.log(&request, &handle).await, "+ echo one\none\n+ echo two >&2; exit 7\ntwo\n");
    let e = bench.runner.collect(&request, &handle).await.unwrap_err().report();
    assert!(e.contains("the job of `build/1.2.3/x` did not succeed"), "{e}");
}

#[tokio::test]
async fn unset_variables_and_failing_parts_end_a_command() {
    let bench = Bench::new();
    assert_ne!(bench.finish(&bench.request(&["echo $UNSET; true"], &[])).await.1, JobStatus::Exited(0));
    assert_ne!(bench.finish(&bench.request(&["false; true"], &[])).await.1, JobStatus::Exited(0));
    assert_eq!(bench.finish(&bench.request(&["kill -9 $$"], &[])).await.1, JobStatus::Exited(137));
}

#[tokio::test]
async fn a_hanging_job_is_killed_with_all_it_started() {
    let bench = Bench::new();
    // One child in the group, one in a session of its own, one orphan that ignores everything that can be ignored.
    let mut request = bench.request(
        &[&format!(
            "sleep {} & setsid sleep {} & (trap '' TERM HUP INT; setsid sh -c 'trap \"\" TERM; sleep {}' &) & sleep {}",
            nap(40001),
            nap(40002),
            nap(40003),
            nap(40004)
        )],
        &[],
    );
    request.job.timeout_s = 1;
    let start = Instant::now();
    let (_, status) = bench.finish(&request).await;
    assert_eq!(status, JobStatus::TimedOut);
    assert!(start.elapsed() < Duration::from_secs(10));
    for n in [40001, 40002, 40003, 40004] {
        assert!(!runs(&nap(n)), "sleep {n} is left");
    }
}

#[tokio::test]
async fn children_left_behind_are_killed_when_the_job_ends() {
    let bench = Bench::new();
    let many =
        format!("for i in 1 2 3 4 5 6 7 8 9; do (setsid sh -c 'while :; do sleep {}; done' &) ; done", nap(40005));
    let (_, status) = bench.finish(&bench.request(&[&many], &[])).await;
    assert_eq!(status, JobStatus::Exited(0));
    assert!(!runs(&nap(40005)));
}

#[tokio::test]
async fn a_job_is_found_again_and_not_run_twice() {
    let bench = Bench::new();
    let request = bench.request(&["echo ran >> $HOME/ran; sleep 0.7; mkdir dist; echo x > dist/a"], &["dist/a"]);
    let handle = bench.runner.dispatch(&request).await.unwrap();
    assert_eq!(observe_one(&*bench.runner, &handle).await.unwrap(), JobStatus::Running);
    let early = bench.runner.collect(&request, &handle).await.unwrap_err();
    assert!(early.message().contains("did not succeed"));
    let again = open(bench.dir.path());
    assert_eq!(again.dispatch(&request).await.unwrap(), handle);
    assert_eq!(wait(&*again, &handle).await, JobStatus::Exited(0));
    assert_eq!(again.dispatch(&request).await.unwrap(), handle);
    assert_eq!(observe_one(&*again, &handle).await.unwrap(), JobStatus::Exited(0));
    let ran = bench.inside(&handle).join("home/ran");
    assert_eq!(fs::read_to_string(ran).unwrap(), "ran\n");
    assert_eq!(again.collect(&request, &handle).await.unwrap().artifacts.len(), 1);
}

#[tokio::test]
async fn two_dispatches_at_once_make_one_job() {
    let bench = Bench::new();
    let request = bench.request(&["echo ran >> $HOME/ran; sleep 0.3"], &[]);
    let other = open(bench.dir.path());
    let (a, b) = tokio::join!(bench.runner.dispatch(&request), other.dispatch(&request));
    assert_eq!(a.unwrap(), b.unwrap());
    let handle = Handle { runner: "here".parse().unwrap(), job: request.name().to_string() };
    assert_eq!(wait(&*other, &handle).await, JobStatus::Exited(0));
    let ran = bench.inside(&handle).join("home/ran");
    assert_eq!(fs::read_to_string(ran).unwrap(), "ran\n");
}

#[tokio::test]
async fn a_job_whose_supervisor_was_killed_is_lost_and_its_processes_end() {
    let bench = Bench::new();
    let mut request = bench.request(&[&format!("setsid sleep {} & sleep {}", nap(40006), nap(40007))], &[]);
    let handle = bench.runner.dispatch(&request).await.unwrap();
    until("the job starts", || runs(&nap(40006)) && runs(&nap(40007))).await;
    let file = bench.dir.path().join("jobs").join(&handle.job).join("supervisor.json");
    let supervisor: serde_json::Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let pid = supervisor["pid"].as_i64().unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-9", &pid]).status().unwrap().success());
    until("it is lost", || fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |s| s.contains(") Z "))).await;
    assert_eq!(observe_one(&*bench.runner, &handle).await.unwrap(), JobStatus::Lost);
    until("its processes end with it", || !runs(&nap(40006)) && !runs(&nap(40007))).await;
    request.attempt = 2;
    let second = bench.runner.dispatch(&request).await.unwrap();
    assert_ne!(second, handle);
    bench.runner.cancel(&second).await.unwrap();
    assert!(!runs(&nap(40006)) && !runs(&nap(40007)));
    assert_eq!(observe_one(&*bench.runner, &second).await.unwrap(), JobStatus::Lost);
    assert!(!bench.dir.path().join("jobs").join(&second.job).exists());
}

#[tokio::test]
async fn secrets_are_masked_and_reported() {
    let bench = Bench::new();
    let mut request = bench.request(
        &["printf 'a %s b\\n' \"$TOKEN\"", "printf hunt; sleep 0.2; printf 'er2-long\\n'", "echo $PIN >&2"],
        &[],
    );
    request.job.secret_env.insert("TOKEN".into(), SecretRef::Env("X".into()));
    request.job.secret_env.insert("PIN".into(), SecretRef::Env("Y".into()));
    request.secrets.insert("TOKEN".into(), Secret::new("hunter2-long"));
    request.secrets.insert("PIN".into(), Secret::new("4711"));
    let (handle, status) = bench.finish(&request).await;
    assert_eq!(status, JobStatus::Exited(0));
    let log = bench.log(&request, &handle).await;
    assert!(log.contains("a [secret] b\n") && log.ends_with("[secret]\n+ echo $PIN >&2\n[secret]\n"), "{log}");
    let report = bench.runner.collect(&request, &handle).await.unwrap();
    assert_eq!(report.warnings, ["the recipe printed a secret; it is masked in the log"]);
    // No file of the job holds it.
    let grep = std::process::Command::new("grep").args(["-r", "hunter2-long"]).arg(bench.dir.path()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&grep.stdout), "");
}

#[tokio::test]
async fn wrong_artifacts_are_refused() {
    let bench = Bench::new();
    for (run, artifacts, expected) in [
        ("true", &["dist/a"][..], "`dist/a` is missing"),
        ("mkdir dist; echo x > dist/A", &["dist/a"], "`dist/a` is missing"),
        ("mkdir dist; : > dist/a", &["dist/a"], "`dist/a` is empty"),
        ("mkdir -p dist/a", &["dist/a"], "`dist/a` is a directory"),
        ("mkdir dist; mkfifo dist/a", &["dist/a"], "`dist/a` is a pipe, a socket or a device"),
        ("mkdir dist; ln -s /etc/passwd dist/a", &["dist/a"], "`dist/a` is a symbolic link"),
        ("mkdir x; echo 1 > x/a; ln -s x dist", &["dist/a"], "is reached through `dist`, which is not a directory"),
        ("mkdir dist; echo 1 > dist/a; echo 2 > dist/b", &["dist/a"], "`dist/b` is not declared"),
        ("mkdir dist; echo 1 > dist/a; ln -s a dist/b", &["dist/a"], "`dist/b` is not declared"),
        ("true", &["README"], "`README` was there before the job"),
        ("echo more >> README", &["README"], "`README` was there before the job"),
        ("echo 1 > a; mkdir d; echo 1 > d/A", &["a", "d/A"], "`d/A` has the name of another, `a`"),
        ("echo 1 > ../a", &["../a"], "`../a` leads outside"),
    ] {
        let report = bench.refused(&[run], artifacts).await;
        assert!(report.contains(expected), "{run}\n{report}");
        assert!(report.contains("`build/1.2.3/x`"), "{report}");
    }
}

#[tokio::test]
async fn hard_links_are_judged_by_where_they_lead() {
    let bench = Bench::new();
    let outside = bench.dir.path().join("outside");
    fs::write(&outside, "secret").unwrap();
    // A job cannot make one; whoever can has made it afterwards.
    let request = bench.request(&[&format!("mkdir dist; ! ln {} dist/a", outside.display())], &["dist/a"]);
    let (handle, status) = bench.finish(&request).await;
    assert_eq!(status, JobStatus::Exited(0));
    fs::hard_link(&outside, bench.inside(&handle).join("work/top/dist/a")).unwrap();
    let report = bench.runner.collect(&request, &handle).await.unwrap_err().report();
    assert!(report.contains("is a hard link to a file outside"), "{report}");
    let request = bench.request(&["mkdir dist t; echo 1 > t/a; ln t/a dist/a"], &["dist/a"]);
    let (handle, _) = bench.finish(&request).await;
    assert_eq!(bench.runner.collect(&request, &handle).await.unwrap().artifacts.len(), 1);
}

#[tokio::test]
async fn inputs_moved_by_the_recipe_are_its_artifacts() {
    let bench = Bench::new();
    let mut request = bench.request(&["mkdir dist; mv bins-a/x.msi dist/"], &["dist/x.msi"]);
    let (object, file) = bench.input(b"msi");
    request.inputs.push((JobInput::File { object, path: "bins-a/x.msi".into() }, file));
    let (handle, status) = bench.finish(&request).await;
    assert_eq!(status, JobStatus::Exited(0));
    let report = bench.runner.collect(&request, &handle).await.unwrap_or_else(|e| panic!("{}", e.report()));
    assert_eq!(fs::read(&report.artifacts[0].1).unwrap(), b"msi");
}

#[tokio::test]
async fn archives_cannot_lead_outside() {
    let bench = Bench::new();
    for (members, expected) in [
        (vec![Member::File("top/a", ""), Member::File("top/../../b", "x")], "`top/../../b` leads outside"),
        (vec![Member::File("/etc/b", "x")], "`/etc/b` leads outside"),
        (vec![Member::Link("top/l", "/etc")], "`top/l` is a link that leads outside"),
        (vec![Member::Link("top/d/l", "../../x")], "`top/d/l` is a link that leads outside"),
        (
            vec![Member::Link("top/l", "d"), Member::File("top/l/x", "x")],
            "something that is not a directory is in its place",
        ),
        (
            vec![
                Member::File("top/a/b/f", ""),
                Member::Link("top/a/up", ".."),
                Member::Link("top/a/b/up", ".."),
                Member::Link("top/a/b/out", "up/up/../.."),
            ],
            "`a/b/out` of a source archive is a link that leads outside",
        ),
        (vec![Member::File("one/a", ""), Member::File("two/a", "")], "needs one top directory; there are 2"),
        (vec![Member::File("top/a", "1"), Member::File("top/a", "2")], "File exists"),
    ] {
        let request = bench.request_with(&members, &["true"], &[]);
        let report = bench.runner.dispatch(&request).await.unwrap_err().report();
        assert!(report.contains(expected), "{expected}\n{report}");
        assert!(report.contains("build/1.2.3/x"), "{report}");
    }
    let good = [Member::File("top/a", "1"), Member::Link("top/d/l", "../a"), Member::Link("top/dangling", "nowhere")];
    let request = bench.request_with(&good, &["test \"$(cat d/l)\" = 1"], &[]);
    assert_eq!(bench.finish(&request).await.1, JobStatus::Exited(0));
}

#[tokio::test]
async fn inputs_are_checked_against_their_digests() {
    let bench = Bench::new();
    let mut request = bench.request(&["true"], &[]);
    let file = bench.dir.path().join("other");
    fs::File::create(&file).unwrap().write_all(&tarball(&[Member::File("top/a", "evil")])).unwrap();
    request.inputs[0].1 = file;
    let report = bench.runner.dispatch(&request).await.unwrap_err().report();
    assert!(report.contains("has other bytes than its digest says"), "{report}");
}

#[tokio::test]
async fn a_second_start_begins_clean_even_over_unwritable_directories() {
    let bench = Bench::new();
    let mut request =
        bench.request(&["test ! -e left; mkdir -p left/deep; touch left/deep/f; chmod -R a-w left; sleep 40008"], &[]);
    request.job.timeout_s = 1;
    let (handle, status) = bench.finish(&request).await;
    assert_eq!(status, JobStatus::TimedOut);
    // As after a power loss that kept the directory and lost the status. The supervisor ends just after it wrote that.
    fs::remove_file(bench.dir.path().join("jobs").join(&handle.job).join("status.json")).unwrap();
    assert_eq!(wait(&*bench.runner, &handle).await, JobStatus::Lost);
    assert_eq!(bench.finish(&request).await.1, JobStatus::TimedOut);
}

#[tokio::test]
async fn handles_of_others_are_refused() {
    let bench = Bench::new();
    for job in ["../../etc", "x", "", "/tmp/x-1"] {
        let handle = Handle { runner: "here".parse().unwrap(), job: job.to_owned() };
        assert!(observe_one(&*bench.runner, &handle).await.is_err(), "{job}");
        assert!(bench.runner.cancel(&handle).await.is_err(), "{job}");
    }
}
