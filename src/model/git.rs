//! Git object names and identities.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{BranchName, GrammarError, TagName};

/// A git object id: 40 (SHA-1) or 64 (SHA-256) lowercase hexadecimal digits.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Oid(String);

impl Oid {
    /// The id with these 20 bytes.
    #[must_use]
    pub fn from_sha1(bytes: [u8; 20]) -> Self {
        Self(bytes.iter().map(|b| format!("{b:02x}")).collect())
    }

    /// The hexadecimal digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Oid {
    type Err = GrammarError;

    fn from_str(s: &str) -> Result<Self, GrammarError> {
        if matches!(s.len(), 40 | 64) && s.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f')) {
            Ok(Self(s.to_owned()))
        } else {
            Err(GrammarError::new("git object id", s, "40 or 64 lowercase hexadecimal digits"))
        }
    }
}

impl TryFrom<String> for Oid {
    type Error = GrammarError;

    fn try_from(s: String) -> Result<Self, GrammarError> {
        s.parse()
    }
}

impl From<Oid> for String {
    fn from(o: Oid) -> Self {
        o.0
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Oid({})", self.0)
    }
}

/// A name and a mail address, as git writes them into commits and tags; neither holds `<`, `>`, NUL or a line end.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ident {
    /// The person's or robot's name.
    pub name: String,
    /// The mail address, without angle brackets.
    pub email: String,
}

/// Whether a full ref name is one that a train may serve or push: a branch or a tag.
///
/// # Errors
/// A name of neither kind, or one that git or this program would not take.
pub fn check_ref_name(name: &str) -> Result<(), GrammarError> {
    if let Some(branch) = name.strip_prefix("refs/heads/") {
        BranchName::new(branch).map(drop)
    } else if let Some(tag) = name.strip_prefix("refs/tags/") {
        TagName::new(tag).map(drop)
    } else {
        Err(GrammarError::new("ref", name, "`refs/heads/…` or `refs/tags/…`"))
    }
}

impl FromStr for Ident {
    type Err = GrammarError;

    /// Reads `Name <address>`.
    fn from_str(s: &str) -> Result<Self, GrammarError> {
        let bad = || GrammarError::new("identity", s, "`Name <address>`");
        let (name, rest) = s.split_once(" <").ok_or_else(bad)?;
        let email = rest.strip_suffix('>').ok_or_else(bad)?;
        let clean = |t: &str| !t.is_empty() && !t.contains(['<', '>', '\n', '\r', '\0']);
        if clean(name) && clean(email) {
            Ok(Self { name: name.to_owned(), email: email.to_owned() })
        } else {
            Err(bad())
        }
    }
}

impl fmt::Display for Ident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} <{}>", self.name, self.email)
    }
}
