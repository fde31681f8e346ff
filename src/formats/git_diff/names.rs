//! How a diff names files: quotes, `a/` and `b/`, `/dev/null`.

use std::borrow::Cow;

/// A name after `--- ` or `+++ `; none for `/dev/null`.
pub(super) fn side(text: &[u8]) -> Option<Vec<u8>> {
    let name = unquoted(text.split(|c| *c == b'\t').next().unwrap_or_default());
    (name != b"/dev/null").then_some(name)
}

/// The name without its first directory.
pub(super) fn within(name: &[u8]) -> Option<Vec<u8>> {
    below_first(name).map(<[u8]>::to_vec)
}

fn below_first(name: &[u8]) -> Option<&[u8]> {
    let at = name.iter().position(|c| *c == b'/')?;
    Some(&name[at + 1..]).filter(|n| !n.is_empty())
}

/// One name of a title line: a part of it, or without its quotes.
type Name<'a> = Cow<'a, [u8]>;

/// The two names of a `diff --git` line in every way that it can be read.
fn pairs(names: &[u8]) -> impl Iterator<Item = (Name<'_>, Name<'_>)> {
    let is_quoted = names.starts_with(b"\"") || names.ends_with(b"\"");
    let plain = names.iter().enumerate().filter(move |(_, c)| !is_quoted && **c == b' ');
    let plain = plain.map(|(i, _)| (Name::Borrowed(&names[..i]), Name::Borrowed(&names[i + 1..])));
    is_quoted.then(|| quoted(names)).flatten().into_iter().chain(plain)
}

/// The two names of a line of which one is in quotes: there is one way to read it.
fn quoted(names: &[u8]) -> Option<(Name<'_>, Name<'_>)> {
    let quoted_end = |from: usize| {
        let mut at = from + 1;
        while at < names.len() && names[at] != b'"' {
            at += if names[at] == b'\\' { 2 } else { 1 };
        }
        at
    };
    let split = match names.starts_with(b"\"") {
        true => quoted_end(0) + 1,
        false => names.windows(2).position(|w| w == b" \"").unwrap_or(names.len()),
    };
    let (old, new) = (names.get(..split)?, names.get(split + 1..)?);
    Some((Name::Owned(unquoted(old)), Name::Owned(unquoted(new))))
}

/// The path of a file that is not renamed: both names are the same but for their first directories, which are not.
pub(super) fn same_name(names: &[u8]) -> Option<Vec<u8>> {
    pairs(names).find_map(|(old, new)| {
        let path = below_first(&old)?;
        (old != new && below_first(&new)? == path).then(|| path.to_vec())
    })
}

/// Whether the title of a renamed or copied file names what its own lines do, below a first directory.
pub(super) fn is_named(title: &[u8], (from, to): &(Vec<u8>, Vec<u8>)) -> bool {
    let names = title.strip_prefix(b"diff --git ").unwrap_or_default();
    pairs(names).any(|(old, new)| below_first(&old) == Some(from) && below_first(&new) == Some(to))
}

/// Undoes git's C-style quotes.
pub(super) fn unquoted(text: &[u8]) -> Vec<u8> {
    let Some(inner) = text.strip_prefix(b"\"").and_then(|t| t.strip_suffix(b"\"")) else { return text.to_vec() };
    let mut out = Vec::new();
    let mut bytes = inner.iter().copied();
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
            Some(b'a') => out.push(7),
            Some(b'b') => out.push(8),
            Some(b'v') => out.push(11),
            Some(b'f') => out.push(12),
            Some(other) => out.push(other),
            None => {}
        }
    }
    out
}
