//! This machine as a runner: each job in a sandbox with its tree, inputs, toolchain and environment, and a time limit.

mod collect;
mod fence;
mod inputs;
mod job_dir;
mod process;
mod supervisor;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::OnceCell;

pub use fence::{CommandResult, Fence, ViewEntry};
pub use supervisor::{VERB, supervise};

use self::job_dir::JobDir;
use self::process::Identity;
use self::supervisor::{JobExit, Orders, READY};
use crate::adapter::{Adapter, Around, Jobs, RunnerTable, Settings, Spec};
use crate::effects::{Handle, JobLog, JobReport, JobRequest, JobStatus, LockedFile, Runner, RunnerFacts, blocking};
use crate::error::{Context as _, Error, Result};
use crate::model::{Label, RunnerName, TrainNonce};
use crate::runners::environment::{self, Environment};
use crate::runners::private_files::create_private_dir;
use crate::sandbox::{BELOW_HOME, HiddenPaths, Sandbox, SandboxView};
use crate::step::{Exposure, Isolation, JobName};
use crate::table::{Fault, Faults, Table, Text, keys, keys_of};

/// Runs the command lines that it is given as arguments, one after the other, and says which.
const EACH: &str = "set -eu; for line in \"$@\"; do printf '+ %s\\n' \"$line\"; /bin/sh -eu -c \"$line\"; done";
/// How long a supervisor may take until its job runs.
const START_LIMIT: Duration = Duration::from_secs(30);

/// Runs jobs on this machine.
pub struct LocalRunner {
    name: RunnerName,
    labels: Vec<Label>,
    slots: usize,
    jobs: PathBuf,
    program: PathBuf,
    read: Vec<PathBuf>,
    same_user: bool,
    hidden: Vec<PathBuf>,
    end_with_program: bool,
    sandbox: OnceCell<Option<Sandbox>>,
}

/// The kind of runner that is this machine.
pub(super) const ADAPTER: Adapter<dyn Runner> = Adapter {
    kind: "local",
    about: "this machine: each job in a sandbox with its tree and toolchain, with a time limit",
    example: "kind = \"local\"",
    keys: keys_of::<RawLocal>(),
    programs: &[],
    facts: (),
    parse,
};

keys! {
    /// A runner that is this machine.
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct RawLocal {
        /// Absolute paths that jobs may read besides the system and the toolchain, such as `/srv/sdk`.
        read: Option<Vec<Text>> = "[]",
        /// Whether jobs may run with all of the user's rights where the machine cannot isolate them.
        same_user: Option<bool> = "false",
    }
}

/// A checked table.
#[derive(Debug, Clone)]
pub struct Local {
    /// Its name, labels and slots; as many slots as the machine has processors if none.
    pub common: RunnerTable,
    /// Directories and files that jobs see besides the system and the toolchain.
    pub read: Vec<PathBuf>,
    /// Jobs may run with the user's own rights where the machine cannot isolate them.
    pub same_user: bool,
}

fn parse(common: &RunnerTable, table: Table<'_>, faults: &mut Faults) -> Option<Spec<dyn Runner>> {
    let raw: RawLocal = table.read(faults)?;
    let mut read = Vec::new();
    for path in raw.read.iter().flatten() {
        let at = PathBuf::from(path.get_ref());
        if !at.is_absolute() || at.parent().is_none() {
            let label = "expected an absolute path, such as `/srv/sdk`";
            faults.add(Fault::new(path.span(), "jobs cannot be shown this path", label));
        }
        read.push(at);
    }
    Some(Arc::new(Local { common: common.clone(), read, same_user: raw.same_user.unwrap_or(false) }))
}

impl Settings<dyn Runner> for Local {
    fn place(&self) -> String {
        let read: Vec<String> = self.read.iter().map(|path| path.display().to_string()).collect();
        if read.is_empty() { String::new() } else { format!("recipes can read {}", read.join(", ")) }
    }

    fn may_not_isolate(&self) -> bool {
        self.same_user
    }

    fn open(&self, around: &Around) -> Result<Arc<dyn Runner>> {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let Jobs { dir, program, hidden, end_with_program } = around.jobs()?.clone();
        Ok(Arc::new(LocalRunner {
            name: self.common.name.clone(),
            labels: self.common.labels.clone(),
            slots: self.common.slots.unwrap_or(processors),
            jobs: dir,
            program,
            read: self.read.clone(),
            same_user: self.same_user,
            hidden,
            end_with_program,
            sandbox: OnceCell::new(),
        }))
    }
}

impl LocalRunner {
    fn handle(&self, name: &JobName) -> Handle {
        Handle { runner: self.name.clone(), job: name.to_string() }
    }

    fn job(&self, handle: &Handle) -> Result<JobDir> {
        if handle.runner != self.name {
            return Err(Error::fatal(format!("runner `{}` was asked for a job of `{}`", self.name, handle.runner)));
        }
        JobDir::new(&self.jobs, &handle.job)
    }

    /// How jobs are isolated; none where they cannot be and the configuration lets them have the user's rights.
    async fn sandbox(&self) -> Result<Option<Sandbox>> {
        let probe = async || {
            match blocking(|| Sandbox::probe(&self.program)) {
            Ok(sandbox) => Ok(Some(sandbox)),
            Err(_) if self.same_user => Ok(None),
            Err(e) => Err(e.hint(format!(
                "or let recipes have all that this user has, keys and agents too: `same_user = true` in `[[runner]]` `{}`",
                self.name
            ))),
        }
        };
        self.sandbox.get_or_try_init(probe).await.cloned()
    }

    /// What a job sees.
    fn view(&self, request: &JobRequest, job: &JobDir, env: &Environment, root: &Path) -> Result<SandboxView> {
        let kept = HiddenPaths::new(&self.hidden, &self.read);
        let mut view = SandboxView::system(request.job.isolation == Isolation::Network);
        view.hide(kept.home());
        view.tools(env, &job.cargo(), &kept)?;
        for path in &self.read {
            self.may_read(path, &kept)?;
            view.read(path);
        }
        // Last of all: whatever shows them, they are not there.
        view.hide(kept.hidden());
        view.write(&job.inside());
        Ok(view.at_with(root, &job.tmp()))
    }

    /// Refuses a path of `read` that is not there, or that shows what jobs must not see.
    fn may_read(&self, path: &Path, kept: &HiddenPaths) -> Result<()> {
        let what = || format!("runner `{}` cannot show `{}` to jobs", self.name, path.display());
        let real = path.canonicalize().map_err(|e| Error::input(what()).because(e).hint("fix `read` of the runner"))?;
        let refused = |why: String| {
            Error::input(format!("{}: {why}", what()))
                .hint("name the directory below it that recipes need in `read` of the runner")
        };
        if let Some(inside) = kept.hidden().find(|hidden| hidden.starts_with(&real) && hidden.exists()) {
            return Err(refused(format!("it holds `{}`", inside.display())));
        }
        kept.never(&real).map_or(Ok(()), |why| Err(refused(why)))
    }

    async fn start(&self, request: &JobRequest, job: &JobDir, root: PathBuf) -> Result<()> {
        let env = environment(request, job)?;
        let sandbox = match self.sandbox().await? {
            Some(sandbox) => {
                let view =
                    self.view(request, job, &env, &root).map_err(|e| e.detail(format!("step: {}", request.step)))?;
                Some((sandbox, view))
            }
            None => None,
        };
        let command =
            ["/bin/sh", "-c", EACH, "sh"].map(str::to_owned).into_iter().chain(request.job.run.iter().cloned());
        let orders = Orders {
            command: command.collect(),
            sandbox,
            owner: self.end_with_program.then(Identity::own).flatten(),
            root,
            env,
            secrets: request.secrets.values().map(|s| s.expose().to_owned()).collect(),
            timeout_s: request.job.timeout_s,
        };
        let orders = serde_json::to_vec(&orders).context("cannot write a job's orders")?;
        let what = || format!("cannot start the job of `{}`", request.step);
        let mut child = tokio::process::Command::new(&self.program)
            .arg(VERB)
            .arg(job.dir())
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context(what())?;
        let (Some(mut stdin), Some(mut stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Error::fatal(what()));
        };
        let mut answer = String::new();
        let talk = async {
            stdin.write_all(&orders).await?;
            drop(stdin);
            // One line, then it closes nothing: it lives on with the job.
            let mut byte = [0u8; 1];
            while stdout.read(&mut byte).await? == 1 && byte[0] != b'\n' {
                answer.push(char::from(byte[0]));
            }
            Ok::<(), io::Error>(())
        };
        tokio::time::timeout(START_LIMIT, talk).await.map_err(|_| Error::transient(what()))?.context(what())?;
        if answer != READY {
            return Err(Error::fatal(format!("{}: {}", what(), crate::model::escape(&answer))));
        }
        Ok(())
    }
}

/// The environment of a job.
fn environment(request: &JobRequest, job: &JobDir) -> Result<Environment> {
    let text = |path: PathBuf| path.display().to_string();
    let mut env = BTreeMap::from([("HOME".to_owned(), text(job.home())), ("TMPDIR".to_owned(), text(job.tmp()))]);
    env.extend(environment::of_job(request)?);
    for name in &request.job.pass_env {
        match passed(name, |name| std::env::var(name)) {
            Ok(value) => drop(env.insert(name.clone(), value)),
            // As on any machine that does not set it: the recipe sees no variable.
            Err(std::env::VarError::NotPresent) => {}
            Err(std::env::VarError::NotUnicode(_)) => {
                return Err(Error::input(format!("`{}`: the variable `{name}` is not UTF-8", request.step)));
            }
        }
    }
    Ok(env)
}

/// The value of a variable that is passed on. A job has a `HOME` of its own: what a program would find below the runner's
/// is passed by its name, or a toolchain that was installed the usual way could not be used.
fn passed(
    name: &str,
    var: impl Fn(&str) -> std::result::Result<String, std::env::VarError>,
) -> std::result::Result<String, std::env::VarError> {
    let found = var(name);
    let below = BELOW_HOME.iter().find(|(n, _)| *n == name);
    let (Err(std::env::VarError::NotPresent), Some((_, dir))) = (&found, below) else { return found };
    let below = Path::new(&var("HOME")?).join(dir);
    if below.is_dir() { Ok(below.display().to_string()) } else { found }
}

/// What the files in a job's directory say of it.
fn status(job: &JobDir) -> Result<JobStatus> {
    if let Some(ended) = ended(job)? {
        return Ok(ended.code.map_or(JobStatus::TimedOut, JobStatus::Exited));
    }
    let alive = read(&job.supervisor())?
        .and_then(|bytes| serde_json::from_slice::<Identity>(&bytes).ok())
        .is_some_and(|supervisor| supervisor.is_alive());
    if alive {
        return Ok(JobStatus::Running);
    }
    // It may have ended between the two reads.
    let ended = ended(job)?;
    Ok(ended.map_or(JobStatus::Lost, |e| e.code.map_or(JobStatus::TimedOut, JobStatus::Exited)))
}

fn ended(job: &JobDir) -> Result<Option<JobExit>> {
    // A file that cannot be read as what we write is not a status: the job counts as lost and is run again.
    Ok(read(&job.status())?.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e).context(format!("cannot read `{}`", path.display())),
    }
}

/// Ends whatever a job still runs: all that its supervisor watches over, and, where that is gone, what has its `HOME`.
fn end(job: &JobDir) -> Result<()> {
    let mut gone = true;
    if let Some(bytes) = read(&job.supervisor())?
        && let Ok(supervisor) = serde_json::from_slice::<Identity>(&bytes)
    {
        gone = supervisor.kill_with_descendants();
    }
    if process::kill_leftovers(&job.home()) && gone {
        Ok(())
    } else {
        Err(Error::transient("processes of an earlier job could not be killed")
            .detail(format!("they have HOME={}", job.home().display()))
            .hint("end them by hand, then run the same command again"))
    }
}

/// Ends the older attempts of a job and removes their files, all but their logs.
fn end_older(jobs: &Path, request: &JobRequest) -> Result<()> {
    for older in request.older() {
        let job = JobDir::new(jobs, older.as_str())?;
        if job.dir().exists() {
            end(&job)?;
            job.remove_files()?;
        }
    }
    Ok(())
}

/// Takes a lock file; waits in turns, since whoever holds it may need this thread to go on.
async fn locked(path: &Path) -> Result<LockedFile> {
    let what = || format!("cannot lock `{}`", path.display());
    let file = fs::OpenOptions::new().create(true).truncate(false).write(true).open(path).context(what())?;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(LockedFile(file)),
            Err(fs::TryLockError::WouldBlock) => tokio::time::sleep(Duration::from_millis(5)).await,
            Err(fs::TryLockError::Error(e)) => return Err(e).context(what()),
        }
    }
}

#[async_trait::async_trait]
impl Runner for LocalRunner {
    fn name(&self) -> &RunnerName {
        &self.name
    }

    fn labels(&self) -> &[Label] {
        &self.labels
    }

    fn exposure(&self) -> Exposure {
        Exposure::Local
    }

    fn slots(&self) -> usize {
        self.slots
    }

    async fn probe(&self) -> Result<RunnerFacts> {
        blocking(|| {
            create_private_dir(&self.jobs)?;
            Identity::own().map(drop).ok_or_else(|| {
                Error::fatal("a local runner needs /proc").hint("mount it, or use a machine that runs Linux")
            })
        })?;
        let isolated = match self.sandbox().await? {
            Some(_) => "isolates jobs",
            None => "does NOT isolate jobs (`same_user`): they can read keys and change everything that this user can",
        };
        let kept = HiddenPaths::new(&self.hidden, &self.read);
        blocking(|| self.read.iter().try_for_each(|path| self.may_read(path, &kept)))?;
        let labels: Vec<&str> = self.labels.iter().map(Label::as_str).collect();
        let slots = crate::model::counted(self.slots, "slot");
        let about = format!("this machine; {slots}; labels: {}; {isolated}", labels.join(" "));
        Ok(RunnerFacts { about, exposure: self.exposure() })
    }

    async fn dispatch(&self, request: &JobRequest) -> Result<Handle> {
        let handle = self.handle(&request.name());
        let job = self.job(&handle)?;
        // Found out first: a job that cannot be isolated should not leave a directory.
        self.sandbox().await.map_err(|e| e.detail(format!("step: {}", request.step)))?;
        create_private_dir(&self.jobs)?;
        // Two dispatches of one job at once would clean each other's directory.
        let lock = locked(&job.dir().with_extension("lock")).await?;
        let (lock, root) = blocking(|| -> Result<_> {
            if status(&job)? != JobStatus::Lost {
                return Ok((lock, None));
            }
            end_older(&self.jobs, request)?;
            end(&job)?;
            job.make_clean()?;
            let root = inputs::put(&job, &request.inputs).map_err(|e| e.detail(format!("step: {}", request.step)))?;
            Ok((lock, Some(root)))
        })?;
        if let Some(root) = root {
            self.start(request, &job, root).await?;
        }
        drop(lock);
        Ok(handle)
    }

    async fn find(&self, name: &JobName) -> Result<Option<Handle>> {
        let handle = self.handle(name);
        let job = self.job(&handle)?;
        let status = blocking(|| status(&job))?;
        Ok((status != JobStatus::Lost).then_some(handle))
    }

    async fn observe(&self, handles: &[Handle]) -> Result<Vec<JobStatus>> {
        let jobs = handles.iter().map(|handle| self.job(handle)).collect::<Result<Vec<_>>>()?;
        blocking(|| jobs.iter().map(status).collect())
    }

    async fn collect(&self, request: &JobRequest, handle: &Handle) -> Result<JobReport> {
        let job = self.job(handle)?;
        blocking(|| {
            let step = &request.step;
            let Some(ended) = ended(&job)?.filter(|e| e.code == Some(0)) else {
                return Err(Error::fatal(format!("the job of `{step}` did not succeed"))
                    .detail(format!("log: {}", job.log().display())));
            };
            let artifacts = collect::collect(&job, step, &request.job.artifacts)?;
            Ok(JobReport { artifacts, log: job.log(), warnings: ended.warnings })
        })
    }

    async fn log(&self, _request: &JobRequest, handle: &Handle) -> Result<JobLog> {
        let job = self.job(handle)?;
        let warnings = blocking(|| ended(&job))?.map(|e| e.warnings).unwrap_or_default();
        Ok(JobLog { path: job.log(), warnings })
    }

    async fn cancel(&self, handle: &Handle) -> Result<()> {
        let job = self.job(handle)?;
        blocking(|| {
            end(&job)?;
            job.remove()
        })
    }

    async fn sweep(&self, _train: &TrainNonce) -> Result<()> {
        blocking(|| {
            let jobs = JobDir::all(&self.jobs)?;
            // What runs is ended before anything is removed: one tree that cannot be removed leaves no job running.
            jobs.iter().try_for_each(end)?;
            JobDir::at(&self.jobs).remove()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_below_home_is_passed_by_name() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join(".rustup")).unwrap();
        let var = |name: &str| match name {
            "HOME" => Ok(home.path().display().to_string()),
            "SET" => Ok("as it is".to_owned()),
            _ => Err(std::env::VarError::NotPresent),
        };
        assert_eq!(passed("RUSTUP_HOME", var), Ok(home.path().join(".rustup").display().to_string()));
        assert_eq!(passed("SET", var), Ok("as it is".to_owned()));
        assert!(passed("CARGO_HOME", var).is_err(), "there is no such directory");
        assert!(passed("OTHER", var).is_err());
    }
}
