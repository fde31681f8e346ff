//! A train on this machine: its directory, its plan, its journal.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::{Mutex, MutexGuard};

use super::index::ReleaseHistory;
use super::view::TrainView;
use crate::effects::{Disk, Effects, LockGuard, Objects, PrivateRepo, ProgressEvent, Role, files, locks};
use crate::error::{Context as _, Error, Result};
use crate::formats::series::Series;
use crate::journal::{Event, Journal, State};
use crate::model::{RemoteName, TrainNonce, escape};
use crate::plan::{Graph, Plan, check};
use crate::trust::{Approval, TrustedRoot};

/// Where a train's files are. Only the plan, the journal and the objects last; the rest is a cache that may be lost.
#[derive(Debug, Clone)]
pub struct TrainDir(PathBuf);

impl TrainDir {
    /// The directory of a train.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The adopted plan.
    #[must_use]
    pub fn plan(&self) -> PathBuf {
        self.0.join("plan.json")
    }

    /// The journal.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.0.join("journal.jsonl")
    }

    /// The content-addressed objects.
    #[must_use]
    pub fn objects(&self) -> PathBuf {
        self.0.join("objects")
    }

    /// It is there once a review bundle was written: people elsewhere may have approved since.
    #[must_use]
    pub fn exported(&self) -> PathBuf {
        self.0.join("exported")
    }

    /// The lock that one process at a time holds.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.0.join("lock")
    }

    /// The private repository: a cache.
    #[must_use]
    pub fn repository(&self) -> PathBuf {
        self.0.join("repository.git")
    }

    /// Where runners of this machine work: a cache.
    #[must_use]
    pub fn jobs(&self) -> PathBuf {
        self.0.join("jobs")
    }

    /// Reads the plan that was adopted first and checks it again.
    pub(super) fn first_plan(&self, disk: &dyn Disk) -> Result<Plan> {
        let path = self.plan();
        let bytes = disk.read(&path).context(format!("cannot read `{}`", path.display()))?;
        let Some(bytes) = bytes else {
            self.plan_is_not_lost(disk)?;
            return Err(Error::input(format!("there is no train in `{}`", self.0.display()))
                .hint("`lifeboat status` lists the trains of this project"));
        };
        let plan = Plan::from_bytes(&bytes).map_err(|e| e.detail(format!("file: {}", path.display())))?;
        // It was checked before it was adopted: the file was changed since.
        check(&plan).map_err(|e| {
            Error::verification(format!("`{}` is not the plan that was adopted: {}", path.display(), e.message()))
                .hint("restore it from a backup or another maintainer's copy; nothing was changed")
        })?;
        Ok(plan)
    }

    /// Refuses a directory with a journal and no plan: adoption writes the plan first.
    ///
    /// # Errors
    /// The plan is lost; the file system's.
    pub(crate) fn plan_is_not_lost(&self, disk: &dyn Disk) -> Result<()> {
        let there = |path: PathBuf| disk.entry(&path).context(format!("cannot look at `{}`", path.display()));
        // The journal first: another process may adopt the train meanwhile, which writes the plan before it.
        if there(self.journal())?.is_none_or(|e| e.size == 0) || there(self.plan())?.is_some() {
            return Ok(());
        }
        Err(Error::verification(format!("the train in `{}` has lost its `plan.json`", self.0.display()))
            .detail(format!("its journal is there: {}", self.journal().display()))
            .hint("restore `plan.json` from a backup or another maintainer's copy")
            .hint("or abandon the train for good by moving that directory away"))
    }

    /// Refuses a journal without a record where steps have left objects: begun anew, the train would do again what is
    /// public already. What adoption itself leaves are pinned series, also of an attempt that was killed.
    ///
    /// # Errors
    /// The journal is lost; the file system's.
    pub(crate) fn journal_is_not_lost(&self, disk: &Arc<dyn Disk>, plan: &Plan) -> Result<()> {
        let objects = Objects::new(disk.clone(), self.objects());
        for id in objects.ids()? {
            if plan.lines.iter().any(|l| l.series == id) || Series::is_one(&mut *objects.open(&id)?)? {
                continue;
            }
            let journal = self.journal();
            return Err(Error::verification(format!("journal `{}` has lost its records", journal.display()))
                .detail(format!("steps of this train have run: object {id} is of one of them"))
                .hint("restore the journal from a backup or another maintainer's copy")
                .hint(format!(
                    "or abandon the train for good: check what is public, then move `{}` away",
                    self.0.display()
                )));
        }
        Ok(())
    }
}

/// A train whose lock is held.
pub struct Train {
    dir: TrainDir,
    graph: Arc<Graph>,
    journal: Mutex<Journal>,
    objects: Objects,
    trust: Arc<TrustedRoot>,
    repo: PrivateRepo,
    repo_lock: Mutex<()>,
    forge_turns: Mutex<BTreeMap<RemoteName, Arc<tokio::sync::Mutex<()>>>>,
    past: ReleaseHistory,
    judged: Mutex<BTreeMap<Timestamp, Vec<Approval>>>,
    _lock: Box<dyn LockGuard>,
}

/// Whether adopting found the train there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adopted {
    /// It is new.
    Now,
    /// The same plan was adopted before.
    Before,
}

impl Train {
    /// Adopts a plan: from now on it never changes. Adopting the same plan twice is one adoption.
    ///
    /// # Errors
    /// Another plan in the same directory, a train held by another process, the file system's.
    pub fn adopt(effects: &Effects, trust: Arc<TrustedRoot>, dir: &TrainDir, plan: &Plan) -> Result<(Self, Adopted)> {
        same_root(&trust, plan)?;
        files::create_dir_all(&*effects.disk, dir.path(), 0o700)?;
        let lock = lock(&*effects.disk, dir)?;
        if !files::write_new(&*effects.disk, &dir.plan(), 0o600, &mut &plan.to_bytes()?[..])? {
            Self::adoptable(&*effects.disk, dir, plan)?;
        }
        let train = Self::open_locked(effects, trust, dir, lock)?;
        let adopted = train.adopt_once(effects)?;
        Ok((train, adopted))
    }

    /// Whether a plan can be adopted in a directory: nothing is there, or the same plan; changes nothing.
    ///
    /// # Errors
    /// Another plan is there.
    pub(crate) fn adoptable(disk: &dyn Disk, dir: &TrainDir, plan: &Plan) -> Result<()> {
        dir.plan_is_not_lost(disk)?;
        let there = disk.read(&dir.plan()).context("cannot read the adopted plan")?;
        if there.is_none_or(|bytes| plan.to_bytes().is_ok_and(|ours| bytes == ours)) {
            return Ok(());
        }
        let name = &plan.train;
        Err(Error::conflict(format!("train `{name}` was adopted with another plan")).hint(format!(
            "an adopted plan never changes: go on with `lifeboat ship --train {name}`, or give it up with `lifeboat abandon \
             {name} --reason …` and give the new train another name"
        )))
    }

    /// Whether the train can still act.
    ///
    /// # Errors
    /// It was abandoned.
    pub(crate) fn under_way(&self) -> Result<()> {
        let name = &self.plan().train;
        match self.journal().state().abandoned() {
            None => Ok(()),
            Some(reason) => Err(Error::input(format!("train `{name}` was abandoned: {}", escape(reason)))
                .hint("plan it again under another name, with `lifeboat plan TRAIN.toml`")),
        }
    }

    /// What was drawn when the train was adopted.
    ///
    /// # Errors
    /// It was not adopted yet.
    pub(crate) fn nonce(&self) -> Result<TrainNonce> {
        let nonce = self.journal().state().nonce().cloned();
        nonce
            .ok_or_else(|| Error::fatal("the train has no nonce").hint("run `lifeboat ship`: it adopts the plan first"))
    }

    fn adopt_once(&self, effects: &Effects) -> Result<Adopted> {
        let mut journal = self.journal();
        if journal.state().nonce().is_some() {
            return Ok(Adopted::Before);
        }
        let nonce = TrainNonce::from_bytes(effects.clock.nonce()?);
        let certificate = effects.keys.signer(&Role::Operator)?.certificate()?;
        journal.append(Event::PlanAdopted { plan: self.graph.id(), nonce, certificate })?;
        Ok(Adopted::Now)
    }

    /// Opens an adopted train and takes its lock.
    ///
    /// # Errors
    /// No train there, a broken plan or journal, a train held by another process.
    pub fn open(effects: &Effects, trust: Arc<TrustedRoot>, dir: &TrainDir) -> Result<Self> {
        same_root(&trust, &dir.load_plan(&*effects.disk)?)?;
        Self::open_to_abandon(effects, trust, dir)
    }

    /// Opens a train to amend it, which any root allows: the child plan names the one that counts now.
    ///
    /// # Errors
    /// As [`Train::open`], but for another trust root.
    pub fn open_to_amend(effects: &Effects, trust: Arc<TrustedRoot>, dir: &TrainDir) -> Result<Self> {
        Self::open_to_abandon(effects, trust, dir)
    }

    /// Replaces the plan by a child of it. This value keeps the graph of the parent: open the train again to go on with it.
    ///
    /// # Errors
    /// A child that cannot amend the plan, the file system's.
    pub(super) fn amend(&self, child: Arc<Graph>, reason: Option<String>) -> Result<()> {
        let object = self.objects.put(&child.plan().to_bytes()?)?.sha256;
        self.journal().amend(child, object, reason)
    }

    /// Opens a train to abandon it, which any root allows: one that can neither go on nor be abandoned would keep its claims.
    ///
    /// # Errors
    /// As [`Train::open`], but for another trust root.
    pub(crate) fn open_to_abandon(effects: &Effects, trust: Arc<TrustedRoot>, dir: &TrainDir) -> Result<Self> {
        // Whoever finds no train here makes no file for its lock either.
        dir.first_plan(&*effects.disk)?;
        let lock = lock(&*effects.disk, dir)?;
        let train = Self::open_locked(effects, trust, dir, lock)?;
        // Adoption may have been interrupted between the plan and the first record.
        train.adopt_once(effects)?;
        Ok(train)
    }

    fn open_locked(
        effects: &Effects,
        trust: Arc<TrustedRoot>,
        dir: &TrainDir,
        lock: Box<dyn LockGuard>,
    ) -> Result<Self> {
        // Read under the lock: another process may have amended the plan just before.
        let plans = dir.read(&*effects.disk)?.plans;
        let signer = effects.keys.signer(&Role::Operator)?;
        let journal = Journal::open(effects.disk.clone(), effects.clock.clone(), signer, dir.journal(), plans)?;
        let graph = journal.state().graph().clone();
        let borrow = PathBuf::from(&graph.plan().repository);
        if journal.state().nonce().is_none() {
            dir.journal_is_not_lost(&effects.disk, graph.plan())?;
        }
        if journal.was_torn() {
            let text =
                format!("note      dropped an unfinished record at the end of journal `{}`", dir.journal().display());
            effects.progress.event(ProgressEvent::Note(text));
        }
        Ok(Self {
            dir: dir.clone(),
            graph,
            journal: Mutex::new(journal),
            objects: Objects::new(effects.disk.clone(), dir.objects()),
            repo: PrivateRepo { dir: dir.repository(), borrow },
            trust,
            repo_lock: Mutex::new(()),
            forge_turns: Mutex::default(),
            past: ReleaseHistory::default(),
            judged: Mutex::default(),
            _lock: lock,
        })
    }

    /// The same train, with what the trains of this machine did: the indexes that it writes say so.
    #[must_use]
    pub(crate) fn with_past(self, past: ReleaseHistory) -> Self {
        Self { past, ..self }
    }

    /// See [`Train::with_past`].
    #[must_use]
    pub fn past(&self) -> &ReleaseHistory {
        &self.past
    }

    /// The journal, for one caller at a time.
    pub fn journal(&self) -> MutexGuard<'_, Journal> {
        // A panic while recording leaves the file whole or torn, which the journal repairs: the lock itself is sound.
        self.journal.lock()
    }

    /// The state now; what is recorded later is not in it.
    #[must_use]
    pub fn state(&self) -> Arc<State> {
        self.journal().snapshot()
    }

    /// The train as it is now, to be read.
    #[must_use]
    pub fn view(&self) -> TrainView {
        TrainView::new(self.state(), self.objects.clone(), self.trust.clone())
    }

    /// The graph of the plan.
    #[must_use]
    pub fn graph(&self) -> &Arc<Graph> {
        &self.graph
    }

    /// The adopted plan.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        self.graph.plan()
    }

    /// The trust root by which approvals count.
    #[must_use]
    pub fn trust(&self) -> &TrustedRoot {
        &self.trust
    }

    /// The same, to be kept.
    pub(super) fn trust_shared(&self) -> Arc<TrustedRoot> {
        self.trust.clone()
    }

    /// The objects.
    #[must_use]
    pub fn objects(&self) -> &Objects {
        &self.objects
    }

    /// The private repository.
    #[must_use]
    pub fn repository(&self) -> &PrivateRepo {
        &self.repo
    }

    /// Held while the private repository is made or filled, which one step at a time may do.
    pub(crate) fn repository_lock(&self) -> MutexGuard<'_, ()> {
        self.repo_lock.lock()
    }

    /// Held by the one delivery of this train that acts on a forge's workflows.
    pub(super) fn forge_turn(&self, forge: &RemoteName) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.forge_turns.lock();
        turns.entry(forge.clone()).or_default().clone()
    }

    /// The approvals that counted at a time, judged once for each.
    pub(super) fn judged(
        &self,
        when: Timestamp,
        judge: impl FnOnce() -> Result<Vec<Approval>>,
    ) -> Result<Vec<Approval>> {
        let mut judged = self.judged.lock();
        if let Some(known) = judged.get(&when) {
            return Ok(known.clone());
        }
        let counted = judge()?;
        judged.insert(when, counted.clone());
        Ok(counted)
    }

    /// The directory.
    #[must_use]
    pub fn dir(&self) -> &TrainDir {
        &self.dir
    }
}

/// A train goes on only under the trust root that it was planned under, or one that follows from it.
pub(super) fn same_root(trust: &TrustedRoot, plan: &Plan) -> Result<()> {
    if !trust.accepted.contains(&plan.trust_root) {
        return Err(Error::verification(format!("train `{}` was planned under another trust root", plan.train))
            .detail(format!("planned under sha256:{}", plan.trust_root))
            .detail(format!("trusted here  sha256:{}", trust.digest))
            .hint("abandon the train and plan it again under the root that counts now"));
    }
    Ok(())
}

fn lock(disk: &dyn Disk, dir: &TrainDir) -> Result<Box<dyn LockGuard>> {
    locks::take(disk, &dir.lock(), &format!("another lifeboat process holds the train in `{}`", dir.path().display()))
}
