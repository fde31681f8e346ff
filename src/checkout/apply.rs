//! Writes edits so that a kill leaves the tree as before or complete.
//!
//! Order: a record that holds every old and new content is written and synced; the new files are written beside the old
//! ones; each is renamed over its old one; all are synced; the record goes. No system call replaces several files, so
//! between the first rename and the last the tree is neither. Two things see to it that nobody meets it so:
//!
//! * A *guard* ([`guard`]), a process of its own that outlives this one by as long as it takes: when the program dies, it
//!   puts back what was replaced, unless everything was.
//! * If both die at once (power, the whole machine), the record stays, and the next command in this checkout does the same:
//!   [`settle`], [`recover`].
//!
//! One sync before and a batch of them after the renames keep it fast: the record makes up for whatever a power failure
//! tears in between.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::Checkout;
use crate::bump::Edit;
use crate::effects::{LockedFile, Outlives, locks, replace_file};
use crate::error::{Context as _, Error, Result};

/// The hidden verb by which the program becomes a guard of the directory named after it.
pub const GUARD: &str = "guard-bump";

/// Of the record; files in the first one had their text only, and were neither added nor removed.
const FORMAT: u32 = 2;
/// The record of a bump that is being written.
const RECORD: &str = "record.json";
/// The record of one that was killed after its last file: by it the same command again is known to have nothing to do.
const DONE: &str = "done.json";

/// What stands in the record of a bump that is being written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    format: u32,
    /// The request in words: the same one again is the same bump.
    request: String,
    head: Option<String>,
    files: Vec<Entry>,
}

/// One file; no content where there is none.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    path: String,
    before: Option<Content>,
    after: Option<Content>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    data: Data,
    /// The permission bits.
    mode: u32,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Data {
    Text(String),
    Bytes(Vec<u8>),
}

impl Data {
    fn new(bytes: Vec<u8>) -> Self {
        String::from_utf8(bytes).map_or_else(|e| Self::Bytes(e.into_bytes()), Self::Text)
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }
}

/// One file of the checkout that a bump changes, adds or removes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckoutChange {
    /// Where it lies in the checkout.
    pub path: String,
    /// Its bytes before; nothing where it is added.
    pub before: Option<Vec<u8>>,
    /// Its bytes afterwards; nothing where it is removed.
    pub after: Option<Vec<u8>>,
    /// Whether it can be executed afterwards; nothing where that stays, or is as usual for a new file. Of one that is
    /// removed: whether it could.
    pub executable: Option<bool>,
}

impl From<Edit> for CheckoutChange {
    fn from(edit: Edit) -> Self {
        Self { path: edit.path, before: Some(edit.before), after: Some(edit.after), executable: None }
    }
}

/// The permissions of a new file, and of one that can be executed, as git checks them out.
const PLAIN: u32 = 0o644;
const EXECUTABLE: u32 = 0o111;

/// What stands at an entry's path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Before,
    After,
    /// A prefix of the new content, as a power failure leaves it.
    Torn,
    Foreign,
}

/// How the tree was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// No bump was interrupted.
    Clean,
    /// One was, and what it had replaced is as before again.
    Undone,
    /// One was interrupted after its last file: it is complete.
    Complete,
}

/// Replaces, adds and removes the files of `changes` in the checkout; `request` says which bump this is, `program` is this
/// program's file, for the guard. Without it only the next command makes up for a kill.
///
/// # Errors
/// A file is no longer as it was read, another bump is writing, or the disk refuses; the tree is then as before.
pub fn apply(checkout: &Checkout, changes: &[CheckoutChange], request: &str, program: Option<&Path>) -> Result<()> {
    let dir = checkout.record_dir();
    let lock = lock(&dir, rustix::fs::FlockOperation::NonBlockingLockExclusive)?;
    let mut files = Vec::new();
    for change in changes {
        let at = checkout.top().join(&change.path);
        let beside = sibling(&at);
        if fs::symlink_metadata(&beside).is_ok() {
            return Err(Error::conflict(format!("`{}` is in the way, and no bump left it", beside.display()))
                .hint("nothing was written; look at it and move it away: the new file is written there first"));
        }
        if read(&at)? != change.before {
            return Err(Error::conflict(format!("`{}` changed while the bump was being decided", change.path))
                .hint("nothing was written; run it again"));
        }
        let content = |bytes: &Option<Vec<u8>>, mode| bytes.clone().map(|b| Content { data: Data::new(b), mode });
        let was = if change.before.is_some() { mode(&at)? } else { PLAIN };
        let becomes = match change.executable {
            None => was,
            Some(true) => was | EXECUTABLE,
            Some(false) => was & !EXECUTABLE,
        };
        let (before, after) = (content(&change.before, was), content(&change.after, becomes));
        files.push(Entry { path: change.path.clone(), before, after });
    }
    let record = Record { format: FORMAT, request: request.to_owned(), head: checkout.head(), files };
    let text = serde_json::to_vec(&record).context("the record of the bump")?;
    if let Err(e) = replace_file(&dir.join(RECORD), &text, Outlives::PowerLoss).context(dir.display()) {
        // No file was touched. What cannot be removed either, the next command removes.
        drop(clear(&dir));
        return Err(e);
    }
    stop_point();
    // The guard is started before the first rename.
    let _held = Held { _lock: lock, _guard: program.and_then(|program| Guard::start(program, checkout.top())) };
    let all: Vec<&Entry> = record.files.iter().collect();
    let written = replace_all(checkout, &all, |e| e.after.as_ref());
    if let Err(e) = written {
        undo(checkout, &record)?;
        clear(&dir)?;
        return Err(e.hint("the tree is as before"));
    }
    stop_point();
    clear(&dir)
}

/// What a bump holds while it writes, in the order in which it is let go: the guard ends only after it has looked at a record
/// that was left behind, for which it needs the lock.
struct Held {
    _lock: LockedFile,
    _guard: Option<Guard>,
}

/// How long the guard may take to leave the program's group; longer only if the machine hardly runs.
const LEAVING: Duration = Duration::from_secs(2);

/// The guard as its program sees it: the guard's standard input is the other end of this socket, which the system closes
/// when the program dies.
struct Guard {
    child: Child,
    socket: Option<UnixStream>,
}

impl Guard {
    /// Nothing if it cannot be started: then the record alone has to do.
    fn start(program: &Path, top: &Path) -> Option<Self> {
        let (mut ours, theirs) = UnixStream::pair().ok()?;
        let mut command = Command::new(program);
        // It keeps the output open, so that whoever reads that to its end finds the tree whole.
        command.arg(GUARD).arg(top).stdin(OwnedFd::from(theirs)).env_clear();
        #[cfg(debug_assertions)]
        if let Some(after) = std::env::var_os("LIFEBOAT_TEST_KILL_GUARD") {
            command.env("LIFEBOAT_TEST_KILL_BUMP", after);
        }
        let child = command.spawn().ok()?;
        // Only the guard holds its end now: one that cannot run is seen at once.
        drop(command);
        // Until it has left the group, a signal to the group ends both: no file is replaced before. It says so itself, since
        // in a container the number of a session is 0 as long as its leader is outside.
        let _ = ours.set_read_timeout(Some(LEAVING)).and_then(|()| ours.read(&mut [0]));
        Some(Self { child, socket: Some(ours) })
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.socket.take());
        // How it ended says nothing: the record is gone, or the next command finds it.
        let _ = self.child.wait();
    }
}

/// Waits until the program that bumps the checkout at `top` has ended, and makes the tree whole if it was killed. Returns
/// the program's exit code, which nobody reads.
#[must_use]
pub fn guard(top: &Path) -> u8 {
    // Signals to the terminal or to the job that the program belongs to are not for the guard. It fails only for the leader
    // of a group, whom they do not reach either.
    let _ = rustix::process::setsid();
    let _ = rustix::io::write(std::io::stdin(), b"\n");
    let ended = std::io::stdin().read_to_end(&mut Vec::new());
    let settled = ended.context("the guard's socket").and_then(|_| {
        let checkout = Checkout::open(top)?;
        let dir = checkout.record_dir();
        if !dir.join(RECORD).exists() {
            return Ok(Applied::Clean);
        }
        // The program is dying: its lock goes with it.
        let _lock = lock(&dir, rustix::fs::FlockOperation::LockExclusive)?;
        settle_locked(&checkout, &dir)
    });
    u8::from(settled.is_err())
}

/// Looks for a bump that was interrupted in this checkout, and makes the tree whole again: as before, unless it was complete.
///
/// # Errors
/// A file was edited by someone else since (nothing is overwritten), or a bump is being written right now.
pub fn settle(checkout: &Checkout) -> Result<Applied> {
    let dir = checkout.record_dir();
    if !dir.join(RECORD).exists() {
        return Ok(Applied::Clean);
    }
    let _lock = lock(&dir, rustix::fs::FlockOperation::NonBlockingLockExclusive)?;
    settle_locked(checkout, &dir)
}

/// As [`settle`], before another bump; says [`Applied::Complete`] only if the interrupted one was `request`, on the same
/// commit.
pub fn recover(checkout: &Checkout, request: &str) -> Result<Applied> {
    let dir = checkout.record_dir();
    if !dir.exists() {
        return Ok(Applied::Clean);
    }
    let _lock = lock(&dir, rustix::fs::FlockOperation::NonBlockingLockExclusive)?;
    let found = settle_locked(checkout, &dir)?;
    let mut same = false;
    if let Some(record) = recorded(&dir.join(DONE))? {
        same = record.request == request && record.head == checkout.head();
        for entry in &record.files {
            same &= state(checkout, entry)? == State::After;
        }
    }
    clear(&dir)?;
    Ok(match found {
        Applied::Undone => Applied::Undone,
        _ if same => Applied::Complete,
        _ => Applied::Clean,
    })
}

fn settle_locked(checkout: &Checkout, dir: &Path) -> Result<Applied> {
    let Some(record) = recorded(&dir.join(RECORD))? else {
        // Interrupted before the record, so no file was touched; or somebody else has just put all back, and this process
        // made the directory anew for its lock.
        if !dir.join(DONE).exists() {
            clear(dir)?;
        }
        return Ok(Applied::Clean);
    };
    let mut complete = true;
    for entry in &record.files {
        complete &= state(checkout, entry)? == State::After;
    }
    if complete {
        record.files.iter().try_for_each(|entry| remove_sibling(checkout, entry))?;
        fs::rename(dir.join(RECORD), dir.join(DONE)).context(dir.display())?;
        return Ok(Applied::Complete);
    }
    undo(checkout, &record)?;
    clear(dir)?;
    Ok(Applied::Undone)
}

fn recorded(at: &Path) -> Result<Option<Record>> {
    let Some(text) = read(at)? else { return Ok(None) };
    let record: Record = serde_json::from_slice(&text).context(at.display())?;
    if record.format != FORMAT {
        return Err(Error::input(format!("{}: written by another version of lifeboat", at.display()))
            .hint("let that version finish it, or `git checkout -- .` and remove the file"));
    }
    Ok(Some(record))
}

/// Puts the old content back wherever the new one stands. A file that is neither was edited by a person: it stops here.
fn undo(checkout: &Checkout, record: &Record) -> Result<()> {
    let mut changed = Vec::new();
    for entry in &record.files {
        remove_sibling(checkout, entry)?;
        let state = state(checkout, entry)?;
        // A file that is as before needs no writing, for which a full disk may have no room.
        if state != State::Before {
            changed.push(entry);
        }
        if state == State::Foreign {
            let dir = checkout.record_dir();
            return Err(Error::conflict(format!("`{}` was edited after a bump was interrupted", entry.path))
                .detail(format!("the old contents lie in {}", dir.join(RECORD).display()))
                .hint(format!(
                    "`git checkout -- {}`, or remove {} to keep the files as they are",
                    entry.path,
                    dir.display()
                )));
        }
    }
    replace_all(checkout, &changed, |e| e.before.as_ref())
}

fn state(checkout: &Checkout, entry: &Entry) -> Result<State> {
    let at = checkout.top().join(&entry.path);
    let now = match read(&at)? {
        Some(bytes) => Some(Content { data: Data::new(bytes), mode: mode(&at)? }),
        None => None,
    };
    let torn = |now: &Content| entry.after.as_ref().is_some_and(|a| a.data.bytes().starts_with(now.data.bytes()));
    Ok(if now == entry.before {
        State::Before
    } else if now == entry.after {
        State::After
    } else if now.as_ref().is_some_and(torn) {
        State::Torn
    } else {
        State::Foreign
    })
}

/// The permission bits of a file.
fn mode(at: &Path) -> Result<u32> {
    Ok(fs::metadata(at).context(at.display())?.permissions().mode() & 0o7777)
}

/// Gives each of the files the content that `wanted` names, or removes it.
fn replace_all(checkout: &Checkout, files: &[&Entry], wanted: fn(&Entry) -> Option<&Content>) -> Result<()> {
    let mut ready = Vec::new();
    for entry in files {
        let at = checkout.top().join(&entry.path);
        let beside = sibling(&at);
        let content = wanted(entry);
        if let Some(content) = content {
            if let Some(dir) = at.parent() {
                fs::create_dir_all(dir).context(dir.display())?;
            }
            // Never through a link that the tree may hold there.
            let written = File::create_new(&beside).and_then(|mut file| {
                file.write_all(content.data.bytes())?;
                file.set_permissions(fs::Permissions::from_mode(content.mode))
            });
            written.context(beside.display())?;
        }
        ready.push((content.is_some(), beside, at));
        stop_point();
    }
    for (stays, beside, at) in &ready {
        match stays {
            true => fs::rename(beside, at).context(at.display())?,
            false => remove(checkout.top(), at)?,
        }
        stop_point();
    }
    let dirs: BTreeSet<&Path> = ready.iter().filter_map(|(_, _, at)| at.parent()).collect();
    let all: Vec<&Path> = ready.iter().map(|(_, _, at)| at.as_path()).chain(dirs).collect();
    // Together they cost little more than one: the file system writes them in one go.
    all.par_iter().try_for_each(|at| match sync(at) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        done => done.context(at.display()),
    })
}

/// Removes a file, if it is there, and the directories that it leaves empty, as git does.
fn remove(top: &Path, at: &Path) -> Result<()> {
    match fs::remove_file(at) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e).context(at.display()),
        _ => {}
    }
    let mut dir = at.parent();
    while let Some(empty) = dir.filter(|d| *d != top && d.starts_with(top) && fs::remove_dir(d).is_ok()) {
        dir = empty.parent();
    }
    Ok(())
}

fn remove_sibling(checkout: &Checkout, entry: &Entry) -> Result<()> {
    let beside = sibling(&checkout.top().join(&entry.path));
    match fs::remove_file(&beside) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e).context(beside.display()),
        _ => Ok(()),
    }
}

fn read(at: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(at) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e).context(at.display()),
    }
}

fn sibling(at: &Path) -> PathBuf {
    let name = at.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    at.with_file_name(format!(".{name}.lifeboat-bump"))
}

fn sync(at: &Path) -> std::io::Result<()> {
    File::open(at)?.sync_all()
}

/// Where the crash tests kill the program, and with it the group of processes that they started it in: the variable says
/// after how many such points, in builds for tests only.
fn stop_point() {
    #[cfg(debug_assertions)]
    if let Some(Ok(mut left)) = std::env::var("LIFEBOAT_TEST_KILL_BUMP").ok().map(|v| v.parse::<usize>()) {
        use std::sync::atomic::{AtomicUsize, Ordering};
        static PASSED: AtomicUsize = AtomicUsize::new(0);
        left = left.saturating_sub(PASSED.fetch_add(1, Ordering::SeqCst));
        if left == 0 {
            let _ = rustix::process::kill_current_process_group(rustix::process::Signal::KILL);
        }
    }
}

/// Holds the record's directory against a second bump in the same checkout, until it is dropped.
fn lock(dir: &Path, how: rustix::fs::FlockOperation) -> Result<LockedFile> {
    let at = dir.join("lock");
    loop {
        fs::create_dir_all(dir).context(dir.display())?;
        let mut file = File::options().create(true).truncate(false).write(true).open(&at).context(at.display())?;
        rustix::fs::flock(&file, how).map_err(|e| {
            if e != rustix::io::Errno::WOULDBLOCK {
                return Error::fatal(format!("cannot lock `{}`: {e}", at.display())).because(std::io::Error::from(e));
            }
            let by = fs::read_to_string(&at).ok().and_then(|text| locks::named(&text));
            let by = by.map_or_else(locks::unknown, locks::with);
            Error::transient(format!("another bump is writing in this checkout: {by}"))
                .hint("wait until it has ended, then run the same command again")
        })?;
        // Whoever held it before may have removed it with the directory: then it protects nothing.
        let own = file.metadata().context(at.display())?.ino();
        if fs::metadata(&at).is_ok_and(|m| m.ino() == own) {
            // For the people who meet it; the lock counts without.
            drop(file.set_len(0).and_then(|()| file.write_all(format!("{} bump\n", std::process::id()).as_bytes())));
            return Ok(LockedFile(file));
        }
    }
}

/// Removes the record first, so that a crash in here leaves nothing that looks like an interrupted bump.
fn clear(dir: &Path) -> Result<()> {
    let gone = |done: std::io::Result<()>| match done {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e).context(dir.display()),
        _ => Ok(()),
    };
    gone(fs::remove_file(dir.join(RECORD)))?;
    gone(fs::remove_dir_all(dir))
}
