//! Finds the hunk of a patch that does not fit a tree, to show it beside what stands there; pure.

use crate::error::Result;
use crate::formats::git_diff::{FileChange, Hunk};
use crate::model::escape;

/// Lines of a hunk, and of the file, that are shown at most.
const SHOWN: usize = 30;

/// Why a patch does not fit.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Misfit {
    /// The file and, if known, the line: `src/lib.rs, line 12, hunk 1 of 3`.
    pub(super) place: String,
    /// Lines to be shown: the hunk, and what stands there now.
    pub(super) lines: Vec<String>,
}

/// The first place at which a change does not fit the files that `read` gives; `None` if none is found.
pub(super) fn first_misfit(
    files: &[FileChange],
    read: &mut dyn FnMut(&str) -> Result<Option<Vec<u8>>>,
) -> Result<Option<Misfit>> {
    for file in files {
        let Some(old) = file.old.as_deref().map(String::from_utf8_lossy) else {
            if let Some(new) = file.new.as_deref().map(String::from_utf8_lossy)
                && read(&new)?.is_some()
            {
                let lines = vec!["the patch creates this file, but the branch has it already".to_owned()];
                return Ok(Some(Misfit { place: format!("`{}`", escape(&new)), lines }));
            }
            continue;
        };
        let Some(now) = read(&old)? else {
            let lines = vec!["the patch changes this file, but the branch does not have it".to_owned()];
            return Ok(Some(Misfit { place: format!("`{}`", escape(&old)), lines }));
        };
        if let Some(misfit) = misfit_in(&old, &file.hunks, &now) {
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
        let before = hunk.before();
        if let Some(at) = nearest(&lines, &before, from, expected) {
            from = at + before.len();
            shift = at as isize - (hunk.start.max(1) - 1) as isize;
            continue;
        }
        let first = differing_line(&lines, &before, expected);
        let mut shown = vec!["the patch has:".to_owned()];
        shown.extend(show(hunk.lines.iter().map(Vec::as_slice)));
        let end = (expected + before.len().max(1)).min(lines.len());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::git_diff;

    const DIFF: &str = "diff --git a/src/a.rs b/src/a.rs\nindex 1111111..2222222 100644\n--- a/src/a.rs\n+++ b/src/a.rs\n@@ -1,3 +1,3 @@\n one\n-two\n+TWO\n three\n@@ -10,2 +10,3 @@ fn x\n ten\n+more\n eleven\n-- \n2.47.3\n";

    fn misfit(diff: &str, path: &str, now: Option<&str>) -> Option<Misfit> {
        let files = git_diff::read(diff.as_bytes()).unwrap().files;
        first_misfit(&files, &mut |p| Ok((p == path).then_some(now).flatten().map(|t| t.as_bytes().to_vec()))).unwrap()
    }

    #[test]
    fn hunks_end_where_their_counts_say() {
        let files = git_diff::read(DIFF.as_bytes()).unwrap().files;
        assert_eq!(files.len(), 1);
        assert_eq!(files[0].hunks.len(), 2);
        assert_eq!(files[0].hunks[1].before(), [b"ten\n".to_vec(), b"eleven\n".to_vec()]);
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
}
