//! Remotes that the user's own git program reaches: paths, ssh, https.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

use super::porcelain;
use crate::adapter::{Adapter, Around, Program, RemoteFacts, RemoteTable, Settings, Spec};
use crate::effects::{Breaker, Clock, Failure, RefUpdate, Remote};
use crate::error::{Context as _, Error, ErrorKind, Part, Result};
use crate::git::{Call, Configuration, GitOutput, GitProgram, STILL, is_address};
use crate::model::{Oid, RemoteName, check_ref_name};
use crate::table::{Faults, NO_KEYS, Table};

/// What the user's own git program reaches.
pub(super) const ADAPTER: Adapter<dyn Remote> = Adapter {
    kind: "git",
    about: "what the user's own git program reaches: paths, ssh, https, with the user's credentials",
    example: "what `git push` takes: a path, `ssh://…`, `host:path`, `https://…`, `http://…`, `git://…`, `file://…`",
    keys: NO_KEYS,
    programs: &[Program::SSH],
    facts: RemoteFacts { takes: is_address },
    parse,
};

fn parse(common: &RemoteTable, table: Table<'_>, faults: &mut Faults) -> Option<Spec<dyn Remote>> {
    table.has_no_more(faults);
    Some(Arc::new(Configured(common.clone())))
}

/// A checked table.
#[derive(Debug)]
struct Configured(RemoteTable);

impl Settings<dyn Remote> for Configured {
    fn place(&self) -> String {
        self.0.url.clone()
    }

    fn programs(&self) -> Vec<Program> {
        let url = &self.0.url;
        let over_ssh = !url.starts_with('/') && !url.starts_with("http") && !url.starts_with("file:");
        over_ssh.then_some(Program::SSH).into_iter().collect()
    }

    fn open(&self, around: &Around) -> Result<Arc<dyn Remote>> {
        let program = GitProgram::from_env().of_clone(&around.repository);
        Ok(Arc::new(GitRemote::new(program, self.0.name.clone(), &self.0.url).with_breaker(around.clock.clone())))
    }
}

/// How long a remote may take to say that it is there.
const PROBE: Duration = Duration::from_secs(8);
/// How long a remote may take to list refs.
const OBSERVE: Duration = Duration::from_secs(60);
/// How long a push may take.
const PUSH: Duration = Duration::from_secs(900);

/// A remote and the git program that talks to it.
#[derive(Clone)]
pub struct GitRemote {
    program: GitProgram,
    name: RemoteName,
    url: String,
    deadlines: Deadlines,
    breaker: Option<Watched>,
}

/// The breaker of a server, and the clock by which it closes again.
#[derive(Clone)]
struct Watched {
    clock: Arc<dyn Clock>,
    breaker: Arc<Mutex<Breaker>>,
}

impl Watched {
    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock()
    }
}

#[derive(Debug, Clone, Copy)]
struct Deadlines {
    probe: Duration,
    observe: Duration,
    push: Duration,
    still: Duration,
}

/// Kills a call that nobody waits for any more.
struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl GitRemote {
    /// The remote `name` at `url`, an address that [`is_address`] takes.
    #[must_use]
    pub fn new(program: GitProgram, name: RemoteName, url: impl Into<String>) -> Self {
        let deadlines = Deadlines { probe: PROBE, observe: OBSERVE, push: PUSH, still: STILL };
        Self { program, name, url: url.into(), deadlines, breaker: None }
    }

    /// The same, leaving the server alone for a while after failures in a row, as forges' clients do.
    #[must_use]
    pub fn with_breaker(mut self, clock: Arc<dyn Clock>) -> Self {
        self.breaker = Some(Watched { clock, breaker: Arc::default() });
        self
    }

    /// The same with one deadline for everything, for tests and impatient people.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadlines = Deadlines { probe: deadline, observe: deadline, push: deadline, ..self.deadlines };
        self
    }

    /// The same, giving up after this time, in whole seconds, in which nothing moved.
    #[must_use]
    pub fn with_still(mut self, still: Duration) -> Self {
        self.deadlines.still = still;
        self
    }

    async fn run(
        &self,
        deadline: Duration,
        build: impl FnOnce(Call<'_>) -> Call<'_> + Send + 'static,
    ) -> Result<GitOutput> {
        let program = self.program.clone();
        let cancelled = CancelOnDrop(Arc::new(AtomicBool::new(false)));
        let flag = Arc::clone(&cancelled.0);
        let still = self.deadlines.still;
        // Waited for beside the loop on any runtime, unlike `effects::blocking`: a remote may take minutes, and dropping
        // this future must end the program. All effects are the program's own.
        let ran = tokio::task::spawn_blocking(move || {
            build(program.call(Configuration::User).deadline(deadline).cancelled_by(flag).still(still)).run()
        });
        let out = ran.await.context(format!("remote `{}`: git was not waited for", self.name))?;
        drop(cancelled);
        out.map_err(|e| e.context(format!("remote `{}`", self.name)).of(Part::Git))
    }

    /// Runs git to talk to the server; an output that shows a failure of the server's own counts for the breaker.
    ///
    /// # Errors
    /// The server is left alone for now, git cannot be run, or it took too long.
    async fn ask(
        &self,
        deadline: Duration,
        build: impl FnOnce(Call<'_>) -> Call<'_> + Send + 'static,
    ) -> Result<GitOutput> {
        let Some(watched) = &self.breaker else { return self.run(deadline, build).await };
        let admitted = watched.breaker().admit(watched.clock.now());
        if let Err(since) = admitted {
            let why = format!("remote `{}` cannot be reached: it does not answer since {since}", self.name);
            return Err(Error::new(ErrorKind::Unreachable, why)
                .of(Part::Git)
                .hint("`lifeboat reconcile` goes on once it is back"));
        }
        let ran = self.run(deadline, build).await;
        let silent = matches!(&ran, Err(e) if e.kind() == ErrorKind::Unreachable);
        let refused = |out: &GitOutput| {
            let failure = porcelain::failure(&self.name, out, &porcelain::results(&out.stdout));
            !out.succeeded() && failure.kind() == ErrorKind::Unreachable
        };
        let now = watched.clock.now();
        match &ran {
            Ok(out) if !refused(out) => watched.breaker().answered(),
            Ok(_) => watched.breaker().failed(now, Failure::Immediate),
            Err(_) if silent => watched.breaker().failed(now, Failure::Silent),
            // Trouble of this machine says nothing of the server.
            Err(_) => {}
        }
        ran
    }

    /// `git push` of these refspecs.
    async fn send(&self, repo: &Path, specs: Vec<String>, options: &'static [&'static str]) -> Result<GitOutput> {
        let (url, repo) = (self.url.clone(), PathBuf::from(repo));
        self.ask(self.deadlines.push, move |call| {
            call.repository(&repo)
                // The user's own push options are not for this push.
                .args(["-c", "push.pushOption=", "push", "--atomic", "--porcelain", "--no-verify", "--no-follow-tags"])
                .args(["--no-signed", "--recurse-submodules=no"])
                .args(options.iter().copied())
                .args(["--"])
                .args([url])
                .args(specs)
        })
        .await
    }

    async fn list(&self, deadline: Duration, refs: Vec<String>) -> Result<Vec<u8>> {
        let url = self.url.clone();
        let out =
            // In no repository, wherever this program was started: what counts is passed to every call alike.
            self.ask(deadline, move |call| {
                call.variable("GIT_DIR", "/dev/null").args(["ls-remote", "--quiet", "--"]).args([url]).args(refs)
            })
            .await?;
        if out.succeeded() { Ok(out.stdout) } else { Err(porcelain::failure(&self.name, &out, &[])) }
    }
}

#[async_trait::async_trait]
impl Remote for GitRemote {
    fn name(&self) -> &RemoteName {
        &self.name
    }

    async fn probe(&self) -> Result<()> {
        self.list(self.deadlines.probe, vec!["HEAD".to_owned()]).await.map(drop)
    }

    async fn observe(&self, refs: &[String]) -> Result<Vec<Option<Oid>>> {
        for name in refs {
            check_ref_name(name)?;
        }
        let listed = self.list(self.deadlines.observe, refs.to_vec()).await?;
        porcelain::refs(&listed, refs)
    }

    async fn holds(&self, repo: &Path, name: &str, commit: &Oid) -> Result<bool> {
        let Some(there) = self.fetch(repo, name).await? else { return Ok(false) };
        let (dir, commit) = (repo.to_owned(), commit.to_string());
        let asked = self
            .run(self.deadlines.observe, move |call| {
                call.repository(&dir).args(["merge-base", "--is-ancestor"]).args([commit, there.to_string()])
            })
            .await?;
        // 1 says no; anything else is git's own trouble.
        match asked.code {
            Some(0) => Ok(true),
            Some(1) => Ok(false),
            _ => Err(asked.failure(&format!("remote `{}`: cannot compare `{name}`", self.name))),
        }
    }

    async fn fetch(&self, repo: &Path, name: &str) -> Result<Option<Oid>> {
        let found = self.observe(&[name.to_owned()]).await?.into_iter().flatten().next();
        if found.is_none() {
            return Ok(None);
        }
        let (url, repo, name) = (self.url.clone(), PathBuf::from(repo), name.to_owned());
        let out = self
            .ask(self.deadlines.push, move |call| {
                call.repository(&repo)
                    .args(["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance"])
                    .args(["--recurse-submodules=no", "--"])
                    .args([url, name])
            })
            .await?;
        if out.succeeded() { Ok(found) } else { Err(porcelain::failure(&self.name, &out, &[])) }
    }

    async fn push(&self, repo: &Path, updates: &[RefUpdate]) -> Result<()> {
        for update in updates {
            check_ref_name(&update.name)?;
        }
        // What is there already is success; what is there and is not what we expected is for a person.
        let names: Vec<String> = updates.iter().map(|u| u.name.clone()).collect();
        let mut specs = Vec::new();
        for (update, now) in updates.iter().zip(self.observe(&names).await?) {
            if now.as_ref() == Some(&update.new) {
                continue;
            }
            if now != update.old {
                return Err(moved(&self.name, update, now.as_ref()));
            }
            // Without `+`, git and the remote refuse whatever would lose a commit or move a tag.
            specs.push(format!("{}:{}", update.new, update.name));
        }
        if specs.is_empty() {
            return Ok(());
        }
        let out = self.send(repo, specs, &[]).await?;
        let results = porcelain::results(&out.stdout);
        let all = updates.iter().all(|u| results.iter().all(|r| r.name != u.name || r.accepted()));
        if out.succeeded() && all { Ok(()) } else { Err(porcelain::failure(&self.name, &out, &results)) }
    }

    async fn can_push(&self, repo: &Path, updates: &[RefUpdate]) -> Result<()> {
        for update in updates {
            check_ref_name(&update.name)?;
        }
        let specs = updates.iter().map(|u| format!("{}:{}", u.new, u.name)).collect();
        let out = self.send(repo, specs, &["--dry-run"]).await?;
        let results = porcelain::results(&out.stdout);
        if out.succeeded() { Ok(()) } else { Err(porcelain::failure(&self.name, &out, &results)) }
    }
}

fn moved(remote: &RemoteName, update: &RefUpdate, now: Option<&Oid>) -> Error {
    let show = |oid: Option<&Oid>| oid.map_or_else(|| "nothing".to_owned(), ToString::to_string);
    Error::conflict(format!("remote `{remote}` has `{}` at another commit than planned", update.name))
        .detail(format!("planned: {}", show(update.old.as_ref())))
        .detail(format!("there:   {}", show(now)))
        .detail(format!("ours:    {}", update.new))
        .hint("nothing was pushed; look at what was pushed there, then plan the line again on the branch as it is now")
}
