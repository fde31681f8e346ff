//! A disk that can lose its power: it works on the real file system and keeps a model of what would survive.
//!
//! The model is harsher than real file systems, and so simpler. Durable are: a file's bytes as of its last sync; a
//! directory's entries as of its last `sync_dir`; modes and cuts as of `set_mode` and `truncate`, which sync by their
//! contract. Nothing is made durable by time, by order, or by the sync of something else. What was there at the start is
//! durable; what was not made through this disk (by git, by a job) is not in the model and vanishes, as a cache may.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex};

use lifeboat::effects::{DirEntry, Disk, DiskFile, LockGuard};

use super::sync_site;

/// What a power loss leaves of what was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsynced {
    /// Nothing: old bytes, no new names.
    Lost,
    /// New names are there, as file systems write them by themselves after a while, but their bytes are not.
    NamesKept,
    /// New names are there, and half of the bytes.
    Torn,
}

/// See the module. Clones are the same disk.
#[derive(Clone)]
pub struct PowerLossDisk {
    inner: Arc<dyn Disk>,
    root: PathBuf,
    model: Arc<Mutex<Model>>,
}

type Id = usize;

#[derive(Debug, Default)]
struct Model {
    /// Never reused, so that two names of one file share their bytes.
    inodes: Vec<Inode>,
    /// Whether every sync finds out where it was called; slow.
    traced: bool,
    /// Sync sites seen, see [`sync_site`].
    sites: BTreeSet<String>,
    /// Those whose syncs do nothing.
    ignored: BTreeSet<String>,
}

#[derive(Debug, Clone)]
enum Inode {
    Dir { mode: u32, now: BTreeMap<String, Id>, durable: BTreeMap<String, Id> },
    File { mode: u32, durable_mode: u32, now: Vec<u8>, durable: Option<Vec<u8>> },
}

const ROOT: Id = 0;

impl PowerLossDisk {
    /// Watches all below `root`, an existing directory; everything else is passed on to `inner`.
    pub fn new(inner: Arc<dyn Disk>, root: &Path) -> Arc<Self> {
        let model = Arc::new(Mutex::new(Model { traced: true, ..Model::of(root) }));
        Arc::new(Self { inner, root: root.to_owned(), model })
    }

    /// The same without knowing who syncs: [`Self::sites`] and [`Self::ignore`] do not work, and all is much faster.
    pub fn untraced(inner: Arc<dyn Disk>, root: &Path) -> Arc<Self> {
        let disk = Self::new(inner, root);
        disk.model.lock().unwrap().traced = false;
        disk
    }

    /// Cuts the power: rebuilds the tree from what was durable. Close all files of this disk before.
    pub fn lose_power(&self, unsynced: Unsynced) {
        let mut model = self.model.lock().unwrap();
        for item in fs::read_dir(&self.root).unwrap() {
            let path = item.unwrap().path();
            if fs::symlink_metadata(&path).unwrap().is_dir() {
                self.inner.remove_dir_all(&path).unwrap();
            } else {
                fs::remove_file(&path).unwrap();
            }
        }
        model.rebuild(ROOT, &self.root, unsynced, &mut BTreeMap::new());
        model.inodes = Model::of(&self.root).inodes;
    }

    /// The places in the program that have synced something so far.
    pub fn sites(&self) -> Vec<String> {
        self.model.lock().unwrap().sites.iter().cloned().collect()
    }

    /// Lets the syncs of this place do nothing from now on, as if they were not written there: a whole site, or the end of
    /// one for all that lead there.
    pub fn ignore(&self, site: &str) {
        self.model.lock().unwrap().ignored.insert(site.to_owned());
    }

    fn relative(&self, path: &Path) -> Option<Vec<String>> {
        let rest = path.strip_prefix(&self.root).ok()?;
        let part = |c: Component<'_>| match c {
            Component::Normal(name) => Some(name.to_str().unwrap().to_owned()),
            Component::CurDir => None,
            other => panic!("the model does not follow {other:?} in {}", path.display()),
        };
        Some(rest.components().filter_map(part).collect())
    }

    /// Runs `change` on the model if `path` is watched.
    fn watched(&self, path: &Path, change: impl FnOnce(&mut Model, &[String])) {
        if let Some(parts) = self.relative(path) {
            change(&mut self.model.lock().unwrap(), &parts);
        }
    }
}

impl Model {
    fn of(root: &Path) -> Self {
        let mut model = Self::default();
        model.scan(root);
        model
    }

    /// Takes what is on the disk for durable.
    fn scan(&mut self, path: &Path) -> Id {
        let meta = fs::symlink_metadata(path).unwrap();
        let mode = meta.permissions().mode() & 0o7777;
        let id = self.inodes.len();
        if meta.is_dir() {
            self.inodes.push(Inode::Dir { mode, now: BTreeMap::new(), durable: BTreeMap::new() });
            let mut entries = BTreeMap::new();
            for item in fs::read_dir(path).unwrap() {
                let item = item.unwrap();
                let known = self.scan(&item.path());
                entries.insert(item.file_name().into_string().unwrap(), known);
            }
            self.inodes[id] = Inode::Dir { mode, now: entries.clone(), durable: entries };
        } else {
            assert!(meta.is_file(), "the model knows files and directories only: {}", path.display());
            let bytes = fs::read(path).unwrap();
            self.inodes.push(Inode::File { mode, durable_mode: mode, now: bytes.clone(), durable: Some(bytes) });
        }
        id
    }

    /// The inode that a name stands for now.
    fn find(&self, parts: &[String]) -> Option<Id> {
        parts.iter().try_fold(ROOT, |at, part| match &self.inodes[at] {
            Inode::Dir { now, .. } => now.get(part).copied(),
            Inode::File { .. } => None,
        })
    }

    /// The directory that holds a name; one that somebody else made gets a place in the model, with nothing durable.
    fn parent<'a>(&mut self, parts: &'a [String]) -> (Id, &'a str) {
        let (name, dirs) = parts.split_last().expect("the watched root itself is not changed");
        let mut at = ROOT;
        for part in dirs {
            let next = match &self.inodes[at] {
                Inode::Dir { now, .. } => now.get(part).copied(),
                Inode::File { .. } => panic!("`{part}` is below a file"),
            };
            at = match next {
                Some(id) => id,
                None => self.add(at, part, Inode::Dir { mode: 0o700, now: BTreeMap::new(), durable: BTreeMap::new() }),
            };
        }
        (at, name)
    }

    fn add(&mut self, dir: Id, name: &str, inode: Inode) -> Id {
        self.inodes.push(inode);
        let id = self.inodes.len() - 1;
        self.entries(dir).insert(name.to_owned(), id);
        id
    }

    fn entries(&mut self, dir: Id) -> &mut BTreeMap<String, Id> {
        match &mut self.inodes[dir] {
            Inode::Dir { now, .. } => now,
            Inode::File { .. } => panic!("a file has no entries"),
        }
    }

    /// The file at a name; one that somebody else made has no durable bytes.
    fn file(&mut self, parts: &[String], mode: u32, path: &Path) -> Id {
        if let Some(id) = self.find(parts) {
            return id;
        }
        let (dir, name) = self.parent(parts);
        let now = fs::read(path).unwrap_or_default();
        self.add(dir, name, Inode::File { mode, durable_mode: mode, now, durable: None })
    }

    /// Whether a sync at the place that calls now is to take effect.
    fn heeds(&mut self, call: &str) -> bool {
        if !self.traced {
            return true;
        }
        let site = sync_site::caller(call);
        let heeded = !self.ignored.iter().any(|i| site.ends_with(i.as_str()));
        self.sites.insert(site);
        heeded
    }

    fn rebuild(&self, id: Id, path: &Path, unsynced: Unsynced, made: &mut BTreeMap<Id, PathBuf>) {
        match &self.inodes[id] {
            Inode::Dir { mode, now, durable } => {
                if id != ROOT {
                    fs::create_dir(path).unwrap();
                }
                let entries = if unsynced == Unsynced::Lost { durable } else { now };
                for (name, child) in entries {
                    self.rebuild(*child, &path.join(name), unsynced, made);
                }
                fs::set_permissions(path, fs::Permissions::from_mode(*mode)).unwrap();
            }
            Inode::File { durable_mode, now, durable, .. } => {
                if let Some(first) = made.get(&id) {
                    fs::hard_link(first, path).unwrap();
                    return;
                }
                fs::write(path, surviving(now, durable.as_deref(), unsynced)).unwrap();
                fs::set_permissions(path, fs::Permissions::from_mode(*durable_mode)).unwrap();
                made.insert(id, path.to_owned());
            }
        }
    }
}

/// What is left of a file's bytes.
fn surviving(now: &[u8], durable: Option<&[u8]>, unsynced: Unsynced) -> Vec<u8> {
    let durable = durable.unwrap_or_default();
    if unsynced != Unsynced::Torn {
        return durable.to_vec();
    }
    // Half of what was written since, over what stood there.
    let same = now.iter().zip(durable).take_while(|(a, b)| a == b).count();
    let half = same + (now.len() - same).div_ceil(2);
    let rest = durable.get(half..).unwrap_or_default();
    [&now[..half], rest].concat()
}

struct WatchedFile {
    inner: Box<dyn DiskFile>,
    model: Arc<Mutex<Model>>,
    id: Option<Id>,
}

impl Write for WatchedFile {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(buf)?;
        if let Some(id) = self.id
            && let Inode::File { now, .. } = &mut self.model.lock().unwrap().inodes[id]
        {
            now.extend_from_slice(&buf[..n]);
        }
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl DiskFile for WatchedFile {
    fn sync(&mut self) -> io::Result<()> {
        // The real call would only cost time: what survives is the model's.
        if let Some(id) = self.id {
            let mut model = self.model.lock().unwrap();
            if model.heeds("sync")
                && let Inode::File { now, durable, .. } = &mut model.inodes[id]
            {
                *durable = Some(now.clone());
            }
            return Ok(());
        }
        self.inner.sync()
    }
}

impl PowerLossDisk {
    fn opened(&self, inner: Box<dyn DiskFile>, path: &Path, mode: u32) -> Box<dyn DiskFile> {
        let id = self.relative(path).map(|parts| self.model.lock().unwrap().file(&parts, mode, path));
        Box::new(WatchedFile { inner, model: self.model.clone(), id })
    }
}

impl Disk for PowerLossDisk {
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        self.inner.read(path)
    }

    fn open(&self, path: &Path) -> io::Result<Option<Box<dyn Read + Send>>> {
        self.inner.open(path)
    }

    fn entry(&self, path: &Path) -> io::Result<Option<DirEntry>> {
        self.inner.entry(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        self.inner.list(path)
    }

    fn create_dir(&self, path: &Path, mode: u32) -> io::Result<()> {
        self.inner.create_dir(path, mode)?;
        self.watched(path, |model, parts| {
            if model.find(parts).is_none() {
                let (dir, name) = model.parent(parts);
                model.add(dir, name, Inode::Dir { mode, now: BTreeMap::new(), durable: BTreeMap::new() });
            }
        });
        Ok(())
    }

    fn create_new(&self, path: &Path, mode: u32) -> io::Result<Box<dyn DiskFile>> {
        let file = self.inner.create_new(path, mode)?;
        // What the model still has there was removed behind its back.
        self.watched(path, |model, parts| {
            let (dir, name) = model.parent(parts);
            model.entries(dir).remove(name);
        });
        Ok(self.opened(file, path, mode))
    }

    fn append(&self, path: &Path, mode: u32) -> io::Result<Box<dyn DiskFile>> {
        let file = self.inner.append(path, mode)?;
        Ok(self.opened(file, path, mode))
    }

    fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        self.inner.truncate(path, len)?;
        self.watched(path, |model, parts| {
            let id = model.file(parts, 0o600, path);
            let heeded = model.heeds("truncate");
            if let Inode::File { now, durable, .. } = &mut model.inodes[id] {
                now.resize(usize::try_from(len).unwrap(), 0);
                if heeded {
                    *durable = Some(now.clone());
                }
            }
        });
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(from, to)?;
        let moved = self.relative(from).and_then(|parts| {
            let mut model = self.model.lock().unwrap();
            let (dir, name) = model.parent(&parts);
            model.entries(dir).remove(name)
        });
        self.watched(to, |model, parts| {
            let (dir, name) = model.parent(parts);
            match moved {
                Some(id) => drop(model.entries(dir).insert(name.to_owned(), id)),
                // It came from outside the model.
                None => {
                    model.entries(dir).remove(name);
                    if to.is_file() {
                        model.file(parts, 0o600, to);
                    }
                }
            }
        });
        Ok(())
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.hard_link(from, to)?;
        let id = self.relative(from).map(|parts| self.model.lock().unwrap().file(&parts, 0o600, from));
        self.watched(to, |model, parts| match id {
            Some(id) => {
                let (dir, name) = model.parent(parts);
                model.entries(dir).insert(name.to_owned(), id);
            }
            None => {
                model.file(parts, 0o600, to);
            }
        });
        Ok(())
    }

    fn set_mode(&self, path: &Path, new: u32) -> io::Result<()> {
        self.inner.set_mode(path, new)?;
        self.watched(path, |model, parts| {
            let heeded = model.heeds("set_mode");
            if let Some(id) = model.find(parts) {
                match &mut model.inodes[id] {
                    Inode::Dir { mode, .. } => *mode = new,
                    Inode::File { mode, durable_mode, .. } => {
                        *mode = new;
                        if heeded {
                            *durable_mode = new;
                        }
                    }
                }
            }
        });
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.inner.remove_file(path)?;
        self.watched(path, |model, parts| {
            let (dir, name) = model.parent(parts);
            model.entries(dir).remove(name);
        });
        Ok(())
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.inner.remove_dir_all(path)?;
        self.watched(path, |model, parts| {
            let (dir, name) = model.parent(parts);
            model.entries(dir).remove(name);
        });
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let Some(parts) = self.relative(path) else { return self.inner.sync_dir(path) };
        // A directory that is not there must still be an error.
        if self.inner.entry(&path.join("."))?.is_none() {
            return Err(io::ErrorKind::NotFound.into());
        }
        let mut model = self.model.lock().unwrap();
        if model.heeds("sync_dir")
            && let Some(id) = model.find(&parts)
            && let Inode::Dir { now, durable, .. } = &mut model.inodes[id]
        {
            *durable = now.clone();
        }
        Ok(())
    }

    fn free_space(&self, path: &Path) -> io::Result<u64> {
        self.inner.free_space(path)
    }

    fn try_lock(&self, path: &Path) -> io::Result<Option<Box<dyn LockGuard>>> {
        // A child of another thread holds a copy of each lock between its fork and its exec.
        let mut lock = self.inner.try_lock(path)?;
        for _ in 0..200 {
            if lock.is_some() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
            lock = self.inner.try_lock(path)?;
        }
        self.watched(path, |model, parts| {
            model.file(parts, 0o600, path);
        });
        Ok(lock)
    }
}
