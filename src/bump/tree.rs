//! The source tree that a bump reads: paths, kinds and bytes, wherever they lie.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use crate::error::{Error, Result};

/// What a path of a tree is, by its git mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// 100644 or 100755.
    File,
    /// 120000; never followed.
    Symlink,
    /// 160000: the commit of another repository, whose files are not ours.
    Submodule,
}

/// One path of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Relative to the top, with `/`, without `.` and `..`. Paths that are not UTF-8 are left out.
    pub path: String,
    /// What it is.
    pub kind: EntryKind,
}

/// A tree as git records it: a commit's, or a checkout's tracked files. Only files that a bump needs are read.
pub trait SourceTree {
    /// Every path of the tree (no directories), in any order.
    ///
    /// # Errors
    /// The tree cannot be listed.
    fn entries(&self) -> Result<Vec<Entry>>;

    /// The bytes of the file at `path`, or nothing where there is none.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>>;
}

/// A tree held in memory, for tests and fuzzing.
#[derive(Debug, Clone, Default)]
pub struct MemoryTree {
    /// Path to bytes.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Paths that are submodules.
    pub submodules: Vec<String>,
}

impl MemoryTree {
    /// A tree of text files.
    #[must_use]
    pub fn new(files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|(p, t)| ((*p).to_owned(), t.as_bytes().to_vec())).collect();
        Self { files, submodules: Vec::new() }
    }
}

impl SourceTree for MemoryTree {
    fn entries(&self) -> Result<Vec<Entry>> {
        let files = self.files.keys().map(|p| Entry { path: p.clone(), kind: EntryKind::File });
        let submodules = self.submodules.iter().map(|p| Entry { path: p.clone(), kind: EntryKind::Submodule });
        Ok(files.chain(submodules).collect())
    }

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.files.get(path).cloned())
    }
}

/// The files of a tree that are ours to change: regular files outside submodules; each is read at most once.
pub(super) struct Sources<'a> {
    tree: &'a dyn SourceTree,
    paths: Vec<String>,
    known: HashMap<String, usize>,
    texts: RefCell<HashMap<String, Option<Rc<str>>>>,
}

impl<'a> Sources<'a> {
    /// Lists the tree once.
    pub(super) fn new(tree: &'a dyn SourceTree) -> Result<Self> {
        let entries = tree.entries()?;
        let mut submodules: Vec<String> =
            entries.iter().filter(|e| e.kind == EntryKind::Submodule).map(|e| format!("{}/", e.path)).collect();
        // A submodule whose files were added to the tree (a source archive, a vendored copy) is still not ours.
        if let Some(text) = tree.read(".gitmodules")? {
            let text = String::from_utf8_lossy(&text).into_owned();
            let paths = text.lines().filter_map(|l| l.split_once('=')).filter(|(k, _)| k.trim() == "path");
            submodules.extend(paths.map(|(_, v)| format!("{}/", v.trim().trim_matches('"').trim_end_matches('/'))));
        }
        let foreign = |p: &str| submodules.iter().any(|s| p.starts_with(s.as_str()));
        let mut paths: Vec<String> = entries
            .into_iter()
            .filter(|e| e.kind == EntryKind::File)
            .map(|e| e.path)
            .filter(|p| submodules.is_empty() || !foreign(p))
            .collect();
        paths.sort();
        let known = paths.iter().enumerate().map(|(i, p)| (p.clone(), i)).collect();
        Ok(Self { tree, paths, known, texts: RefCell::default() })
    }

    /// Every path that is ours, sorted.
    pub(super) fn paths(&self) -> &[String] {
        &self.paths
    }

    /// Whether `path` is a file of ours.
    pub(super) fn has(&self, path: &str) -> bool {
        self.known.contains_key(path)
    }

    /// The text of a file of ours; nothing where there is no such file or where it is not UTF-8.
    pub(super) fn text(&self, path: &str) -> Result<Option<Rc<str>>> {
        if !self.has(path) {
            return Ok(None);
        }
        if let Some(known) = self.texts.borrow().get(path) {
            return Ok(known.clone());
        }
        let bytes = self.tree.read(path)?;
        let text: Option<Rc<str>> = bytes.and_then(|b| String::from_utf8(b).ok()).map(Rc::from);
        self.texts.borrow_mut().insert(path.to_owned(), text.clone());
        Ok(text)
    }

    /// The text of a file that must be there.
    pub(super) fn required(&self, path: &str, why: &str) -> Result<Rc<str>> {
        self.text(path)?.ok_or_else(|| {
            Error::input(format!("`{path}` is not a text file of this tree"))
                .detail(why.to_owned())
                .hint("valid are tracked UTF-8 files outside submodules")
        })
    }
}

/// The directory of a path: `` for the top.
pub(super) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(dir, _)| dir)
}

/// `relative` seen from directory `dir`, without `.` and `..`; nothing if it leaves the tree.
pub(super) fn join(dir: &str, relative: &str) -> Option<String> {
    if relative.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in dir.split('/').chain(relative.split(['/', '\\'])) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            _ => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The file `name` in directory `dir`.
pub(super) fn file_in(dir: &str, name: &str) -> String {
    if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") }
}

/// Whether `path` matches `pattern` part by part: `*` and `?` within one part, `**` for any number of parts.
pub(super) fn glob(pattern: &str, path: &str) -> bool {
    fn part(p: &[u8], s: &[u8]) -> bool {
        match (p.first(), s.first()) {
            (None, None) => true,
            (Some(b'*'), _) => part(&p[1..], s) || (!s.is_empty() && part(p, &s[1..])),
            (Some(b'?'), Some(_)) => part(&p[1..], &s[1..]),
            (Some(b'['), Some(c)) => match p.iter().position(|b| *b == b']') {
                Some(end) if end > 1 => {
                    let (negated, set) = if p[1] == b'!' { (true, &p[2..end]) } else { (false, &p[1..end]) };
                    let within = set.windows(3).any(|w| w[1] == b'-' && w[0] <= *c && *c <= w[2]);
                    (within || set.contains(c)) != negated && part(&p[end + 1..], &s[1..])
                }
                _ => *c == b'[' && part(&p[1..], &s[1..]),
            },
            (Some(a), Some(b)) => a == b && part(&p[1..], &s[1..]),
            _ => false,
        }
    }
    fn parts(p: &[&str], s: &[&str]) -> bool {
        match (p.first(), s.first()) {
            (None, None) => true,
            (Some(&"**"), _) => parts(&p[1..], s) || (!s.is_empty() && parts(p, &s[1..])),
            (Some(a), Some(b)) => part(a.as_bytes(), b.as_bytes()) && parts(&p[1..], &s[1..]),
            _ => false,
        }
    }
    let p: Vec<&str> = pattern.split('/').filter(|x| !x.is_empty() && *x != ".").collect();
    let s: Vec<&str> = path.split('/').filter(|x| !x.is_empty()).collect();
    parts(&p, &s)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_and_paths() {
        for (pattern, path) in [
            ("crates/*", "crates/a"),
            ("./a", "a"),
            ("**/fuzz", "x/y/fuzz"),
            ("a-[bc]", "a-b"),
            ("a?/**", "ab/c/d"),
            (".", ""),
        ] {
            assert!(glob(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in [("crates/*", "crates/a/b"), ("crates/*", "crates"), ("a", "b"), ("a-[!bc]", "a-b")] {
            assert!(!glob(pattern, path), "{pattern} {path}");
        }
        assert_eq!(join("a/b", "../c/./d").as_deref(), Some("a/c/d"));
        assert_eq!(join("a", "..").as_deref(), Some(""));
        assert_eq!(join("a", "../.."), None);
    }

    #[test]
    fn what_lies_in_a_submodule_is_not_ours() {
        let mut tree = MemoryTree::new(&[
            ("Cargo.toml", ""),
            ("linked/Cargo.toml", ""),
            ("copied/Cargo.toml", ""),
            (".gitmodules", "[submodule \"c\"]\n\tpath = copied\n\turl = x\n"),
        ]);
        tree.submodules.push("linked".to_owned());
        let sources = Sources::new(&tree).unwrap();
        assert_eq!(sources.paths(), [".gitmodules", "Cargo.toml"]);
    }
}
