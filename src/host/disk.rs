//! The machine's file system.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustix::fs::OFlags;

use crate::effects::{DirEntry, Disk, DiskFile, LockGuard, LockedFile, PathKind, full};

/// The machine's own files and directories.
#[derive(Debug, Clone, Copy, Default)]
pub struct HostDisk;

/// Never opens what a symbolic link points to: what we write stays where its path says.
fn no_follow() -> i32 {
    OFlags::NOFOLLOW.bits().cast_signed()
}

/// Absence is an answer, not a failure.
fn absent<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(v) => Ok(Some(v)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

fn describe(name: String, meta: &fs::Metadata) -> DirEntry {
    let t = meta.file_type();
    let kind = if t.is_symlink() {
        PathKind::Symlink
    } else if t.is_dir() {
        PathKind::Dir
    } else if t.is_file() {
        PathKind::File
    } else {
        PathKind::Other
    };
    let (size, inode) = (if t.is_file() { meta.len() } else { 0 }, (meta.dev(), meta.ino()));
    DirEntry { name, kind, size, mode: meta.mode() & 0o7777, inode, changed: (meta.ctime(), meta.ctime_nsec()) }
}

/// The umask has cut `mode` when the file was made; it may only have become stricter, so there is no moment of exposure.
fn create(path: &Path, mode: u32, access: &mut OpenOptions) -> io::Result<File> {
    let file = access.create_new(true).mode(mode).custom_flags(no_follow()).open(path)?;
    if file.metadata()?.mode() & 0o7777 != mode {
        file.set_permissions(Permissions::from_mode(mode))?;
    }
    Ok(file)
}

/// Opens a regular file to read. A pipe would keep whoever opens it until somebody writes, and a device may have no end.
fn regular(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path)?;
    let kind = file.metadata()?.file_type();
    // Opening a directory succeeds and only reading it fails; say it where the path is known.
    if kind.is_dir() {
        return Err(ErrorKind::IsADirectory.into());
    }
    if !kind.is_file() && !kind.is_char_device() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "it is not a regular file"));
    }
    Ok(file)
}

struct HostFile {
    file: File,
    path: PathBuf,
}

impl Write for HostFile {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.file.write(buf).map_err(|e| full(&self.path, buf.len(), e))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl DiskFile for HostFile {
    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_all().map_err(|e| full(&self.path, 1, e))
    }
}

impl Disk for HostDisk {
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        let Some(mut file) = absent(regular(path))? else { return Ok(None) };
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    fn open(&self, path: &Path) -> io::Result<Option<Box<dyn Read + Send>>> {
        Ok(absent(regular(path))?.map(|file| Box::new(file) as Box<dyn Read + Send>))
    }

    fn entry(&self, path: &Path) -> io::Result<Option<DirEntry>> {
        let Some(meta) = absent(fs::symlink_metadata(path))? else { return Ok(None) };
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Some(describe(name, &meta)))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let Some(dir) = absent(fs::read_dir(path))? else { return Ok(Vec::new()) };
        let mut out = Vec::new();
        for item in dir {
            let item = item?;
            let name = item
                .file_name()
                .into_string()
                .map_err(|name| io::Error::new(ErrorKind::InvalidData, format!("the name {name:?} is not UTF-8")))?;
            // An entry that was removed since the directory was opened is not an entry any more.
            if let Some(meta) = absent(item.metadata())? {
                out.push(describe(name, &meta));
            }
        }
        out.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(out)
    }

    fn create_dir(&self, path: &Path, mode: u32) -> io::Result<()> {
        match DirBuilder::new().mode(mode).create(path) {
            Ok(()) => {}
            Err(e) if e.kind() == ErrorKind::AlreadyExists && path.is_dir() => return Ok(()),
            Err(e) => return Err(full(path, 1, e)),
        }
        if fs::symlink_metadata(path)?.mode() & 0o777 != mode {
            fs::set_permissions(path, Permissions::from_mode(mode))?;
        }
        Ok(())
    }

    fn create_new(&self, path: &Path, mode: u32) -> io::Result<Box<dyn DiskFile>> {
        let file = create(path, mode, OpenOptions::new().write(true)).map_err(|e| full(path, 1, e))?;
        Ok(Box::new(HostFile { file, path: path.to_owned() }))
    }

    fn append(&self, path: &Path, mode: u32) -> io::Result<Box<dyn DiskFile>> {
        // Only a file that is made here gets `mode`; the mode of an existing one is its owner's choice.
        let file = match create(path, mode, OpenOptions::new().append(true)) {
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                OpenOptions::new().append(true).custom_flags(no_follow()).open(path)?
            }
            made => made.map_err(|e| full(path, 1, e))?,
        };
        Ok(Box::new(HostFile { file, path: path.to_owned() }))
    }

    fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).custom_flags(no_follow()).open(path)?;
        file.set_len(len)?;
        file.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to).map_err(|e| full(to, 1, e))
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to).map_err(|e| full(to, 1, e))
    }

    fn set_mode(&self, path: &Path, mode: u32) -> io::Result<()> {
        // Opened for reading where that is possible, so that the change can be synced; a file that we may not even read
        // is changed first.
        let opened = match File::options().read(true).custom_flags(no_follow()).open(path) {
            Err(e) if e.kind() == ErrorKind::PermissionDenied => {
                if fs::symlink_metadata(path)?.is_symlink() {
                    return Err(e);
                }
                fs::set_permissions(path, Permissions::from_mode(mode))?;
                match File::open(path) {
                    // Made unreadable on purpose.
                    Err(e) if e.kind() == ErrorKind::PermissionDenied => return Ok(()),
                    opened => opened?,
                }
            }
            opened => opened?,
        };
        opened.set_permissions(Permissions::from_mode(mode))?;
        opened.sync_all()
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        absent(fs::remove_file(path)).map(drop)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        match absent(fs::remove_dir_all(path)) {
            Err(e) if e.kind() == ErrorKind::PermissionDenied => {
                // A job may leave directories that even their owner cannot write, as Go's module cache does.
                make_removable(path)?;
                absent(fs::remove_dir_all(path)).map(drop)
            }
            done => done.map(drop),
        }
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let dir = File::options().read(true).custom_flags(OFlags::DIRECTORY.bits().cast_signed()).open(path)?;
        match dir.sync_all() {
            // Some network file systems have no such call for directories; they write entries through at once.
            Err(e) if e.kind() == ErrorKind::InvalidInput => Ok(()),
            done => done,
        }
    }

    fn free_space(&self, path: &Path) -> io::Result<u64> {
        let fs = rustix::fs::statvfs(path)?;
        Ok(fs.f_bavail.saturating_mul(fs.f_frsize))
    }

    fn try_lock(&self, path: &Path) -> io::Result<Option<Box<dyn LockGuard>>> {
        loop {
            let file = OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .mode(0o600)
                .custom_flags(no_follow())
                .open(path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(e)) => return Err(e),
            }
            // Somebody may have removed the file between our opening and locking it: then a second process could lock a
            // new file of the same name, and both would hold "the" lock.
            let ours = file.metadata()?;
            if absent(fs::symlink_metadata(path))?.is_some_and(|m| m.dev() == ours.dev() && m.ino() == ours.ino()) {
                drop(name_holder(&file));
                return Ok(Some(Box::new(LockedFile(file))));
            }
        }
    }
}

/// What this process does, for the people who meet its locks.
static DOES: OnceLock<String> = OnceLock::new();

/// Says what this process does, once: the locks that it takes name it.
pub fn does(verb: &str) {
    drop(DOES.set(verb.to_owned()));
}

/// Writes into a lock file who holds it.
fn name_holder(mut file: &File) -> io::Result<()> {
    let verb = DOES.get().map(|verb| format!(" {verb}")).unwrap_or_default();
    file.set_len(0)?;
    file.write_all(format!("{}{verb}\n", std::process::id()).as_bytes())
}

fn make_removable(dir: &Path) -> io::Result<()> {
    if !fs::symlink_metadata(dir)?.is_dir() {
        return Ok(());
    }
    fs::set_permissions(dir, Permissions::from_mode(0o700))?;
    for item in fs::read_dir(dir)? {
        make_removable(&item?.path())?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "disk_tests.rs"]
mod tests;
