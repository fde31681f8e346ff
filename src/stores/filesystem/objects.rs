//! What the store does with its directory; blocking.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::Tree;
use super::areas::{HELD, LOCKS, PROBE, STAGING, modes};
use crate::effects::{Area, CheckedReader, LockGuard, PathKind, PutNew, files};
use crate::error::{Context as _, Error, ErrorKind, Part, Result};
use crate::formats::digests;
use crate::model::{Digests, Sha256};
use crate::stores::path;

/// How long a writer waits for another one of the same path; what takes longer takes another attempt of the step.
const PATIENCE: Duration = Duration::from_secs(30);

impl Tree {
    pub(super) fn get(&self, area: &Area, path: &str) -> Result<Option<Box<dyn Read + Send>>> {
        let target = self.locate(area, path)?;
        let what = || format!("cannot read `{}`", target.display());
        match self.disk.open(&target).context(what())? {
            None => Ok(None),
            Some(file) => {
                // What is seen here may be recorded as done, but the writer may have died before it was on the disk.
                self.existed(&target)?;
                Ok(Some(file))
            }
        }
    }

    pub(super) fn list(&self, area: &Area, prefix: &str) -> Result<Vec<String>> {
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        // The root of an area is not a path of its grammar.
        let dir = if prefix.is_empty() {
            let probe = self.locate(area, "x")?;
            probe.parent().map(Path::to_owned).unwrap_or(probe)
        } else {
            self.locate(area, prefix)?
        };
        let mut found = Vec::new();
        self.collect(&dir, prefix, &mut found)?;
        found.sort();
        Ok(found)
    }

    fn collect(&self, dir: &Path, prefix: &str, found: &mut Vec<String>) -> Result<()> {
        for entry in self.disk.list(dir).context(format!("cannot list `{}`", dir.display()))? {
            let path = if prefix.is_empty() { entry.name.clone() } else { format!("{prefix}/{}", entry.name) };
            match entry.kind {
                PathKind::Dir if path == ".well-known" || path::check(&path).is_ok() => {
                    self.collect(&dir.join(&entry.name), &path, found)?;
                }
                // Anything else is not ours: what an interrupted write left, or what a person put there.
                PathKind::File if path::check(&path).is_ok() => found.push(path),
                _ => {}
            }
        }
        Ok(())
    }

    pub(super) fn put_new(&self, area: &Area, path: &str, source: &Path, digests: &Digests) -> Result<PutNew> {
        let target = self.locate(area, path)?;
        let what = || format!("cannot read `{}`", source.display());
        let file = self.disk.open(source).context(what())?;
        let file = file.ok_or_else(|| Error::fatal(format!("{}: it is gone", what())))?;
        let mut source = CheckedReader::new(file, *digests);
        let put = self.write_new(area, &target, digests.size, &mut source);
        if source.differs() {
            return Err(Error::verification(format!("cannot put `{path}`: its bytes are not the recorded ones"))
                .detail(format!("expected sha256:{}", digests.sha256))
                .hint("nothing was put; the local copy is damaged: move it away and run `lifeboat ship` again"));
        }
        put
    }

    pub(super) fn promote(&self, train: &str, path: &str) -> Result<PutNew> {
        let staged = self.locate(&Area::Staging(train.to_owned()), path)?;
        let public = self.locate(&Area::Public, path)?;
        let look = |p: &Path| self.disk.entry(p).context(format!("cannot look at `{}`", p.display()));
        if look(&public)?.is_some() {
            return self.existed(&public);
        }
        let Some(entry) = look(&staged)? else {
            return Err(Error::fatal(format!("cannot promote `{path}`: it is not staged in store `{}`", self.name))
                .hint("see `lifeboat status`; what the journal says was staged has been removed from the store"));
        };
        // One inode with two names: its mode changes before it has the second one, within a directory of mode 0700.
        let (mode, _) = modes(&Area::Public);
        self.disk.set_mode(&staged, mode).context(format!("cannot promote `{path}`"))?;
        self.ensure_parent(&Area::Public, &public)?;
        match self.disk.hard_link(&staged, &public) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                files::sync_parent(&*self.disk, &public)?;
                return Ok(PutNew::Existed);
            }
            // Another file system is mounted below the root, or links are not to be had: copy.
            Err(_) => {
                let file = self.disk.open(&staged).context(format!("cannot promote `{path}`"))?;
                let mut file = file.ok_or_else(|| Error::fatal(format!("cannot promote `{path}`: it is gone")))?;
                return self.write_new(&Area::Public, &public, entry.size, &mut *file);
            }
        }
        files::sync_parent(&*self.disk, &public)?;
        Ok(PutNew::Created)
    }

    pub(super) fn replace_if(&self, area: &Area, path: &str, old: Option<&Sha256>, bytes: &[u8]) -> Result<bool> {
        let target = self.locate(area, path)?;
        self.ensure_parent(area, &target)?;
        let _lock = self.lock(&target)?;
        let what = || format!("cannot read `{}`", target.display());
        let now = match self.disk.open(&target).context(what())? {
            None => None,
            Some(mut file) => Some(digests::read(&mut *file).context(what())?.sha256),
        };
        if now.as_ref() != old {
            return Ok(false);
        }
        files::replace(&*self.disk, &target, modes(area).0, &mut &*bytes)?;
        Ok(true)
    }

    pub(super) fn staged(&self) -> Result<Vec<String>> {
        // That the root is there is looked at on the way to any path.
        self.locate(&Area::Public, "x")?;
        let dir = self.root.join(STAGING);
        let entries = self.disk.list(&dir).context(format!("cannot list `{}`", dir.display()))?;
        let trains = entries.into_iter().filter(|e| e.kind == PathKind::Dir && path::check_train(&e.name).is_ok());
        Ok(trains.map(|e| e.name).collect())
    }

    pub(super) fn clear_staging(&self, train: &str) -> Result<()> {
        let some = self.locate(&Area::Staging(train.to_owned()), "x")?;
        let dir = some.parent().unwrap_or(&some);
        if self.disk.entry(dir).context(format!("cannot look at `{}`", dir.display()))?.is_none() {
            return Ok(());
        }
        self.disk.remove_dir_all(dir).context(format!("cannot remove `{}`", dir.display()))?;
        files::sync_parent(&*self.disk, dir)
    }

    /// Where an object is; its name fits the grammar and nothing but directories are on the way to it.
    pub(super) fn locate(&self, area: &Area, path: &str) -> Result<PathBuf> {
        path::check(path)?;
        let relative = match area {
            Area::Public => path.to_owned(),
            Area::Staging(train) => {
                if ![PROBE, HELD].contains(&train.as_str()) {
                    path::check_train(train)?;
                }
                format!("{STAGING}/{train}/{path}")
            }
        };
        self.refuse_detours(&relative)?;
        Ok(self.root.join(relative))
    }

    /// Refuses a root that is not there.
    pub(super) fn is_there(&self) -> Result<()> {
        let at = self.root.join(".");
        if self.disk.entry(&at).context(format!("cannot look at `{}`", at.display()))?.is_some() {
            return Ok(());
        }
        let root = self.root.display();
        let what = format!("store `{}`: there is no directory `{root}`", self.name);
        Err(Error::new(ErrorKind::Unreachable, what).of(Part::Store).hint(format!(
            "mount it, or create it with `mkdir -p {root}`; it is not created by itself, lest an empty mount point be filled"
        )))
    }

    /// Refuses a root that is not there, and links and files where directories should be: through a link, bytes would
    /// land outside the root, and staged ones where others read them. The root itself may be a link: its owner made it.
    fn refuse_detours(&self, relative: &str) -> Result<()> {
        self.is_there()?;
        let look = |p: &Path| self.disk.entry(p).context(format!("cannot look at `{}`", p.display()));
        let mut at = self.root.clone();
        let mut parts = relative.split('/').peekable();
        while let Some(part) = parts.next() {
            at.push(part);
            let found = match look(&at)?.map(|e| e.kind) {
                None => return Ok(()),
                Some(PathKind::Dir) => continue,
                Some(PathKind::File) if parts.peek().is_none() => continue,
                Some(PathKind::File) => "a file, not a directory",
                Some(PathKind::Symlink) => "a symbolic link",
                Some(PathKind::Other) => "neither a file nor a directory",
            };
            return Err(Error::conflict(format!("store `{}`: `{}` is {found}", self.name, at.display()))
                .hint("move it away: below a store's root there are only plain files and directories"));
        }
        Ok(())
    }

    /// Makes the directories above `target`, those of staging closed to others.
    pub(super) fn ensure_parent(&self, area: &Area, target: &Path) -> Result<()> {
        let Some(dir) = target.parent() else { return Ok(()) };
        let (_, mode) = modes(area);
        match area {
            Area::Staging(_) => self.ensure_staging()?,
            Area::Public => {}
        }
        files::create_dir_all(&*self.disk, dir, mode)?;
        if *area == Area::Public {
            // A crash between making a directory and setting its mode under a strict umask would leave it closed forever.
            // One that is open to a group only is somebody's choice.
            for at in dir.ancestors().take_while(|p| *p != self.root) {
                let entry = self.disk.entry(at).context(format!("cannot look at `{}`", at.display()))?;
                if entry.is_some_and(|e| e.mode & 0o077 == 0) {
                    self.disk.set_mode(at, mode).context(format!("cannot open `{}` to readers", at.display()))?;
                }
            }
        }
        Ok(())
    }

    /// Makes the staging directory, and refuses one that others can look into.
    pub(super) fn ensure_staging(&self) -> Result<()> {
        let dir = self.root.join(STAGING);
        self.ensure_dir(&dir)?;
        let entry = self.disk.entry(&dir).context(format!("cannot look at `{}`", dir.display()))?;
        match entry {
            Some(e) if e.kind == PathKind::Dir && e.mode & 0o077 == 0 => Ok(()),
            found => {
                let mode = found.map_or(0, |e| e.mode);
                Err(Error::fatal(format!(
                    "store `{}`: others can look into `{}` (mode {mode:04o})",
                    self.name,
                    dir.display()
                ))
                .hint(format!("nothing was staged; look at what is in it, then `chmod 700 {}`", dir.display())))
            }
        }
    }

    /// Spares the sync of one that is there: whatever is made in it later syncs it first, see [`files::create_dir_all`].
    fn ensure_dir(&self, dir: &Path) -> Result<()> {
        match self.disk.entry(dir).context(format!("cannot look at `{}`", dir.display()))? {
            Some(_) => Ok(()),
            None => files::create_dir_all(&*self.disk, dir, 0o700),
        }
    }

    fn write_new(&self, area: &Area, target: &Path, size: u64, source: &mut dyn Read) -> Result<PutNew> {
        if self.disk.entry(target).context(format!("cannot look at `{}`", target.display()))?.is_some() {
            return self.existed(target);
        }
        self.ensure_parent(area, target)?;
        let _lock = self.lock(target)?;
        let free = self.disk.free_space(&self.root).context(format!("cannot look at `{}`", self.root.display()))?;
        if free < size {
            let what = format!("cannot write `{}`: {size} bytes needed, {free} free", target.display());
            return Err(Error::transient(what)
                .hint("free some space on that disk and run `lifeboat ship` again: nothing was written"));
        }
        let created = files::write_new(&*self.disk, target, modes(area).0, source)?;
        if let (Area::Public, Some(dir)) = (area, target.parent()) {
            // What others left unfinished misleads nobody: that it cannot be removed now is not a failure of this write.
            drop(self.tidy(dir, &self.lock_file(target)));
        }
        Ok(if created { PutNew::Created } else { PutNew::Existed })
    }

    /// Something is at `target`: makes it last, and tidies up after a writer that died too early for both.
    fn existed(&self, target: &Path) -> Result<PutNew> {
        let tidied = || -> Result<()> {
            if files::left_partial(&*self.disk, target)? {
                let _lock = self.lock(target)?;
                files::remove_partial(&*self.disk, target)?;
            }
            Ok(())
        };
        // A store that is read-only by now will do: a hidden file beside the right one misleads nobody.
        drop(tidied());
        files::sync_parent(&*self.disk, target)?;
        Ok(PutNew::Existed)
    }

    /// Removes what dead writers left unfinished in a public directory: a name that follows from its bytes, as that of an
    /// index's signature, may never be written again. What another writer is at work on stays. The caller holds the lock
    /// file `held`, which may stand for other names too.
    fn tidy(&self, dir: &Path, held: &Path) -> Result<()> {
        for entry in self.disk.list(dir).context(format!("cannot list `{}`", dir.display()))? {
            let Some(name) = files::partial_of(&entry.name).filter(|_| entry.kind == PathKind::File) else { continue };
            let target = dir.join(name);
            let path = self.lock_file(&target);
            let try_lock = || self.disk.try_lock(&path).context(format!("cannot lock `{}`", path.display()));
            let lock = if path == held { None } else { try_lock()? };
            if path == held || lock.is_some() {
                files::remove_partial(&*self.disk, &target)?;
            }
        }
        Ok(())
    }

    /// Keeps out other writers of `target`, in other processes and on other machines too. There are 256 lock files in all,
    /// which stay: a lock file that is removed can be held twice. Whoever holds one may not take a second: two names can
    /// share a lock file.
    pub(super) fn lock(&self, target: &Path) -> Result<Box<dyn LockGuard>> {
        let busy = || format!("another process is writing `{}`", target.display());
        self.lock_at(&self.lock_file(target), busy)
    }

    /// Keeps out whoever else tries the store out; a lock file of its own, since what is tried takes the others.
    pub(super) fn lock_probe(&self) -> Result<Box<dyn LockGuard>> {
        let busy = || format!("another process is trying out store `{}`", self.name);
        self.lock_at(&self.root.join(STAGING).join(LOCKS).join("probe"), busy)
    }

    fn lock_at(&self, path: &Path, busy: impl Fn() -> String) -> Result<Box<dyn LockGuard>> {
        self.ensure_staging()?;
        self.ensure_dir(&self.root.join(STAGING).join(LOCKS))?;
        let since = Instant::now();
        loop {
            if let Some(lock) = self.disk.try_lock(path).context(format!("cannot lock `{}`", path.display()))? {
                return Ok(lock);
            }
            if since.elapsed() > PATIENCE {
                return Err(
                    Error::transient(busy()).hint("it goes on when that process is done; run `lifeboat ship` again")
                );
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The same one however the root is reached: another machine may have mounted it elsewhere.
    fn lock_file(&self, target: &Path) -> PathBuf {
        let relative = target.strip_prefix(&self.root).unwrap_or(target);
        let name = Sha256::of(relative.as_os_str().as_encoded_bytes()).hex();
        self.root.join(STAGING).join(LOCKS).join(&name[..2])
    }

    /// Adds to a failure of the file system what it means for the store, and what to do.
    pub(super) fn explained(&self, e: Error) -> Error {
        let cause = std::error::Error::source(&e).and_then(|s| s.downcast_ref::<io::Error>());
        let (cause, broken) = (cause.map(io::Error::kind), cause.is_some_and(is_down));
        let name = &self.name;
        match cause {
            Some(io::ErrorKind::ReadOnlyFilesystem) => {
                Error::new(ErrorKind::Unreachable, format!("store `{name}` is read-only: {}", e.message()))
                    .of(Part::Store)
                    .hint(format!("remount `{}` for writing and run `lifeboat ship` again", self.root.display()))
            }
            Some(_) if broken => {
                Error::new(ErrorKind::Unreachable, format!("store `{name}` does not answer: {}", e.message()))
                    .of(Part::Store)
                    .hint(format!(
                        "see to the disk or mount at `{}`, then run `lifeboat ship` again",
                        self.root.display()
                    ))
            }
            Some(io::ErrorKind::PermissionDenied) => e
                .context(format!("store `{name}`"))
                .hint(format!("this user must be able to write in `{}`", self.root.display())),
            Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) if e.hints().is_empty() => {
                e.context(format!("store `{name}`")).hint("free some space on that disk and run `lifeboat ship` again")
            }
            Some(_) => e.context(format!("store `{name}`")),
            None => e,
        }
    }
}

/// Whether an error of the operating system says that what the directory is on is not there: a mount whose server is gone, a
/// disk that fails.
fn is_down(e: &io::Error) -> bool {
    use io::ErrorKind as Io;
    const EIO: i32 = 5;
    let gone = [
        Io::NotConnected,
        Io::StaleNetworkFileHandle,
        Io::HostUnreachable,
        Io::NetworkUnreachable,
        Io::NetworkDown,
        Io::ConnectionAborted,
        Io::ConnectionRefused,
        Io::ConnectionReset,
        Io::TimedOut,
    ];
    gone.contains(&e.kind()) || e.raw_os_error() == Some(EIO)
}
