//! Patterns over names and paths, as shells have them.

/// Whether `pattern` matches the whole of a name: `*` stands for any characters, `/` too (branch names are not paths here),
/// `?` for one.
#[must_use]
pub(crate) fn matches_name(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    fits(&pattern, &name, |p| *p == '*', |p, c| *p == '?' || p == c)
}

/// Whether a name holds `*` or `?`.
#[must_use]
pub(crate) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?'])
}

/// Whether `path` matches `pattern` part by part: `*` and `?` within one part, `**` for any number of parts.
#[must_use]
pub(crate) fn matches_path(pattern: &str, path: &str) -> bool {
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
    fn names() {
        for (pattern, name) in [
            ("release-*", "release-36.0.0"),
            ("*", "a/b"),
            ("*", ""),
            ("", ""),
            ("*-min", "a-min-min"),
            ("a?c*", "abc"),
            ("*-*.0", "release-1.0.0"),
            ("a*b*c", "aXbYbZc"),
        ] {
            assert!(matches_name(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in
            [("release-*", "main"), ("*-min", "a-mi"), ("", "a"), ("a?", "a"), ("*a*b", "ba"), ("v?.x", "v10.x")]
        {
            assert!(!matches_name(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn paths() {
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
            assert!(matches_path(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in [
            ("crates/*", "crates/a/b"),
            ("crates/*", "crates"),
            ("a", "b"),
            ("a-[!bc]", "a-b"),
            ("**/b/*/d", "b/c/c/d"),
            ("*a*b", "aaba"),
        ] {
            assert!(!matches_path(pattern, path), "{pattern} {path}");
        }
        // A pattern that a tree names must not keep us for years.
        assert!(!matches_path(&("*a".repeat(40) + "b"), &"a".repeat(200)));
        assert!(!matches_path(&("**/".repeat(40) + "b"), &"a/".repeat(200)));
    }
}
