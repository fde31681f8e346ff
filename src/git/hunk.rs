//! Finds the hunk of a patch that does not fit a tree, to show it beside what stands there; pure.

use crate::error::Result;
use crate::model::escape;

/// Lines of a hunk, and of the file, that are shown at most.
const SHOWN: usize = 30;

/// One file of a patch.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct FilePatch {
    /// Before; none if the patch creates it.
    pub(super) old: Option<String>,
    /// After; none if the patch deletes it.
    pub(super) new: Option<String>,
    pub(super) hunks: Vec<Hunk>,
}

/// One hunk of a text file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Hunk {
    /// The first line of the old file, counted from 1.
    pub(super) start: usize,
    /// Context and removed lines, with their line ends.
    pub(super) before: Vec<Vec<u8>>,
    /// The hunk as it stands in the patch.
    pub(super) text: Vec<Vec<u8>>,
    /// How many lines of each side its header announces that have not come.
    left: (usize, usize),
}

impl Hunk {
    /// Whether the patch ends before the hunk does.
    pub(super) fn is_open(&self) -> bool {
        self.left != (0, 0)
    }
}

/// Why a patch does not fit.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Misfit {
    /// The file and, if known, the line: `src/lib.rs, line 12, hunk 1 of 3`.
    pub(super) place: String,
    /// Lines to be shown: the hunk, and what stands there now.
    pub(super) lines: Vec<String>,
}

/// The first place at which `diff` does not fit the files that `read` gives; `None` if it cannot be told.
///
/// # Errors
/// Those of `read`.
pub(super) fn first_misfit(
    diff: &[u8],
    read: &mut dyn FnMut(&str) -> Result<Option<Vec<u8>>>,
) -> Result<Option<Misfit>> {
    for file in parse(diff) {
        let Some(old) = &file.old else {
            if let Some(new) = &file.new
                && read(new)?.is_some()
            {
                let lines = vec!["the patch creates this file, but the branch has it already".to_owned()];
                return Ok(Some(Misfit { place: format!("`{}`", escape(new)), lines }));
            }
            continue;
        };
        let Some(now) = read(old)? else {
            let lines = vec!["the patch changes this file, but the branch does not have it".to_owned()];
            return Ok(Some(Misfit { place: format!("`{}`", escape(old)), lines }));
        };
        if let Some(misfit) = misfit_in(old, &file.hunks, &now) {
            return Ok(Some(misfit));
        }
    }
    Ok(None)
}

fn misfit_in(path: &str, hunks: &[Hunk], now: &[u8]) -> Option<Misfit> {
    let lines: Vec<&[u8]> = now.split_inclusive(|c| *c == b'\n').collect();
    let mut from = 0;
    let mut shift = 0isize;
    for (n, hunk) in hunks.iter().enumerate() {
        let expected = (hunk.start.max(1) - 1).saturating_add_signed(shift);
        if let Some(at) = nearest(&lines, &hunk.before, from, expected) {
            from = at + hunk.before.len();
            shift = at as isize - (hunk.start.max(1) - 1) as isize;
            continue;
        }
        let first = differing_line(&lines, &hunk.before, expected);
        let mut shown = vec!["the patch has:".to_owned()];
        shown.extend(show(hunk.text.iter().map(Vec::as_slice)));
        let end = (expected + hunk.before.len().max(1)).min(lines.len());
        if expected < end {
            shown.push(format!("`{}` has, from line {}:", escape(path), expected + 1));
            shown.extend(show(lines[expected..end].iter().copied()));
        } else {
            shown.push(format!("`{}` ends at line {}", escape(path), lines.len()));
        }
        let place = format!("`{}`, line {}, hunk {} of {}", escape(path), first + 1, n + 1, hunks.len());
        return Some(Misfit { place, lines: shown });
    }
    None
}

/// Where `wanted` stands in `lines` at or after `from`, nearest to `expected`.
fn nearest(lines: &[&[u8]], wanted: &[Vec<u8>], from: usize, expected: usize) -> Option<usize> {
    let last = lines.len().checked_sub(wanted.len())?;
    (from..=last)
        .filter(|at| lines[*at..at + wanted.len()].iter().zip(wanted).all(|(a, b)| *a == b.as_slice()))
        .min_by_key(|at| at.abs_diff(expected))
}

/// The index of the first line of the file that is not what the hunk wants at its place.
fn differing_line(lines: &[&[u8]], wanted: &[Vec<u8>], expected: usize) -> usize {
    let differs = |(n, want): &(usize, &Vec<u8>)| lines.get(expected + n).is_none_or(|line| *line != want.as_slice());
    wanted.iter().enumerate().find(differs).map_or(expected, |(n, _)| expected + n)
}

fn show<'a>(lines: impl ExactSizeIterator<Item = &'a [u8]>) -> Vec<String> {
    let more = lines.len().saturating_sub(SHOWN);
    let mut out: Vec<String> = lines
        .take(SHOWN)
        .map(|l| {
            let text = String::from_utf8_lossy(l).replace('\t', "    ");
            format!("| {}", escape(text.trim_end_matches(['\n'])))
        })
        .collect();
    if more > 0 {
        out.push(format!("| … {}", crate::model::counted(more, "more line")));
    }
    out
}

/// Reads git's unified format. What it does not understand it skips: it explains a failure, it does not decide one.
pub(super) fn parse(diff: &[u8]) -> Vec<FilePatch> {
    let mut files: Vec<FilePatch> = Vec::new();
    for line in diff.split_inclusive(|c| *c == b'\n') {
        if let Some(hunk) = files.last_mut().and_then(|f| f.hunks.last_mut())
            && (hunk.is_open() || line.starts_with(b"\\"))
        {
            take(hunk, line);
            continue;
        }
        let text = String::from_utf8_lossy(line);
        let text = text.trim_end_matches(['\n', '\r']);
        if text.starts_with("diff --git ") {
            files.push(FilePatch::default());
            if let (Some(file), Some(path)) = (files.last_mut(), same_path(text)) {
                (file.old, file.new) = (Some(path.clone()), Some(path));
            }
            continue;
        }
        let Some(file) = files.last_mut() else { continue };
        if text.starts_with("new file mode ") {
            file.old = None;
        } else if text.starts_with("deleted file mode ") {
            file.new = None;
        } else if let Some(path) = text.strip_prefix("rename from ").or_else(|| text.strip_prefix("copy from ")) {
            file.old = Some(unquote(path));
        } else if let Some(path) = text.strip_prefix("rename to ").or_else(|| text.strip_prefix("copy to ")) {
            file.new = Some(unquote(path));
        } else if let Some(path) = text.strip_prefix("--- ") {
            file.old = side(path);
        } else if let Some(path) = text.strip_prefix("+++ ") {
            file.new = side(path);
        } else if let Some((old, new)) = text.strip_prefix("@@ -").and_then(ranges) {
            file.hunks.push(Hunk { start: old.0, before: Vec::new(), text: vec![line.to_vec()], left: (old.1, new.1) });
        }
    }
    files
}

/// Adds a line to a hunk and counts down what is left of it.
fn take(hunk: &mut Hunk, line: &[u8]) {
    hunk.text.push(line.to_vec());
    match line.first() {
        Some(b'-') => {
            hunk.left.0 = hunk.left.0.saturating_sub(1);
            hunk.before.push(line[1..].to_vec());
        }
        Some(b'+') => hunk.left.1 = hunk.left.1.saturating_sub(1),
        Some(b'\\') => {
            // `\ No newline at end of file` concerns the line above.
            if let Some(above) = hunk.text.iter().rev().nth(1)
                && !above.starts_with(b"+")
                && let Some(last) = hunk.before.last_mut()
                && last.last() == Some(&b'\n')
            {
                last.pop();
            }
        }
        _ => {
            hunk.left = (hunk.left.0.saturating_sub(1), hunk.left.1.saturating_sub(1));
            // Mail programs strip the single blank of an empty context line.
            hunk.before.push(line.strip_prefix(b" ").unwrap_or(line).to_vec());
        }
    }
}

/// `12,3 +12,4 @@ …`: the start and the length on each side.
fn ranges(text: &str) -> Option<((usize, usize), (usize, usize))> {
    let (old, rest) = text.split_once(" +")?;
    let (new, _) = rest.split_once(" @@")?;
    let range = |s: &str| -> Option<(usize, usize)> {
        let (start, len) = s.split_once(',').unwrap_or((s, "1"));
        Some((start.parse().ok()?, len.parse().ok()?))
    };
    Some((range(old)?, range(new)?))
}

/// The path after `--- ` or `+++ `, without `a/`; none for `/dev/null`.
fn side(text: &str) -> Option<String> {
    let path = unquote(text.split('\t').next().unwrap_or_default());
    if path == "/dev/null" { None } else { path.split_once('/').map(|(_, p)| p.to_owned()) }
}

/// The path of `diff --git a/x b/x` where both are the same, which is all that files without hunks have.
fn same_path(line: &str) -> Option<String> {
    let rest = line.strip_prefix("diff --git ")?;
    if rest.starts_with('"') {
        let middle = rest.find("\" \"")?;
        return side(&rest[..=middle]);
    }
    let middle = rest.len().checked_sub(1)? / 2;
    let (a, b) = (rest.get(..middle)?, rest.get(middle + 1..)?);
    (side(a)? == side(b)?).then(|| side(a))?
}

/// Undoes git's C-style quotes.
fn unquote(text: &str) -> String {
    let Some(inner) = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')) else { return text.to_owned() };
    let mut out = Vec::new();
    let mut bytes = inner.bytes();
    while let Some(c) = bytes.next() {
        if c != b'\\' {
            out.push(c);
            continue;
        }
        match bytes.next() {
            Some(d @ b'0'..=b'3') => {
                let mut value = d - b'0';
                for _ in 0..2 {
                    value = (value << 3) | bytes.next().map_or(0, |c| c.wrapping_sub(b'0') & 7);
                }
                out.push(value);
            }
            Some(b'n') => out.push(b'\n'),
            Some(b't') => out.push(b'\t'),
            Some(b'r') => out.push(b'\r'),
            Some(other) => out.push(other),
            None => {}
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIFF: &str = "diff --git a/src/a.rs b/src/a.rs\nindex 1..2 100644\n--- a/src/a.rs\n+++ b/src/a.rs\n@@ -1,3 +1,3 @@\n one\n-two\n+TWO\n three\n@@ -10,2 +10,3 @@ fn x\n ten\n+more\n eleven\n-- \n2.47.3\n";

    fn misfit(diff: &str, path: &str, now: Option<&str>) -> Option<Misfit> {
        first_misfit(diff.as_bytes(), &mut |p| Ok((p == path).then_some(now).flatten().map(|t| t.as_bytes().to_vec())))
            .unwrap()
    }

    #[test]
    fn hunks_end_where_their_counts_say() {
        let files = parse(DIFF.as_bytes());
        assert_eq!(files.len(), 1);
        assert_eq!(files[0].hunks.len(), 2);
        assert_eq!(files[0].hunks[1].before, [b"ten\n".to_vec(), b"eleven\n".to_vec()]);
    }

    #[test]
    fn the_hunk_and_the_line_are_shown() {
        let now = "one\ntwo\nthree\n4\n5\n6\n7\n8\n9\nTEN\neleven\n";
        let found = misfit(DIFF, "src/a.rs", Some(now)).unwrap();
        assert_eq!(found.place, "`src/a.rs`, line 10, hunk 2 of 2");
        assert!(found.lines.contains(&"| +more".to_owned()), "{found:?}");
        assert!(found.lines.contains(&"| TEN".to_owned()), "{found:?}");
    }

    #[test]
    fn moved_hunks_fit() {
        let now = "zero\none\ntwo\nthree\n\nten\neleven\n";
        assert_eq!(misfit(DIFF, "src/a.rs", Some(now)), None);
    }

    #[test]
    fn files_that_are_missing_or_there_already() {
        assert!(misfit(DIFF, "src/a.rs", None).unwrap().lines[0].contains("does not have it"));
        let new = "diff --git a/n b/n\nnew file mode 100644\n--- /dev/null\n+++ b/n\n@@ -0,0 +1 @@\n+x\n";
        assert!(misfit(new, "n", Some("y\n")).unwrap().lines[0].contains("has it already"));
        assert_eq!(misfit(new, "other", Some("y\n")), None);
    }

    #[test]
    fn a_missing_line_end_counts() {
        let diff = "diff --git a/f b/f\n--- a/f\n+++ b/f\n@@ -1 +1 @@\n-x\n\\ No newline at end of file\n+x\n";
        assert_eq!(misfit(diff, "f", Some("x")), None);
        assert!(misfit(diff, "f", Some("x\n")).is_some());
    }

    #[test]
    fn paths_of_all_forms() {
        assert_eq!(unquote("\"a/\\303\\244 b\""), "a/ä b");
        assert_eq!(same_path("diff --git a/x y b/x y").as_deref(), Some("x y"));
        assert_eq!(side("/dev/null"), None);
        assert_eq!(side("a/f.c\t2020-01-01"), Some("f.c".into()));
    }
}
