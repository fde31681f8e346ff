//! A train's object store: immutable contents, named by their SHA-256.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::{Disk, PathKind};
use super::files::{self, Writing};
use crate::error::{Context as _, Error, Result};
use crate::formats::digests::Hasher;
use crate::model::{Digests, Sha256};

/// Contents under `<dir>/<first two digits>/<the rest>`, each written once and never changed.
#[derive(Clone)]
pub struct Objects {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
}

impl Objects {
    /// The store in `dir`, which is created when the first object is put.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>, dir: PathBuf) -> Self {
        Self { disk, dir }
    }

    /// Where an object's bytes are.
    #[must_use]
    pub fn path(&self, id: &Sha256) -> PathBuf {
        Self::place(&self.dir, id)
    }

    /// Where an object's bytes are in a store of objects.
    #[must_use]
    pub fn place(dir: &Path, id: &Sha256) -> PathBuf {
        let hex = id.hex();
        dir.join(&hex[..2]).join(&hex[2..])
    }

    /// Puts bytes; the same bytes twice are one object.
    pub fn put(&self, bytes: &[u8]) -> Result<Digests> {
        let digests = Digests::of(bytes);
        let path = self.path(&digests.sha256);
        if self.has(&digests.sha256)? {
            // It may have been renamed just before a crash that its directory has not been synced since.
            files::sync_parent(&*self.disk, &path)?;
            return Ok(digests);
        }
        let what = || format!("cannot put object {}", digests.sha256);
        self.put_written(|out| out.write_all(bytes).context(what()))
    }

    /// Puts what `write` writes, hashing on the way: made once, read once.
    pub(crate) fn put_written(&self, write: impl FnOnce(&mut (dyn Write + Send)) -> Result<()>) -> Result<Digests> {
        let mut incoming = self.incoming()?;
        write(&mut incoming).map_err(files::explained)?;
        incoming.keep(None)
    }

    /// Begins an object whose bytes come in pieces.
    ///
    /// # Errors
    /// The file system's.
    pub(crate) fn incoming(&self) -> Result<IncomingObject<'_>> {
        let incoming = self.dir.join("incoming");
        files::create_dir_all(&*self.disk, &incoming, 0o700)?;
        // The digest that will be its name is not known yet. Numbers are used again, so that what a crash has left in one
        // is replaced and not kept forever.
        let slot = Writing::first_free((0..=u64::MAX).map(|n| incoming.join(format!("{n}.partial"))))
            .ok_or_else(|| Error::fatal("cannot put an object: too many are being put at once"))?;
        let what = || format!("cannot write `{}`", slot.path().display());
        self.disk.remove_file(slot.path()).context(what())?;
        let file = self.disk.create_new(slot.path(), 0o400).context(what())?;
        Ok(IncomingObject { objects: self, slot, file: Some(file), hasher: Hasher::new() })
    }

    /// Copies an object of another store, whose digest is checked.
    ///
    /// # Errors
    /// The file system's; an object that is missing there, or has other bytes than its name says. Then nothing is put.
    pub(crate) fn put_from(&self, other: &Self, id: &Sha256) -> Result<Digests> {
        let mut incoming = self.incoming()?;
        files::copy(&mut *other.open(id)?, &mut incoming).context(format!("cannot copy object {id}"))?;
        incoming.keep(Some(id)).map_err(|e| e.detail(format!("file: {}", other.path(id).display())))
    }

    /// Copies a file in.
    ///
    /// # Errors
    /// The file system's; a source that is absent.
    pub fn put_file(&self, source: &Path) -> Result<Digests> {
        let what = || format!("cannot read `{}`", source.display());
        let mut input =
            self.disk.open(source).context(what())?.ok_or_else(|| Error::fatal(format!("{}: it is gone", what())))?;
        self.put_written(|out| files::copy(&mut *input, out).map(drop).context(what()))
    }

    /// Whether the object is there.
    pub fn has(&self, id: &Sha256) -> Result<bool> {
        Ok(self.disk.entry(&self.path(id)).context(format!("cannot look for object {id}"))?.is_some())
    }

    /// Every object that is there, in no order.
    pub fn ids(&self) -> Result<Vec<Sha256>> {
        let list = |dir: &Path| self.disk.list(dir).context(format!("cannot list `{}`", dir.display()));
        let mut out = Vec::new();
        for start in list(&self.dir)?.into_iter().filter(|e| e.kind == PathKind::Dir && e.name.len() == 2) {
            let names = list(&self.dir.join(&start.name))?.into_iter().map(|e| format!("{}{}", start.name, e.name));
            out.extend(names.filter_map(|hex| hex.parse::<Sha256>().ok()));
        }
        Ok(out)
    }

    /// An object's bytes, whose digest is checked.
    ///
    /// # Errors
    /// An object that is missing or has other bytes than its name says.
    pub fn get(&self, id: &Sha256) -> Result<Vec<u8>> {
        let bytes = self.disk.read(&self.path(id)).context(format!("cannot read object {id}"))?;
        let bytes = bytes.ok_or_else(|| self.missing(id))?;
        if Sha256::of(&bytes) != *id {
            return Err(Error::verification(format!("object {id} has other bytes than its name says"))
                .detail(format!("file: {}", self.path(id).display()))
                .hint("restore that file from a backup or another maintainer's copy of the train's `objects/`"));
        }
        Ok(bytes)
    }

    /// Opens an object to stream it; the reader should check the digest.
    ///
    /// # Errors
    /// An object that is missing.
    pub fn open(&self, id: &Sha256) -> Result<Box<dyn Read + Send>> {
        self.disk.open(&self.path(id)).context(format!("cannot read object {id}"))?.ok_or_else(|| self.missing(id))
    }

    fn missing(&self, id: &Sha256) -> Error {
        Error::verification(format!("object {id} is missing"))
            .detail(format!("file: {}", self.path(id).display()))
            .hint("restore the train's `objects/` directory from a backup or another maintainer's copy")
    }
}

/// An object on its way in: what is dropped before [`IncomingObject::keep`] is removed.
pub(crate) struct IncomingObject<'a> {
    objects: &'a Objects,
    slot: Writing,
    file: Option<Box<dyn super::disk::DiskFile>>,
    hasher: Hasher,
}

impl IncomingObject<'_> {
    /// Ends it: now it is one of the objects.
    ///
    /// # Errors
    /// The file system's; other bytes than `expected`. Then nothing is kept.
    pub(crate) fn keep(mut self, expected: Option<&Sha256>) -> Result<Digests> {
        let (objects, tmp) = (self.objects, self.slot.path());
        if let Some(file) = &mut self.file {
            file.sync().context(format!("cannot write `{}`", tmp.display())).map_err(files::explained)?;
        }
        let digests = std::mem::take(&mut self.hasher).finish();
        if let Some(expected) = expected.filter(|expected| **expected != digests.sha256) {
            return Err(Error::verification("the bytes have another digest")
                .detail(format!("expected sha256 {expected}"))
                .detail(format!("found    sha256 {}, {} bytes", digests.sha256, digests.size)));
        }
        self.file = None;
        let path = objects.path(&digests.sha256);
        if let Some(dir) = path.parent() {
            files::create_dir_all(&*objects.disk, dir, 0o700)?;
        }
        // Replaces at most an object of the same name, which is to say of the same bytes.
        objects.disk.rename(tmp, &path).context(format!("cannot put object {}", digests.sha256))?;
        files::sync_parent(&*objects.disk, &path)?;
        Ok(digests)
    }
}

impl Write for IncomingObject<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let file = self.file.as_mut().ok_or_else(|| io::Error::other("the object is whole already"))?;
        let n = file.write(buf)?;
        self.hasher.update(&buf[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for IncomingObject<'_> {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            drop(self.objects.disk.remove_file(self.slot.path()));
        }
    }
}

#[cfg(test)]
#[path = "objects_tests.rs"]
mod tests;
