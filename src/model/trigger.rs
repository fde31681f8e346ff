//! What becomes of a workflow of the project's own that a release would start on a forge.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::GrammarError;

/// What becomes of a workflow that a release would start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trigger {
    /// It may run, and its result is waited for and must be a success on our commit.
    Adopt,
    /// It is disabled before the push, and enabled again after the delivery.
    Suppress,
    /// It may run; nobody waits for it.
    Accept,
}

impl Trigger {
    /// Its name in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Adopt => "adopt",
            Self::Suppress => "suppress",
            Self::Accept => "accept",
        }
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Trigger {
    type Err = GrammarError;

    fn from_str(s: &str) -> Result<Self, GrammarError> {
        let known = [Self::Adopt, Self::Suppress, Self::Accept];
        let found = known.into_iter().find(|t| t.as_str() == s);
        found.ok_or_else(|| GrammarError::new("decision about a workflow", s, "`adopt`, `suppress` or `accept`"))
    }
}
