//! A pinned patch series: what is applied to one line, whatever it came from.

use std::io::Read as _;

use serde::{Deserialize, Serialize};

use super::{canonical, git_diff};
use crate::error::{Context as _, Error, Result};
use crate::model::{Ident, Sha256};

/// The embargoed commits for one line, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Series {
    /// Version of this format: 1.
    pub format: u32,
    /// The patches, in the order in which they are applied.
    pub patches: Vec<Patch>,
}

/// One commit of a series.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Patch {
    /// Where it came from, for messages: a file name or a commit id.
    pub origin: String,
    /// Who wrote it.
    pub author: Ident,
    /// When, in seconds since 1970.
    pub time: i64,
    /// The author's offset from UTC, in minutes.
    pub offset: i32,
    /// The whole commit message, as git keeps it.
    pub message: String,
    /// The change, in git's extended unified format (`--binary --full-index`).
    #[serde(with = "bytes")]
    pub diff: Vec<u8>,
}

impl Patch {
    /// The first line of the message.
    #[must_use]
    pub fn subject(&self) -> &str {
        self.message.lines().next().unwrap_or_default()
    }

    /// The submodules that the change adds, moves to another commit or removes, sorted.
    #[must_use]
    pub fn submodules(&self) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.diff);
        let mut out = std::collections::BTreeSet::new();
        let mut path = None;
        // Lines of a file's contents begin with a space, a plus or a minus.
        for line in text.lines() {
            if line.starts_with("diff --git ") {
                path = header(line);
            } else if (line.starts_with("index ") || line.contains("file mode ") || line.starts_with("new mode "))
                && !line.starts_with([' ', '+', '-'])
                && line.ends_with(" 160000")
            {
                out.extend(path.take());
            }
        }
        out.into_iter().collect()
    }

    /// The paths that the change touches, sorted: both of a renamed file.
    #[must_use]
    pub fn touches(&self) -> Vec<String> {
        if let Ok(paths) = git_diff::paths(&self.diff) {
            return paths.iter().map(|path| String::from_utf8_lossy(path).into_owned()).collect();
        }
        let text = String::from_utf8_lossy(&self.diff);
        let mut out: Vec<String> = text.lines().filter_map(header).collect();
        out.sort();
        out.dedup();
        out
    }
}

impl Series {
    /// The series as bytes; their SHA-256 pins it.
    ///
    /// # Errors
    /// Never for a series that was read from git.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        canonical::to_bytes(self)
    }

    /// Whether what a reader gives begins as a pinned series does; reads no more than that.
    ///
    /// # Errors
    /// The reader's.
    pub fn is_one(from: &mut dyn std::io::Read) -> Result<bool> {
        const START: &[u8] = b"{\"format\":1,\"patches\":[";
        let mut start = Vec::new();
        std::io::Read::take(from, START.len() as u64).read_to_end(&mut start).context("cannot read an object")?;
        Ok(start == START)
    }

    /// Reads what [`Series::to_bytes`] wrote.
    ///
    /// # Errors
    /// Other bytes, or a newer format.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let series: Self = serde_json::from_slice(bytes).context("cannot read the pinned patch series")?;
        if series.format != 1 {
            return Err(Error::fatal(format!("the pinned patch series has format {}", series.format))
                .hint("use the lifeboat version that adopted this train, or a newer one"));
        }
        Ok(series)
    }

    /// The digest that pins the series.
    ///
    /// # Errors
    /// As [`Series::to_bytes`].
    pub fn digest(&self) -> Result<Sha256> {
        Ok(Sha256::of(&self.to_bytes()?))
    }
}

/// Diffs are mostly text, but may hold any byte: text as it is, other bytes as base 64.
mod bytes {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Serialize};

    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Text {
        Utf8(String),
        Base64(String),
    }

    pub(super) fn serialize<S: serde::Serializer>(bytes: &[u8], s: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Text::Utf8(text.to_owned()).serialize(s),
            Err(_) => Text::Base64(STANDARD.encode(bytes)).serialize(s),
        }
    }

    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Vec<u8>, D::Error> {
        match Text::deserialize(d)? {
            Text::Utf8(text) => Ok(text.into_bytes()),
            Text::Base64(text) => STANDARD.decode(text).map_err(serde::de::Error::custom),
        }
    }
}

/// The path that a `diff --git` line names.
fn header(line: &str) -> Option<String> {
    let rest = line.strip_prefix("diff --git ")?;
    // Both names are equal but for their prefix, unless the file is renamed; then the second one is meant.
    let (_, new) = rest.rsplit_once(" b/").or_else(|| rest.rsplit_once(" \"b/"))?;
    Some(new.trim_end_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn touched_paths_are_those_of_the_tree() {
        let diff = "diff --git \"a/gr\\303\\274n.rs\" \"b/gr\\303\\274n.rs\"\nindex 1234567..89abcde 100644\n--- \"a/gr\\303\\274n.rs\"\n\
                    +++ \"b/gr\\303\\274n.rs\"\n@@ -1 +1 @@\n-a\n+b\n\
                    diff --git a/x b/build.rs b/x b/build.rs\nindex 1234567..89abcde 100644\n--- a/x b/build.rs\n+++ b/x b/build.rs\n@@ -1 +1 @@\n\
                    -a\n+b\n";
        let patch = Patch {
            origin: "0001.patch".into(),
            author: "A U Thor <a@example.org>".parse().unwrap(),
            time: 1,
            offset: 60,
            message: "fix\n".into(),
            diff: diff.as_bytes().to_vec(),
        };
        assert_eq!(patch.touches(), ["grün.rs", "x b/build.rs"]);
    }

    #[test]
    fn any_byte_survives() {
        let patch = |diff: &[u8]| Patch {
            origin: "0001.patch".into(),
            author: "A U Thor <a@example.org>".parse().unwrap(),
            time: 1,
            offset: 60,
            message: "fix\n\nwhy\n".into(),
            diff: diff.to_vec(),
        };
        let series = Series { format: 1, patches: vec![patch(b"text\n"), patch(b"\xff\0\x80")] };
        assert_eq!(Series::from_bytes(&series.to_bytes().unwrap()).unwrap(), series);
    }
}
