//! Places to which a train delivers.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{GrammarError, RemoteName, RunnerName, StoreName};

/// A place to which a train delivers, and which may be down; shown as the plan lists it (`store mirror`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "kind", content = "destination", rename_all = "kebab-case")]
pub enum Destination {
    /// Storage that the project hosts itself.
    Store(StoreName),
    /// A forge with releases.
    Forge(RemoteName),
    /// A git remote.
    Remote(RemoteName),
}

impl Destination {
    /// What it is: the name of its table in the configuration.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Store(_) => "store",
            Self::Forge(_) => "forge",
            Self::Remote(_) => "remote",
        }
    }

    /// Its name in the configuration.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Store(name) => name.as_str(),
            Self::Forge(name) | Self::Remote(name) => name.as_str(),
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind(), self.name())
    }
}

/// What gets the bytes of a train.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Receiver {
    /// It keeps them.
    Destination(Destination),
    /// It works with them and keeps none.
    Runner(RunnerName),
}

impl fmt::Display for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Destination(destination) => destination.fmt(f),
            Self::Runner(name) => write!(f, "runner {name}"),
        }
    }
}

impl FromStr for Receiver {
    type Err = GrammarError;

    fn from_str(text: &str) -> Result<Self, GrammarError> {
        Ok(match text.split_once(' ') {
            Some(("store", name)) => Self::Destination(Destination::Store(name.parse()?)),
            Some(("forge", name)) => Self::Destination(Destination::Forge(name.parse()?)),
            Some(("remote", name)) => Self::Destination(Destination::Remote(name.parse()?)),
            Some(("runner", name)) => Self::Runner(name.parse()?),
            _ => {
                let expected = "`store`, `forge`, `remote` or `runner`, and a name";
                return Err(GrammarError::new("receiver of a train", text, expected));
            }
        })
    }
}

/// A fact of the configuration that a plan pins: where something is (`store mirror`), or what else is said of it
/// (`api of forge NAME`). Pins are written and sorted as these texts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Pin {
    /// What is pinned; none for where it is.
    pub what: Option<String>,
    /// Of what.
    pub of: Receiver,
}

impl Pin {
    /// Where it is.
    #[must_use]
    pub fn place(of: Receiver) -> Self {
        Self { what: None, of }
    }

    /// Where a destination is.
    #[must_use]
    pub fn destination(of: Destination) -> Self {
        Self::place(Receiver::Destination(of))
    }

    /// Whether it is said of a runner.
    #[must_use]
    pub(crate) fn is_of_runner(&self) -> bool {
        matches!(self.of, Receiver::Runner(_))
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(what) = &self.what {
            write!(f, "{what} of ")?;
        }
        self.of.fmt(f)
    }
}

impl FromStr for Pin {
    type Err = GrammarError;

    fn from_str(text: &str) -> Result<Self, GrammarError> {
        match text.rsplit_once(" of ") {
            Some((what, of)) => Ok(Self { what: Some(what.to_owned()), of: of.parse()? }),
            None => Ok(Self::place(text.parse()?)),
        }
    }
}

impl From<Pin> for String {
    fn from(pin: Pin) -> Self {
        pin.to_string()
    }
}

impl TryFrom<String> for Pin {
    type Error = GrammarError;

    fn try_from(text: String) -> Result<Self, GrammarError> {
        text.parse()
    }
}

impl Ord for Pin {
    fn cmp(&self, other: &Self) -> Ordering {
        self.to_string().cmp(&other.to_string())
    }
}

impl PartialOrd for Pin {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_are_read_as_they_are_written() {
        for text in ["store main", "public address of store main", "app of forge a-b", "remote o", "runner r.1"] {
            let pin: Pin = text.parse().unwrap();
            assert_eq!((pin.to_string().as_str(), serde_json::to_value(&pin).unwrap()), (text, text.into()));
        }
        assert_eq!("api of forge x".parse::<Pin>().unwrap().what.as_deref(), Some("api"));
        for text in ["", "store", "store ", "shop x", "of store x", "store a/b"] {
            assert!(text.parse::<Pin>().is_err(), "{text}");
        }
    }
}
