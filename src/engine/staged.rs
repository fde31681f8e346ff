//! Which trains have bytes staged in a store, those of other machines among them.
//!
//! Each train leaves a note beside its staged files, which the team alone sees. It reserves nothing: it lets a second
//! machine say what is under way instead of starting a rival.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::effects::{Area, Keys, STAGED_NOTE as NOTE, Store, aside};
use crate::error::Result;
use crate::formats::padding;
use crate::formats::signed::{self, SignedDocument};
use crate::model::{ProjectName, Sha256, StoreName, TrainName, TrainNonce};
use crate::plan::Plan;

/// How long one store may take to answer: a person waits.
const DEADLINE: Duration = Duration::from_secs(3);

/// The most bytes of a note that are read.
const LONGEST: u64 = 1 << 20;

/// How many notes of one store are read: whoever writes there makes nobody wait for long.
const MOST: usize = 64;

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
/// not answer in time, or shows something else, says nothing; nor does a note that no key of this machine reads by itself: what
/// lies there may be a stranger's, so no person is asked for anything.
pub async fn others(
    stores: &BTreeMap<StoreName, Arc<dyn Store>>,
    keys: &Arc<dyn Keys>,
    project: &ProjectName,
    ours: &BTreeSet<TrainNonce>,
) -> Vec<StagedTrain> {
    let mut out = Vec::new();
    for (name, store) in stores {
        let mut found = Vec::new();
        // What was found before the store failed, or its time was over, counts.
        drop(tokio::time::timeout(DEADLINE, notes(&**store, keys, ours, &mut found)).await);
        let foreign = |note: &Note| note.project == *project && !ours.contains(&note.train);
        out.extend(found.into_iter().filter(foreign).map(|note| StagedTrain { store: name.clone(), note }));
    }
    out
}

async fn notes(
    store: &dyn Store,
    keys: &Arc<dyn Keys>,
    ours: &BTreeSet<TrainNonce>,
    found: &mut Vec<Note>,
) -> Result<()> {
    let is_ours = |train: &String| ours.iter().any(|nonce| train.starts_with(&nonce.to_string()));
    for train in store.staged().await?.into_iter().filter(|train| !is_ours(train)).take(MOST) {
        let Some(source) = store.get(&Area::Staging(train.clone()), NOTE).await? else { continue };
        let keys = keys.clone();
        let Some(Some(bytes)) = aside(move || read(source, &*keys)).await else { continue };
        // One that is not a note, or lies in another train's directory, is nobody's word.
        found.extend(signed::from_bytes::<Note>(&bytes, NOTE).ok().filter(|n| train.starts_with(&n.train.to_string())));
    }
    Ok(())
}

/// What a note says, encrypted or not; nothing if it cannot be read.
fn read(mut source: Box<dyn Read + Send>, keys: &dyn Keys) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    source.by_ref().take(LONGEST).read_to_end(&mut bytes).ok()?;
    if bytes.starts_with(b"{") {
        return Some(bytes);
    }
    let most = usize::try_from(padding::padded(LONGEST)).ok()?;
    let mut plain = keys.read_unasked(&bytes, most)?;
    padding::strip(&mut plain);
    Some(plain)
}
