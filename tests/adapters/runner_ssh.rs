//! Runners over ssh against a real sshd, by way of the user's own ssh: on this machine as it is, and on machines that have
//! another shell, other tools, or nothing that isolates.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking; clippy exempts test functions only")]

mod attacks;
mod cuts;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lifeboat::adapter::{Around, Jobs};
use lifeboat::effects::{Handle, JobRequest, JobStatus, Runner, observe_one};
use lifeboat::error::ErrorKind;
use lifeboat::host::{HostClock, HostDisk};
use lifeboat::model::Sha256;

use crate::support::runner_contract::{self, Fixture, holds};
use crate::support::sample_train::SampleTrain;
use crate::support::servers::Sshd;

/// busybox in the place of `sh` and of every tool that it has, but for what makes namespaces.
const BUSYBOX: &str = "mount -t tmpfs tmpfs /opt && mkdir /opt/bin && for a in $(busybox --list); do \
                       case $a in unshare|mount|umount|pivot_root|sshd|sh) ;; *) ln -s /bin/busybox /opt/bin/$a ;; esac; done && \
                       mount --bind /bin/busybox /bin/sh && \
                       for a in sed tar gzip find grep head tail cut cat ls rm mv mkdir mkfifo stat sha256sum env; do \
                       mount --bind /bin/busybox $(command -v $a); done";
/// As on macOS: `sh` is bash, and there is neither `setsid` nor `unshare`.
const BARE: &str = "mount -t tmpfs tmpfs /opt && mkdir /opt/upper /opt/work && \
                    mount -t overlay -o lowerdir=/usr/bin,upperdir=/opt/upper,workdir=/opt/work overlay /usr/bin && \
                    rm /usr/bin/setsid /usr/bin/unshare && ln -sf bash /usr/bin/sh";

const NOBODY: u32 = 65534;

/// A time to sleep that no other run of the tests uses: by it the processes of a test are known.
fn nap(seconds: u32) -> String {
    format!("{seconds}.{}", std::process::id())
}

/// A machine, and a directory of this one.
struct Bench {
    dir: PathBuf,
    sshd: Sshd,
    runner: Arc<dyn Runner>,
    _kept: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let kept = crate::support::scratch();
        let sshd = Sshd::start(kept.path());
        Self::of(kept, sshd, "")
    }

    /// One whose user has no rights on the machine.
    fn of_an_ordinary_user() -> Self {
        let kept = crate::support::scratch();
        let home = kept.path().join("home");
        let passwd = format!(
            "sed 's#^nobody:.*#nobody:x:{NOBODY}:{NOBODY}:nobody:{}:/bin/sh#' /etc/passwd > /opt/passwd && \
             mount --bind /opt/passwd /etc/passwd",
            home.display()
        );
        let sshd = Sshd::on_other_machine(kept.path(), &format!("mount -t tmpfs tmpfs /opt && {passwd}"));
        let config = fs::read_to_string(&sshd.config).unwrap();
        let lines = config.lines().map(|line| if line.starts_with("User ") { "User nobody" } else { line });
        fs::write(&sshd.config, lines.map(|line| format!("{line}\n")).collect::<String>()).unwrap();
        fs::set_permissions(kept.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for dir in [home, kept.path().join("far")] {
            fs::create_dir(&dir).unwrap();
            std::os::unix::fs::chown(&dir, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        Self::of(kept, sshd, "")
    }

    fn of(kept: tempfile::TempDir, sshd: Sshd, more: &str) -> Self {
        let dir = kept.path().to_owned();
        let runner = open(&dir, &sshd, sshd.port, more);
        Self { dir, sshd, runner, _kept: kept }
    }

    /// Where the machine keeps a job.
    fn far(&self, handle: &Handle) -> PathBuf {
        self.dir.join("far").join(&handle.job)
    }

    fn input(&self, bytes: &[u8]) -> (Sha256, PathBuf) {
        let digest = Sha256::of(bytes);
        let path = self.dir.join(digest.hex());
        fs::write(&path, bytes).unwrap();
        (digest, path)
    }

    /// A job over a source archive that holds `top/README` with this text.
    fn request_of(&self, text: &[u8], run: &[&str], artifacts: &[&str]) -> JobRequest {
        let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
        let mut tar = tar::Builder::new(gzip);
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o644);
        header.set_size(text.len() as u64);
        tar.append_data(&mut header, "top/README", text).unwrap();
        let (digest, source) = self.input(&tar.into_inner().unwrap().finish().unwrap());
        runner_contract::job(run, artifacts, (digest, source))
    }

    fn request(&self, run: &[&str], artifacts: &[&str]) -> JobRequest {
        self.request_of(b"hello", run, artifacts)
    }

    async fn ended(&self, request: &JobRequest) -> (Handle, JobStatus) {
        let handle = self.runner.dispatch(request).await.unwrap_or_else(|e| panic!("{}", e.report()));
        let status = ended(&*self.runner, &handle).await;
        (handle, status)
    }

    async fn log(&self, request: &JobRequest, handle: &Handle) -> String {
        fs::read_to_string(self.runner.log(request, handle).await.unwrap().path).unwrap()
    }
}

async fn ended(runner: &dyn Runner, handle: &Handle) -> JobStatus {
    let start = Instant::now();
    loop {
        let status = observe_one(runner, handle).await.unwrap();
        if !status.is_under_way() {
            return status;
        }
        assert!(start.elapsed() < Duration::from_secs(120), "the job does not end");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A client of the machine: its jobs lie in `far` of a directory, what is brought in `near`.
fn open(dir: &Path, sshd: &Sshd, port: u16, more: &str) -> Arc<dyn Runner> {
    let text = format!(
        "[project]\nname = \"acme\"\ncommitter = \"Acme <release@acme.example>\"\n[[store]]\nname = \"web\"\nurl = \"/srv\"\n\
         [[runner]]\nname = \"elsewhere\"\nkind = \"ssh\"\nhost = \"127.0.0.1:{port}\"\nssh_config = \"{}\"\ndir = \"{}\"\n\
         slots = 2\n{more}",
        sshd.config.display(),
        dir.join("far").display()
    );
    let config = lifeboat::config::parse(&text, Path::new("/src/acme/lifeboat.toml"), &lifeboat::wiring::registries());
    let table = config.unwrap_or_else(|e| panic!("{}", e.report())).runners.remove(0);
    let jobs = Jobs {
        dir: dir.join("near"),
        program: PathBuf::from(env!("CARGO_BIN_EXE_lifeboat")),
        hidden: Vec::new(),
        end_with_program: false,
    };
    let around = Around {
        disk: Arc::new(HostDisk),
        clock: Arc::new(HostClock),
        secrets: Arc::new(lifeboat::signers::resolve),
        hosts: table.spec.hosts().into_iter().collect(),
        repository: dir.to_owned(),
        jobs: Some(jobs),
    };
    table.spec.open(&around).unwrap()
}

fn fixture(dir: &Path, sshd: &Sshd, more: &str) -> Fixture {
    let client = || open(dir, sshd, sshd.port, more);
    Fixture { runner: client(), again: client(), scratch: dir.to_owned() }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sshd_passes_the_contract() {
    let base = crate::support::scratch();
    let sshd = Sshd::start(base.path());
    holds(|dir| fixture(dir, &sshd, "")).await;
}

#[tokio::test]
async fn an_ordinary_user_passes_the_contract() {
    if !is_root() {
        // Whoever runs this is one.
        return;
    }
    let bench = Bench::of_an_ordinary_user();
    holds(|dir| {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
        let far = dir.join("far");
        fs::create_dir(&far).unwrap();
        std::os::unix::fs::chown(&far, Some(NOBODY), Some(NOBODY)).unwrap();
        fixture(dir, &bench.sshd, "")
    })
    .await;
}

#[tokio::test]
async fn busybox_passes_the_contract() {
    if !is_root() {
        // Only root can mount other programs in the place of the system's.
        return;
    }
    let base = crate::support::scratch();
    let sshd = Sshd::on_other_machine(base.path(), BUSYBOX);
    let bench = Bench::of(base, sshd, "");
    let request = bench.request(&["tar --help 2>&1; ls -l /bin/sh; sh --help 2>&1 | head -n 1"], &[]);
    let (handle, _) = bench.ended(&request).await;
    let log = bench.log(&request, &handle).await;
    assert!(log.matches("BusyBox").count() >= 2, "the machine is another one: {log}");
    holds(|dir| fixture(dir, &bench.sshd, "")).await;
}

#[tokio::test]
async fn a_machine_that_cannot_isolate_is_refused_or_passes_the_contract_as_the_same_user() {
    if !is_root() {
        return;
    }
    let base = crate::support::scratch();
    let sshd = Sshd::on_other_machine(base.path(), BARE);
    let bench = Bench::of(base, sshd, "");
    let refused = bench.runner.probe().await.unwrap_err().report();
    assert!(refused.contains("cannot isolate jobs: Linux ") && refused.contains("same_user = true"), "{refused}");
    let request = bench.request(&["true"], &[]);
    let e = bench.runner.dispatch(&request).await.unwrap_err();
    assert!(e.report().contains("cannot isolate jobs"), "{}", e.report());
    assert!(!bench.dir.join("far").join(request.name().as_str()).exists());
    let said = open(&bench.dir, &bench.sshd, bench.sshd.port, "same_user = true\n").probe().await.unwrap().about;
    assert!(said.contains("does NOT isolate"), "{said}");
    holds(|dir| fixture(dir, &bench.sshd, "same_user = true\n")).await;
}

#[tokio::test]
async fn an_object_is_sent_once() {
    let bench = Bench::new();
    let first = bench.request(&["true"], &[]);
    let second = bench.request(&["true", "true"], &[]);
    assert_eq!(bench.ended(&first).await.1, JobStatus::Exited(0));
    let objects = || {
        let all = fs::read_dir(bench.dir.join("far/objects")).unwrap().map(|e| e.unwrap());
        all.map(|e| (e.file_name(), e.metadata().unwrap().ino())).collect::<Vec<_>>()
    };
    let before = objects();
    assert_eq!(before.len(), 1);
    // Its bytes are not needed here any more.
    fs::remove_file(&second.inputs[0].1).unwrap();
    assert_eq!(bench.ended(&second).await.1, JobStatus::Exited(0));
    assert_eq!(objects(), before);
    bench.runner.sweep(&first.train).await.unwrap();
    assert_eq!(objects(), []);
}

/// What lies there under a digest is hashed before it is used.
#[tokio::test]
async fn an_object_that_was_changed_there_is_sent_again() {
    let bench = Bench::new();
    let first = bench.request(&["true"], &[]);
    assert_eq!(bench.ended(&first).await.1, JobStatus::Exited(0));
    let object = bench.dir.join("far/objects").join(Sha256::of(&fs::read(&first.inputs[0].1).unwrap()).hex());
    fs::write(&object, "other bytes").unwrap();
    let second = bench.request(&["test \"$(cat README)\" = hello"], &[]);
    assert_eq!(bench.ended(&second).await.1, JobStatus::Exited(0));
}

#[tokio::test]
async fn a_log_grows_and_is_the_same_for_another_process() {
    let bench = Bench::new();
    let request = bench.request(&["echo one; while ! test -e ../go; do sleep 0.05; done; echo two"], &[]);
    let handle = bench.runner.dispatch(&request).await.unwrap();
    let start = Instant::now();
    while !bench.log(&request, &handle).await.contains("\none\n") {
        assert!(start.elapsed() < Duration::from_secs(60), "nothing is logged");
    }
    fs::write(bench.far(&handle).join("inside/work/go"), "").unwrap();
    assert_eq!(ended(&*bench.runner, &handle).await, JobStatus::Exited(0));
    let log = bench.log(&request, &handle).await;
    assert!(log.ends_with("\none\ntwo\n"), "{log}");
    let again = open(&bench.dir, &bench.sshd, bench.sshd.port, "");
    assert_eq!(fs::read_to_string(again.log(&request, &handle).await.unwrap().path).unwrap(), log);
}

#[tokio::test]
async fn what_a_recipe_takes_over_is_of_that_machine() {
    let bench = Bench::new();
    let mut request = bench.request(&["echo \"$SSH_CONNECTION\""], &[]);
    request.job.pass_env = vec!["SSH_CONNECTION".into()];
    let (handle, _) = bench.ended(&request).await;
    let log = bench.log(&request, &handle).await;
    assert!(log.contains("\n127.0.0.1 "), "{log}");
    request.job.env.insert("NOT-A-NAME".into(), "x".into());
    request.attempt = 2;
    let e = bench.runner.dispatch(&request).await.unwrap_err();
    assert!(e.report().contains("`NOT-A-NAME` cannot be set by a shell"), "{}", e.report());
}

#[tokio::test]
async fn a_machine_that_cannot_be_reached_is_said_with_what_ssh_says() {
    let bench = Bench::new();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let e = open(&bench.dir, &bench.sshd, closed, "").probe().await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Unreachable, "{}", e.report());
    assert!(e.report().contains("refused") && e.report().contains("shows what ssh lacks"), "{}", e.report());
    fs::write(bench.dir.join("far"), "a file").unwrap();
    let e = bench.runner.probe().await.unwrap_err();
    assert!(e.report().contains("cannot write in the directory of jobs"), "{}", e.report());
}

#[tokio::test]
async fn a_profile_that_prints_disturbs_nothing() {
    if !is_root() {
        return;
    }
    let base = crate::support::scratch();
    let shell = "printf '%s\\n' '#!/bin/bash' 'echo Welcome; echo hello >&2; exec /bin/bash \"$@\"' > /opt/noisy && \
                 chmod 755 /opt/noisy && sed 's#^root:\\(.*\\):[^:]*$#root:\\1:/opt/noisy#' /etc/passwd > /opt/passwd && \
                 mount --bind /opt/passwd /etc/passwd";
    let sshd = Sshd::on_other_machine(base.path(), &format!("mount -t tmpfs tmpfs /opt && {shell}"));
    let bench = Bench::of(base, sshd, "");
    let request = bench.request(&["mkdir dist; echo made > dist/a"], &["dist/a"]);
    let (handle, status) = bench.ended(&request).await;
    assert_eq!(status, JobStatus::Exited(0));
    let report = bench.runner.collect(&request, &handle).await.unwrap();
    assert_eq!(fs::read_to_string(&report.artifacts[0].1).unwrap(), "made\n");
}

/// `ship` with every job on another machine, the assembly and the tests too.
#[test]
fn a_train_is_built_on_a_machine_with_sshd() {
    let train = SampleTrain::new();
    let sshd = Sshd::start(train.root());
    let far = train.root().join("far");
    let runner = "[[runner]]\nname = \"far\"\nkind = \"ssh\"\nslots = 2\n";
    let place = format!("host = \"127.0.0.1:{}\"\nssh_config = \"{}\"\n", sshd.port, sshd.config.display());
    train.configure(&format!("{runner}{place}dir = \"{}\"\n", far.display()));
    train.to_the_gate();
    let records = train.records("drill");
    let handles = records.iter().filter_map(|record| record.pointer("/what/handle"));
    let runners: Vec<&str> = handles.filter_map(|handle| handle["runner"].as_str()).collect();
    assert!(!runners.is_empty() && runners.iter().all(|name| *name == "far"), "{runners:?}");
    // Nothing of a job is kept there but what the next one needs too.
    let kept: Vec<_> = fs::read_dir(&far).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(kept, ["objects"]);
    train.release();
}
