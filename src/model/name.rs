//! Grammars for every name that comes from outside: what does not fit never reaches a path, a command or a page.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A value that does not fit its grammar: what it should be, what it was and what is valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrammarError {
    what: &'static str,
    value: String,
    valid: &'static str,
}

impl GrammarError {
    /// `value` is not a `what`; `valid` says what would be.
    pub fn new(what: &'static str, value: impl Into<String>, valid: &'static str) -> Self {
        Self { what, value: value.into(), valid }
    }
}

impl fmt::Display for GrammarError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let article = if self.what.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
        write!(f, "`{}` is not {article} {}: expected {}", escape(&self.value), self.what, self.valid)
    }
}

impl std::error::Error for GrammarError {}

impl From<GrammarError> for crate::error::Error {
    fn from(e: GrammarError) -> Self {
        Self::input(e.to_string())
    }
}

/// Shows `text` on one line, with every character escaped that is not seen or moves others, so that it cannot mislead a
/// reader.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || hidden(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// Unicode 17: the categories Cf, Zl and Zp, the property Default_Ignorable_Code_Point, and the blank braille pattern.
fn hidden(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}' | '\u{891}'
        | '\u{8e2}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}'
        | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
}

fn plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+')
}

/// Starts with a letter or digit, so that it is neither hidden nor an option; no `..`.
fn word(s: &str, max: usize) -> bool {
    !s.is_empty()
        && s.len() <= max
        && s.starts_with(|c: char| c.is_ascii_alphanumeric())
        && s.chars().all(plain)
        && !s.contains("..")
}

fn ref_path(s: &str) -> bool {
    !s.is_empty() && s.len() <= 200 && s.split('/').all(|p| word(p, 120) && !p.ends_with('.') && !p.ends_with(".lock"))
}

/// Names that Windows takes for devices, whatever their extension.
fn device(s: &str) -> bool {
    let stem = s.split('.').next().unwrap_or_default().to_ascii_lowercase();
    matches!(stem.as_str(), "con" | "prn" | "aux" | "nul")
        || (stem.len() == 4
            && (stem.starts_with("com") || stem.starts_with("lpt"))
            && stem.ends_with(|c: char| c.is_ascii_digit()))
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $valid:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks `s` against the grammar.
            ///
            /// # Errors
            /// Says what would be valid.
            pub fn new(s: impl Into<String>) -> Result<Self, GrammarError> {
                let s = s.into();
                let check: fn(&str) -> bool = $check;
                if check(&s) { Ok(Self(s)) } else { Err(GrammarError::new($what, s, $valid)) }
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = GrammarError;
            fn try_from(s: String) -> Result<Self, GrammarError> {
                Self::new(s)
            }
        }

        impl From<$name> for String {
            fn from(n: $name) -> Self {
                n.0
            }
        }

        impl FromStr for $name {
            type Err = GrammarError;
            fn from_str(s: &str) -> Result<Self, GrammarError> {
                Self::new(s)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.0)
            }
        }
    };
}

name!(
    /// The project's name, as it starts file names and paths.
    ProjectName, "project name", "letters, digits and `.` `_` `-` `+`, starting with a letter or digit", |s| word(s, 64)
);
name!(
    /// A branch, without `refs/heads/`.
    BranchName, "branch name", "path parts of letters, digits and `.` `_` `-` `+`, joined by `/`", ref_path
);
name!(
    /// A tag, without `refs/tags/`.
    TagName, "tag name", "path parts of letters, digits and `.` `_` `-` `+`, joined by `/`", ref_path
);
name!(
    /// A build target or assembly of the configuration.
    TargetName, "target name", "letters, digits and `.` `_` `-` `+`, starting with a letter or digit", |s| word(s, 80)
);
name!(
    /// A file from elsewhere that builds need, as the configuration names it.
    InputName, "input name", "letters, digits and `.` `_` `-` `+`, starting with a letter or digit", |s| word(s, 80)
);
name!(
    /// A store of the configuration.
    StoreName, "store name", "letters, digits and `.` `_` `-` `+`, starting with a letter or digit", |s| word(s, 64)
);
name!(
    /// A git remote or forge of the configuration.
    RemoteName, "remote name", "letters, digits and `.` `_` `-` `+`, starting with a letter or digit", |s| word(s, 64)
);
name!(
    /// A runner of the configuration.
    RunnerName, "runner name", "letters, digits and `.` `_` `-` `+`, starting with a letter or digit", |s| word(s, 64)
);
name!(
    /// A capability that a recipe needs and a runner has.
    Label, "label", "letters, digits and `.` `_` `-` `+`, starting with a letter or digit", |s| word(s, 64)
);
name!(
    /// A person of the trust root.
    PersonId, "person", "letters, digits and `.` `_` `-` `+`, starting with a letter or digit", |s| word(s, 64)
);
name!(
    /// An advisory's identifier, such as `GHSA-xxxx-xxxx-xxxx` or `CVE-2026-0001`; embargoed until the gate.
    AdvisoryId, "advisory id", "letters, digits and `.` `_` `-` `+`, starting with a letter or digit", |s| word(s, 64)
);
name!(
    /// A train's name within its project, a directory in the state directory.
    TrainName, "train name", "letters, digits and `.` `_` `-` `+`, starting with a letter or digit", |s| word(s, 80)
);
name!(
    /// A published file's plain name: no directory, no device, none of the names that a release keeps for itself.
    ArtifactName, "artifact name",
    "a plain file name of letters, digits and `.` `_` `-` `+` `~`, not one that a release keeps for itself",
    |s| word(&s.replace('~', "-"), 200) && !s.ends_with('.') && !device(s)
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_grammars_refuse() {
        for bad in ["", "../x", "a/b", ".hidden", "-rf", "a b", "a\nb", "a..b", "NUL", "com1.txt", "x.", "\u{202e}x"] {
            assert!(ArtifactName::new(bad).is_err(), "{bad:?}");
        }
        for good in
            ["wasmtime-v36.0.6-x86_64-linux.tar.xz", "a~1.zip", "SHA256SUMS", "wasi_snapshot_preview1.command.wasm"]
        {
            assert!(ArtifactName::new(good).is_ok(), "{good:?}");
        }
        for bad in ["", "/x", "x/", "a//b", "x.lock", "--mirror", "a..b", "a b", "a~1", "a:b"] {
            assert!(BranchName::new(bad).is_err(), "{bad:?}");
        }
        assert!(BranchName::new("feature/release-36.0.0").is_ok());
    }

    #[test]
    fn errors_cannot_mislead_a_terminal() {
        let e = PersonId::new("a\u{1b}[2J\u{202e}b").unwrap_err().to_string();
        assert!(e.contains("\\u{1b}[2J\\u{202e}b"), "{e}");
    }

    #[test]
    fn what_is_not_seen_is_escaped() {
        for hidden in "\u{61c}\u{2028}\u{2029}\u{ad}\u{34f}\u{115f}\u{1160}\u{3164}\u{ffa0}\u{180e}\u{fe00}\u{fe0f}\u{fff9}\u{fffb}\u{e0001}\u{e0041}\u{e01ef}\u{200b}\u{2060}\u{206f}\u{feff}\u{1d173}\u{85}".chars() {
            assert_eq!(escape(&format!("a{hidden}b")), format!("a{}b", hidden.escape_default()));
        }
        assert_eq!(escape("Grüße, 発売 é€ ✓"), "Grüße, 発売 é€ ✓");
    }
}
