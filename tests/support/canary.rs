//! Looks for words that nobody may learn yet: in files that others can read, in their names, compressed or not.

use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// What is decompressed of one stream, at most.
const LIMIT: u64 = 8 * 1024 * 1024;

/// Whose files are looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Eyes {
    /// What the permission bits give to the group or to others, on the whole way from the top.
    Strangers,
    /// Everything.
    Owner,
}

/// Searches trees again and again; a file is read again only when it has changed.
pub struct Search {
    words: Vec<String>,
    eyes: Eyes,
    seen: HashMap<PathBuf, (u64, u64, i64, i64)>,
    pub files: usize,
}

impl Search {
    pub fn new(words: &[&str], eyes: Eyes) -> Self {
        Self { words: words.iter().map(|w| (*w).to_owned()).collect(), eyes, seen: HashMap::new(), files: 0 }
    }

    /// Every place below `top` where a word stands: a path, and which word.
    pub fn find(&mut self, top: &Path) -> Vec<String> {
        let mut found = Vec::new();
        self.visit(top, &mut found);
        found
    }

    fn may(&self, mode: u32, bits: u32) -> bool {
        self.eyes == Eyes::Owner || mode & bits != 0
    }

    fn visit(&mut self, path: &Path, found: &mut Vec<String>) {
        // What is gone by now was there for a moment only, and is looked for again in the next round.
        let Ok(meta) = fs::symlink_metadata(path) else { return };
        let mode = meta.mode();
        if meta.is_dir() {
            let Ok(entries) = fs::read_dir(path) else { return };
            for entry in entries.flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                if self.may(mode, 0o044) {
                    let named = self.words.iter().filter(|w| name.contains(w.as_str()));
                    found.extend(named.map(|w| format!("{} is named after `{w}`", entry.path().display())));
                }
                if self.may(mode, 0o011) {
                    self.visit(&entry.path(), found);
                }
            }
        } else if meta.is_symlink() {
            if let Ok(target) = fs::read_link(path) {
                self.note(path, target.as_os_str().as_encoded_bytes(), found);
            }
        } else if meta.is_file() && self.may(mode, 0o044) {
            let stamp = (meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec());
            if self.seen.insert(path.to_owned(), stamp) == Some(stamp) {
                return;
            }
            self.files += 1;
            if let Ok(bytes) = fs::read(path) {
                self.note(path, &bytes, found);
            }
        }
    }

    fn note(&self, path: &Path, bytes: &[u8], found: &mut Vec<String>) {
        for word in self.words_in(bytes) {
            found.push(format!("{} holds `{word}`", path.display()));
        }
    }

    /// The words in these bytes, and in what decompresses from anywhere in them.
    pub fn words_in(&self, bytes: &[u8]) -> Vec<String> {
        let mut found: Vec<String> = self.plain(bytes).collect();
        for at in 0..bytes.len().saturating_sub(2) {
            let mut out = Vec::new();
            // A broken end is as good: git packs and cut files hold streams that go on as something else.
            match (bytes[at], bytes[at + 1]) {
                (0x1f, 0x8b) => {
                    drop(flate2::read::MultiGzDecoder::new(&bytes[at..]).take(LIMIT).read_to_end(&mut out));
                }
                (0x78, 0x01 | 0x5e | 0x9c | 0xda) => {
                    drop(flate2::read::ZlibDecoder::new(&bytes[at..]).take(LIMIT).read_to_end(&mut out));
                }
                _ => {}
            }
            found.extend(self.plain(&out));
            if bytes[at] == 0x1f && !out.is_empty() {
                // An archive of archives and git packs.
                found.extend(self.words_in(&out));
            }
        }
        found.sort();
        found.dedup();
        found
    }

    fn plain<'a>(&'a self, bytes: &'a [u8]) -> impl Iterator<Item = String> + 'a {
        self.words.iter().filter(|w| holds(bytes, w.as_bytes())).cloned()
    }
}

fn holds(bytes: &[u8], word: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|b| *b == word[0]) {
        if rest[at..].starts_with(word) {
            return true;
        }
        rest = &rest[at + 1..];
    }
    false
}
