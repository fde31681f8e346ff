//! Ports that tick a [`KillPoints`] before every state-changing call.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use lifeboat::bump::SourceTree;
use lifeboat::effects::{
    ArchiveSpec, DirEntry, Disk, DiskFile, Git, Handle, JobLog, JobReport, JobRequest, JobStatus, LockGuard, PackFiles,
    PrivateRepo, Runner, RunnerFacts, Served, StaticFile,
};
use lifeboat::error::{Context as _, Result};
use lifeboat::formats::series::Series;
use lifeboat::model::{Ident, Label, Oid, RunnerName, TrainNonce};
use lifeboat::step::{Exposure, JobName, MergedAs};

use super::kill_points::KillPoints;

/// A disk whose calls are kill points; each write and each sync of a file too.
pub struct CountingDisk {
    inner: Arc<dyn Disk>,
    points: Arc<KillPoints>,
}

impl CountingDisk {
    pub fn new(inner: Arc<dyn Disk>, points: Arc<KillPoints>) -> Arc<Self> {
        Arc::new(Self { inner, points })
    }

    fn tick(&self, call: &str, path: &Path) -> io::Result<()> {
        self.points.tick(|| format!("disk {call} {}", path.display()))
    }

    fn counted(&self, file: Box<dyn DiskFile>, path: &Path) -> Box<dyn DiskFile> {
        Box::new(CountingFile { inner: file, points: self.points.clone(), path: path.to_owned() })
    }
}

struct CountingFile {
    inner: Box<dyn DiskFile>,
    points: Arc<KillPoints>,
    path: PathBuf,
}

impl Write for CountingFile {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.points.tick(|| format!("disk write {}", self.path.display()))?;
        self.inner.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl DiskFile for CountingFile {
    fn sync(&mut self) -> io::Result<()> {
        match self.points.tick(|| format!("disk sync {}", self.path.display())) {
            Err(late) if late.kind() == io::ErrorKind::TimedOut => {
                self.inner.sync()?;
                Err(late)
            }
            next => next.and_then(|()| self.inner.sync()),
        }
    }
}

impl Disk for CountingDisk {
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        self.inner.read(path)
    }

    fn open(&self, path: &Path) -> io::Result<Option<Box<dyn Read + Send>>> {
        let opened = self.inner.open(path)?;
        if opened.is_some() {
            self.points.read(path);
        }
        Ok(opened)
    }

    fn entry(&self, path: &Path) -> io::Result<Option<DirEntry>> {
        self.inner.entry(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        self.inner.list(path)
    }

    fn create_dir(&self, path: &Path, mode: u32) -> io::Result<()> {
        self.tick("create_dir", path)?;
        self.inner.create_dir(path, mode)
    }

    fn create_new(&self, path: &Path, mode: u32) -> io::Result<Box<dyn DiskFile>> {
        self.tick("create_new", path)?;
        Ok(self.counted(self.inner.create_new(path, mode)?, path))
    }

    fn append(&self, path: &Path, mode: u32) -> io::Result<Box<dyn DiskFile>> {
        self.tick("append", path)?;
        Ok(self.counted(self.inner.append(path, mode)?, path))
    }

    fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        self.tick("truncate", path)?;
        self.inner.truncate(path, len)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.tick("rename", to)?;
        self.inner.rename(from, to)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.tick("hard_link", to)?;
        self.inner.hard_link(from, to)
    }

    fn set_mode(&self, path: &Path, mode: u32) -> io::Result<()> {
        self.tick("set_mode", path)?;
        self.inner.set_mode(path, mode)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.tick("remove_file", path)?;
        self.inner.remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.tick("remove_dir_all", path)?;
        self.inner.remove_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.tick("sync_dir", path)?;
        self.inner.sync_dir(path)
    }

    fn free_space(&self, path: &Path) -> io::Result<u64> {
        self.inner.free_space(path)
    }

    fn try_lock(&self, path: &Path) -> io::Result<Option<Box<dyn LockGuard>>> {
        self.tick("try_lock", path)?;
        self.inner.try_lock(path)
    }
}

/// Git whose changes of the private repository are kill points.
pub struct CountingGit {
    inner: Arc<dyn Git>,
    points: Arc<KillPoints>,
}

impl CountingGit {
    pub fn new(inner: Arc<dyn Git>, points: Arc<KillPoints>) -> Arc<Self> {
        Arc::new(Self { inner, points })
    }

    fn tick(&self, call: &str) -> Result<()> {
        self.points.tick(|| format!("git {call}")).context(format!("git {call}"))
    }
}

impl Git for CountingGit {
    fn ensure(&self, repo: &PrivateRepo) -> Result<()> {
        self.tick("ensure")?;
        self.inner.ensure(repo)
    }

    fn has_commit(&self, repo: &PrivateRepo, commit: &Oid) -> Result<bool> {
        self.inner.has_commit(repo, commit)
    }

    fn apply_series(
        &self,
        repo: &PrivateRepo,
        base: &Oid,
        series: &Series,
        committer: &Ident,
        date: Timestamp,
    ) -> Result<Vec<Oid>> {
        self.tick("apply_series")?;
        self.inner.apply_series(repo, base, series, committer, date)
    }

    fn tree(&self, repo: &PrivateRepo, commit: &Oid) -> Result<Box<dyn SourceTree>> {
        self.inner.tree(repo, commit)
    }

    fn commit_edits(
        &self,
        repo: &PrivateRepo,
        parent: &Oid,
        edits: &[(String, Vec<u8>)],
        message: &str,
        committer: &Ident,
        date: Timestamp,
    ) -> Result<Oid> {
        self.tick("commit_edits")?;
        self.inner.commit_edits(repo, parent, edits, message, committer, date)
    }

    fn changed(&self, repo: &PrivateRepo, from: &Oid, to: &Oid) -> Result<Vec<String>> {
        self.inner.changed(repo, from, to)
    }

    fn deleted(&self, repo: &PrivateRepo, from: &Oid, to: &Oid) -> Result<Vec<String>> {
        self.inner.deleted(repo, from, to)
    }

    fn tree_id(&self, repo: &PrivateRepo, commit: &Oid) -> Result<Oid> {
        self.inner.tree_id(repo, commit)
    }

    fn export_pack(&self, repo: &PrivateRepo, base: &Oid, head: &Oid, out: &mut dyn Write) -> Result<()> {
        self.inner.export_pack(repo, base, head, out)
    }

    fn import_pack(&self, repo: &PrivateRepo, pack: &[u8]) -> Result<()> {
        self.tick("import_pack")?;
        self.inner.import_pack(repo, pack)
    }

    fn archive(&self, repo: &PrivateRepo, spec: &ArchiveSpec<'_>, out: &mut dyn Write) -> Result<()> {
        self.inner.archive(repo, spec, out)
    }

    fn bundle(&self, repo: &PrivateRepo, branch: &str, base: &Oid, head: &Oid, out: &mut dyn Write) -> Result<()> {
        // The git program needs a ref for it, in the private repository.
        self.tick("bundle")?;
        self.inner.bundle(repo, branch, base, head, out)
    }

    fn write_tag(&self, repo: &PrivateRepo, content: &[u8]) -> Result<Oid> {
        self.tick("write_tag")?;
        self.inner.write_tag(repo, content)
    }

    fn merged(&self, repo: &PrivateRepo, base: &Oid, ours: &Oid, branch: &Oid) -> Result<Option<(MergedAs, Oid)>> {
        self.inner.merged(repo, base, ours, branch)
    }

    fn descends(&self, repo: &PrivateRepo, commit: &Oid, older: &Oid) -> Result<bool> {
        self.inner.descends(repo, commit, older)
    }

    fn pack_history(&self, repo: &PrivateRepo, tips: &[Oid], without: &[Oid]) -> Result<Option<PackFiles>> {
        self.tick("pack_history")?;
        self.inner.pack_history(repo, tips, without)
    }

    fn forget_pack(&self, files: &PackFiles) -> Result<()> {
        self.tick("forget_pack")?;
        self.inner.forget_pack(files)
    }

    fn static_repository(
        &self,
        repo: &PrivateRepo,
        head: &str,
        tips: &[(String, Oid)],
        served: &Served,
    ) -> Result<Vec<StaticFile>> {
        self.inner.static_repository(repo, head, tips, served)
    }
}

/// A runner whose jobs' beginnings and ends are kill points.
pub struct CountingRunner {
    inner: Arc<dyn Runner>,
    points: Arc<KillPoints>,
}

impl CountingRunner {
    pub fn new(inner: Arc<dyn Runner>, points: Arc<KillPoints>) -> Arc<Self> {
        Arc::new(Self { inner, points })
    }

    fn tick(&self, call: &str, what: &str) -> Result<()> {
        self.points.tick(|| format!("runner {call} {what}")).context(format!("runner {call} {what}"))
    }
}

#[async_trait::async_trait]
impl Runner for CountingRunner {
    fn name(&self) -> &RunnerName {
        self.inner.name()
    }

    fn labels(&self) -> &[Label] {
        self.inner.labels()
    }

    fn exposure(&self) -> Exposure {
        self.inner.exposure()
    }

    fn slots(&self) -> usize {
        self.inner.slots()
    }

    async fn probe(&self) -> Result<RunnerFacts> {
        self.inner.probe().await
    }

    async fn find(&self, name: &JobName) -> Result<Option<Handle>> {
        self.inner.find(name).await
    }

    async fn dispatch(&self, request: &JobRequest) -> Result<Handle> {
        self.tick("dispatch", request.step.as_str())?;
        self.inner.dispatch(request).await
    }

    async fn observe(&self, handles: &[Handle]) -> Result<Vec<JobStatus>> {
        self.inner.observe(handles).await
    }

    async fn collect(&self, request: &JobRequest, handle: &Handle) -> Result<JobReport> {
        self.tick("collect", request.step.as_str())?;
        self.inner.collect(request, handle).await
    }

    async fn log(&self, request: &JobRequest, handle: &Handle) -> Result<JobLog> {
        self.inner.log(request, handle).await
    }

    async fn cancel(&self, handle: &Handle) -> Result<()> {
        self.tick("cancel", &handle.job)?;
        self.inner.cancel(handle).await
    }

    async fn sweep(&self, train: &TrainNonce) -> Result<()> {
        self.tick("sweep", "")?;
        self.inner.sweep(train).await
    }
}
