//! The tables of both files with their keys, to be walked: for the generated reference, schemas and tests.

use std::collections::BTreeSet;

use super::raw::{
    RawAdvisory, RawAssemble, RawBundle, RawForge, RawInput, RawLine, RawNamedRecipe, RawProject, RawRelease,
    RawRemote, RawRunner, RawSigning, RawStore, RawTarget, RawTrain,
};
use crate::adapter::{AdapterKind, Registries};
use crate::bump::VersionRules;
use crate::table::{Key, TableKeys, keys_of};

/// A file that people write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum File {
    /// `lifeboat.toml`.
    Config,
    /// The train file.
    Train,
}

/// One table of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigSection {
    /// The file.
    pub file: File,
    /// As it stands in the file: `[project]`, `[[store]]`, `[forge.<name>]`; empty for the top of the file.
    pub header: &'static str,
    /// Its keys, those of every kind of adapter.
    pub keys: &'static TableKeys,
    /// The kinds of adapter that it may be of, or its keys that hold a table of a kind: each with further keys of its own.
    pub kinds: Vec<AdapterKind>,
}

impl ConfigSection {
    /// The table's name alone: `store`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        let bare = self.header.trim_matches(['[', ']']);
        bare.split('.').next().unwrap_or(bare)
    }

    /// Every key of the table, of each kind of adapter and of the tables in it, each with its path, once.
    #[must_use]
    pub fn flat(&self) -> Vec<(String, &'static Key)> {
        let mut out = self.keys.flat();
        let mut places: Vec<String> =
            out.iter().filter(|(_, k)| k.written.is_of_kind()).map(|(p, _)| format!("{p}.")).collect();
        if places.is_empty() {
            places.push(String::new());
        }
        for place in places {
            for (path, key) in self.kinds.iter().flat_map(|kind| kind.keys.flat()) {
                let path = format!("{place}{path}");
                if out.iter().all(|(known, _)| *known != path) {
                    out.push((path, key));
                }
            }
        }
        out
    }
}

/// Every table, in the order of the reference.
#[must_use]
pub fn sections(registries: &Registries) -> Vec<ConfigSection> {
    let config = [
        ("[project]", keys_of::<RawProject>()),
        ("[version]", keys_of::<VersionRules>()),
        ("[bundle]", keys_of::<RawBundle>()),
        ("[[input]]", keys_of::<RawInput>()),
        ("[[target]]", keys_of::<RawTarget>()),
        ("[[assemble]]", keys_of::<RawAssemble>()),
        ("[recipe.<name>]", keys_of::<RawNamedRecipe>()),
        ("[[runner]]", keys_of::<RawRunner>()),
        ("[[store]]", keys_of::<RawStore>()),
        ("[release]", keys_of::<RawRelease>()),
        ("[[remote]]", keys_of::<RawRemote>()),
        ("[forge.<name>]", keys_of::<RawForge>()),
        ("[signing]", keys_of::<RawSigning>()),
    ];
    let train =
        [("", keys_of::<RawTrain>()), ("[[advisory]]", keys_of::<RawAdvisory>()), ("[[line]]", keys_of::<RawLine>())];
    let all = config.map(|(header, keys)| (File::Config, header, keys)).into_iter();
    let all = all.chain(train.map(|(header, keys)| (File::Train, header, keys)));
    let mut out: Vec<ConfigSection> =
        all.map(|(file, header, keys)| ConfigSection { file, header, keys, kinds: Vec::new() }).collect();
    for section in &mut out {
        section.kinds = registries.kinds(section.name());
    }
    out
}

/// The names of the keys at which a reference to a secret belongs.
pub(super) fn secret_keys(registries: &Registries) -> BTreeSet<&'static str> {
    let all = sections(registries).into_iter().flat_map(|section| section.flat());
    all.filter(|(_, key)| key.written.is_secret()).map(|(_, key)| key.name).collect()
}
