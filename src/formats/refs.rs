//! Lists of refs (gitrepository-layout(5)): `info/refs`, which dumb HTTP reads, and `packed-refs`, which git reads in a
//! directory.

use std::collections::BTreeMap;

use crate::model::Oid;

/// What a ref names, and what that points to if it is a tag object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefTarget {
    /// The object of the ref's own.
    pub object: Oid,
    /// What the tag object there points to.
    pub peeled: Option<Oid>,
}

/// A line of a list, as it is written: the ref's name and the object's id.
pub type RefLine<'a> = (&'a str, &'a str);

/// Reads `info/refs`: `<id> TAB <name>`. After a tag stands what it points to, under its name with `^{}`.
///
/// # Errors
/// The first line that is not one of these.
pub(crate) fn parse_info(text: &str) -> Result<Vec<RefLine<'_>>, &str> {
    text.lines().map(|line| line.split_once('\t').map(|(id, name)| (name, id)).ok_or(line)).collect()
}

/// Reads `packed-refs`: `<id> SP <name>`; comments, and what tags point to (`^<id>`), are left out.
///
/// # Errors
/// The first line that is not one of these.
pub(crate) fn parse_packed(text: &str) -> Result<Vec<RefLine<'_>>, &str> {
    let refs = text.lines().filter(|line| !line.starts_with(['#', '^']));
    refs.map(|line| line.split_once(' ').map(|(id, name)| (name, id)).ok_or(line)).collect()
}

/// The ref for which a name in `info/refs` says what it points to.
#[must_use]
pub fn peeled(name: &str) -> Option<&str> {
    name.strip_suffix("^{}")
}

/// `info/refs`, sorted by name, tags followed by what they point to.
#[must_use]
pub fn info(refs: &BTreeMap<String, RefTarget>) -> String {
    let mut out = String::new();
    for (name, target) in refs {
        out.push_str(&format!("{}\t{name}\n", target.object));
        if let Some(peeled) = &target.peeled {
            out.push_str(&format!("{peeled}\t{name}^{{}}\n"));
        }
    }
    out
}

/// `packed-refs`, sorted by name, tags followed by what they point to.
#[must_use]
pub fn packed(refs: &BTreeMap<String, RefTarget>) -> String {
    let mut out = "# pack-refs with: peeled fully-peeled sorted \n".to_owned();
    for (name, target) in refs {
        out.push_str(&format!("{} {name}\n", target.object));
        if let Some(peeled) = &target.peeled {
            out.push_str(&format!("^{peeled}\n"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_they_are_written() {
        let (a, b) = ("a".repeat(40), "b".repeat(40));
        let branch = RefTarget { object: a.parse().unwrap(), peeled: None };
        let tag = RefTarget { object: b.parse().unwrap(), peeled: Some(a.parse().unwrap()) };
        let refs = [("refs/heads/main".to_owned(), branch), ("refs/tags/v1".to_owned(), tag)].into();
        let written = info(&refs);
        assert_eq!(written, format!("{a}\trefs/heads/main\n{b}\trefs/tags/v1\n{a}\trefs/tags/v1^{{}}\n"));
        let (main, v1) = (("refs/heads/main", &a[..]), ("refs/tags/v1", &b[..]));
        assert_eq!(parse_info(&written).unwrap(), [main, v1, ("refs/tags/v1^{}", &a)]);
        assert_eq!(peeled("refs/tags/v1^{}"), Some("refs/tags/v1"));
        let written = packed(&refs);
        assert!(written.ends_with(&format!("\n{a} refs/heads/main\n{b} refs/tags/v1\n^{a}\n")), "{written}");
        assert_eq!(parse_packed(&written).unwrap(), [main, v1]);
        assert_eq!(parse_info("<html>\n"), Err("<html>"));
        assert_eq!(parse_packed("<html>\n"), Err("<html>"));
    }
}
