//! Real files, without any thought of power loss.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use lifeboat::effects::{Disk, DiskFile, Entry, EntryKind, Lock};

pub struct StdDisk;

struct StdFile(fs::File);

impl Write for StdFile {
    fn write(&mut self, b: &[u8]) -> io::Result<usize> {
        self.0.write(b)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl DiskFile for StdFile {
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn some<T>(r: io::Result<T>) -> io::Result<Option<T>> {
    match r {
        Ok(v) => Ok(Some(v)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

impl Disk for StdDisk {
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        some(fs::read(path))
    }

    fn open(&self, path: &Path) -> io::Result<Option<Box<dyn Read + Send>>> {
        Ok(some(fs::File::open(path))?.map(|f| Box::new(f) as _))
    }

    fn entry(&self, path: &Path) -> io::Result<Option<Entry>> {
        let Some(m) = some(fs::symlink_metadata(path))? else { return Ok(None) };
        let kind = match m.file_type() {
            t if t.is_file() => EntryKind::File,
            t if t.is_dir() => EntryKind::Dir,
            t if t.is_symlink() => EntryKind::Symlink,
            _ => EntryKind::Other,
        };
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Some(Entry { name, kind, size: m.len(), mode: m.permissions().mode() & 0o7777 }))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let Some(dir) = some(fs::read_dir(path))? else { return Ok(vec![]) };
        let mut out = Vec::new();
        for entry in dir {
            out.extend(self.entry(&entry?.path())?);
        }
        out.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(out)
    }

    fn create_dir(&self, path: &Path, mode: u32) -> io::Result<()> {
        match fs::DirBuilder::new().mode(mode).create(path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    }

    fn create_new(&self, path: &Path, mode: u32) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(StdFile(fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?)))
    }

    fn append(&self, path: &Path, mode: u32) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(StdFile(fs::OpenOptions::new().append(true).create(true).mode(mode).open(path)?)))
    }

    fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        fs::OpenOptions::new().write(true).open(path)?.set_len(len)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn set_mode(&self, path: &Path, mode: u32) -> io::Result<()> {
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        some(fs::remove_file(path)).map(drop)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        some(fs::remove_dir_all(path)).map(drop)
    }

    fn sync_dir(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn try_lock(&self, _path: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
