//! The change of a file as a unified diff that `git apply` takes.
//!
//! Source: git's documentation of `git diff`, "Generating patch text with -p", and of `core.quotePath`.

use std::fmt::Write as _;

use similar::TextDiff;

/// The change of the file at `path`; nothing stands for no file. `executable` says what it is afterwards where that changes,
/// and of a file that is added or removed. Of bytes that are no UTF-8 text it says only that they differ.
#[must_use]
pub(crate) fn unified_diff(
    path: &str,
    before: Option<&[u8]>,
    after: Option<&[u8]>,
    executable: Option<bool>,
) -> String {
    let (a, b) = (quoted(&format!("a/{path}")), quoted(&format!("b/{path}")));
    let mode = |executable: bool| if executable { "100755" } else { "100644" };
    let mut out = match (before, after, executable) {
        (Some(_), Some(_), None) => String::new(),
        (None, _, executable) => format!("diff --git {a} {b}\nnew file mode {}\n", mode(executable == Some(true))),
        (_, None, _) => format!("diff --git {a} {b}\ndeleted file mode {}\n", mode(executable == Some(true))),
        (_, _, Some(now)) => format!("diff --git {a} {b}\nold mode {}\nnew mode {}\n", mode(!now), mode(now)),
    };
    // Without a tab after it, a name with blanks would end at a blank that looks like the one before a date.
    let name =
        |name: &str| if name.contains(' ') && !name.starts_with('"') { format!("{name}\t") } else { name.into() };
    let from = before.map_or_else(|| "/dev/null".to_owned(), |_| name(&a));
    let to = after.map_or_else(|| "/dev/null".to_owned(), |_| name(&b));
    let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
    // Writing to a string cannot fail.
    let _ = match (std::str::from_utf8(before), std::str::from_utf8(after)) {
        (Ok(before), Ok(after)) => {
            // Git's lines end with a line feed alone: a lone carriage return is a character like any other.
            let (old, new): (Vec<&str>, Vec<&str>) =
                (before.split_inclusive('\n').collect(), after.split_inclusive('\n').collect());
            let diff = TextDiff::configure().newline_terminated(true).diff_slices(&old, &new);
            write!(out, "{}", diff.unified_diff().context_radius(3).header(&from, &to))
        }
        _ if before == after => Ok(()),
        _ => writeln!(out, "Binary files {} and {} differ", from.trim_end(), to.trim_end()),
    };
    out
}

/// A name as git writes it: in quotes, as C would, where it holds anything but printable ASCII.
fn quoted(name: &str) -> String {
    let plain = |b: u8| (b' '..=b'~').contains(&b) && !matches!(b, b'"' | b'\\');
    if name.bytes().all(plain) {
        return name.to_owned();
    }
    let mut out = String::from('"');
    for b in name.bytes() {
        let _ = match b {
            b'\t' => write!(out, "\\t"),
            b'\n' => write!(out, "\\n"),
            b'\r' => write!(out, "\\r"),
            b'"' | b'\\' => write!(out, "\\{}", char::from(b)),
            _ if plain(b) => write!(out, "{}", char::from(b)),
            _ => write!(out, "\\{b:03o}"),
        };
    }
    out + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_with_a_line_feed_alone() {
        let diff = unified_diff("a", Some(b"x\ry\n1\n"), Some(b"x\ry\n2"), None);
        assert_eq!(diff, "--- a/a\n+++ b/a\n@@ -1,2 +1,2 @@\n x\ry\n-1\n+2\n\\ No newline at end of file\n");
    }

    #[test]
    fn names_are_written_as_git_reads_them() {
        for (name, written) in [
            ("a b", "--- a/a b\t\n"),
            ("a\tb", "--- \"a/a\\tb\"\n"),
            ("\u{fc}\"\\\u{1b}", "--- \"a/\\303\\274\\\"\\\\\\033\"\n"),
        ] {
            let diff = unified_diff(name, Some(b"1"), Some(b"2"), None);
            assert!(diff.starts_with(written), "{diff}");
        }
    }

    #[test]
    fn what_is_no_text_is_said_to_differ() {
        let diff = |a: Option<&[u8]>, b: Option<&[u8]>, mode| unified_diff("f", a, b, mode);
        assert_eq!(diff(Some(b"\xff"), Some(b"\xfe"), None), "Binary files a/f and b/f differ\n");
        assert_eq!(
            diff(None, Some(b"1\n"), Some(true)),
            "diff --git a/f b/f\nnew file mode 100755\n--- /dev/null\n+++ b/f\n@@ -0,0 +1 @@\n+1\n"
        );
        assert_eq!(
            diff(Some(b"\xff"), Some(b"\xff"), Some(false)),
            "diff --git a/f b/f\nold mode 100755\nnew mode 100644\n"
        );
        assert!(
            diff(Some(b"1\n"), None, None)
                .starts_with("diff --git a/f b/f\ndeleted file mode 100644\n--- a/f\n+++ /dev")
        );
    }
}
