//! `releases/mirrors.json`: the addresses that serve the project's releases, and the index that each of them had.
//!
//! The freshness key signs it. Numbers in it are lower bounds: a mirror may have a newer index, and none that is older.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use url::Url;

use super::index::{CLOCKS, FRESH};
use super::layout;
use super::signed::{self, SignedDocument};
use crate::error::{Context as _, Error, Result};
use crate::model::{ProjectName, Sha256, escape};

/// The most mirrors that a list may have.
const MOST: usize = 256;
/// The longest address, in bytes.
const LONGEST: usize = 1024;

/// Which mirrors there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MirrorList {
    /// `lifeboat-mirrors`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The project.
    pub project: ProjectName,
    /// Version of this format: 1.
    pub format: u32,
    /// When it was made; grows with each new list of a store, and readers refuse an earlier one than they have seen.
    pub generated: Timestamp,
    /// When readers begin to call it stale.
    pub expires: Timestamp,
    /// The base addresses, each in its normal form with a final slash.
    pub mirrors: BTreeMap<String, ListedMirror>,
}

/// A mirror in the list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListedMirror {
    /// The index that was there; none where the writer of the list does not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<ListedIndex>,
}

/// An index, by its number and its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListedIndex {
    /// Its number.
    pub counter: u64,
    /// The SHA-256 of its bytes.
    pub sha256: Sha256,
}

impl SignedDocument for MirrorList {
    const TYPE: &'static str = "lifeboat-mirrors";

    fn check(&self) -> Result<()> {
        if self.mirrors.len() > MOST {
            return Err(Error::verification(format!(
                "it has {} mirrors, more than the {MOST} allowed",
                self.mirrors.len()
            )));
        }
        if let Some(bad) = self.mirrors.keys().find(|address| base_address(address).as_ref() != Some(*address)) {
            return Err(Error::verification(format!("`{}` is not the base address of a mirror", escape(bad))));
        }
        if self.expires <= self.generated {
            return Err(Error::verification("it expires before it was made"));
        }
        let longest = FRESH.checked_add(CLOCKS).and_then(|d| self.generated.checked_add(d).ok());
        if longest.is_none_or(|longest| self.expires > longest) {
            let (from, to) = (self.generated, self.expires);
            return Err(Error::verification(format!("it counts from {from} to {to}, longer than seven days")));
        }
        Ok(())
    }
}

impl MirrorList {
    /// The list after `old`: it names just these mirrors. Of an index that both know the one with the greater number stays.
    ///
    /// # Errors
    /// A clock that is wrong.
    pub fn after(
        old: Option<&Self>,
        project: ProjectName,
        mirrors: BTreeMap<String, ListedMirror>,
        now: Timestamp,
    ) -> Result<Self> {
        let newer = |address: &String, ours: ListedMirror| {
            let there = old.and_then(|old| old.mirrors.get(address)).and_then(|there| there.index);
            ListedMirror { index: [there, ours.index].into_iter().flatten().max_by_key(|index| index.counter) }
        };
        let mirrors = mirrors.into_iter().map(|(address, ours)| (address.clone(), newer(&address, ours))).collect();
        // Two lists of one store never have the same time, whatever the clocks of their writers say.
        let next = old.and_then(|old| old.generated.checked_add(SignedDuration::from_secs(1)).ok());
        let generated = next.map_or(now, |next| next.max(now));
        let expires = generated.checked_add(FRESH).context("the clock is wrong")?;
        Ok(Self { kind: Self::TYPE.to_owned(), project, format: 1, generated, expires, mirrors })
    }

    /// The bytes of `releases/mirrors.json`.
    ///
    /// # Errors
    /// A list that contradicts itself.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        signed::to_bytes(self)
    }

    /// Reads `releases/mirrors.json`.
    ///
    /// # Errors
    /// Anything else than what [`MirrorList::to_bytes`] writes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        signed::from_bytes(bytes, layout::MIRRORS)
    }

    /// The addresses.
    #[must_use]
    pub fn addresses(&self) -> BTreeSet<String> {
        self.mirrors.keys().cloned().collect()
    }
}

/// The address as a list has it: in its normal form, with a final slash, so that one place has one spelling; nothing if strangers
/// cannot read below it over HTTP.
#[must_use]
pub fn base_address(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("://")?;
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '?' | '#' | '@' | '\\' | '"' | '<' | '>');
    let dots = rest.split('/').any(|part| matches!(part, "." | ".."));
    let mut url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "https" | "http"))?;
    // `Url` takes `https:///x` for `https://x/`.
    let fits = !rest.starts_with('/') && rest.chars().all(plain) && !dots && text.len() < LONGEST;
    url.set_path(&format!("{}/", url.path().trim_end_matches('/')));
    fits.then(|| url.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: &str) -> Timestamp {
        s.parse().unwrap()
    }

    fn list(old: Option<&MirrorList>, mirrors: &[(&str, Option<u64>)], now: &str) -> MirrorList {
        let index = |n: &u64| ListedIndex { counter: *n, sha256: Sha256::of(&n.to_be_bytes()) };
        let one = |(a, n): &(&str, Option<u64>)| ((*a).to_owned(), ListedMirror { index: n.as_ref().map(index) });
        let mirrors = mirrors.iter().map(one).collect();
        MirrorList::after(old, ProjectName::new("sample").unwrap(), mirrors, at(now)).unwrap()
    }

    #[test]
    fn numbers_only_grow_and_so_does_the_time() {
        let (a, b) = ("https://a.example.org/", "http://b.example.org/x/");
        let one = list(None, &[(a, Some(7)), (b, None)], "2026-01-01T00:00:00Z");
        assert_eq!(MirrorList::from_bytes(&one.to_bytes().unwrap()).unwrap(), one);
        let two = list(Some(&one), &[(a, Some(6)), (b, Some(2))], "2025-12-31T00:00:00Z");
        let numbers: Vec<_> = two.mirrors.values().map(|m| m.index.unwrap().counter).collect();
        assert_eq!(numbers, [2, 7], "of {:?}", two.mirrors.keys());
        assert_eq!(two.generated, at("2026-01-01T00:00:01Z"), "the clock of the second writer is behind");
        let three = list(Some(&two), &[(b, None)], "2026-02-01T00:00:00Z");
        assert_eq!(three.addresses().len(), 1, "whoever writes says which mirrors there are");
        assert_eq!(three.mirrors[b].index.unwrap().counter, 2, "what it does not know stays");
    }

    #[test]
    fn addresses_are_of_the_web_and_mean_one_thing() {
        for (text, base) in [
            ("https://a.example.org", Some("https://a.example.org/")),
            ("http://127.0.0.1:80/x//", Some("http://127.0.0.1/x/")),
            ("HTTPS://A.Example.org:443/X", Some("https://a.example.org/X/")),
            ("https://a.example.org:444", Some("https://a.example.org:444/")),
            ("https:///a.example.org", None),
            ("https:a.example.org", None),
            ("file:///srv", None),
            ("https://", None),
            ("https://user@a.example.org", None),
            ("https://a.example.org/?x", None),
            ("https://a.example.org/a/../b", None),
            ("https://a.example.org/a b", None),
        ] {
            assert_eq!(base_address(text).as_deref(), base, "{text}");
        }
        let good = list(None, &[("https://a.example.org/", None)], "2026-01-01T00:00:00Z");
        for bad in ["https://a.example.org", "file:///srv/", "https://a.example.org/../", "https://a.example.org:443/"]
        {
            let mirrors = BTreeMap::from([(bad.to_owned(), ListedMirror::default())]);
            let error = MirrorList { mirrors, ..good.clone() }.to_bytes().unwrap_err();
            assert!(error.message().contains("is not the base address"), "{bad}");
        }
        assert!(MirrorList { expires: at("2026-02-01T00:00:00Z"), ..good }.to_bytes().is_err());
    }
}
