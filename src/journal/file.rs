//! The journal's file: one record a line, fsynced before an effect and after it.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::event::{Event, Record, format_of};
use super::fold::State;
use super::plans::Plans;
use super::signed::{Signatures, check_signatures};
use crate::effects::{Clock, Disk, Signer, files};
use crate::error::{Context as _, Error, Result};
use crate::formats::canonical;
use crate::formats::openpgp::Certificate;
use crate::model::{Fingerprint, Sha256};
use crate::plan::Graph;

/// An open journal and the state that folds out of it.
pub struct Journal {
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    signer: Arc<dyn Signer>,
    path: PathBuf,
    /// Shared with whoever reads it while more is recorded.
    state: Arc<State>,
    seq: u64,
    head: Sha256,
    /// Length of the file in bytes, as far as it is whole.
    len: u64,
    /// Which file it is; none until the first record makes it.
    inode: Option<(u64, u64)>,
    /// Whether an append failed, so that bytes of an unfinished record may stand after `len`.
    torn: bool,
    /// See [`Journal::was_torn`].
    was_torn: bool,
}

impl Journal {
    /// Reads a journal without changing it: the records and the length of the whole part. The signature of the last record
    /// is checked against the certificate that the journal itself names; whose that is, [`Journal::open`] asks.
    ///
    /// # Errors
    /// A broken chain, a changed record, a wrong signature, a newer format; an unfinished last line is none.
    pub fn read(disk: &dyn Disk, path: &Path, graph: &Graph) -> Result<(Vec<Record>, u64)> {
        let whole = Whole::read(disk, path, graph)?;
        Ok((whole.records, whole.len))
    }

    /// Opens a journal for appending, cuts an unfinished last record off, and folds its state. Only who holds the train may
    /// append, so its last record must be signed by the key of `signer`: a history that somebody else wrote is refused,
    /// however consistent it is in itself.
    ///
    /// # Errors
    /// As [`Journal::read`], another holder, and an event that cannot follow those before it.
    pub fn open(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        signer: Arc<dyn Signer>,
        path: PathBuf,
        plans: impl Into<Plans>,
    ) -> Result<Self> {
        let plans = plans.into();
        let Whole { records, len, holder } = Whole::read(&*disk, &path, plans.first())?;
        if let Some(holder) = &holder {
            held_by(holder, &*signer).map_err(|e| e.context(format!("journal `{}`", path.display())))?;
        }
        let head = records.last().map_or(plans.first().id().0, |r| r.hash);
        let seq = records.len() as u64;
        let state = State::fold(plans, &records).map_err(|e| e.context(format!("journal `{}`", path.display())))?;
        let state = Arc::new(state);
        let entry = disk.entry(&path).context("cannot look at the journal")?;
        if entry.is_some() {
            // Whoever wrote it may have died before a record, or the file's name, was on the disk. What is read here counts
            // as recorded from now on, so it must be.
            let what = || format!("cannot sync journal `{}`", path.display());
            disk.append(&path, 0o600).and_then(|mut file| file.sync()).context(what())?;
            files::sync_parent(&*disk, &path)?;
        }
        let (torn, inode) = (entry.as_ref().is_some_and(|e| e.size > len), entry.map(|e| e.inode));
        let mut journal = Self { disk, clock, signer, path, state, seq, head, len, inode, torn, was_torn: torn };
        journal.repair()?;
        Ok(journal)
    }

    /// Refuses a file that is not the one that was read and written here: a record that went there would follow nothing.
    fn is_ours(&self) -> Result<()> {
        let there = self.disk.entry(&self.path).context(format!("cannot look at journal `{}`", self.path.display()))?;
        let ours = match (&there, self.inode) {
            (None, None) => true,
            (Some(e), Some(inode)) => e.inode == inode && (e.size == self.len || self.torn && e.size > self.len),
            // An append that failed may have made it, or whoever adopted the train before.
            (Some(e), None) => self.len == 0 && (e.size == 0 || self.torn),
            (None, Some(_)) => false,
        };
        if ours {
            return Ok(());
        }
        let found = there.map_or_else(|| "no file".to_owned(), |e| format!("{} bytes", e.size));
        Err(Error::conflict(format!("journal `{}` is not the file that this process has opened", self.path.display()))
            .detail(format!("it had {} bytes; there: {found}", self.len))
            .detail("it was moved, replaced or written by somebody else meanwhile; nothing was recorded there")
            .hint("put the train's directory back as it was, then run the same command again"))
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
        let at = self.clock.now();
        self.state.admits(&what, at)?;
        self.is_ours()?;
        self.repair()?;
        let by = self.signer.fingerprint();
        let hash = Record::hash_of(self.seq, self.head, at, &by, &what)?;
        let signature = self.signer.sign(&mut &Record::signed_bytes(&hash)[..])?;
        let record = Record { format: format_of(&what), seq: self.seq, prev: self.head, at, by, what, hash, signature };
        let mut line = canonical::to_bytes(&record)?;
        line.push(b'\n');
        self.torn = true;
        let what = || format!("cannot append to journal `{}`", self.path.display());
        let written = self.disk.append(&self.path, 0o600).and_then(|mut file| {
            file.write_all(&line)?;
            file.sync()
        });
        written.context(what()).map_err(files::explained)?;
        if self.seq == 0 {
            files::sync_parent(&*self.disk, &self.path)?;
        }
        self.torn = false;
        if self.inode.is_none() {
            let entry = self.disk.entry(&self.path).context("cannot look at the journal")?;
            self.inode = entry.map(|e| e.inode);
        }
        self.len += line.len() as u64;
        self.seq += 1;
        self.head = hash;
        Arc::make_mut(&mut self.state).apply(&record.what, at)
    }

    /// Records that the plan is replaced by a child of it, whose bytes are the train's object `object`: steps of equal keys
    /// keep what they made, approvals lapse.
    ///
    /// # Errors
    /// As [`Journal::append`]; a plan that cannot amend the present one.
    pub fn amend(&mut self, child: Arc<Graph>, object: Sha256, reason: Option<String>) -> Result<()> {
        let (plan, carried) = (child.id(), self.state.kept_by(&child));
        Arc::make_mut(&mut self.state).learn(child)?;
        self.append(Event::Amended { plan, object, carried, reason })
    }

    /// The state after all that was recorded.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The same, as it is now and stays: what is recorded later is not in it.
    #[must_use]
    pub fn snapshot(&self) -> Arc<State> {
        self.state.clone()
    }

    /// Whether it ended with an unfinished record when it was opened, which was cut off.
    #[must_use]
    pub(crate) fn was_torn(&self) -> bool {
        self.was_torn
    }

    /// The hash of the last record.
    #[must_use]
    pub fn head(&self) -> Sha256 {
        self.head
    }
}

/// The whole part of a journal's file.
struct Whole {
    records: Vec<Record>,
    /// In bytes.
    len: u64,
    /// Who holds the train.
    holder: Option<Certificate>,
}

impl Whole {
    fn read(disk: &dyn Disk, path: &Path, graph: &Graph) -> Result<Self> {
        let name = path.display();
        let bytes = disk.read(path).context(format!("cannot read journal `{name}`"))?.unwrap_or_default();
        // A record is acknowledged only with its line end on the disk: what follows the last one never happened.
        let whole = bytes.iter().rposition(|&b| b == b'\n').map_or(0, |i| i + 1);
        let text = std::str::from_utf8(&bytes[..whole]).context(format!("journal `{name}` is not text"))?;
        let mut records = Vec::new();
        let mut prev = graph.id().0;
        for (i, line) in text.lines().enumerate() {
            let record = Record::parse(line, i + 1).map_err(|e| e.context(format!("journal `{name}`")))?;
            if i == 0
                && let Event::PlanAdopted { plan, .. } = &record.what
                && *plan != graph.id()
            {
                return Err(Error::verification(format!(
                    "the plan beside journal `{name}` is not the one that was adopted"
                ))
                .detail(format!("adopted {plan}"))
                .detail(format!("found   {}", graph.id()))
                .hint("restore `plan.json` there from a backup or another maintainer's copy; nothing was changed"));
            }
            if record.seq != i as u64 || record.prev != prev {
                return Err(Error::verification(format!("journal `{name}`: line {} does not follow line {i}", i + 1))
                    .detail("records were removed, added or reordered")
                    .hint("restore the journal from a backup or another maintainer's copy; nothing was changed"));
            }
            prev = record.hash;
            records.push(record);
        }
        let mut holders =
            check_signatures(&records, Signatures::Head).map_err(|e| e.context(format!("journal `{name}`")))?;
        Ok(Self { records, len: whole as u64, holder: holders.pop() })
    }
}

fn held_by(holder: &Certificate, signer: &dyn Signer) -> Result<()> {
    let ours = signer.fingerprint();
    if ours.parse::<Fingerprint>().is_ok_and(|key| holder.has_key(&key)) {
        return Ok(());
    }
    Err(Error::verification(format!("the train is held by {}", holder.fingerprint()))
        .detail(format!("this machine's operator key is {ours}"))
        .hint("if that key is yours, name it as `operator` in `[signing]`; `lifeboat log --verify` says whose it is"))
}
