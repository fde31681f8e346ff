//! Writes edits so that a crash leaves the tree as before or complete, at the latest after the next run.
//!
//! Order: a record that holds every old and new content is written and synced; the new files are written beside the old
//! ones; each is renamed over its old one; all are synced; the record goes. [`recover`] finds a record that a crash left
//! behind and undoes what was replaced, unless everything was. One sync before and a batch of them after the renames
//! keep it fast: the record makes up for whatever a power failure tears in between.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::Checkout;
use crate::bump::Edit;
use crate::error::{Context as _, Error, Result};

const RECORD: &str = "record.json";

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

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    path: String,
    before: String,
    after: String,
}

/// What stands at an entry's path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Before,
    After,
    /// A prefix of the new content, as a power failure leaves it.
    Torn,
    Foreign,
}

/// How [`recover`] found the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// No bump was interrupted.
    Clean,
    /// One was, and what it had replaced is as before again.
    Undone,
    /// This very bump was interrupted after its last file: it is complete.
    Complete,
}

/// Replaces the files of `edits` in the checkout; `request` says which bump this is.
///
/// # Errors
/// A file is no longer as it was read, another bump is writing, or the disk refuses; the tree is then as before.
pub fn apply(checkout: &Checkout, edits: &[Edit], request: &str) -> Result<()> {
    let dir = checkout.record_dir();
    let _lock = lock(&dir)?;
    let mut files = Vec::new();
    for edit in edits {
        if read(&checkout.top().join(&edit.path))?.as_deref() != Some(edit.before.as_slice()) {
            return Err(Error::conflict(format!("`{}` changed while the bump was being decided", edit.path))
                .hint("nothing was written; run it again"));
        }
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).context(&edit.path);
        files.push(Entry { path: edit.path.clone(), before: text(&edit.before)?, after: text(&edit.after)? });
    }
    let record = Record { format: 1, request: request.to_owned(), head: checkout.head(), files };
    let text = serde_json::to_vec(&record).context("the record of the bump")?;
    let new = dir.join("record.new");
    fs::write(&new, &text).and_then(|()| sync(&new)).context(new.display())?;
    fs::rename(&new, dir.join(RECORD)).and_then(|()| sync(&dir)).context(dir.display())?;
    stop_point("record");
    let written = replace_all(checkout, &record, |e| &e.after);
    if let Err(e) = written {
        undo(checkout, &record)?;
        clear(&dir)?;
        return Err(e.hint("the tree is as before"));
    }
    stop_point("renamed");
    clear(&dir)
}

/// Looks for a bump that was interrupted in this checkout, and makes the tree whole again.
///
/// # Errors
/// A file was edited by someone else since; nothing is overwritten.
pub fn recover(checkout: &Checkout, request: &str) -> Result<Applied> {
    let dir = checkout.record_dir();
    if !dir.exists() {
        return Ok(Applied::Clean);
    }
    let _lock = lock(&dir)?;
    let Some(text) = read(&dir.join(RECORD))? else {
        // Interrupted before the record: no file was touched.
        clear(&dir)?;
        return Ok(Applied::Clean);
    };
    let record: Record = serde_json::from_slice(&text).context(dir.join(RECORD).display())?;
    if record.format != 1 {
        return Err(Error::input(format!("{}: written by a newer lifeboat", dir.join(RECORD).display())));
    }
    let mut complete = true;
    for entry in &record.files {
        complete &= state(checkout, entry)? == State::After;
        remove_sibling(checkout, entry)?;
    }
    if complete {
        clear(&dir)?;
        let same = record.request == request && record.head == checkout.head();
        return Ok(if same { Applied::Complete } else { Applied::Clean });
    }
    undo(checkout, &record)?;
    clear(&dir)?;
    Ok(Applied::Undone)
}

/// Puts the old content back wherever the new one stands. A file that is neither was edited by a person: it stops here.
fn undo(checkout: &Checkout, record: &Record) -> Result<()> {
    for entry in &record.files {
        remove_sibling(checkout, entry)?;
        if state(checkout, entry)? == State::Foreign {
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
    replace_all(checkout, record, |e| &e.before)
}

fn state(checkout: &Checkout, entry: &Entry) -> Result<State> {
    let Some(now) = read(&checkout.top().join(&entry.path))? else { return Ok(State::Foreign) };
    Ok(if now == entry.before.as_bytes() {
        State::Before
    } else if now == entry.after.as_bytes() {
        State::After
    } else if entry.after.as_bytes().starts_with(&now) {
        State::Torn
    } else {
        State::Foreign
    })
}

/// Gives every file of the record the content that `wanted` names. The files keep their permissions.
fn replace_all(checkout: &Checkout, record: &Record, wanted: fn(&Entry) -> &String) -> Result<()> {
    let mut ready = Vec::new();
    for entry in &record.files {
        let at = checkout.top().join(&entry.path);
        let permissions = fs::metadata(&at).context(at.display())?.permissions();
        let beside = sibling(&at);
        fs::write(&beside, wanted(entry)).context(beside.display())?;
        fs::set_permissions(&beside, permissions).context(beside.display())?;
        ready.push((beside, at));
        stop_point("sibling");
    }
    for (beside, at) in &ready {
        fs::rename(beside, at).context(at.display())?;
        stop_point("rename");
    }
    let dirs: BTreeSet<&Path> = ready.iter().filter_map(|(_, at)| at.parent()).collect();
    let all: Vec<&Path> = ready.iter().map(|(_, at)| at.as_path()).chain(dirs).collect();
    // Together they cost little more than one: the file system writes them in one go.
    all.par_iter().try_for_each(|at| sync(at).context(at.display()))
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

/// Where the crash tests kill the program: the variable says after how many such points, in builds for tests only.
fn stop_point(_name: &str) {
    #[cfg(debug_assertions)]
    if let Some(Ok(mut left)) = std::env::var("LIFEBOAT_TEST_KILL_BUMP").ok().map(|v| v.parse::<usize>()) {
        use std::sync::atomic::{AtomicUsize, Ordering};
        static PASSED: AtomicUsize = AtomicUsize::new(0);
        left = left.saturating_sub(PASSED.fetch_add(1, Ordering::SeqCst));
        if left == 0 {
            let own = rustix::process::getpid();
            let _ = rustix::process::kill_process(own, rustix::process::Signal::KILL);
        }
    }
}

/// Holds the record's directory against a second bump in the same checkout, until it is dropped.
fn lock(dir: &Path) -> Result<File> {
    fs::create_dir_all(dir).context(dir.display())?;
    let at = dir.join("lock");
    let file = File::create(&at).context(at.display())?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(e) => Err(Error::transient("another bump is writing in this checkout")
            .because(std::io::Error::from(e))
            .hint("wait until it has ended")),
    }
}

/// Removes the record first, so that a crash in here leaves nothing that looks like an interrupted bump.
fn clear(dir: &Path) -> Result<()> {
    match fs::remove_file(dir.join(RECORD)) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e).context(dir.display()),
        _ => {}
    }
    fs::remove_dir_all(dir).context(dir.display())
}
