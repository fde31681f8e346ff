//! The tables of both files with their keys, to be walked: for the generated reference, schemas and tests.

use std::collections::BTreeSet;

use super::raw::{
    RawAdvisory, RawAssemble, RawBundle, RawForge, RawLine, RawNamedRecipe, RawProject, RawRemote, RawRunner,
    RawSigning, RawStore, RawTarget, RawTrain,
};
use crate::bump::VersionRules;
use crate::table::{Keys, keys_of};

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
pub struct Section {
    /// The file.
    pub file: File,
    /// As it stands in the file: `[project]`, `[[store]]`, `[forge.<name>]`; empty for the top of the file.
    pub header: &'static str,
    /// Its keys.
    pub keys: &'static Keys,
}

impl Section {
    /// The table's name alone: `store`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        let bare = self.header.trim_matches(['[', ']']);
        bare.split('.').next().unwrap_or(bare)
    }
}

/// Every table, in the order of the reference.
#[must_use]
pub fn sections() -> Vec<Section> {
    let config = [
        ("[project]", keys_of::<RawProject>()),
        ("[version]", keys_of::<VersionRules>()),
        ("[bundle]", keys_of::<RawBundle>()),
        ("[[target]]", keys_of::<RawTarget>()),
        ("[[assemble]]", keys_of::<RawAssemble>()),
        ("[recipe.<name>]", keys_of::<RawNamedRecipe>()),
        ("[[runner]]", keys_of::<RawRunner>()),
        ("[[store]]", keys_of::<RawStore>()),
        ("[[remote]]", keys_of::<RawRemote>()),
        ("[forge.<name>]", keys_of::<RawForge>()),
        ("[signing]", keys_of::<RawSigning>()),
    ];
    let train =
        [("", keys_of::<RawTrain>()), ("[[advisory]]", keys_of::<RawAdvisory>()), ("[[line]]", keys_of::<RawLine>())];
    let config = config.into_iter().map(|(header, keys)| Section { file: File::Config, header, keys });
    config.chain(train.into_iter().map(|(header, keys)| Section { file: File::Train, header, keys })).collect()
}

/// The names of the keys at which a reference to a secret belongs.
pub(super) fn secret_keys() -> BTreeSet<&'static str> {
    let all = sections().into_iter().flat_map(|section| section.keys.flat());
    all.filter(|(_, key)| key.written.is_secret()).map(|(_, key)| key.name).collect()
}
