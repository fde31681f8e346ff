//! The gate, and the steps after it.

use std::collections::BTreeMap;

use super::advisories::{plan_advisories, plan_private_drafts};
use super::automation::{ForgeDecisions, SwitchSteps};
use super::builder::Sketch;
use super::line::ShippedLine;
use super::workflows::{StartedWorkflow, via};
use crate::config::{Config, PushMode, StoreRole, TrainRequest};
use crate::error::{Error, Result};
use crate::model::{BranchName, Staging, StoreName};
use crate::snapshot::Snapshot;
use crate::step::{
    ForgeRelease, Gate, Has, Importance, OnStore, PackHistory, Point, PointLine, Promote, PushGit, PushLine, Quorum,
    Seal, StepId,
};

pub(super) fn plan_publication(
    config: &Config,
    snapshot: &Snapshot,
    request: &TrainRequest,
    lines: &[ShippedLine],
    sketch: &mut Sketch,
) -> Result<Vec<StartedWorkflow>> {
    if config.stores.iter().all(|s| s.role == StoreRole::Deferrable) {
        return Err(Error::input("no store is required, so *released* would mean nothing")
            .hint("set `required = true` for at least one `[[store]]`"));
    }
    plan_private_drafts(config, request, sketch)?;
    let histories = plan_histories(config, lines, sketch)?;
    let gate = plan_gate(config, snapshot, request, lines, &histories, sketch)?;
    let mut seals = BTreeMap::new();
    for line in lines {
        let Some(release) = &line.release else { continue };
        let branch = &line.planned.branch;
        let seal = sketch.add(
            Seal {
                branch: branch.clone(),
                version: release.version.clone(),
                tag: release.tag.clone(),
                prepare: line.prepare.clone(),
                checksum: release.checksum.clone(),
                sign_artifacts: config.signing.sign_artifacts,
                tagger: config.project.committer.clone(),
                date: request.date,
            },
            vec![gate.clone(), line.prepare.clone(), release.checksum.clone()],
            Importance::Required,
        )?;
        seals.insert(branch.clone(), seal);
    }
    // No line becomes public before every line is sealed: a key that fails must not leave half a train behind.
    let all_sealed: Vec<StepId> = std::iter::once(gate).chain(seals.values().cloned()).collect();
    let promoted = plan_stores(config, lines, &seals, &all_sealed, sketch)?;
    let mut required: Vec<StepId> =
        required(config).filter_map(|store| promoted.get(store)).flat_map(|ids| ids.clone()).collect();
    required.extend(plan_quorum(config, Has::Files, &promoted, &all_sealed, sketch)?);
    // Files first: what git and forges show points at files that are there. Pointers last.
    let shown: Vec<StepId> = all_sealed.iter().chain(&required).cloned().collect();
    let automation = ForgeDecisions::new(config, snapshot, request, lines)?;
    let switches = automation.plan_suppress(config, lines, &shown, sketch)?;
    required.extend(switches.required.iter().cloned());
    required.extend(plan_remotes(config, request, lines, &seals, (&shown, &switches), sketch)?);
    required.extend(plan_forges(config, lines, &seals, (&shown, &switches), sketch)?);
    plan_advisories(config, request, &shown, sketch)?;
    automation.plan_after(config, request, lines, (&shown, &switches), sketch)?;
    let before = Before { all_sealed: &all_sealed, promoted: &promoted, required: &required, histories: &histories };
    let pointed = plan_points(config, lines, &seals, &before, sketch)?;
    plan_quorum(config, Has::Pointers, &pointed, &required, sketch)?;
    Ok(automation.started())
}

/// The stores that must have every train.
fn required(config: &Config) -> impl Iterator<Item = &StoreName> {
    config.stores.iter().filter(|s| s.role == StoreRole::Required).map(|s| &s.name)
}

/// The step that waits until enough stores have something, after `needs`; none where no number of stores is asked for, or
/// where the train puts nothing of it into stores.
fn plan_quorum(
    config: &Config,
    has: Has,
    steps: &BTreeMap<StoreName, Vec<StepId>>,
    needs: &[StepId],
    sketch: &mut Sketch,
) -> Result<Option<StepId>> {
    let Some(at_least) = config.quorum else { return Ok(None) };
    let counted = config.stores.iter().filter(|s| s.role == StoreRole::Counted);
    let of = counted.map(|s| (s.name.clone(), steps.get(&s.name).cloned().unwrap_or_default()));
    let of: BTreeMap<StoreName, Vec<StepId>> = of.filter(|(_, steps)| !steps.is_empty()).collect();
    if of.is_empty() {
        return Ok(None);
    }
    let needs = of.values().flatten().chain(needs).cloned().collect();
    sketch.add(Quorum { has, at_least, of }, needs, Importance::Required).map(Some)
}

/// What each store's repository will need of the project's history: packed before anything is public.
fn plan_histories(config: &Config, lines: &[ShippedLine], sketch: &mut Sketch) -> Result<BTreeMap<StoreName, StepId>> {
    let bases: BTreeMap<_, _> = lines.iter().map(|l| (l.planned.branch.clone(), l.planned.base.clone())).collect();
    let mut made = BTreeMap::new();
    for store in &config.stores {
        let step =
            PackHistory { project: config.project.name.clone(), store: store.name.clone(), bases: bases.clone() };
        let id = sketch.add(step, Vec::new(), store.importance())?;
        made.insert(store.name.clone(), id);
    }
    Ok(made)
}

fn plan_gate(
    config: &Config,
    snapshot: &Snapshot,
    request: &TrainRequest,
    lines: &[ShippedLine],
    histories: &BTreeMap<StoreName, StepId>,
    sketch: &mut Sketch,
) -> Result<StepId> {
    let required: Vec<_> = required(config).collect();
    let mut staged: BTreeMap<StoreName, Vec<StepId>> = BTreeMap::new();
    let mut needs: Vec<StepId> = lines.iter().map(|l| l.prepare.clone()).collect();
    let mut checksums = Vec::new();
    let mut carries = Vec::new();
    needs.extend(histories.iter().filter(|(store, _)| required.contains(store)).map(|(_, id)| id.clone()));
    for line in lines {
        match &line.release {
            Some(release) => {
                checksums.push(release.checksum.clone());
                needs.push(release.checksum.clone());
                needs.extend(release.encrypt.clone());
                needs.extend(release.verified.iter().filter(|(s, _)| required.contains(s)).map(|(_, id)| id.clone()));
                for (store, id) in &release.verified {
                    staged.entry(store.clone()).or_default().push(id.clone());
                }
            }
            None => carries.push(line.prepare.clone()),
        }
    }
    // What a store's repository needs of the history comes before its pointers move, so it counts here too.
    for (store, id) in histories {
        staged.entry(store.clone()).or_default().push(id.clone());
    }
    needs.extend(plan_quorum(config, Has::Staged, &staged, &checksums, sketch)?);
    sketch.add(
        Gate { threshold: snapshot.trust.threshold, not_before: request.not_before, checksums, carries },
        needs,
        Importance::Required,
    )
}

/// The promotions, by store.
fn plan_stores(
    config: &Config,
    lines: &[ShippedLine],
    seals: &BTreeMap<BranchName, StepId>,
    all_sealed: &[StepId],
    sketch: &mut Sketch,
) -> Result<BTreeMap<StoreName, Vec<StepId>>> {
    let mut promoted: BTreeMap<StoreName, Vec<StepId>> = BTreeMap::new();
    for store in &config.stores {
        for line in lines {
            let (Some(release), Some(seal)) = (&line.release, seals.get(&line.planned.branch)) else { continue };
            let mut needs = all_sealed.to_vec();
            needs.push(release.checksum.clone());
            needs.extend(release.verified.get(&store.name).cloned());
            let encrypt = release.encrypt.clone().filter(|_| store.staging == Staging::Encrypted);
            needs.extend(encrypt.clone());
            let id = sketch.add(
                Promote(OnStore {
                    branch: line.planned.branch.clone(),
                    version: release.version.clone(),
                    store: store.name.clone(),
                    checksum: release.checksum.clone(),
                    seal: Some(seal.clone()),
                    encrypt,
                }),
                needs,
                store.importance(),
            )?;
            promoted.entry(store.name.clone()).or_default().push(id);
        }
    }
    Ok(promoted)
}

/// What comes before the pointers of the stores.
struct Before<'a> {
    all_sealed: &'a [StepId],
    promoted: &'a BTreeMap<StoreName, Vec<StepId>>,
    required: &'a [StepId],
    histories: &'a BTreeMap<StoreName, StepId>,
}

/// The pointers of every store, after everything required that they could point at. A train that carries fixes only puts no
/// files there, and serves its branches all the same.
fn plan_points(
    config: &Config,
    lines: &[ShippedLine],
    seals: &BTreeMap<BranchName, StepId>,
    &Before { all_sealed, promoted, required, histories }: &Before<'_>,
    sketch: &mut Sketch,
) -> Result<BTreeMap<StoreName, Vec<StepId>>> {
    let (mut made, mut pointed) = (BTreeMap::new(), BTreeMap::new());
    for line in lines {
        let (Some(release), Some(seal)) = (&line.release, seals.get(&line.planned.branch)) else { continue };
        let point = PointLine {
            version: release.version.clone(),
            tag: release.tag.clone(),
            prepare: line.prepare.clone(),
            checksum: release.checksum.clone(),
            seal: seal.clone(),
        };
        pointed.insert(line.planned.branch.clone(), point);
    }
    let carried = lines.iter().filter(|l| l.release.is_none());
    let carries: BTreeMap<_, _> = carried.map(|l| (l.planned.branch.clone(), l.prepare.clone())).collect();
    for store in &config.stores {
        let before = promoted.get(&store.name).map_or(all_sealed, Vec::as_slice);
        let mut needs: Vec<StepId> = before.iter().chain(required).chain(carries.values()).cloned().collect();
        for line in pointed.values() {
            needs.extend([line.prepare.clone(), line.checksum.clone(), line.seal.clone()]);
        }
        let history = histories.get(&store.name).cloned();
        needs.extend(history.clone());
        let id = sketch.add(
            Point {
                project: config.project.name.clone(),
                store: store.name.clone(),
                lines: pointed.clone(),
                carries: carries.clone(),
                history,
            },
            needs,
            store.importance(),
        )?;
        made.insert(store.name.clone(), vec![id]);
    }
    Ok(made)
}

fn plan_remotes(
    config: &Config,
    request: &TrainRequest,
    lines: &[ShippedLine],
    seals: &BTreeMap<BranchName, StepId>,
    (shown, switches): (&[StepId], &SwitchSteps),
    sketch: &mut Sketch,
) -> Result<Vec<StepId>> {
    let mut required = Vec::new();
    for remote in &config.remotes {
        let mut needs = shown.to_vec();
        // What a push must not start is off before it.
        needs.extend(switches.before(&PushGit::id(&remote.name)));
        let mut pushed = BTreeMap::new();
        for line in lines {
            needs.push(line.prepare.clone());
            let push = PushLine {
                prepare: line.prepare.clone(),
                seal: seals.get(&line.planned.branch).cloned(),
                base: line.planned.base.clone(),
                via: match remote.push_mode(&line.planned.branch) {
                    PushMode::Direct => None,
                    PushMode::PullRequest => Some(via(request, &line.planned.branch)?),
                },
            };
            pushed.insert(line.planned.branch.clone(), push);
        }
        let push = PushGit { remote: remote.name.clone(), lines: pushed };
        let id = sketch.add(push, needs, Importance::of(remote.required))?;
        if remote.required {
            required.push(id);
        }
    }
    Ok(required)
}

fn plan_forges(
    config: &Config,
    lines: &[ShippedLine],
    seals: &BTreeMap<BranchName, StepId>,
    (shown, switches): (&[StepId], &SwitchSteps),
    sketch: &mut Sketch,
) -> Result<Vec<StepId>> {
    let mut required = Vec::new();
    for forge in &config.forges {
        for line in lines {
            let (Some(release), Some(seal)) = (&line.release, seals.get(&line.planned.branch)) else { continue };
            let branch = &line.planned.branch;
            let mut needs = shown.to_vec();
            needs.push(release.checksum.clone());
            needs.extend(switches.before(&ForgeRelease::id(&forge.name, branch)));
            // A forge makes a tag of its own for a release that has none: ours must be there first.
            needs.extend(forge.remote.as_ref().map(PushGit::id));
            let id = sketch.add(
                ForgeRelease {
                    forge: forge.name.clone(),
                    branch: branch.clone(),
                    version: release.version.clone(),
                    checksum: release.checksum.clone(),
                    seal: seal.clone(),
                },
                needs,
                Importance::of(forge.required),
            )?;
            if forge.required {
                required.push(id);
            }
        }
    }
    Ok(required)
}
