//! What every runner must do, whatever is behind it. A new adapter passes all of it, with recipes that really run.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lifeboat::effects::{Handle, JobReport, JobRequest, JobStatus, Runner, observe_one};
use lifeboat::model::{ArtifactName, Secret, SecretRef, Sha256, TrainNonce};
use lifeboat::step::{ArtifactPath, Isolation, Job, JobInput, JobName, StepKey};

/// A runner without jobs.
pub struct Fixture {
    /// A client of the runner.
    pub runner: Arc<dyn Runner>,
    /// Another one, as the same train has after its process was started again.
    pub again: Arc<dyn Runner>,
    /// A local directory for inputs.
    pub scratch: PathBuf,
}

/// How long a job of these tests may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// An artifact that is another one each time it is made.
const NEW_EACH_TIME: &str = "mkdir dist; cat /proc/sys/kernel/random/uuid > dist/id";

/// A request for a job of these command lines, over a source archive, which leaves these artifacts.
pub fn job(run: &[&str], artifacts: &[&str], (digest, source): (Sha256, PathBuf)) -> JobRequest {
    let artifact = |path: &&str| ArtifactPath {
        path: (*path).to_owned(),
        name: ArtifactName::new(path.rsplit('/').next().unwrap()).unwrap(),
    };
    JobRequest {
        step: serde_json::from_str("\"build/1.2.3/x\"").unwrap(),
        train: TrainNonce::from_bytes([7; 16]),
        key: StepKey(Sha256::of(format!("{run:?} {artifacts:?}").as_bytes())),
        attempt: 1,
        job: Job {
            run: run.iter().map(|s| (*s).to_owned()).collect(),
            labels: Vec::new(),
            env: BTreeMap::new(),
            pass_env: Vec::new(),
            secret_env: BTreeMap::new(),
            isolation: Isolation::Network,
            timeout_s: 60,
            artifacts: artifacts.iter().map(artifact).collect(),
            inputs: Vec::new(),
        },
        inputs: vec![(JobInput::SourceArchive(digest), source)],
        secrets: BTreeMap::new(),
        source_date_epoch: 1_700_000_000,
    }
}

impl Fixture {
    fn file(&self, bytes: &[u8]) -> (Sha256, PathBuf) {
        let digest = Sha256::of(bytes);
        let path = self.scratch.join(digest.hex());
        fs::write(&path, bytes).unwrap();
        (digest, path)
    }

    /// A job over a source archive that holds `top/README`.
    fn request(&self, run: &[&str], artifacts: &[&str]) -> JobRequest {
        let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o644);
        header.set_size(5);
        tar.append_data(&mut header, "top/README", &b"hello"[..]).unwrap();
        let (digest, source) = self.file(&tar.into_inner().unwrap().finish().unwrap());
        job(run, artifacts, (digest, source))
    }

    async fn ended(&self, request: &JobRequest) -> (Handle, JobStatus) {
        let handle = self.runner.dispatch(request).await.unwrap_or_else(|e| panic!("{}", e.report()));
        let status = ended(&*self.runner, &handle).await;
        (handle, status)
    }

    async fn left(&self, request: &JobRequest) -> JobReport {
        let (handle, status) = self.ended(request).await;
        let log = log(&*self.runner, request, &handle).await;
        assert_eq!(status, JobStatus::Exited(0), "{log}");
        self.runner.collect(request, &handle).await.unwrap_or_else(|e| panic!("{}\n{log}", e.report()))
    }
}

async fn ended(runner: &dyn Runner, handle: &Handle) -> JobStatus {
    let start = Instant::now();
    loop {
        let status = observe_one(runner, handle).await.unwrap();
        if !status.is_under_way() {
            return status;
        }
        assert!(start.elapsed() < PATIENCE, "the job does not end");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn log(runner: &dyn Runner, request: &JobRequest, handle: &Handle) -> String {
    fs::read_to_string(runner.log(request, handle).await.unwrap().path).unwrap()
}

fn text(report: &JobReport) -> String {
    fs::read_to_string(&report.artifacts[0].1).unwrap()
}

/// Runs the whole suite; `new` makes a runner without jobs in an empty directory each time.
pub async fn holds(new: impl Fn(&Path) -> Fixture) {
    let at = || tempfile::tempdir().unwrap();
    macro_rules! each {
        ($($promise:ident)*) => { $(let dir = at(); $promise(&new(dir.path())).await;)* };
    }
    each! {
        says_what_it_is
        runs_what_is_asked_on_what_is_handed_over
        gives_an_explicit_environment
        stops_at_the_first_failure
        refuses_inputs_with_other_bytes
        runs_one_job_for_a_key_and_an_attempt
        finds_a_job_again_from_another_process
        keeps_jobs_apart
        ends_a_job_at_its_time_limit
        leaves_exactly_what_was_declared
        masks_secrets
        cancels_one_job
        finds_a_job_by_its_name
        says_how_many_jobs_stand_at_once
        cancels_all_jobs
        knows_no_handle_of_others
    }
}

async fn says_what_it_is(f: &Fixture) {
    let facts = f.runner.probe().await.unwrap();
    assert!(!facts.about.is_empty());
    assert_eq!(facts.exposure, f.runner.exposure());
    assert!(f.runner.slots() > 0);
    assert_eq!(f.runner.name(), f.again.name());
    assert_eq!(f.runner.labels(), f.again.labels());
}

async fn runs_what_is_asked_on_what_is_handed_over(f: &Fixture) {
    let mut request = f.request(&["mkdir dist", "cat README in/part > dist/whole"], &["dist/whole"]);
    let (object, file) = f.file(b" world");
    request.inputs.push((JobInput::File { object, path: "in/part".into() }, file));
    let report = f.left(&request).await;
    let names: Vec<&str> = report.artifacts.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!((names, text(&report).as_str()), (vec!["whole"], "hello world"));
    assert_eq!(report.warnings, Vec::<String>::new());
}

async fn gives_an_explicit_environment(f: &Fixture) {
    let mut request = f.request(&["mkdir dist; env > dist/env"], &["dist/env"]);
    request.job.env.insert("CHOSEN".into(), "by the recipe".into());
    request.job.pass_env = vec!["SURELY_UNSET".into()];
    let env = text(&f.left(&request).await);
    let has = |line: &str| env.lines().any(|l| l == line);
    assert!(has("CHOSEN=by the recipe") && has("SOURCE_DATE_EPOCH=1700000000") && has("TZ=UTC"), "{env}");
    // A variable of this process, which nobody passed on.
    assert!(!env.contains("CARGO_MANIFEST_DIR=") && !env.contains("SURELY_UNSET"), "{env}");
}

async fn stops_at_the_first_failure(f: &Fixture) {
    let request = f.request(&["echo one", "echo two >&2; exit 7", "echo three"], &["dist/a"]);
    let (handle, status) = f.ended(&request).await;
    assert_eq!(status, JobStatus::Exited(7));
    let log = log(&*f.runner, &request, &handle).await;
    assert!(log.contains("one\n") && log.contains("two\n") && !log.contains("three"), "{log}");
    let refused = f.runner.collect(&request, &handle).await.unwrap_err().report();
    assert!(refused.contains("build/1.2.3/x"), "{refused}");
}

async fn refuses_inputs_with_other_bytes(f: &Fixture) {
    let mut request = f.request(&["true"], &[]);
    request.inputs[0].1 = f.file(b"other bytes").1;
    let refused = f.runner.dispatch(&request).await.unwrap_err().report();
    assert!(refused.contains("build/1.2.3/x"), "{refused}");
}

async fn runs_one_job_for_a_key_and_an_attempt(f: &Fixture) {
    let mut request = f.request(&[NEW_EACH_TIME, "sleep 0.2"], &["dist/id"]);
    let (one, other) = tokio::join!(f.runner.dispatch(&request), f.again.dispatch(&request));
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_eq!(one, other);
    assert_eq!(ended(&*f.runner, &one).await, JobStatus::Exited(0));
    let first = text(&f.runner.collect(&request, &one).await.unwrap());
    // Asked again after its end it is the same job, and nothing runs.
    assert_eq!(f.again.dispatch(&request).await.unwrap(), one);
    assert_eq!(observe_one(&*f.again, &one).await.unwrap(), JobStatus::Exited(0));
    assert_eq!(text(&f.again.collect(&request, &one).await.unwrap()), first);
    request.attempt = 2;
    let (second, _) = f.ended(&request).await;
    assert_ne!(second, one);
    assert_ne!(text(&f.runner.collect(&request, &second).await.unwrap()), first);
}

async fn finds_a_job_again_from_another_process(f: &Fixture) {
    let request = f.request(&["sleep 0.3; mkdir dist; echo made > dist/a"], &["dist/a"]);
    let handle = f.runner.dispatch(&request).await.unwrap();
    // A handle is recorded in the journal, and read from there.
    let recorded: Handle = serde_json::from_str(&serde_json::to_string(&handle).unwrap()).unwrap();
    assert_eq!(ended(&*f.again, &recorded).await, JobStatus::Exited(0));
    assert_eq!(text(&f.again.collect(&request, &recorded).await.unwrap()), "made\n");
}

async fn keeps_jobs_apart(f: &Fixture) {
    let one = f.request(&["test ! -e mine; touch mine; sleep 0.2; mkdir dist; echo 1 > dist/a"], &["dist/a"]);
    let two = f.request(&["test ! -e mine; touch mine; sleep 0.2; mkdir dist; echo 2 > dist/a"], &["dist/a"]);
    let (first, second) = tokio::join!(f.left(&one), f.left(&two));
    assert_eq!((text(&first).as_str(), text(&second).as_str()), ("1\n", "2\n"));
}

async fn ends_a_job_at_its_time_limit(f: &Fixture) {
    let mut request = f.request(&["(trap '' TERM; setsid sleep 300 &) ; sleep 300"], &[]);
    request.job.timeout_s = 1;
    let start = Instant::now();
    assert_eq!(f.ended(&request).await.1, JobStatus::TimedOut);
    assert!(start.elapsed() < PATIENCE / 2);
}

async fn leaves_exactly_what_was_declared(f: &Fixture) {
    for (run, artifact) in [
        ("true", "dist/a"),
        ("mkdir dist; : > dist/a", "dist/a"),
        ("mkdir -p dist/a", "dist/a"),
        ("mkdir dist; ln -s /etc/passwd dist/a", "dist/a"),
        ("mkdir dist; echo 1 > dist/a; echo 2 > dist/b", "dist/a"),
        ("echo more >> README", "README"),
    ] {
        let request = f.request(&[run], &[artifact]);
        let (handle, status) = f.ended(&request).await;
        assert_eq!(status, JobStatus::Exited(0), "{run}");
        let refused = f.runner.collect(&request, &handle).await.map(drop).unwrap_err().report();
        assert!(refused.contains("build/1.2.3/x") && refused.contains('`'), "{run}: {refused}");
    }
}

async fn masks_secrets(f: &Fixture) {
    let mut request = f.request(&["printf 'a %s b\\n' \"$TOKEN\"", "mkdir dist; echo done > dist/a"], &["dist/a"]);
    request.job.secret_env.insert("TOKEN".into(), SecretRef::Env("X".into()));
    request.secrets.insert("TOKEN".into(), Secret::new("hunter2-long"));
    let (handle, status) = f.ended(&request).await;
    let log = log(&*f.runner, &request, &handle).await;
    assert_eq!(status, JobStatus::Exited(0), "{log}");
    assert!(log.contains("a ") && log.contains(" b\n") && !log.contains("hunter2"), "{log}");
    let report = f.runner.collect(&request, &handle).await.unwrap();
    assert_eq!(report.warnings.len(), 1, "{:?}", report.warnings);
}

async fn cancels_one_job(f: &Fixture) {
    let (one, two) =
        (f.request(&["sleep 300"], &[]), f.request(&["sleep 0.5; mkdir dist; echo 1 > dist/a"], &["dist/a"]));
    let (cancelled, left) = (f.runner.dispatch(&one).await.unwrap(), f.runner.dispatch(&two).await.unwrap());
    f.again.cancel(&cancelled).await.unwrap();
    assert_eq!(observe_one(&*f.runner, &cancelled).await.unwrap(), JobStatus::Lost);
    // A job that is gone is cancelled.
    f.runner.cancel(&cancelled).await.unwrap();
    assert_eq!(ended(&*f.runner, &left).await, JobStatus::Exited(0), "the other goes on");
}

async fn finds_a_job_by_its_name(f: &Fixture) {
    let request = f.request(&["sleep 0.3"], &[]);
    assert_eq!(f.runner.find(&request.name()).await.unwrap(), None, "nobody dispatched it");
    let handle = f.runner.dispatch(&request).await.unwrap();
    assert_eq!(f.again.find(&request.name()).await.unwrap(), Some(handle.clone()));
    assert_eq!(ended(&*f.runner, &handle).await, JobStatus::Exited(0));
    assert_eq!(f.again.find(&request.name()).await.unwrap(), Some(handle.clone()), "it ended, and is there");
    f.runner.cancel(&handle).await.unwrap();
    assert_eq!(f.again.find(&request.name()).await.unwrap(), None);
}

async fn says_how_many_jobs_stand_at_once(f: &Fixture) {
    let (well, badly) = (f.request(&["true"], &[]), f.request(&["exit 3"], &[]));
    let gone = Handle { runner: f.runner.name().clone(), job: JobName::of(&well.train, well.key, 9).to_string() };
    let handles = [f.ended(&badly).await.0, gone, f.ended(&well).await.0];
    let seen = f.again.observe(&handles).await.unwrap();
    assert_eq!(seen, [JobStatus::Exited(3), JobStatus::Lost, JobStatus::Exited(0)]);
    assert_eq!(f.again.observe(&[]).await.unwrap(), []);
}

async fn cancels_all_jobs(f: &Fixture) {
    let running = f.request(&["sleep 300"], &[]);
    let done = f.request(&[NEW_EACH_TIME], &["dist/id"]);
    let before = text(&f.left(&done).await);
    let handles = [f.runner.dispatch(&running).await.unwrap(), f.runner.dispatch(&done).await.unwrap()];
    // As after a crash: no handle is known.
    f.again.sweep(&running.train).await.unwrap();
    for handle in &handles {
        assert_eq!(observe_one(&*f.runner, handle).await.unwrap(), JobStatus::Lost, "{handle:?}");
    }
    assert_ne!(text(&f.left(&done).await), before, "it runs anew");
    f.again.sweep(&running.train).await.unwrap();
    f.again.sweep(&running.train).await.unwrap();
}

async fn knows_no_handle_of_others(f: &Fixture) {
    for job in ["../../etc", "x", "", "/tmp/x-1"] {
        let handle = Handle { runner: f.runner.name().clone(), job: job.to_owned() };
        let lost = |status: &JobStatus| *status == JobStatus::Lost;
        assert!(
            observe_one(&*f.runner, &handle).await.is_ok_and(|s| lost(&s))
                || observe_one(&*f.runner, &handle).await.is_err()
        );
        assert!(f.runner.cancel(&handle).await.is_err(), "{job}");
    }
}
