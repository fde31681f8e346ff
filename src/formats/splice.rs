//! Replaces ranges of a text and leaves every other byte as it is.

use std::ops::Range;

/// One replacement: the bytes of `span` become `with`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Splice {
    /// Byte range in the original text; lies on character boundaries.
    pub span: Range<usize>,
    /// What stands there afterwards.
    pub with: String,
}

impl Splice {
    /// Replaces `span` by `with`.
    pub fn new(span: Range<usize>, with: impl Into<String>) -> Self {
        Self { span, with: with.into() }
    }
}

/// Applies `splices`, which may come in any order. A splice that overlaps an earlier one or leaves the text is dropped:
/// callers find their spans in disjoint values, and a text is never torn by a wrong span.
#[must_use]
pub fn splice(text: &str, mut splices: Vec<Splice>) -> String {
    splices.sort_by_key(|s| (s.span.start, s.span.end));
    let mut out = String::with_capacity(text.len() + 16 * splices.len());
    let mut at = 0;
    for s in &splices {
        let (Some(before), Some(_)) = (text.get(at..s.span.start), text.get(s.span.clone())) else { continue };
        out.push_str(before);
        out.push_str(&s.with);
        at = s.span.end;
    }
    out.push_str(text.get(at..).unwrap_or_default());
    out
}

/// The line number, counted from 1, of byte `offset` in `text`.
#[must_use]
pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    1 + text.as_bytes().iter().take(offset).filter(|b| **b == b'\n').count()
}

/// The lines of `text` with the byte offset at which each starts, without their line ends (`\n` or `\r\n`).
pub fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    text.split_inclusive('\n').map(move |line| {
        let start = at;
        at += line.len();
        let line = line.strip_suffix('\n').unwrap_or(line);
        (start, line.strip_suffix('\r').unwrap_or(line))
    })
}

/// Where `needle` stands in `text` without being part of a longer version or name: neither neighbour is a letter, a
/// digit, `_`, or a `.`, `-` or `+` that joins it to a further letter or digit.
#[must_use]
pub(crate) fn whole_words(text: &str, needle: &str) -> Vec<Range<usize>> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let joins = |c: char| matches!(c, '.' | '-' | '+');
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(i) = text.get(from..).and_then(|t| t.find(needle)).filter(|_| !needle.is_empty()) {
        let span = from + i..from + i + needle.len();
        let mut before = text[..span.start].chars().rev();
        let mut after = text[span.end..].chars();
        let glued_before = match before.next() {
            // A `v` in front is how versions are written (`v1.2.3`), unless it ends a longer word.
            Some('v') => before.next().is_some_and(word),
            Some('.') => before.next().is_some_and(|d| d.is_ascii_digit()),
            Some(c) => word(c),
            None => false,
        };
        let glued_after = match after.next() {
            Some(c) if joins(c) => after.next().is_some_and(word),
            Some(c) => word(c),
            None => false,
        };
        if !glued_before && !glued_after {
            found.push(span.clone());
        }
        from = span.end;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_in_any_order_and_never_tears() {
        let cut =
            vec![Splice::new(6..11, "moon"), Splice::new(0..5, "bye"), Splice::new(8..9, "!"), Splice::new(90..91, "")];
        assert_eq!(splice("hello world\r\n", cut), "bye moon\r\n");
        assert_eq!(line_of("a\nb\nc", 4), 3);
        assert_eq!(lines("a\r\nb\n\nc").collect::<Vec<_>>(), [(0, "a"), (3, "b"), (5, ""), (6, "c")]);
    }

    #[test]
    fn whole_words_are_not_parts_of_longer_versions() {
        let count = |t: &str| whole_words(t, "1.2.3").len();
        for yes in ["1.2.3", "v1.2.3", "=1.2.3", "\"1.2.3\"", "Version 1.2.3.", "a-1.2.3", "(1.2.3)", "1.2.3 - x"] {
            assert_eq!(count(yes), 1, "{yes}");
        }
        for no in ["11.2.3", "1.2.33", "1.2.3.4", "0.1.2.3", "1.2.3-rc.1", "1.2.3+x", "rev1.2.3", "1.2.3_a"] {
            assert_eq!(count(no), 0, "{no}");
        }
    }
}
