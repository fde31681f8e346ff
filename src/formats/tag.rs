//! The text of a git tag object (git documentation, "gitformat-signature"; `git cat-file tag`).

use jiff::Timestamp;

use crate::error::{Error, Result};
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

/// Reads a payload; only what [`payload`] writes.
///
/// # Errors
/// Names the line that is not as it should be.
pub fn parse(payload_bytes: &[u8]) -> Result<Tag> {
    let bad = |what: &str| Error::verification(format!("the tag object {what}"));
    let text = std::str::from_utf8(payload_bytes).map_err(|_| bad("is not text"))?;
    let (head, message) = text.split_once("\n\n").ok_or_else(|| bad("has no message"))?;
    let mut lines = head.split('\n');
    let mut field = |name: &str| {
        let line = lines.next().unwrap_or_default();
        line.strip_prefix(name)
            .and_then(|v| v.strip_prefix(' '))
            .ok_or_else(|| bad(&format!("has `{}` where `{name}` belongs", escape(line))))
    };
    let object = field("object")?.parse()?;
    if field("type")? != "commit" {
        return Err(bad("does not name a commit"));
    }
    let name = TagName::new(field("tag")?)?;
    let tagger = field("tagger")?;
    let no_time = || bad("has a tagger line without a UTC time");
    let (ident, seconds) = tagger.strip_suffix(" +0000").and_then(|t| t.rsplit_once(' ')).ok_or_else(no_time)?;
    let date = seconds.parse().ok().and_then(|s| Timestamp::from_second(s).ok()).ok_or_else(no_time)?;
    let tag = Tag { object, name, tagger: ident.parse()?, date, message: message.to_owned() };
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
}
