//! What stores get a second time: where only encrypted files are staged, the files themselves are uploaded at promotion.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::line::ShippedLine;
use crate::config::Config;
use crate::model::{Staging, StoreName};
use crate::snapshot::Snapshot;

/// What a store gets when staged files become public, for people: nothing is built yet, so it is as much as the releases before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UploadAgain {
    /// How many bytes the last releases of the lines have; none if that could not be seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// What each store gets a second time.
pub(super) fn upload_again(
    config: &Config,
    snapshot: &Snapshot,
    lines: &[ShippedLine],
) -> BTreeMap<StoreName, UploadAgain> {
    let released = snapshot.lines.iter().zip(lines).filter(|(_, line)| line.release.is_some());
    let bytes = released.map(|(facts, _)| facts.released_bytes).try_fold(0_u64, |sum, bytes| sum.checked_add(bytes?));
    let encrypted = config.stores.iter().filter(|store| store.staging == Staging::Encrypted);
    encrypted.map(|store| (store.name.clone(), UploadAgain { bytes })).collect()
}
