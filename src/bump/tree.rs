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
    let parts: Vec<&str> = pattern.split('/').filter(|x| !x.is_empty() && *x != ".").collect();
    let names: Vec<&str> = path.split('/').filter(|x| !x.is_empty()).collect();
    let within = |part: &&str, name: &&str| fits(&marks(part), name.as_bytes(), |m| *m == Mark::Any, Mark::is);
    fits(&parts, &names, |part| *part == "**", within)
}

/// One mark of a pattern within a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark<'a> {
    /// `*`.
    Any,
    /// `?`.
    One,
    /// `[a-c]`, or `[!a-c]`: whether it is negated, and what stands in it.
    Set(bool, &'a [u8]),
    Byte(u8),
}

impl Mark<'_> {
    /// Whether it is this byte.
    fn is(&self, byte: &u8) -> bool {
        match self {
            Self::Any | Self::One => true,
            Self::Byte(b) => b == byte,
            Self::Set(negated, set) => {
                let range = set.windows(3).any(|w| w[1] == b'-' && w[0] <= *byte && *byte <= w[2]);
                (range || set.contains(byte)) != *negated
            }
        }
    }
}

fn marks(part: &str) -> Vec<Mark<'_>> {
    let (mut out, mut rest) = (Vec::new(), part.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        let end = after.iter().position(|b| *b == b']').filter(|end| *first == b'[' && *end > 0);
        (out, rest) = match (first, end) {
            (_, Some(end)) => {
                let inside = &after[..end];
                let (negated, set) = inside.strip_prefix(b"!").map_or((false, inside), |set| (true, set));
                out.push(Mark::Set(negated, set));
                (out, &after[end + 1..])
            }
            (byte, None) => {
                out.push(match byte {
                    b'*' => Mark::Any,
                    b'?' => Mark::One,
                    byte => Mark::Byte(*byte),
                });
                (out, after)
            }
        };
    }
    out
}

/// Whether `pattern` stands for the whole of `text`, where what `any` names stands for any number of items. Only the last
/// such place is tried again, which is enough: the time grows with the product of both lengths, whatever a tree names.
fn fits<P, T>(pattern: &[P], text: &[T], any: impl Fn(&P) -> bool, one: impl Fn(&P, &T) -> bool) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut again: Option<(usize, usize)> = None;
    while let Some(item) = text.get(t) {
        match (pattern.get(p), again) {
            (Some(mark), _) if any(mark) => {
                p += 1;
                again = Some((p, t));
            }
            (Some(mark), _) if one(mark, item) => (p, t) = (p + 1, t + 1),
            (_, Some((after, from))) => {
                (p, t) = (after, from + 1);
                again = Some((after, t));
            }
            (_, None) => return false,
        }
    }
    pattern[p..].iter().all(any)
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
            ("**/b/**/d", "b/a/b/c/c/d"),
            ("*a*b", "aaabab"),
            ("[x", "[x"),
            ("a[]", "a[]"),
            (".", ""),
        ] {
            assert!(glob(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in [
            ("crates/*", "crates/a/b"),
            ("crates/*", "crates"),
            ("a", "b"),
            ("a-[!bc]", "a-b"),
            ("**/b/*/d", "b/c/c/d"),
            ("*a*b", "aaba"),
        ] {
            assert!(!glob(pattern, path), "{pattern} {path}");
        }
        // A pattern that a tree names must not keep us for years.
        assert!(!glob(&("*a".repeat(40) + "b"), &"a".repeat(200)));
        assert!(!glob(&("**/".repeat(40) + "b"), &"a/".repeat(200)));
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
