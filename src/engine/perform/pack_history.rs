//! `pack-history`: what a store's repository needs of the project's history, packed before anything is public and kept.

use super::{Acting, Perform, wrong};
use crate::effects::{CheckedReader, PackFiles, Served, StaticContent, StaticFile, blocking, read_public};
use crate::error::{Context as _, Error, Result};
use crate::formats::layout;
use crate::model::Oid;
use crate::step::{HistoryPacked, KeptPack, PackHistory, StepId};

impl Perform for PackHistory {
    async fn perform(&self, acting: &Acting<'_>) -> Result<HistoryPacked> {
        pack(acting, self).await
    }
}

async fn pack(acting: &Acting<'_>, step: &PackHistory) -> Result<HistoryPacked> {
    let store = acting.store(&step.store).await?;
    let refs = read_public(&*store, &layout::repository_file(&step.project, "info/refs")).await?;
    let served = Served::read(&[], refs.as_deref().unwrap_or_default())?;
    let mut without: Vec<Oid> =
        served.refs.into_iter().filter(|(name, _)| !name.ends_with("^{}")).map(|(_, oid)| oid).collect();
    without.sort();
    without.dedup();
    blocking(|| {
        let (git, repo, objects) = (&acting.effects.git, acting.train.repository(), acting.train.objects());
        let _one_at_a_time = acting.train.repository_lock();
        git.ensure(repo)?;
        let mut tips: Vec<Oid> = step.bases.values().cloned().collect();
        tips.sort();
        tips.dedup();
        let Some(files) = git.pack_history(repo, &tips, &without)? else {
            return Ok(HistoryPacked { pack: None, without });
        };
        let (pack, idx) = (objects.put_file(&files.pack)?, objects.put_file(&files.idx)?);
        git.forget_pack(&files)?;
        let pack = Some(KeptPack { name: files.name, pack, idx });
        Ok(HistoryPacked { pack, without })
    })
}

/// What was packed before the gate, if a repository that serves this can use it.
pub(super) struct Packed {
    /// What the pack and what is served hold with all that they reach.
    pub(super) bases: Vec<Oid>,
    /// The file name of the pack.
    pub(super) name: Option<String>,
    /// The pack and its index.
    pub(super) files: Vec<StaticFile>,
}

/// What the step `id` packed, its bytes checked; `None` where the store has lost what the pack leaves out.
pub(super) fn packed(acting: &Acting<'_>, id: &StepId, served: &Served) -> Result<Option<Packed>> {
    let bases = match acting.train.plan().step_of::<PackHistory>(id) {
        Some(step) => step.bases.values().cloned().collect(),
        None => return Err(Error::fatal(format!("the plan has no step `{id}` that packs history"))),
    };
    // A destination that may be down is not waited for.
    let Some(outcome) = acting.state.outcome(id) else { return Ok(None) };
    let Some(HistoryPacked { pack, without }) = outcome.as_a() else { return Err(wrong(id, "a pack of history")) };
    let (git, repo) = (&acting.effects.git, acting.train.repository());
    for left_out in without {
        let mut holds = false;
        for (_, there) in &served.refs {
            holds = holds || there == left_out || git.descends(repo, there, left_out)?;
        }
        if !holds {
            return Ok(None);
        }
    }
    let mut packed = Packed { bases, name: None, files: Vec::new() };
    if let Some(kept) = pack {
        let objects = acting.train.objects();
        let named = PackFiles {
            name: kept.name.clone(),
            pack: objects.path(&kept.pack.sha256),
            idx: objects.path(&kept.idx.sha256),
        };
        packed.name = Some(named.file_name("pack"));
        for (end, path, digests) in [("pack", named.pack.clone(), &kept.pack), ("idx", named.idx.clone(), &kept.idx)] {
            let mut bytes = CheckedReader::new(objects.open(&digests.sha256)?, *digests);
            std::io::copy(&mut bytes, &mut std::io::sink()).context("the kept pack of the history")?;
            let path_in = format!("objects/pack/{}", named.file_name(end));
            packed.files.push(StaticFile { path: path_in, content: StaticContent::Fixed(path) });
        }
    }
    Ok(Some(packed))
}
