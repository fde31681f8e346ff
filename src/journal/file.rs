//! The journal's file: one record a line, fsynced before an effect and after it.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::event::{Event, FORMAT, Record};
use super::fold::State;
use crate::effects::{Clock, Disk, Signer, files};
use crate::error::{Context as _, Error, Result};
use crate::formats::canonical;
use crate::model::Sha256;
use crate::plan::Graph;

/// An open journal and the state that folds out of it.
pub struct Journal {
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    signer: Arc<dyn Signer>,
    path: PathBuf,
    state: State,
    seq: u64,
    head: Sha256,
    /// Length of the file in bytes, as far as it is whole.
    len: u64,
    /// Whether an append failed, so that bytes of an unfinished record may stand after `len`.
    torn: bool,
}

impl Journal {
    /// Reads a journal without changing it: the records and the length of the whole part.
    ///
    /// # Errors
    /// A broken chain, a changed record, a newer format; an unfinished last line is none.
    pub fn read(disk: &dyn Disk, path: &Path, graph: &Graph) -> Result<(Vec<Record>, u64)> {
        let name = path.display();
        let bytes = disk.read(path).context(format!("cannot read journal `{name}`"))?.unwrap_or_default();
        // A record is acknowledged only with its line end on the disk: what follows the last one never happened.
        let whole = bytes.iter().rposition(|&b| b == b'\n').map_or(0, |i| i + 1);
        let text = std::str::from_utf8(&bytes[..whole]).context(format!("journal `{name}` is not text"))?;
        let mut records = Vec::new();
        let mut prev = graph.id().0;
        for (i, line) in text.lines().enumerate() {
            let record = Record::parse(line, i + 1).map_err(|e| e.context(format!("journal `{name}`")))?;
            if record.seq != i as u64 || record.prev != prev {
                return Err(Error::verification(format!("journal `{name}`: line {} does not follow line {i}", i + 1))
                    .detail("records were removed, added or reordered")
                    .hint("restore the journal from a backup or another maintainer's copy"));
            }
            prev = record.hash;
            records.push(record);
        }
        Ok((records, whole as u64))
    }

    /// Opens a journal for appending, cuts an unfinished last record off, and folds its state.
    ///
    /// # Errors
    /// As [`Journal::read`], and an event that cannot follow those before it.
    pub fn open(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        signer: Arc<dyn Signer>,
        path: PathBuf,
        graph: Arc<Graph>,
    ) -> Result<Self> {
        let (records, len) = Self::read(&*disk, &path, &graph)?;
        let head = records.last().map_or(graph.id().0, |r| r.hash);
        let seq = records.len() as u64;
        let state = State::fold(graph, &records).map_err(|e| e.context(format!("journal `{}`", path.display())))?;
        let entry = disk.entry(&path).context("cannot look at the journal")?;
        if entry.is_some() {
            // Whoever wrote it may have died before a record, or the file's name, was on the disk. What is read here counts
            // as recorded from now on, so it must be.
            let what = || format!("cannot sync journal `{}`", path.display());
            disk.append(&path, 0o600).and_then(|mut file| file.sync()).context(what())?;
            files::sync_parent(&*disk, &path)?;
        }
        let torn = entry.is_some_and(|e| e.size > len);
        let mut journal = Self { disk, clock, signer, path, state, seq, head, len, torn };
        journal.repair()?;
        Ok(journal)
    }

    fn repair(&mut self) -> Result<()> {
        if self.torn {
            self.disk.truncate(&self.path, self.len).context("cannot repair the journal's last line")?;
            self.torn = false;
        }
        Ok(())
    }

    /// Records an event: when this returns, it is on the disk and in the state.
    ///
    /// # Errors
    /// An event that may not happen now; the file system's, after which nothing was recorded.
    pub fn append(&mut self, what: Event) -> Result<()> {
        self.state.admits(&what)?;
        self.repair()?;
        let at = self.clock.now();
        let by = self.signer.fingerprint();
        let hash = Record::hash_of(self.seq, self.head, at, &by, &what)?;
        let signature = self.signer.sign(&mut &Record::signed_bytes(&hash)[..])?;
        let record = Record { format: FORMAT, seq: self.seq, prev: self.head, at, by, what, hash, signature };
        let mut line = canonical::to_bytes(&record)?;
        line.push(b'\n');
        self.torn = true;
        let what = || format!("cannot append to journal `{}`", self.path.display());
        let mut file = self.disk.append(&self.path, 0o600).context(what())?;
        file.write_all(&line).context(what())?;
        file.sync().context(what())?;
        drop(file);
        if self.seq == 0 {
            files::sync_parent(&*self.disk, &self.path)?;
        }
        self.torn = false;
        self.len += line.len() as u64;
        self.seq += 1;
        self.head = hash;
        self.state.apply(&record.what, at)
    }

    /// The state after all that was recorded.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The hash of the last record.
    #[must_use]
    pub fn head(&self) -> Sha256 {
        self.head
    }
}
