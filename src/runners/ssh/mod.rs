//! A machine with sshd as a runner, over the user's own `ssh`. Nothing of lifeboat is installed there: small shell scripts are
//! sent with each call, and what watches over a job is one of them (`supervise.sh`), which outlives the connection.

mod brought_log;
mod host;
mod left;
mod objects;
mod orders;
mod scripts;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use serde::Deserialize;

use self::brought_log::BroughtLog;
use self::host::{Host, JobState};
use crate::adapter::{Adapter, Around, Program, RunnerTable, Settings, Spec};
use crate::effects::{Handle, JobLog, JobReport, JobRequest, JobStatus, Runner, RunnerFacts, aside, blocking};
use crate::error::{Context as _, Error, Result};
use crate::model::{Label, RunnerName, TrainNonce, counted};
use crate::runners::artifacts::Judge;
use crate::runners::private_files::{create_private_dir, create_private_file, remove_tree};
use crate::runners::{LOG_CUT, NOT_KILLED, SECRET_PRINTED};
use crate::ssh::{SshHost, is_plain};
use crate::step::{Exposure, JobName};
use crate::table::{Fault, Faults, Table, Text, keys, keys_of};

/// The kind of runner that is a machine with sshd.
pub(super) const ADAPTER: Adapter<dyn Runner> = Adapter {
    kind: "ssh",
    about: "a machine with sshd, over the user's own `ssh`: each job in a sandbox, with a time limit",
    example: "kind = \"ssh\"",
    keys: keys_of::<RawSsh>(),
    programs: &[Program::SSH],
    facts: (),
    parse,
};

keys! {
    /// A runner that is a machine with sshd.
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct RawSsh {
        /// The machine: `user@host`, with `:port` if need be.
        host: Text,
        /// The configuration of ssh to be used, as with `ssh -F`.
        ssh_config: Option<Text> = "the user's own",
        /// Where the files of jobs are on that machine: an absolute path, or one below the user's home.
        dir: Option<Text> = "\"~/.lifeboat-jobs\"",
        /// Absolute paths of that machine that jobs may read besides the system, such as `/srv/sdk`.
        read: Option<Vec<Text>> = "[]",
        /// Whether jobs may run with all of the user's rights where the machine cannot isolate them.
        same_user: Option<bool> = "false",
    }
}

/// A checked table.
#[derive(Debug, Clone)]
struct Configured {
    common: RunnerTable,
    at: SshHost,
    dir: String,
    read: Vec<String>,
    same_user: bool,
}

fn parse(common: &RunnerTable, table: Table<'_>, faults: &mut Faults) -> Option<Spec<dyn Runner>> {
    let base = table.base().to_owned();
    let raw: RawSsh = table.read(faults)?;
    let at = SshHost::parse(raw.host.get_ref());
    if at.is_none() {
        let label = "expected a host of plain letters, a user if need be and a port, as in `build@host.example.org:22`";
        faults.add(Fault::new(raw.host.span(), "this is not a machine with sshd", label));
    }
    let dir = raw.dir.as_ref().map_or("~/.lifeboat-jobs", |dir| dir.get_ref().as_str()).trim_end_matches('/');
    let below = dir.strip_prefix("~/").or_else(|| dir.strip_prefix('/'));
    if let Some(written) = raw.dir.as_ref().filter(|_| !below.is_some_and(|below| below.split('/').all(is_plain))) {
        let label = "expected a path of plain names that begins with `/` or `~/`, such as `/srv/jobs`";
        faults.add(Fault::new(written.span(), "jobs cannot have this directory", label));
    }
    let mut read = Vec::new();
    for path in raw.read.iter().flatten() {
        let plain = path.get_ref().strip_prefix('/').is_some_and(|p| p.split('/').all(is_plain));
        if !plain {
            let label = "expected an absolute path of plain names, such as `/srv/sdk`";
            faults.add(Fault::new(path.span(), "jobs cannot be shown this path", label));
        }
        read.push(path.get_ref().clone());
    }
    let config = raw.ssh_config.map(|file| base.join(file.get_ref()));
    let (common, same_user) = (common.clone(), raw.same_user.unwrap_or(false));
    Some(Arc::new(Configured { common, at: SshHost { config, ..at? }, dir: dir.to_owned(), read, same_user }))
}

impl Settings<dyn Runner> for Configured {
    fn place(&self) -> String {
        let SshHost { user, host, port, .. } = &self.at;
        let user = user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        let read =
            if self.read.is_empty() { String::new() } else { format!("; recipes can read {}", self.read.join(", ")) };
        format!("ssh://{user}{host}{port}, jobs in {}{read}", self.dir)
    }

    fn pins(&self) -> Vec<(&'static str, String)> {
        self.at.config.iter().map(|file| ("ssh_config", file.display().to_string())).collect()
    }

    // Embargoed sources go there, and the secrets of jobs.
    fn hosts(&self) -> Vec<String> {
        vec![self.at.host.clone()]
    }

    fn programs(&self) -> Vec<Program> {
        vec![Program::SSH]
    }

    fn may_not_isolate(&self) -> bool {
        self.same_user
    }

    fn open(&self, around: &Around) -> Result<Arc<dyn Runner>> {
        let common = &self.common;
        Ok(Arc::new(SshRunner {
            name: common.name.clone(),
            labels: common.labels.clone(),
            slots: common.slots.unwrap_or(1),
            inner: Arc::new(Inner {
                runner: common.name.clone(),
                host: Host::new(self.at.clone(), self.dir.clone()),
                read: self.read.clone(),
                same_user: self.same_user,
                brought: around.jobs()?.dir.join(format!("at-{}", common.name)),
                isolated: OnceLock::new(),
                logs: Mutex::default(),
            }),
        }))
    }
}

/// Runs jobs on a machine with sshd.
struct SshRunner {
    name: RunnerName,
    labels: Vec<Label>,
    slots: usize,
    inner: Arc<Inner>,
}

/// What the calls need. All of it blocks.
struct Inner {
    runner: RunnerName,
    host: Host,
    read: Vec<String>,
    same_user: bool,
    /// Where logs and artifacts are put on this machine: a directory for each job.
    brought: PathBuf,
    isolated: OnceLock<bool>,
    logs: Mutex<BTreeMap<JobName, Arc<Mutex<BroughtLog>>>>,
}

impl Inner {
    fn name(&self, handle: &Handle) -> Result<JobName> {
        if handle.runner != self.runner {
            return Err(Error::fatal(format!("runner `{}` was asked for a job of `{}`", self.runner, handle.runner)));
        }
        JobName::parse(&handle.job).ok_or_else(|| {
            let shown = crate::model::escape(&handle.job);
            Error::fatal(format!("`{shown}` is not a job of runner `{}`", self.runner))
                .hint("its record in the journal is broken, or of another runner")
        })
    }

    /// Where the files of a job are on this machine.
    fn dir(&self, name: &JobName) -> PathBuf {
        self.brought.join(name.as_str())
    }

    /// What the machine is, and whether it isolates jobs.
    fn look(&self) -> Result<(String, bool)> {
        let probed = self.host.probe()?;
        if let Some(why) = probed.not_isolated.as_ref().filter(|_| !self.same_user) {
            return Err(Error::fatal(format!("`{}` cannot isolate jobs: {}", self.host.shown(), probed.system))
                .detail(why.clone())
                .hint(
                    "on Linux it needs util-linux and user namespaces: `sysctl kernel.unprivileged_userns_clone=1 \
                     kernel.apparmor_restrict_unprivileged_userns=0`",
                )
                .hint(format!(
                    "or let recipes read and change all that this user can there, and use its network: `same_user = true` \
                     in `[[runner]]` `{}`",
                    self.runner
                )));
        }
        let isolates = probed.not_isolated.is_none();
        Ok((probed.system, isolates))
    }

    fn isolated(&self) -> Result<bool> {
        if let Some(known) = self.isolated.get() {
            return Ok(*known);
        }
        let (_, isolates) = self.look()?;
        Ok(*self.isolated.get_or_init(|| isolates))
    }

    fn dispatch(&self, request: &JobRequest) -> Result<()> {
        let name = request.name();
        let isolated = self.isolated()?;
        let wanted = objects::of(request);
        let orders = orders::of(request, wanted.keys(), isolated, &self.read)?;
        let older: Vec<String> = request.older().map(|name| name.to_string()).collect();
        // What is here of a log would be of an earlier run.
        self.logs.lock().remove(&name);
        // An object may be removed between two calls by whoever sweeps another train there.
        for _ in 0..4 {
            let missing = self.host.start(&name, &older, &orders)?;
            if missing.is_empty() {
                return Ok(());
            }
            for digest in &missing {
                if let Some(object) = wanted.get(digest) {
                    object.check(digest)?;
                    self.host.put(digest, object.file)?;
                }
            }
        }
        Err(Error::transient(format!("`{}` does not keep the inputs of a job", self.host.shown())))
    }

    fn observe(&self, handles: &[Handle]) -> Result<Vec<JobStatus>> {
        let names = handles.iter().map(|handle| self.name(handle)).collect::<Result<Vec<_>>>()?;
        let states = self.host.observe(&names)?;
        Ok(states.into_iter().map(JobState::status).collect())
    }

    /// Brings what is new of a log, and says how the job stood before.
    fn bring(&self, request: &JobRequest, name: &JobName) -> Result<(JobState, JobLog)> {
        let dir = self.dir(name);
        create_private_dir(&dir)?;
        let log = self.logs.lock().entry(name.clone()).or_default().clone();
        // Two at once would bring the same bytes.
        let mut log = log.lock();
        let secrets: Vec<String> = request.secrets.values().map(|s| s.expose().to_owned()).collect();
        let state = log.bring(&self.host, name, &dir.join("log"), &secrets)?;
        let mut warnings = Vec::new();
        if log.secret_found() {
            warnings.push(SECRET_PRINTED.to_owned());
        }
        if log.is_cut() {
            warnings.push(LOG_CUT.to_owned());
        }
        if state.left_processes() {
            warnings.push(NOT_KILLED.to_owned());
        }
        Ok((state, JobLog { path: dir.join("log"), warnings }))
    }

    fn collect(&self, request: &JobRequest, name: &JobName) -> Result<JobReport> {
        let step = &request.step;
        let (state, log) = self.bring(request, name)?;
        if !matches!(state, JobState::Exited { code: 0, left: false }) {
            return Err(Error::fatal(format!("the job of `{step}` did not succeed"))
                .detail(format!("log: {}", log.path.display())));
        }
        let declared = &request.job.artifacts;
        let details =
            vec![format!("machine: {}, job {name}", self.host.shown()), format!("log: {}", log.path.display())];
        let judge = Judge { step, details };
        let left = left::Listing::read(&self.host.left(name)?, declared)
            .map_err(|e| e.detail(format!("step: {step}")))?
            .ok_or_else(|| judge.no_root())?;
        let sizes = judge.judge(&left, declared)?;
        let dir = self.dir(name).join("artifacts");
        remove_tree(&dir)?;
        create_private_dir(&dir)?;
        let mut artifacts = Vec::with_capacity(declared.len());
        for (artifact, size) in declared.iter().zip(sizes) {
            let path = dir.join(artifact.name.as_str());
            let what = || format!("cannot write `{}`", path.display());
            let file = create_private_file(&path).context(what())?;
            self.host.get(name, &artifact.path, file, size)?;
            let found = fs::metadata(&path).context(what())?.len();
            if found != size {
                return Err(judge.wrong(&artifact.path, &format!("came with {found} bytes, and has {size} there")));
            }
            artifacts.push((artifact.name.clone(), path));
        }
        Ok(JobReport { artifacts, log: log.path, warnings: log.warnings })
    }

    fn forget(&self, name: &JobName) -> Result<()> {
        self.logs.lock().remove(name);
        remove_tree(&self.dir(name))
    }

    fn sweep(&self, train: &TrainNonce) -> Result<()> {
        self.host.sweep(&JobName::prefix(train))?;
        self.logs.lock().clear();
        // The directory is of this train alone.
        remove_tree(&self.brought)
    }
}

#[async_trait::async_trait]
impl Runner for SshRunner {
    fn name(&self) -> &RunnerName {
        &self.name
    }

    fn labels(&self) -> &[Label] {
        &self.labels
    }

    // What is there can be read by whoever administers that machine.
    fn exposure(&self) -> Exposure {
        Exposure::Private
    }

    fn slots(&self) -> usize {
        self.slots
    }

    async fn probe(&self) -> Result<RunnerFacts> {
        let inner = self.inner.clone();
        let looked = aside(move || inner.look()).await;
        let (system, isolates) = looked.ok_or_else(|| Error::fatal("the probe of a runner ended early"))??;
        let isolates = match isolates {
            true => "isolates jobs",
            false => "does NOT isolate jobs (`same_user`): they can read and change everything that this user can",
        };
        let labels: Vec<&str> = self.labels.iter().map(Label::as_str).collect();
        let slots = counted(self.slots, "slot");
        let about = format!("{}, {system}; {slots}; labels: {}; {isolates}", self.inner.host.shown(), labels.join(" "));
        Ok(RunnerFacts { about, exposure: self.exposure() })
    }

    async fn dispatch(&self, request: &JobRequest) -> Result<Handle> {
        blocking(|| self.inner.dispatch(request)).map_err(|e| e.detail(format!("step: {}", request.step)))?;
        Ok(Handle { runner: self.name.clone(), job: request.name().to_string() })
    }

    async fn find(&self, name: &JobName) -> Result<Option<Handle>> {
        let handle = Handle { runner: self.name.clone(), job: name.to_string() };
        let seen = blocking(|| self.inner.observe(std::slice::from_ref(&handle)))?;
        Ok(seen.iter().any(|status| *status != JobStatus::Lost).then_some(handle))
    }

    async fn observe(&self, handles: &[Handle]) -> Result<Vec<JobStatus>> {
        if handles.is_empty() {
            return Ok(Vec::new());
        }
        blocking(|| self.inner.observe(handles))
    }

    async fn collect(&self, request: &JobRequest, handle: &Handle) -> Result<JobReport> {
        let name = self.inner.name(handle)?;
        blocking(|| self.inner.collect(request, &name))
    }

    async fn log(&self, request: &JobRequest, handle: &Handle) -> Result<JobLog> {
        let name = self.inner.name(handle)?;
        Ok(blocking(|| self.inner.bring(request, &name))?.1)
    }

    async fn cancel(&self, handle: &Handle) -> Result<()> {
        let name = self.inner.name(handle)?;
        blocking(|| {
            self.inner.host.cancel(&name)?;
            self.inner.forget(&name)
        })
    }

    async fn sweep(&self, train: &TrainNonce) -> Result<()> {
        blocking(|| self.inner.sweep(train))
    }
}
