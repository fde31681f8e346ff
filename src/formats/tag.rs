//! The text of a git tag object (git documentation, "gitformat-signature"; `git cat-file tag`).

use jiff::Timestamp;

use crate::error::{Error, ErrorKind, Result};
use crate::model::{Ident, Oid, TagName, escape};

/// The file in a release that holds the signed tag object, readable as it is.
pub const FILE: &str = "tag.txt";

/// Where git looks for the signature: at the start of a line.
const BEGIN: &str = "-----BEGIN PGP SIGNATURE-----";
/// What a signed tag ends with; bytes after it would change the tag's id under the same signature.
const END: &[u8] = b"\n-----END PGP SIGNATURE-----\n";

/// A tag object's fields, with its signature if it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// The commit.
    pub object: Oid,
    /// The tag's own name; git does not compare it with the ref under which the tag is found.
    pub name: TagName,
    /// Who tagged.
    pub tagger: Ident,
    /// When, to the second.
    pub date: Timestamp,
    /// The message, with a final line end.
    pub message: String,
}

/// The bytes that are signed: the tag object without its signature. Dates are written in UTC.
///
/// # Errors
/// A message without text, or with a line that git would take for a signature.
pub fn payload(tag: &Tag) -> Result<Vec<u8>> {
    let Tag { object, name, tagger, date, message } = tag;
    if message.trim().is_empty() || message.contains('\0') {
        return Err(Error::input(format!("the message of tag `{name}` is empty or holds a NUL byte"))
            .hint("fix `release-templates/tag.txt`"));
    }
    if message.lines().any(|l| l.starts_with("-----BEGIN ")) {
        return Err(Error::input(format!("the message of tag `{name}` has a line that starts like a signature"))
            .hint("fix `release-templates/tag.txt`"));
    }
    let end = if message.ends_with('\n') { "" } else { "\n" };
    let seconds = date.as_second();
    Ok(format!("object {object}\ntype commit\ntag {name}\ntagger {tagger} {seconds} +0000\n\n{message}{end}").into())
}

/// The whole tag object: payload and armored signature.
#[must_use]
pub fn sign(payload: &[u8], signature: &str) -> Vec<u8> {
    let mut out = payload.to_vec();
    out.extend_from_slice(signature.as_bytes());
    if !signature.ends_with('\n') {
        out.push(b'\n');
    }
    out
}

/// Splits a tag object into the bytes that were signed and the signature.
///
/// # Errors
/// A tag without a signature, with more than one (`git tag -v` refuses those, other readers pick one), or with anything
/// after it.
pub fn split(object: &[u8]) -> Result<(&[u8], &[u8])> {
    let mut starts = Vec::new();
    let mut line = 0;
    while line < object.len() {
        if object[line..].starts_with(BEGIN.as_bytes()) {
            starts.push(line);
        }
        line += object[line..].iter().position(|b| *b == b'\n').map_or(object.len() - line, |n| n + 1);
    }
    match starts[..] {
        [at] if object.ends_with(END) => Ok(object.split_at(at)),
        [_] => Err(Error::verification("the tag object does not end with its signature")),
        [] => Err(Error::verification("the tag object has no OpenPGP signature")),
        _ => Err(Error::verification("the tag object has more than one signature")),
    }
}

/// What a tag object says of itself (git-mktag(1)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagHeader<'a> {
    /// The object that it names.
    pub object: Oid,
    /// What that is: `commit`, for nearly all tags.
    pub kind: &'a str,
    /// The tag's own name.
    pub name: TagName,
    /// Who tagged.
    pub tagger: Ident,
    /// When, in seconds since 1970.
    pub seconds: i64,
    /// The message, and whatever else comes after the header.
    pub message: &'a str,
}

/// Reads the header of a tag object, as strictly as `git mktag`: exactly these four lines, then an empty one.
///
/// # Errors
/// Names the line that is not as it should be, as an error of this kind.
pub fn header(content: &[u8], kind: ErrorKind) -> Result<TagHeader<'_>> {
    let bad = |what: &str| Error::new(kind, format!("this is not a tag object: {what}"));
    let text = std::str::from_utf8(content).map_err(|_| bad("it is not UTF-8"))?;
    let (head, message) = text.split_once("\n\n").ok_or_else(|| bad("no empty line ends its header"))?;
    let mut lines = head.split('\n');
    let mut field = |name: &str| {
        let line = lines.next().unwrap_or_default();
        line.strip_prefix(name)
            .and_then(|v| v.strip_prefix(' '))
            .ok_or_else(|| bad(&format!("where `{name} …` must stand, it has `{}`", escape(line))))
    };
    let object = field("object")?.parse()?;
    let kind = field("type")?;
    let name = TagName::new(field("tag")?)?;
    let (who, when) = field("tagger")?.split_once("> ").ok_or_else(|| bad("its tagger has no time"))?;
    let tagger = format!("{who}>").parse()?;
    let (seconds, offset) = when.split_once(' ').ok_or_else(|| bad("its tagger has no offset from UTC"))?;
    let offset_fits =
        offset.len() == 5 && offset.starts_with(['+', '-']) && offset[1..].bytes().all(|c| c.is_ascii_digit());
    let seconds = seconds.parse().ok().filter(|s: &i64| offset_fits && *s >= 0);
    let seconds =
        seconds.ok_or_else(|| bad(&format!("`{}` is not seconds and an offset such as `+0000`", escape(when))))?;
    if let Some(more) = lines.next() {
        return Err(bad(&format!("it has a line too many: `{}`", escape(more))));
    }
    Ok(TagHeader { object, kind, name, tagger, seconds, message })
}

/// Reads a payload; only what [`payload`] writes.
///
/// # Errors
/// Names the line that is not as it should be.
pub fn parse(payload_bytes: &[u8]) -> Result<Tag> {
    let bad = |what: &str| Error::verification(format!("the tag object {what}"));
    let TagHeader { object, kind, name, tagger, seconds, message } = header(payload_bytes, ErrorKind::Verification)?;
    if kind != "commit" {
        return Err(bad("does not name a commit"));
    }
    let date = Timestamp::from_second(seconds).map_err(|_| bad("has a time that no clock shows"))?;
    let tag = Tag { object, name, tagger, date, message: message.to_owned() };
    // An offset other than UTC's, too.
    if payload(&tag)? != payload_bytes {
        return Err(bad("is not written as git writes it"));
    }
    Ok(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(message: &str) -> Tag {
        Tag {
            object: "d".repeat(40).parse().unwrap(),
            name: TagName::new("v1.2.4").unwrap(),
            tagger: "Releaser <rel@example.org>".parse().unwrap(),
            date: "2026-02-24T12:00:00Z".parse().unwrap(),
            message: message.into(),
        }
    }

    #[test]
    fn round_trip() {
        let tag = tag("sample 1.2.4\n\nFixes a thing.\n");
        let text = payload(&tag).unwrap();
        assert!(text.starts_with(b"object dddd"));
        assert_eq!(parse(&text).unwrap(), tag);
        let signature = format!("{BEGIN}\n\nabc\n-----END PGP SIGNATURE-----\n");
        let object = sign(&text, &signature);
        assert_eq!(split(&object).unwrap(), (&text[..], signature.as_bytes()));
        assert!(split(&text).is_err());
        assert!(split(&sign(&object, &signature)).is_err());
        assert!(split(&[&object[..], b"more\n"].concat()).is_err(), "bytes after the signature");
        assert!(split(&object[..object.len() - 1]).is_err());
    }

    #[test]
    fn messages_cannot_hide_a_signature() {
        for bad in ["", " \n", "x\n-----BEGIN PGP SIGNATURE-----\n", "a\0b"] {
            assert!(payload(&tag(bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn other_objects_are_refused() {
        let text = String::from_utf8(payload(&tag("m\n")).unwrap()).unwrap();
        for (from, to) in [
            ("type commit", "type tree"),
            ("tag v1.2.4", "tag ../v1"),
            ("+0000", "+0100"),
            ("tagger", "author"),
            ("object d", "object D"),
            ("\n\nm", "\nextra x\n\nm"),
        ] {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text);
            assert!(parse(changed.as_bytes()).is_err(), "{changed}");
        }
    }

    #[test]
    fn headers_are_read_strictly() {
        let oid = "a".repeat(40);
        let good = format!("object {oid}\ntype commit\ntag v1.0.0\ntagger A <a@example.org> 1 +0000\n\nv1.0.0\n");
        let read = header(good.as_bytes(), ErrorKind::Input).unwrap();
        assert_eq!((read.kind, read.name.as_str()), ("commit", "v1.0.0"));
        for (from, to) in [
            ("tag v1.0.0", "tag -v1"),
            ("tagger A <a@example.org> 1 +0000", "tagger A <a@example.org> +0000"),
            ("tagger A <a@example.org> 1 +0000", "tagger A <a@example.org> 1 +0000\nextra x"),
            ("object", "Object"),
            ("\n\nv1", "\nv1"),
        ] {
            assert!(header(good.replacen(from, to, 1).as_bytes(), ErrorKind::Input).is_err(), "{to:?}");
        }
    }
}
