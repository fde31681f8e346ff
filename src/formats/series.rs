//! A pinned patch series: what is applied to one line, whatever it came from.

use std::collections::BTreeSet;
use std::io::Read as _;

use serde::{Deserialize, Serialize};

use super::canonical;
use super::git_diff::{self, FileChange};
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
        sorted(self.files().iter().filter(|f| f.submodule).map(FileChange::path))
    }

    /// The paths that the change touches, sorted; of a file that moves, the new one.
    #[must_use]
    pub fn touches(&self) -> Vec<String> {
        sorted(self.files().iter().map(FileChange::path))
    }

    /// Every path that the change names, before and after, sorted.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        sorted(self.files().iter().flat_map(|f| f.old.iter().chain(&f.new)).map(Vec::as_slice))
    }

    /// A change that cannot be read has no files: it is not applied either.
    fn files(&self) -> Vec<FileChange> {
        git_diff::read(&self.diff).map(|change| change.files).unwrap_or_default()
    }
}

fn sorted<'a>(paths: impl Iterator<Item = &'a [u8]>) -> Vec<String> {
    let sorted: BTreeSet<String> = paths.map(|path| String::from_utf8_lossy(path).into_owned()).collect();
    sorted.into_iter().collect()
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
    pub(crate) fn is_one(from: &mut dyn std::io::Read) -> Result<bool> {
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

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn paths_are_those_that_git_would_change() {
        let patch = |diff: &str| Patch {
            origin: "0001.patch".into(),
            author: "A U Thor <a@example.org>".parse().unwrap(),
            time: 1,
            offset: 60,
            message: "fix".into(),
            diff: diff.into(),
        };
        // Any two first directories will do for git.
        let odd = "diff --git i/build.sh w/build.sh\nindex 1111111..2222222 100755\n--- i/build.sh\n+++ w/build.sh\n@@ -1 +1 @@\n-a\n+b\n";
        assert_eq!(patch(odd).touches(), ["build.sh"]);
        assert!(patch(odd).submodules().is_empty());
        let moved = "diff --git a/x b/y\nsimilarity index 100%\nrename from x\nrename to y\n";
        assert_eq!(
            (patch(moved).touches(), patch(moved).names()),
            (vec!["y".to_owned()], vec!["x".to_owned(), "y".to_owned()])
        );
        let module = "diff --git a/sub b/sub\nindex 1111111..2222222 160000\n--- a/sub\n+++ b/sub\n@@ -1 +1 @@\n-Subproject commit 1111111\n+Subproject commit 2222222\n";
        assert_eq!(patch(module).submodules(), ["sub"]);
    }
}
