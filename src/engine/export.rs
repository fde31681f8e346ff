//! Review bundles: what a person on another machine needs to look at a train, written here and opened there.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use super::content;
use super::perform::hooks;
use super::recorded::TrainRecord;
use super::train::TrainDir;
use super::view::TrainView;
use crate::effects::{Disk, Objects, files};
use crate::error::{Context as _, Error, ErrorKind, Result};
use crate::formats::canonical;
use crate::formats::review_bundle::{
    self, CONTENT, Header, JOURNAL, ObjectLimits, PLAN, Parts, StagedAt, UNSIZED, Writer,
};
use crate::formats::signed::SignedDocument as _;
use crate::journal::{Event, Journal, Record};
use crate::model::{Destination, Sha256};
use crate::plan::{Graph, Plan, check};
use crate::step::{Outcome, Prepared, Summed};
use crate::trust::TrustedRoot;

/// What a bundle says of itself, in the file and on the screen.
pub const EMBARGO: &str = "EMBARGOED: it holds unreleased fixes; give it to those who approve, and to nobody else";

/// Writes a train's review bundle, with the staged files if `bytes`.
///
/// # Errors
/// A train at which there is nothing to approve; lost objects; those of `out`.
pub fn write(
    view: &TrainView,
    recorded: &TrainRecord,
    bytes: bool,
    now: Timestamp,
    out: &mut dyn Write,
) -> Result<Header> {
    let (state, plan) = (view.state(), view.plan());
    content::open_to_approvals(state)?;
    let (content, _) = content::to_approve(view)?;
    let listed = objects_of(view, &recorded.records, bytes)?;
    let nonce = content.train.clone();
    let staged = state.staged_in().into_iter().map(|(store, directory)| StagedAt {
        address: plan.place_of(Destination::Store(store.clone())).unwrap_or_default().to_owned(),
        store: store.to_string(),
        directory: format!(".staging/{directory}"),
    });
    let header = Header {
        kind: Header::TYPE.to_owned(),
        project: plan.project.clone(),
        train: nonce.clone(),
        format: 1,
        embargo: EMBARGO.to_owned(),
        name: plan.train.clone(),
        plan: state.graph().id().0,
        content: content.digest()?,
        root: plan.trust_root,
        exported: now,
        staged: staged.collect(),
        bytes,
        objects: listed.keys().copied().collect(),
    };
    let mut writer = Writer::new(out, &header)?;
    writer.file(PLAN, &recorded.plans.first().plan().to_bytes()?)?;
    let mut journal = Vec::new();
    for record in &recorded.records {
        journal.extend(canonical::to_bytes(record)?);
        journal.push(b'\n');
    }
    writer.file(JOURNAL, &journal)?;
    writer.file(CONTENT, &content.to_bytes()?)?;
    // Whoever opens it admits no more.
    let (limits, mut others) = (limits_of(plan, &recorded.records, bytes), UNSIZED);
    for (id, size) in &listed {
        let mut object = view.objects().open(id)?;
        match size {
            Some(size) => writer.object(id, *size, &mut *object)?,
            None => {
                let bytes = view.objects().get(id)?;
                let size = bytes.len() as u64;
                limits.admit(id, size, &mut others).map_err(|e| {
                    let about = format!("object {id} is too large for a review bundle");
                    e.details()
                        .iter()
                        .fold(Error::input(about), |error, detail| error.detail(detail.clone()))
                        .hint("let the others approve on this machine: `lifeboat approve --as NAME`")
                })?;
                writer.object(id, size, &mut &*bytes)?;
            }
        }
    }
    writer.finish()?;
    Ok(header)
}

/// What a review reads of a train's objects, with their sizes where those are recorded.
fn objects_of(view: &TrainView, records: &[Record], bytes: bool) -> Result<BTreeMap<Sha256, Option<u64>>> {
    let (state, plan) = (view.state(), view.plan());
    let mut out: BTreeMap<Sha256, Option<u64>> = plan.lines.iter().map(|l| (l.series, None)).collect();
    for record in records {
        // A plan that replaced the first one is an object.
        if let Event::Amended { object, .. } = &record.what {
            out.insert(*object, None);
        }
    }
    for step in &plan.steps {
        let Some(outcome) = state.outcome(&step.id) else { continue };
        out.extend(objects_in(outcome, bytes));
        if let Some(Prepared { by_hooks, .. }) = outcome.as_a() {
            out.extend(hooks::pinned_paths(view.objects(), by_hooks.as_ref())?.into_values().map(|id| (id, None)));
        }
    }
    Ok(out)
}

/// The objects that an outcome names and a review reads, with their sizes where they are recorded.
fn objects_in(outcome: &Outcome, bytes: bool) -> Vec<(Sha256, Option<u64>)> {
    if let Some(Prepared { pack, notes, by_hooks, .. }) = outcome.as_a() {
        return [Some(*pack), *notes, *by_hooks].into_iter().flatten().map(|id| (id, None)).collect();
    }
    let Some(Summed { manifest, sha256sums, sha512sums, artifacts }) = outcome.as_a() else { return Vec::new() };
    let sums = [manifest, sha256sums, sha512sums];
    let files = sums.into_iter().chain(artifacts.iter().filter(|_| bytes));
    files.map(|a| (a.digests.sha256, Some(a.digests.size))).collect()
}

/// A bundle that was opened.
pub struct Opened {
    /// What it is about.
    pub header: Header,
    /// The train in it.
    pub view: TrainView,
}

/// Opens a bundle into a directory that holds nothing yet, and checks everything that it says of itself: the plan and its
/// promises, the journal's chain and signature, each object's digest, and that its parts are of one train.
///
/// # Errors
/// What does not hold, by name; another trust root.
pub fn open(disk: &Arc<dyn Disk>, trust: Arc<TrustedRoot>, dir: &Path, source: &mut dyn Read) -> Result<Opened> {
    let objects = Objects::new(disk.clone(), dir.join("objects"));
    let train = TrainDir::new(dir.to_owned());
    let Parts { header, content, .. } = review_bundle::read(
        source,
        |parts| limits(&**disk, &train, parts),
        |id, bytes| {
            let put =
                objects.put_written(|out| files::copy(bytes, out).map(drop).context("it is cut off or damaged"))?;
            if put.sha256 == *id {
                return Ok(());
            }
            Err(Error::verification(format!("object {id} in it has other bytes than its name says")))
        },
    )?;
    let recorded = train.read(&**disk).map_err(not_held)?;
    let state = recorded.state().map_err(not_held)?;
    super::train::same_root(&trust, state.graph().plan())?;
    let view = TrainView::new(state, objects, trust);
    one_train(&header, &content, &view, &recorded.records)?;
    Ok(Opened { header, view })
}

fn changed(what: &str, e: Error) -> Error {
    // A newer format is said as it is.
    if e.kind() == ErrorKind::Fatal { e } else { Error::verification(format!("{what}: {}", e.message())) }
}

fn not_held(e: Error) -> Error {
    changed("the journal in it does not hold", e)
}

/// Puts plan and journal of a bundle into the train's directory and checks them, as far as that is possible without objects.
/// Returns how large the objects may be.
fn limits(disk: &dyn Disk, train: &TrainDir, parts: &Parts) -> Result<ObjectLimits> {
    let parsed = Plan::from_bytes(&parts.plan).map_err(|e| changed("the plan in it cannot be read", e))?;
    check(&parsed).map_err(|e| Error::verification(format!("the plan in it: {}", e.message())))?;
    if parsed.to_bytes()? != parts.plan {
        return Err(Error::verification("the plan in it is not written in its canonical form"));
    }
    files::create_dir_all(disk, train.path(), 0o700)?;
    files::write_new(disk, &train.plan(), 0o600, &mut &*parts.plan)?;
    files::write_new(disk, &train.journal(), 0o600, &mut &*parts.journal)?;
    let graph = Graph::new(Arc::new(parsed))?;
    let (records, len) = Journal::read(disk, &train.journal(), &graph).map_err(not_held)?;
    if len != parts.journal.len() as u64 {
        return Err(Error::verification("the journal in it ends within a record"));
    }
    Ok(limits_of(graph.plan(), &records, parts.header.bytes))
}

/// How large the objects may be that plan and journal name.
fn limits_of(plan: &Plan, records: &[Record], bytes: bool) -> ObjectLimits {
    let mut named: BTreeMap<Sha256, Option<u64>> = plan.lines.iter().map(|l| (l.series, None)).collect();
    for record in records {
        match &record.what {
            Event::Amended { object, .. } => drop(named.insert(*object, None)),
            Event::Succeeded { outcome, .. } => named.extend(objects_in(outcome, bytes)),
            _ => {}
        }
    }
    ObjectLimits { named }
}

/// Whether header, content manifest, plan and journal are of one train.
fn one_train(header: &Header, content: &[u8], view: &TrainView, records: &[Record]) -> Result<()> {
    let (ours, _) = content::to_approve(view)?;
    let other = |what: &str| Err(Error::verification(format!("its parts are not of one train: {what}")));
    let plan = view.plan();
    let wanted: BTreeSet<Sha256> = objects_of(view, records, header.bytes)?.into_keys().collect();
    match () {
        () if ours.to_bytes()? != content => other("the content manifest is not that of the journal"),
        () if header.content != ours.digest()? => other("the header names another content manifest"),
        () if header.project != plan.project => other("the header names another project"),
        () if header.name != plan.train => other("the header names another train"),
        () if header.train != ours.train => other("the header names another nonce"),
        () if header.plan != view.state().graph().id().0 => other("the header names another plan"),
        () if header.root != plan.trust_root => other("the header names another trust root"),
        () if !wanted.is_subset(&header.objects) => other("it lacks an object that the journal names"),
        () if wanted != header.objects => other("it holds an object that the journal does not name"),
        () => Ok(()),
    }
}
