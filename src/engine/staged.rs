//! Which trains have bytes staged in a store, those of other machines among them.
//!
//! Each train leaves a note beside its staged files, which the team alone sees. It reserves nothing: it lets a second
//! machine say what is under way instead of starting a rival.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::effects::{Area, Keys, STAGED_NOTE as NOTE, Store, blocking};
use crate::error::{Context as _, Result};
use crate::formats::padding;
use crate::formats::signed::{self, SignedDocument};
use crate::model::{ProjectName, Sha256, StoreName, TrainName, TrainNonce};
use crate::plan::Plan;

/// How long one store may take to answer: a person waits.
const DEADLINE: Duration = Duration::from_secs(3);

/// The most bytes of a note that are read.
const LONGEST: u64 = 1 << 20;

/// What a train says beside its staged files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Note {
    /// `lifeboat-staged-train`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The project.
    pub project: ProjectName,
    /// The train's nonce.
    pub train: TrainNonce,
    /// Version of this format: 1.
    pub format: u32,
    /// The train's name.
    pub name: TrainName,
    /// SHA-256 of its plan.
    pub plan: Sha256,
    /// The versions that it will release.
    pub versions: BTreeSet<Version>,
}

impl SignedDocument for Note {
    const TYPE: &'static str = "lifeboat-staged-train";
}

impl Note {
    /// What a train of this plan says, as bytes.
    ///
    /// # Errors
    /// Never for a plan that was adopted.
    pub(crate) fn bytes_of(plan: &Plan, train: TrainNonce) -> Result<Vec<u8>> {
        signed::to_bytes(&Self {
            kind: Self::TYPE.to_owned(),
            project: plan.project.clone(),
            train,
            format: 1,
            name: plan.train.clone(),
            plan: plan.id()?.0,
            versions: plan.releases().filter_map(|l| l.new.clone()).collect(),
        })
    }
}

/// A train that has bytes staged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagedTrain {
    /// In which store.
    pub store: StoreName,
    /// What it says.
    pub note: Note,
}

/// The trains of a project that have bytes staged in these stores, but for those with the nonces `ours`. A store that does
/// not answer in time, or shows something else, says nothing; nor does a note that was encrypted to others than `keys`.
pub async fn others(
    stores: &BTreeMap<StoreName, Arc<dyn Store>>,
    keys: &dyn Keys,
    project: &ProjectName,
    ours: &BTreeSet<TrainNonce>,
) -> Vec<StagedTrain> {
    let mut out = Vec::new();
    for (name, store) in stores {
        let notes = tokio::time::timeout(DEADLINE, notes(&**store, keys, ours)).await;
        let foreign = |note: &Note| note.project == *project && !ours.contains(&note.train);
        let notes = notes.ok().and_then(Result::ok).unwrap_or_default().into_iter().filter(foreign);
        out.extend(notes.map(|note| StagedTrain { store: name.clone(), note }));
    }
    out
}

async fn notes(store: &dyn Store, keys: &dyn Keys, ours: &BTreeSet<TrainNonce>) -> Result<Vec<Note>> {
    let mut out = Vec::new();
    for train in store.staged().await? {
        if ours.iter().any(|nonce| train.starts_with(&nonce.to_string())) {
            continue;
        }
        let Some(mut source) = store.get(&Area::Staging(train.clone()), NOTE).await? else { continue };
        let mut bytes = Vec::new();
        let read = blocking(|| std::io::Read::read_to_end(&mut std::io::Read::take(&mut *source, LONGEST), &mut bytes));
        read.context(format!("cannot read the note of a staged train in store `{}`", store.name()))?;
        let bytes = if bytes.starts_with(b"{") { bytes } else { blocking(|| opened(keys, &bytes)) };
        // One that is not a note, or lies in another train's directory, is nobody's word.
        out.extend(signed::from_bytes::<Note>(&bytes, NOTE).ok().filter(|n| train.starts_with(&n.train.to_string())));
    }
    Ok(out)
}

/// What an encrypted note says; nothing if no key of this machine reads it.
fn opened(keys: &dyn Keys, message: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    if keys.decrypt(&mut &*message, &mut padding::Unpadded::new(LONGEST, &mut plain)).is_err() {
        return Vec::new();
    }
    padding::strip(&mut plain);
    plain
}
