//! Stores annotated tags that were made, and signed, elsewhere.

use git2::{ObjectType, Repository};

use super::{from_oid, git_error, to_oid};
use crate::error::{Error, Result};
use crate::model::{Ident, Oid, TagName, escape};

/// What a tag object says of itself (git-mktag(1)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TagHeader {
    pub(super) object: Oid,
    pub(super) kind: String,
    pub(super) name: TagName,
}

/// Reads the header, as strictly as `git mktag`: exactly these four lines, then an empty one.
pub(super) fn header(content: &[u8]) -> Result<TagHeader> {
    let bad = |what: &str| Error::input(format!("this is not a tag object: {what}"));
    let text = std::str::from_utf8(content).map_err(|_| bad("it is not UTF-8"))?;
    let (head, _) = text.split_once("\n\n").ok_or_else(|| bad("no empty line ends its header"))?;
    let mut lines = head.split('\n');
    let mut field = |name: &str| {
        let line = lines.next().unwrap_or_default();
        line.strip_prefix(name)
            .and_then(|v| v.strip_prefix(' '))
            .ok_or_else(|| bad(&format!("where `{name} …` must stand, it has `{}`", escape(line))))
    };
    let object = field("object")?.parse()?;
    let kind = field("type")?.to_owned();
    let name = TagName::new(field("tag")?)?;
    let tagger = field("tagger")?;
    let (who, when) = tagger.split_once("> ").ok_or_else(|| bad("its tagger has no time"))?;
    format!("{who}>").parse::<Ident>()?;
    let (seconds, offset) = when.split_once(' ').ok_or_else(|| bad("its tagger has no offset from UTC"))?;
    let offset_fits =
        offset.len() == 5 && offset.starts_with(['+', '-']) && offset[1..].bytes().all(|c| c.is_ascii_digit());
    if seconds.parse::<u64>().is_err() || !offset_fits {
        return Err(bad(&format!("`{}` is not seconds and an offset such as `+0000`", escape(when))));
    }
    if let Some(more) = lines.next() {
        return Err(bad(&format!("it has a line too many: `{}`", escape(more))));
    }
    Ok(TagHeader { object, kind, name })
}

/// Stores the object and returns its id.
pub(super) fn write(repo: &Repository, content: &[u8]) -> Result<Oid> {
    let header = header(content)?;
    let target = from_oid(&header.object)?;
    let what = || format!("cannot write tag `{}`", header.name);
    let odb = repo.odb().map_err(|e| git_error(&what(), e))?;
    let (_, found) = odb.read_header(target).map_err(|e| git_error(&what(), e))?;
    if found.str() != header.kind {
        return Err(Error::input(format!(
            "{}: it says that `{}` is a {}, but it is a {}",
            what(),
            header.object,
            escape(&header.kind),
            found.str()
        )));
    }
    odb.write(ObjectType::Tag, content).map(to_oid).map_err(|e| git_error(&what(), e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_strictly() {
        let oid = "a".repeat(40);
        let good = format!("object {oid}\ntype commit\ntag v1.0.0\ntagger A <a@example.org> 1 +0000\n\nv1.0.0\n");
        let read = header(good.as_bytes()).unwrap();
        assert_eq!((read.kind.as_str(), read.name.as_str()), ("commit", "v1.0.0"));
        for (from, to) in [
            ("tag v1.0.0", "tag -v1"),
            ("tagger A <a@example.org> 1 +0000", "tagger A <a@example.org> +0000"),
            ("tagger A <a@example.org> 1 +0000", "tagger A <a@example.org> 1 +0000\nextra x"),
            ("object", "Object"),
            ("\n\nv1", "\nv1"),
        ] {
            assert!(header(good.replacen(from, to, 1).as_bytes()).is_err(), "{to:?}");
        }
    }
}
