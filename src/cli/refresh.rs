//! `refresh`: signs indexes again before readers call them stale; for cron.

use std::process::ExitCode;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::place::Place;
use super::{Global, Output};
use crate::effects::{Area, Effects, Objects, Quiet, Role, Store, blocking};
use crate::engine::TrainDir;
use crate::error::{Context as _, Error, Result};
use crate::formats::index::{Index, PATH};
use crate::formats::openpgp::{Detached, Hashed};
use crate::journal::StepStatus;
use crate::model::{ProjectName, Sha256, StoreName, TrainNonce};
use crate::step::Step;
use crate::trust::{SKEW, TrustedRoot, Window, check_key_signature};

/// How long an index counts as fresh, as when a train writes it.
const FRESH: SignedDuration = SignedDuration::from_hours(24 * 7);
/// Less than this and it is signed again.
const SOON: SignedDuration = SignedDuration::from_hours(24 * 3);
/// How often an index is tried again when another writer was faster.
const RACES: u32 = 5;

/// Sign the index of every store again before it goes stale; for cron, once a day
///
/// Each index counts for seven days, and is left alone while three of them are left. Only an index that the freshness key
/// signed is signed again, and only if it lists every release that this machine made there.
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
}

/// An index as it lies in a store, with a signature that counts.
struct There {
    bytes: Vec<u8>,
    index: Index,
    signature: Vec<u8>,
}

struct Refreshing<'a> {
    place: &'a Place,
    effects: &'a Effects,
    trust: &'a TrustedRoot,
    objects: &'a Objects,
    always: bool,
}

pub(super) fn run(global: &Global, args: &Args, out: &Output) -> Result<ExitCode> {
    let place = Place::open(global)?;
    let trust = place.trust()?;
    let dir = TrainDir::new(place.root().join("refresh"));
    crate::effects::files::create_dir_all(&*place.disk, dir.path(), 0o700)?;
    let held = place.disk.try_lock(&dir.lock()).context("cannot take the lock of `refresh`")?;
    let _alone = held.ok_or_else(|| Error::transient("another `lifeboat refresh` is under way"))?;
    let effects = place.effects_in(&dir, Arc::new(Quiet))?;
    let objects = Objects::new(effects.disk.clone(), dir.objects());
    let refreshing =
        Refreshing { place: &place, effects: &effects, trust: &trust, objects: &objects, always: args.now };
    let runtime = super::runtime()?;
    let (mut reports, mut worst) = (Vec::new(), None);
    for store in effects.stores.values() {
        // A store that is down must not keep the others from being refreshed.
        match runtime.block_on(refreshing.store(&**store)) {
            Ok(report) => reports.push(report),
            Err(e) => {
                let e = e.context(format!("index of store `{}`", store.name()));
                worst = worst.or(Some(e.kind().exit_code()));
                let _code = out.fail(&e);
            }
        }
    }
    place.disk.remove_dir_all(&dir.objects()).context("cannot clear what `refresh` wrote on the way")?;
    out.result(text(&reports), &reports)?;
    Ok(worst.map_or(ExitCode::SUCCESS, ExitCode::from))
}

impl Refreshing<'_> {
    async fn store(&self, store: &dyn Store) -> Result<Report> {
        let report = |done, index: Option<&Index>| Report {
            store: store.name().clone(),
            done,
            counter: index.map(|i| i.counter),
            expires: index.map(|i| i.expires),
        };
        for _ in 0..RACES {
            let Some(there) = self.there(store).await? else {
                self.lists_ours(store.name(), None)?;
                return Ok(report(Done::Absent, None));
            };
            self.lists_ours(store.name(), Some(&there.index))?;
            let now = self.effects.clock.now();
            let soon = now.checked_add(SOON).context("the clock is wrong")?;
            if !self.always && there.index.expires >= soon {
                // A writer that was killed may have left the signature of the index before.
                if self.beside(store, &there.bytes, &there.signature).await? {
                    return Ok(report(Done::Kept, Some(&there.index)));
                }
                continue;
            }
            let expires = now.checked_add(FRESH).context("the clock is wrong")?;
            let next = there.index.next([], [], now, expires)?;
            if self.moved(store, &there.bytes, &next).await? {
                return Ok(report(Done::Signed, Some(&next)));
            }
        }
        Err(Error::transient("another writer keeps moving it"))
    }

    /// The index in a store, if it has one.
    ///
    /// # Errors
    /// One that the freshness key did not sign: signing it again would vouch for whoever wrote it.
    async fn there(&self, store: &dyn Store) -> Result<Option<There>> {
        let Some(bytes) = content(store, PATH).await? else { return Ok(None) };
        let index = Index::from_bytes(&bytes)?;
        let project: &ProjectName = &self.trust.root.project;
        if index.project != *project {
            return Err(Error::verification(format!("it is the index of {}, not of {project}", index.project)));
        }
        let mut why = None;
        for name in [by_digest(&bytes), format!("{PATH}.asc")] {
            let Some(signature) = content(store, &name).await? else { continue };
            match self.check(&index, &bytes, &signature, &name) {
                Ok(()) => return Ok(Some(There { bytes, index, signature })),
                Err(e) => why = Some(e),
            }
        }
        let why = why.unwrap_or_else(|| Error::verification("it has no signature"));
        Err(why.hint("it was not signed again: find out who wrote it, and compare it with another store"))
    }

    fn check(&self, index: &Index, bytes: &[u8], signature: &[u8], name: &str) -> Result<()> {
        let earliest = index.generated.saturating_sub(SKEW).unwrap_or(Timestamp::MIN);
        let window = Window { earliest, recorded: None, now: self.effects.clock.now() };
        let signature = Detached::parse(signature, name)?;
        let role = ("freshness", &self.trust.root.roles.freshness);
        check_key_signature(self.trust, role, &signature, &Hashed::of(bytes)?, &window).map(drop)
    }

    /// Whether an index lists every release that a train of this machine made in the store: an old one that somebody put
    /// back is signed as well as the newest.
    fn lists_ours(&self, store: &StoreName, index: Option<&Index>) -> Result<()> {
        for seen in self.place.see_all()? {
            let (state, graph) = (&seen.state, seen.state.graph());
            let done = (0..graph.len()).filter(|&i| matches!(state.at(i).status, StepStatus::Succeeded(_)));
            for i in done {
                let Step::Point(point) = &graph.at(i).step else { continue };
                let listed = |version, nonce: &TrainNonce| {
                    index.and_then(|i| i.releases.get(version)).is_some_and(|e| e.train == *nonce)
                };
                let missing = point.lines.values().find(|l| !state.nonce().is_some_and(|n| listed(&l.version, n)));
                if let Some(line) = missing.filter(|_| point.store == *store) {
                    let what =
                        format!("it does not list {}, which train `{}` released there", line.version, seen.name());
                    return Err(Error::verification(what).hint(
                        "somebody put an older index back, and nothing was signed: compare it with another store",
                    ));
                }
            }
        }
        Ok(())
    }

    /// Signs the next index and puts it in place of the old one, unless somebody was faster.
    async fn moved(&self, store: &dyn Store, old: &[u8], next: &Index) -> Result<bool> {
        let bytes = next.to_bytes()?;
        let signature = self.effects.keys.signer(&Role::Freshness)?.sign(&mut &bytes[..])?.into_bytes();
        let name = by_digest(&bytes);
        self.check(next, &bytes, &signature, &name).map_err(|e| {
            e.context("the key of `signing.freshness` does not count")
                .hint("name one of role freshness in the trust root: `lifeboat trust show`")
        })?;
        // As when a train moves it: the signature stands under the index's own digest before the index does.
        let digests = self.objects.put(&signature)?;
        store.put_new(&Area::Public, &name, &self.objects.path(&digests.sha256), &digests).await?;
        if !store.replace_if(PATH, Some(&Sha256::of(old)), &bytes).await? {
            return Ok(false);
        }
        self.beside(store, &bytes, &signature).await
    }

    /// Brings `index.json.asc` to the signature of the index that is there; says whether it still is there.
    async fn beside(&self, store: &dyn Store, index: &[u8], signature: &[u8]) -> Result<bool> {
        let path = format!("{PATH}.asc");
        for _ in 0..RACES {
            let there = content(store, &path).await?;
            if content(store, PATH).await?.as_deref() != Some(index) {
                return Ok(false);
            }
            if there.as_deref() == Some(signature)
                || store.replace_if(&path, there.as_deref().map(Sha256::of).as_ref(), signature).await?
            {
                return Ok(true);
            }
        }
        Err(Error::transient(format!("another writer keeps changing `{path}`")))
    }
}

/// Where the signature of an index lies that no later index replaces.
fn by_digest(index: &[u8]) -> String {
    format!("releases/index.{}.asc", Sha256::of(index))
}

async fn content(store: &dyn Store, path: &str) -> Result<Option<Vec<u8>>> {
    let Some(mut source) = store.get(&Area::Public, path).await? else { return Ok(None) };
    let mut bytes = Vec::new();
    blocking(|| source.read_to_end(&mut bytes)).context(format!("cannot read `{path}`"))?;
    Ok(Some(bytes))
}

fn text(reports: &[Report]) -> String {
    let one = |r: &Report| match (r.done, r.counter, r.expires) {
        (Done::Signed, Some(n), Some(until)) => format!("{}: signed again, number {n}, good until {until}", r.store),
        (_, Some(n), Some(until)) => format!("{}: fresh, number {n}, good until {until}", r.store),
        _ => format!("{}: no release yet", r.store),
    };
    reports.iter().map(one).collect::<Vec<_>>().join("\n")
}
