//! `SHA256SUMS` and `SHA512SUMS`, in the format of GNU `sha256sum` (coreutils manual, "cksum general options").

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::model::{Artifact, ArtifactName, Sha256, Sha512, escape};

/// The file name of the SHA-256 list.
pub const SHA256SUMS: &str = "SHA256SUMS";
/// The file name of the SHA-512 list.
pub const SHA512SUMS: &str = "SHA512SUMS";

/// One line per file, sorted by name: the digest, two spaces, the name.
#[must_use]
pub fn write<D: Display>(sums: &BTreeMap<ArtifactName, D>) -> Vec<u8> {
    let mut out = String::new();
    for (name, digest) in sums {
        out.push_str(&format!("{digest}  {name}\n"));
    }
    out.into_bytes()
}

/// The bytes of [`SHA256SUMS`] over these artifacts.
#[must_use]
pub fn sha256sums(artifacts: &[Artifact]) -> Vec<u8> {
    write::<Sha256>(&artifacts.iter().map(|a| (a.name.clone(), a.digests.sha256)).collect())
}

/// The bytes of [`SHA512SUMS`] over these artifacts.
#[must_use]
pub fn sha512sums(artifacts: &[Artifact]) -> Vec<u8> {
    write::<Sha512>(&artifacts.iter().map(|a| (a.name.clone(), a.digests.sha512)).collect())
}

/// Reads exactly what [`write`] writes; `file` is for messages.
///
/// # Errors
/// Names the line: paths, escapes, the binary marker `*`, doubled or unsorted names, an empty list, a missing line end.
pub fn parse<D: FromStr>(bytes: &[u8], file: &str) -> Result<BTreeMap<ArtifactName, D>> {
    let bad = |line: usize, what: String| {
        Error::verification(format!("`{file}` line {line}: {what}"))
            .hint("each line is a lowercase digest, two spaces and a plain file name, sorted by name")
    };
    let text = std::str::from_utf8(bytes).map_err(|_| bad(1, "it is not text".into()))?;
    let Some(body) = text.strip_suffix('\n') else {
        return Err(bad(text.lines().count().max(1), "the last line has no end".into()));
    };
    let mut sums: BTreeMap<ArtifactName, D> = BTreeMap::new();
    for (n, line) in body.split('\n').enumerate() {
        let n = n + 1;
        let (digest, name) =
            line.split_once("  ").ok_or_else(|| bad(n, format!("`{}` has no two spaces", escape(line))))?;
        let digest = digest.parse().map_err(|_| bad(n, format!("`{}` is not such a digest", escape(digest))))?;
        let name = ArtifactName::new(name).map_err(|e| bad(n, e.to_string()))?;
        if sums.last_key_value().is_some_and(|(last, _)| *last >= name) {
            return Err(bad(n, format!("`{name}` is doubled or out of order")));
        }
        sums.insert(name, digest);
    }
    Ok(sums)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(c: char) -> String {
        c.to_string().repeat(64)
    }

    #[test]
    fn round_trip_sorted() {
        let sums: BTreeMap<ArtifactName, Sha256> =
            ["b.tar", "a.tar"].map(|n| (ArtifactName::new(n).unwrap(), Sha256::of(n.as_bytes()))).into();
        let bytes = write(&sums);
        assert_eq!(parse::<Sha256>(&bytes, "SHA256SUMS").unwrap(), sums);
        let (a, b) = (Sha256::of(b"a.tar"), Sha256::of(b"b.tar"));
        assert_eq!(String::from_utf8(bytes).unwrap(), format!("{a}  a.tar\n{b}  b.tar\n"));
    }

    #[test]
    fn what_is_refused() {
        let a = hex('a');
        for bad in [
            String::new(),
            "\n".into(),
            format!("{a}  x"),
            format!("{a} *x\n"),
            format!("{a} x\n"),
            format!("{a}  ../x\n"),
            format!("{a}  d/x\n"),
            format!("\\{a}  x\\ny\n"),
            format!("{a}  x\n{a}  x\n"),
            format!("{a}  y\n{a}  x\n"),
            format!("{a}  x\r\n"),
            format!("{a}   x\n"),
            format!("{}  x\n", a.to_uppercase()),
            format!("{}  x\n", "a".repeat(128)),
            format!("{a}  x\n\n"),
            format!("# comment\n{a}  x\n"),
        ] {
            assert!(parse::<Sha256>(bad.as_bytes(), "SHA256SUMS").is_err(), "{bad:?}");
        }
        assert!(parse::<Sha256>(format!("{a}  x\n").as_bytes(), "SHA256SUMS").is_ok());
    }
}
