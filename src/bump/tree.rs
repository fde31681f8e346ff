//! The source tree that a bump reads: paths, kinds and bytes, wherever they lie.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use crate::error::{Error, Result};
use crate::formats::cargo_manifest;
use crate::formats::glob::matches_path;

/// What a path of a tree is, by its git mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TreeEntryKind {
    /// 100644 or 100755.
    File,
    /// 120000; never followed.
    Symlink,
    /// 160000: the commit of another repository, whose files are not ours.
    Submodule,
}

/// One path of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry {
    /// Relative to the top, with `/`, without `.` and `..`. Paths that are not UTF-8 are left out.
    pub path: String,
    /// What it is.
    pub kind: TreeEntryKind,
}

/// A tree as git records it: a commit's, or a checkout's tracked files. Only files that a bump needs are read.
pub trait SourceTree {
    /// Every path of the tree (no directories), in any order.
    ///
    /// # Errors
    /// The tree cannot be listed.
    fn entries(&self) -> Result<Vec<TreeEntry>>;

    /// The bytes of the file at `path`, or nothing where there is none.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>>;

    /// Which of the files at `paths` have one of `needles` in their bytes.
    ///
    /// # Errors
    /// One is there and cannot be read.
    fn containing(&self, paths: &[String], needles: &[&str]) -> Result<Vec<String>> {
        let mut out = Vec::new();
        for path in paths {
            if self.read(path)?.is_some_and(|bytes| has_any(&bytes, needles)) {
                out.push(path.clone());
            }
        }
        Ok(out)
    }

    /// Manifests that fit `pattern` (a member of a workspace, with globs) in the directory around the tree and are not
    /// entries of it: Cargo reads them all the same.
    ///
    /// # Errors
    /// A directory cannot be read.
    fn strays(&self, _pattern: &str) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}

/// Whether one of `needles` stands in `bytes`.
#[must_use]
pub fn has_any(bytes: &[u8], needles: &[&str]) -> bool {
    needles.iter().any(|n| memchr::memmem::find(bytes, n.as_bytes()).is_some())
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
    fn entries(&self) -> Result<Vec<TreeEntry>> {
        let files = self.files.keys().map(|p| TreeEntry { path: p.clone(), kind: TreeEntryKind::File });
        let submodules = self.submodules.iter().map(|p| TreeEntry { path: p.clone(), kind: TreeEntryKind::Submodule });
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
    symlinks: HashSet<String>,
    texts: RefCell<HashMap<String, Option<Rc<str>>>>,
}

impl<'a> Sources<'a> {
    /// Lists the tree once.
    pub(super) fn new(tree: &'a dyn SourceTree) -> Result<Self> {
        let entries = tree.entries()?;
        let kind = |k: TreeEntryKind| entries.iter().filter(move |e| e.kind == k).map(|e| e.path.clone());
        let linked: Vec<String> = kind(TreeEntryKind::Submodule).map(|p| format!("{p}/")).collect();
        let symlinks: HashSet<String> = kind(TreeEntryKind::Symlink).collect();
        let mut paths: Vec<String> = kind(TreeEntryKind::File).filter(|p| !below(&linked, p)).collect();
        paths.sort();
        // A submodule whose files were added to the tree (a source archive, a vendored copy) is still not ours, unless a
        // workspace of ours names one of its crates as a member: then it is an ordinary directory by now.
        let mut copied: Vec<String> = Vec::new();
        if let Some(text) = tree.read(".gitmodules")? {
            let text = String::from_utf8_lossy(&text).into_owned();
            let values = text.lines().filter_map(|l| l.split_once('=')).filter(|(k, _)| k.trim() == "path");
            copied.extend(values.map(|(_, v)| format!("{}/", v.trim().trim_matches('"').trim_end_matches('/'))));
            copied.retain(|dir| paths.iter().any(|p| p.starts_with(dir.as_str())));
        }
        let mut out = Self { tree, paths, known: HashMap::new(), symlinks, texts: RefCell::default() };
        out.index();
        let foreign: Vec<String> = copied.into_iter().filter(|dir| !out.has_member_in(dir)).collect();
        if !foreign.is_empty() {
            out.paths.retain(|p| !below(&foreign, p));
            out.index();
        }
        Ok(out)
    }

    fn index(&mut self) {
        self.known = self.paths.iter().enumerate().map(|(i, p)| (p.clone(), i)).collect();
    }

    /// Whether a workspace above `dir` (which ends with `/`) names a crate in it as its member.
    fn has_member_in(&self, dir: &str) -> bool {
        let inside: Vec<&str> = self.paths.iter().filter(|p| p.starts_with(dir)).map(|p| parent(p)).collect();
        let mut above = dir.trim_end_matches('/');
        while !above.is_empty() {
            above = parent(above);
            let manifest = self.text(&file_in(above, "Cargo.toml")).ok().flatten();
            let workspace = manifest.and_then(|t| cargo_manifest::parse(&t).ok()?.workspace);
            let members = workspace.into_iter().flat_map(|w| w.members).filter_map(|m| join(above, &m));
            if members.into_iter().any(|m| inside.iter().any(|d| matches_path(&m, d))) {
                return true;
            }
        }
        false
    }

    /// The symbolic link that `path` is, or in which it lies.
    pub(super) fn symlink_on(&self, path: &str) -> Option<&str> {
        let ends = path.match_indices('/').map(|(i, _)| i).chain([path.len()]);
        ends.filter_map(|end| self.symlinks.get(&path[..end])).map(String::as_str).next()
    }

    /// The symbolic links of the tree, in no order.
    pub(super) fn symlinks(&self) -> impl Iterator<Item = &String> {
        self.symlinks.iter()
    }

    /// Manifests that fit a pattern for members and that the tree does not have.
    pub(super) fn strays(&self, pattern: &str) -> Result<Vec<String>> {
        self.tree.strays(pattern)
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
                .hint("expected a tracked UTF-8 file outside submodules")
        })
    }
}

/// Whether `path` lies in one of these directories, which end with `/`.
fn below(dirs: &[String], path: &str) -> bool {
    dirs.iter().any(|d| path.starts_with(d.as_str()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_paths() {
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
        // Unless it is a member by now: `.gitmodules` is older than the directory.
        tree.files.insert("Cargo.toml".to_owned(), b"[workspace]\nmembers = [\"copied\"]\n".to_vec());
        let sources = Sources::new(&tree).unwrap();
        assert_eq!(sources.paths(), [".gitmodules", "Cargo.toml", "copied/Cargo.toml"]);
    }
}
