//! `refresh`: signs indexes again before readers call them stale; for cron.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use semver::Version;
use serde::Serialize;

use super::project::LocalProject;
use super::{Global, Output};
use crate::effects::{Effects, NoProgress, Objects, Store, locks};
use crate::engine::index::{IndexWriter, ReleaseHistory, unlisted};
use crate::engine::mirrors::{self, MirrorListWriter};
use crate::engine::{TrainDir, publish_keys, until_ours};
use crate::error::{Context as _, Error, Result};
use crate::formats::index::Index;
use crate::formats::mirrors::ListedIndex;
use crate::model::{Sha256, StoreName};
use crate::trust::{TrustedRoot, read_index};

/// Less than this and it is signed again.
const SOON: SignedDuration = SignedDuration::from_hours(24 * 3);

/// Sign the index of every store again before it goes stale; for cron, once a day
///
/// An index is valid for seven days, and is not signed again while three of them are left. Only an index that the freshness
/// key signed is signed again, and only if it lists every release that this machine made there. Retired versions of abandoned
/// trains are added. Each store's list of mirrors is brought up to date.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Sign again however fresh it is
    #[arg(long)]
    now: bool,
}

/// What was done to a store's index.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Done {
    /// Signed again.
    Signed,
    /// It was fresh enough.
    Kept,
    /// There is none.
    Absent,
}

#[derive(Serialize)]
struct Report {
    store: StoreName,
    done: Done,
    counter: Option<u64>,
    expires: Option<Timestamp>,
    /// The retired versions that it lists now and did not before.
    retired: BTreeSet<Version>,
}

struct Refreshing<'a> {
    effects: &'a Effects,
    trust: &'a TrustedRoot,
    objects: &'a Objects,
    /// What trains of this machine did.
    past: ReleaseHistory,
    always: bool,
}

pub(super) fn run(global: &Global, args: &Args, out: &Output) -> Result<ExitCode> {
    let place = LocalProject::open(global)?;
    let trust = place.trust()?;
    let dir = TrainDir::new(place.root().join("refresh"));
    crate::effects::files::create_dir_all(&*place.disk, dir.path(), 0o700)?;
    let _alone = locks::take(&*place.disk, &dir.lock(), "another `lifeboat refresh` is under way")?;
    let effects = place.effects_in(&dir, Arc::new(NoProgress))?;
    let objects = Objects::new(effects.disk.clone(), dir.objects());
    let refreshing =
        Refreshing { effects: &effects, trust: &trust, objects: &objects, past: place.past()?, always: args.now };
    let runtime = super::runtime()?;
    let (mut reports, mut errors) = (Vec::new(), Vec::new());
    for store in effects.stores.values() {
        // A store that is down must not keep the others from being refreshed.
        match runtime.block_on(refreshing.store(&**store)) {
            Ok(report) => reports.push(report),
            Err(e) => {
                errors.push(e.context(format!("index of store `{}`", store.name())));
            }
        }
    }
    let list = refreshing.mirrors(place.config.mirrors.clone());
    for e in runtime.block_on(list) {
        errors.push(e);
    }
    place.disk.remove_dir_all(&dir.objects()).context("cannot clear what `refresh` wrote on the way")?;
    out.fail_all(&errors.iter().collect::<Vec<_>>());
    out.result(text(&reports), &reports)?;
    let worst = errors.first().map(|e: &Error| e.kind().exit_code());
    Ok(worst.map_or(ExitCode::SUCCESS, ExitCode::from))
}

impl Refreshing<'_> {
    /// Says in every store that has an index which mirrors there are; gives what failed. A store that is down was reported
    /// before.
    async fn mirrors(&self, others: BTreeSet<String>) -> Vec<Error> {
        let (effects, now) = (self.effects, self.effects.clock.now());
        let (mut known, mut there) = (BTreeMap::new(), Vec::new());
        for store in effects.stores.values() {
            if let Ok(Some(signed)) = read_index(&**store, self.trust, now).await {
                let index = ListedIndex { counter: signed.index.counter, sha256: Sha256::of(&signed.bytes) };
                known.insert(store.name().clone(), index);
                there.push(store);
            }
        }
        let mirrors = mirrors::mirrors(effects.stores.values().map(|store| &**store), &known, &others);
        let writer = MirrorListWriter { effects, trust: self.trust, objects: self.objects, mirrors };
        let mut errors = Vec::new();
        for store in there {
            let written = writer.write(&**store).await;
            errors.extend(written.err().map(|e| e.context(format!("list of mirrors of store `{}`", store.name()))));
        }
        errors
    }

    async fn store(&self, store: &dyn Store) -> Result<Report> {
        let report = |done, index: Option<&Index>, retired: &BTreeSet<Version>| Report {
            store: store.name().clone(),
            done,
            counter: index.map(|i| i.counter),
            expires: index.map(|i| i.expires),
            retired: retired.clone(),
        };
        let (trust, objects, past) = (self.trust, self.objects, &self.past);
        let writer = IndexWriter { effects: self.effects, trust, objects, released: &past.released };
        let none = BTreeSet::new();
        until_ours(store, "the index", || async {
            let now = self.effects.clock.now();
            let there = read_index(store, self.trust, now).await.map_err(|e| {
                e.hint("it was not signed again: find out who wrote it, and compare it with another store")
            })?;
            writer.lists_ours(store.name(), there.as_ref().map(|t| &t.index))?;
            let Some(there) = there else {
                if past.retired.is_empty() {
                    return Ok(Some(report(Done::Absent, None, &none)));
                }
                let retired = writer.retire(store, &past.retired).await?;
                let made = read_index(store, self.trust, now).await?;
                return Ok(Some(report(Done::Signed, made.as_ref().map(|t| &t.index), &retired)));
            };
            let soon = now.checked_add(SOON).context("the clock is wrong")?;
            let base = writer.base_from(store, &there).await?;
            let retire = unlisted(&base, &past.retired);
            if !self.always && retire.is_empty() && there.index.expires >= soon && writer.by_current_key(&there) {
                // A writer that was killed may have left the signature of the index before.
                let ours = writer.beside(store, &there.bytes, &there.signature).await?;
                return Ok(ours.then(|| report(Done::Kept, Some(&there.index), &none)));
            }
            let (now, expires) = writer.now()?;
            let next = base.next([], retire.clone(), now, expires)?;
            // A stranger follows the root to the key that signs now.
            publish_keys(store, self.trust).await?;
            let Some(signature) = writer.put(store, Some(&there.bytes), &next).await? else { return Ok(None) };
            let ours = writer.beside(store, &next.to_bytes()?, &signature).await?;
            Ok(ours.then(|| report(Done::Signed, Some(&next), &retire)))
        })
        .await
    }
}

fn text(reports: &[Report]) -> String {
    let one = |r: &Report| {
        let retired: Vec<String> = r.retired.iter().map(ToString::to_string).collect();
        let retired =
            if retired.is_empty() { String::new() } else { format!(", now with {} as retired", retired.join(", ")) };
        match (r.done, r.counter, r.expires) {
            (Done::Signed, Some(n), Some(until)) => {
                format!("{}: signed again, number {n}, good until {}{retired}", r.store, crate::model::utc(until))
            }
            (_, Some(n), Some(until)) => {
                format!("{}: fresh, number {n}, good until {}", r.store, crate::model::utc(until))
            }
            _ => format!("{}: no release yet", r.store),
        }
    };
    reports.iter().map(one).collect::<Vec<_>>().join("\n")
}
