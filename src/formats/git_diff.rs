//! A change as `git diff` writes it, read strictly: every line belongs to the change of a file, or the change is refused.
//!
//! `git apply` skips what it does not understand, so it takes the half of a mail that was cut for the whole. Whoever means
//! to ship a change asks here first what it is.

mod hunk;
mod names;

use std::collections::BTreeSet;

pub use hunk::Hunk;
use hunk::Ranges;
use names::{is_named, same_name, side, unquoted, within};

use crate::error::{Error, Result};
use crate::model::escape;

/// The longest `diff --git` line, in bytes: two paths of the longest length that systems have.
const LONGEST_TITLE: usize = 8 << 10;

/// The change of one file.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct FileChange {
    /// Its path before; none if the change creates it.
    pub old: Option<Vec<u8>>,
    /// Its path after; none if the change deletes it.
    pub new: Option<Vec<u8>>,
    /// How many lines are added.
    pub added: u64,
    /// How many lines are removed.
    pub removed: u64,
    /// Whether it is written as binary data, or as "differs" alone.
    pub binary: bool,
    /// Whether more of it might have followed: nothing in the change itself says that it ends here.
    pub open: bool,
    /// Whether it is a submodule's commit.
    pub submodule: bool,
    /// The hunks of a text file, in their order.
    pub hunks: Vec<Hunk>,
}

impl FileChange {
    /// The path by which people know it.
    #[must_use]
    pub fn path(&self) -> &[u8] {
        self.new.as_deref().or(self.old.as_deref()).unwrap_or_default()
    }
}

/// A change, and what stands below it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct GitDiff<'a> {
    /// The changes of files, in their order.
    pub files: Vec<FileChange>,
    /// Whether empty lines stand between them.
    pub spaced: bool,
    /// Where it ends, in bytes.
    pub end: usize,
    /// What is left, from the first line that is not part of it.
    pub rest: &'a [u8],
}

impl GitDiff<'_> {
    /// Every path that the change names, before and after.
    #[must_use]
    pub fn paths(&self) -> BTreeSet<Vec<u8>> {
        self.files.iter().flat_map(|f| f.old.iter().chain(&f.new)).cloned().collect()
    }
}

/// Every path that a change names, before and after; nothing may follow the change.
///
/// # Errors
/// As [`read`], and text that is not part of the change.
pub fn paths(diff: &[u8]) -> Result<BTreeSet<Vec<u8>>> {
    let change = read(diff)?;
    match change.rest.split(|c| *c == b'\n').find(|l| !l.trim_ascii().is_empty()) {
        None => Ok(change.paths()),
        Some(line) => Err(Error::input(format!("the line `{}` is not part of a change", shown(line)))),
    }
}

/// The lines of a header that end with a mode.
const MODES: [&[u8]; 5] = [b"index ", b"old mode ", b"new mode ", b"new file mode ", b"deleted file mode "];

/// Whether a line begins the change of a file; `next` is the line below it.
#[must_use]
pub fn begins(line: &[u8], next: Option<&[u8]>) -> bool {
    line.starts_with(b"diff --git ")
        || (line.starts_with(b"Index: ") && next.is_some_and(|n| n.starts_with(b"=====") || n.starts_with(b"--- ")))
        || (line.starts_with(b"diff -") && next.is_some_and(|n| n.starts_with(b"--- ")))
        || (line.starts_with(b"--- ") && next.is_some_and(|n| n.starts_with(b"+++ ")))
}

/// Reads a change from its first line on, as far as it goes.
///
/// # Errors
/// A change that is cut or damaged: names the file and the line.
pub fn read(diff: &[u8]) -> Result<GitDiff<'_>> {
    let lines: Vec<&[u8]> = diff.split_inclusive(|c| *c == b'\n').collect();
    let mut reader = Reader { lines, at: 0 };
    let mut out = GitDiff::default();
    let mut ended = 0;
    loop {
        let from = reader.at;
        while reader.line().is_some_and(|l| l.trim_ascii().is_empty()) {
            reader.at += 1;
        }
        if !reader.line().is_some_and(|l| begins(l, reader.lines.get(reader.at + 1).copied())) {
            reader.at = from;
            break;
        }
        out.spaced |= reader.at > from && !out.files.is_empty();
        let title = reader.text().unwrap_or_default();
        out.files.push(reader.file()?);
        ended = reader.at;
        if !reader.lines[ended - 1].ends_with(b"\n") {
            return Err(cut(title));
        }
    }
    out.end = reader.lines[..ended].iter().map(|l| l.len()).sum();
    out.rest = &diff[out.end..];
    Ok(out)
}

struct Reader<'a> {
    lines: Vec<&'a [u8]>,
    at: usize,
}

/// What the lines above the hunks say of a file.
#[derive(Default)]
struct Header {
    created: bool,
    deleted: bool,
    moved: bool,
    old_mode: bool,
    new_mode: bool,
    whole: bool,
    /// Both ids of the `index` line.
    index: Option<(String, String)>,
}

impl<'a> Reader<'a> {
    fn line(&self) -> Option<&'a [u8]> {
        self.lines.get(self.at).copied()
    }

    /// The line without its end.
    fn text(&self) -> Option<&'a [u8]> {
        let line = self.line()?;
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    }

    fn file(&mut self) -> Result<FileChange> {
        match self.text().and_then(|l| l.strip_prefix(b"diff --git ")) {
            Some(names) => self.git_file(names),
            None => self.plain_file(),
        }
    }

    /// A change with git's own header.
    fn git_file(&mut self, names: &[u8]) -> Result<FileChange> {
        let title = self.text().unwrap_or_default();
        if title.len() > LONGEST_TITLE {
            return Err(Error::input(format!("the line `{}` is longer than {LONGEST_TITLE} bytes", shown(title)))
                .hint("no file has such a name: make the patch again with `git format-patch --binary`"));
        }
        if !self.line().is_some_and(|l| l.ends_with(b"\n")) {
            return Err(cut(title));
        }
        self.at += 1;
        let mut file = FileChange::default();
        let mut header = Header::default();
        while let Some(line) = self.text() {
            let name = |prefix: &[u8]| line.strip_prefix(prefix).map(unquoted);
            // The mode of a commit in a tree.
            file.submodule |= line.ends_with(b" 160000") && MODES.iter().any(|with| line.starts_with(with));
            if let Some(from) = name(b"rename from ").or_else(|| name(b"copy from ")).or_else(|| name(b"rename old ")) {
                file.old = Some(from);
                header.moved = true;
            } else if let Some(to) = name(b"rename to ").or_else(|| name(b"copy to ")).or_else(|| name(b"rename new "))
            {
                file.new = Some(to);
                header.moved = true;
            } else if line.starts_with(b"new file mode ") {
                header.created = true;
            } else if line.starts_with(b"deleted file mode ") {
                header.deleted = true;
            } else if line.starts_with(b"old mode ") {
                header.old_mode = true;
            } else if line.starts_with(b"new mode ") {
                header.new_mode = true;
            } else if line == b"similarity index 100%" {
                header.whole = true;
            } else if let Some(ids) = line.strip_prefix(b"index ") {
                header.index = ids_of(ids);
                if header.index.is_none() {
                    return Err(damaged(title, line));
                }
            } else if !line.starts_with(b"similarity index ") && !line.starts_with(b"dissimilarity index ") {
                break;
            }
            self.at += 1;
        }
        let names = match (&file.old, &file.new) {
            (Some(from), Some(to)) => (from.clone(), to.clone()),
            _ if header.moved => return Err(cut(title)),
            _ => {
                let path = same_name(names).ok_or_else(|| misnamed(title))?;
                (path.clone(), path)
            }
        };
        if header.moved && !is_named(title, &names) {
            return Err(misnamed(title));
        }
        file.old = (!header.created).then(|| names.0.clone());
        file.new = (!header.deleted).then(|| names.1.clone());
        if header.old_mode != header.new_mode {
            return Err(cut(title));
        }
        let mut body = true;
        match self.text() {
            Some(line) if line == b"GIT binary patch" => self.binary(title, &mut file)?,
            Some(line) if line.starts_with(b"Binary files ") || line.starts_with(b"Files ") => {
                file.binary = true;
                self.at += 1;
            }
            Some(line) if line.starts_with(b"--- ") => {
                self.sides(title, &file)?;
                self.hunks(title, &mut file)?;
            }
            _ => body = false,
        }
        if !body {
            bodyless(title, &header, &mut file)?;
        }
        Ok(file)
    }

    /// A change as `diff -u`, Subversion or Mercurial write it.
    fn plain_file(&mut self) -> Result<FileChange> {
        let title = self.text().unwrap_or_default();
        while self.text().is_some_and(|l| !l.starts_with(b"--- ")) {
            let known = |l: &[u8]| l.starts_with(b"Index: ") || l.starts_with(b"=====") || l.starts_with(b"diff -");
            match self.text() {
                Some(line) if known(line) => self.at += 1,
                Some(line) => return Err(damaged(title, line)),
                None => return Err(cut(title)),
            }
        }
        let old = self.text().and_then(|l| l.strip_prefix(b"--- ")).ok_or_else(|| cut(title))?;
        self.at += 1;
        let new = self.text().and_then(|l| l.strip_prefix(b"+++ ")).ok_or_else(|| cut(title))?;
        self.at += 1;
        let (old, new) = (side(old), side(new));
        let inside = |side: &Option<Vec<u8>>, prefix: &[u8]| match side {
            None => Ok(None),
            Some(name) => within(name).filter(|_| !prefix.is_empty() || name.contains(&b'/')).map(Some).ok_or(()),
        };
        let mut file = match (inside(&old, b"a/"), inside(&new, b"b/")) {
            (Ok(old), Ok(new)) => FileChange { old, new, ..FileChange::default() },
            _ => return Err(misnamed(title)),
        };
        let bare = |side: &Option<Vec<u8>>, prefix: &[u8]| side.as_ref().is_none_or(|n| n.starts_with(prefix));
        // Git strips one directory from each name: without the prefixes it would be one of the project's own.
        let prefixed = match (&old, &new) {
            (Some(a), Some(b)) => a != b && file.old == file.new,
            _ => bare(&old, b"a/") && bare(&new, b"b/"),
        };
        if !prefixed {
            return Err(misnamed(title));
        }
        self.hunks(title, &mut file)?;
        Ok(file)
    }

    /// The `---` and `+++` lines below git's own header, which say the same again.
    fn sides(&mut self, title: &[u8], file: &FileChange) -> Result<()> {
        for (prefix, wanted) in [(&b"--- "[..], &file.old), (b"+++ ", &file.new)] {
            let Some(line) = self.text() else { return Err(cut(title)) };
            let Some(name) = line.strip_prefix(prefix) else { return Err(damaged(title, line)) };
            let fits = match (side(name), wanted) {
                (None, None) => true,
                (Some(name), Some(wanted)) => within(&name).as_ref() == Some(wanted),
                _ => false,
            };
            if !fits {
                return Err(damaged(title, line));
            }
            self.at += 1;
        }
        Ok(())
    }

    fn hunks(&mut self, title: &[u8], file: &mut FileChange) -> Result<()> {
        while let Some(line) = self.text().filter(|l| l.starts_with(b"@@ ")) {
            let Some(ranges) = Ranges::read(line) else { return Err(damaged(title, line)) };
            let (mut old, mut new) = (ranges.old, ranges.new);
            let from = self.at;
            self.at += 1;
            while old > 0 || new > 0 {
                let Some(line) = self.line() else { return Err(cut(title)) };
                match line.first() {
                    // Mail programs strip the blank of an empty context line.
                    Some(b' ' | b'\n') if old > 0 && new > 0 => (old, new) = (old - 1, new - 1),
                    Some(b'-') if old > 0 => (old, file.removed) = (old - 1, file.removed + 1),
                    Some(b'+') if new > 0 => (new, file.added) = (new - 1, file.added + 1),
                    Some(b'\\') => {}
                    _ => return Err(damaged(title, line)),
                }
                // What is cut within its last line has no line end; a file without one has a line of its own for that.
                if !line.ends_with(b"\n") {
                    return Err(cut(title));
                }
                self.at += 1;
            }
            while self.line().is_some_and(|l| l.starts_with(b"\\ ") && l.ends_with(b"\n")) {
                self.at += 1;
            }
            let lines = self.lines[from..self.at].iter().map(|l| l.to_vec()).collect();
            file.hunks.push(Hunk { start: ranges.start, lines });
        }
        match self.text() {
            _ if !file.hunks.is_empty() => Ok(()),
            Some(line) if !line.is_empty() => Err(damaged(title, line)),
            _ => Err(cut(title)),
        }
    }

    /// Base 85, the new content and mostly the old one; what is in it git checks by its id.
    fn binary(&mut self, title: &[u8], file: &mut FileChange) -> Result<()> {
        file.binary = true;
        self.at += 1;
        let kind = |line: &[u8]| line.starts_with(b"literal ") || line.starts_with(b"delta ");
        let mut blocks = 0;
        while self.text().is_some_and(kind) {
            self.at += 1;
            blocks += 1;
            while let Some(line) = self.text().filter(|l| !l.is_empty()) {
                if line.contains(&b' ') {
                    return Err(damaged(title, line));
                }
                self.at += 1;
            }
            if self.line().is_none() {
                return Err(cut(title));
            }
            self.at += 1;
        }
        if blocks == 0 { Err(cut(title)) } else { Ok(()) }
    }
}

/// Whether a file's change may be one without hunks, and whether it might have gone on.
fn bodyless(title: &[u8], header: &Header, file: &mut FileChange) -> Result<()> {
    /// The ids of no file and of the empty one.
    const EMPTY: [&str; 2] = ["0000000", "e69de29"];
    let empty = |id: &str| EMPTY.iter().any(|e| id.starts_with(e));
    file.open = match &header.index {
        Some((old, new)) if old != new && !(empty(old) && empty(new)) => return Err(cut(title)),
        Some(_) => false,
        None if header.whole => false,
        None if header.created || header.deleted || header.moved || header.new_mode => true,
        None => return Err(cut(title)),
    };
    Ok(())
}

/// `a1b2..c3d4 100644`: both ids.
fn ids_of(text: &[u8]) -> Option<(String, String)> {
    let text = std::str::from_utf8(text).ok()?;
    let (old, new) = text.split(' ').next()?.split_once("..")?;
    let id = |id: &str| id.len() >= 4 && id.bytes().all(|c| c.is_ascii_hexdigit());
    (id(old) && id(new)).then(|| (old.to_owned(), new.to_owned()))
}

/// A line as people are shown it.
#[must_use]
pub fn shown(line: &[u8]) -> String {
    const LONGEST: usize = 80;
    let text = String::from_utf8_lossy(line.trim_ascii_end()).into_owned();
    let short: String = text.chars().take(LONGEST).collect();
    escape(&short) + if short.len() < text.len() { "…" } else { "" }
}

/// What helps where a mail is not whole.
pub(crate) const AGAIN: &str =
    "save the whole mail again, or make it with `git format-patch --binary -o DIR BASE..HEAD`";

fn cut(title: &[u8]) -> Error {
    Error::input(format!("it is cut: what follows `{}` is not whole", shown(title))).hint(AGAIN)
}

fn damaged(title: &[u8], line: &[u8]) -> Error {
    Error::input(format!("the change below `{}` is cut or damaged at the line `{}`", shown(title), shown(line)))
        .hint(AGAIN)
}

fn misnamed(title: &[u8]) -> Error {
    Error::input(format!("`{}` does not name the file as `a/PATH b/PATH`", shown(title)))
        .hint("make it again without `diff.noprefix`: `git -c diff.noprefix=false format-patch --binary`")
}

#[cfg(test)]
#[path = "git_diff_tests.rs"]
mod tests;
