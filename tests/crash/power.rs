//! The power fails at the Nth call, in one process: what was not synced is gone, and with it the private repository and
//! the jobs' directories, which git and other processes wrote.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use lifeboat::effects::Effects;
use lifeboat::host::HostDisk;

use crate::lanes::Tried;
use crate::support::instant_runner::InstantRunner;
use crate::support::kill_points::{Action, KillPoints};
use crate::support::power_loss::{PowerLossDisk, Unsynced};
use crate::support::scratch;
use crate::support::train_ends::{End, Reader, difference};
use crate::support::train_ports::{Signatures, effects};
use crate::support::train_world::{Leg, World};
use crate::{every, everything, lanes, sample};

const FATES: [Unsynced; 3] = [Unsynced::Lost, Unsynced::NamesKept, Unsynced::Torn];

/// A world, the calls of each leg of its uninterrupted train, and how that ended.
struct Lane {
    _dir: tempfile::TempDir,
    world: World,
    reader: Reader,
    signatures: Arc<Signatures>,
    logs: BTreeMap<Leg, Vec<String>>,
    end: End,
}

impl Lane {
    fn new() -> Self {
        let dir = scratch();
        let world = World::create(dir.path());
        let (signatures, mut logs) = (Signatures::fresh(), BTreeMap::new());
        for leg in Leg::ALL {
            world.keep(leg);
            let disk = PowerLossDisk::untraced(Arc::new(HostDisk), &world.live());
            let points = KillPoints::counting();
            world.go(&ports(&world, &disk, &points, &signatures), leg).unwrap();
            logs.insert(leg, points.log());
            // Between two legs the machine is switched off without warning.
            disk.lose_power(Unsynced::Lost);
        }
        let reader = Reader::new(&world, false);
        let end = reader.read().unwrap();
        world.restore(Leg::Bring);
        world.approve_elsewhere().unwrap();
        let (disk, points) = (PowerLossDisk::untraced(Arc::new(HostDisk), &world.live()), KillPoints::counting());
        world.go(&ports(&world, &disk, &points, &signatures), Leg::Bring).unwrap();
        logs.insert(Leg::Bring, points.log());
        Self { _dir: dir, world, reader, signatures, logs, end }
    }

    /// Ends a leg at its `n`th call, by a crash or a power loss, resumes to the end of the train, and cuts the power.
    fn survive(
        &self,
        leg: Leg,
        n: u64,
        crash: Option<Unsynced>,
        fate: Unsynced,
        disk: &PowerLossDisk,
    ) -> Result<(), String> {
        let points = KillPoints::at(n, Action::Fail);
        drop(self.go(disk, &points, &self.signatures, leg));
        if !points.reached() {
            return Err("the call was not reached".to_owned());
        }
        if let Some(unsynced) = crash {
            disk.lose_power(unsynced);
        }
        let early = self.reader.public_too_early();
        if !early.is_empty() {
            return Err(format!("public before the gate: {early:?}"));
        }
        self.finish(leg, fate, disk)
    }

    fn finish(&self, leg: Leg, fate: Unsynced, disk: &PowerLossDisk) -> Result<(), String> {
        for leg in leg.to_the_end() {
            self.go(disk, &KillPoints::counting(), &Signatures::fresh(), leg).map_err(|e| format!("{leg:?}: {e}"))?;
        }
        disk.lose_power(fate);
        let difference = difference(&self.end, &self.reader.read()?);
        if difference.is_empty() { Ok(()) } else { Err(format!("at the end:\n{difference}")) }
    }

    fn go(
        &self,
        disk: &PowerLossDisk,
        points: &Arc<KillPoints>,
        signatures: &Arc<Signatures>,
        leg: Leg,
    ) -> Result<(), String> {
        let done = catch_unwind(AssertUnwindSafe(|| {
            self.world.go(&ports(&self.world, disk, points, signatures), leg).map(drop).map_err(|e| e.report())
        }));
        done.unwrap_or_else(|_| Err("it panicked".to_owned()))
    }
}

fn ports(world: &World, disk: &PowerLossDisk, points: &Arc<KillPoints>, signatures: &Arc<Signatures>) -> Effects {
    let runner = InstantRunner::port(world.train().jobs());
    effects(world, Arc::new(disk.clone()), points, signatures, Some(runner))
}

#[test]
fn a_train_survives_a_power_loss_anywhere() {
    let begun = Instant::now();
    let report = lanes::sweep(Leg::EACH, Lane::new, |lane, leg| {
        let log = &lane.logs[leg];
        let mut tried = Tried { total: log.len() * FATES.len(), ..Tried::default() };
        for (i, n) in sample(log, 16, 16).into_iter().enumerate() {
            // What is lost at the end is what is lost at the crash; all three kinds come up in any sample.
            let fates: Vec<Unsynced> = if everything() { FATES.to_vec() } else { vec![FATES[i % FATES.len()]] };
            for fate in fates {
                lane.world.restore(*leg);
                let disk = PowerLossDisk::untraced(Arc::new(HostDisk), &lane.world.live());
                let call = &log[usize::try_from(n).unwrap() - 1];
                let name = || format!("{} call {n}, {call}, {fate:?}", leg.name());
                tried.point(name, lane.survive(*leg, n, Some(fate), fate, &disk));
            }
        }
        tried
    });
    Tried::report("power lost", &report, begun);
}

/// The statement that asks for a sync. `sync_parent` only passes on what its callers ask for; everybody else asks itself.
fn statement(site: &str) -> &str {
    let inner = site.rsplit(" > ").next().unwrap();
    if inner.starts_with("effects/files.rs") && inner.ends_with(": sync_dir") { site } else { inner }
}

impl Lane {
    /// The train under these conditions: how each leg ends. Nothing is ignored before the first leg is restored.
    fn traced(&self, leg: Leg, ignore: &str) -> PowerLossDisk {
        self.world.restore(leg);
        let disk = PowerLossDisk::new(Arc::new(HostDisk), &self.world.live());
        disk.ignore(ignore);
        (*disk).clone()
    }

    /// The machine is switched off without warning after each leg.
    fn off_after_each(&self, disk: &PowerLossDisk) -> Result<(), String> {
        for leg in Leg::ALL.into_iter().filter(|l| *l != Leg::Finish) {
            self.go(disk, &KillPoints::counting(), &self.signatures, leg).map_err(|e| format!("{leg:?}: {e}"))?;
            disk.lose_power(Unsynced::Lost);
        }
        self.finish(Leg::Finish, Unsynced::Lost, disk)
    }

    /// Calls before which a name was just made or moved and is not synced yet, a few of each kind of path; those first
    /// that come latest in the train, for what was lost there nobody makes again.
    fn loose_ends(&self, of_each: usize) -> Vec<(Leg, u64)> {
        let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
        let mut out = Vec::new();
        // What `Bring` does is done by the others too.
        for (leg, log) in self.logs.iter().rev().filter(|(leg, _)| **leg != Leg::Bring) {
            for (i, call) in log.iter().enumerate().rev() {
                let mut words = call.split(' ');
                let (_, verb, path) =
                    (words.next(), words.next().unwrap_or_default(), words.next().unwrap_or_default());
                if !matches!(verb, "hard_link" | "rename" | "create_dir" | "append" | "set_mode") {
                    continue;
                }
                // The same place in the tree and the same kind of name, whatever the digests in it.
                let below = path.strip_prefix(&self.world.live().display().to_string()).unwrap_or(path);
                let kind: String = below.chars().map(|c| if c.is_ascii_hexdigit() { 'x' } else { c }).collect();
                let seen = kinds.entry(format!("{verb} {}", kind.replace("x", ""))).or_default();
                *seen += 1;
                // After the call itself, and after the removal of the temporary name that follows a link.
                if *seen <= of_each {
                    out.extend([i + 2, i + 3].into_iter().filter(|n| *n <= log.len()).map(|n| (*leg, n as u64)));
                }
            }
        }
        out
    }

    /// Before the last record of each leg is synced.
    fn torn_records(&self) -> Vec<(Leg, u64)> {
        let last = |log: &Vec<String>| log.iter().rposition(|c| c.contains(" sync ") && c.ends_with("journal.jsonl"));
        let own = self.logs.iter().filter(|(leg, _)| **leg != Leg::Bring);
        own.filter_map(|(leg, log)| Some((*leg, last(log)? as u64 + 1))).collect()
    }

    /// What goes wrong without this statement, if anything does: switched off after each leg, then interrupted here and there.
    fn without(&self, statement: &str) -> Option<String> {
        let disk = self.traced(Leg::Ship, statement);
        if let Err(why) = self.off_after_each(&disk) {
            return Some(format!("switched off after a leg: {}", first_line(&why)));
        }
        let ends = self.loose_ends(if everything() { 3 } else { 1 });
        let ends = every(&ends, if everything() { ends.len() } else { 48 });
        let plain = ends.iter().map(|p| (*p, None));
        let lost = ends.iter().map(|p| (*p, Some(Unsynced::Lost)));
        let torn = self.torn_records().into_iter().flat_map(|p| [(p, None), (p, Some(Unsynced::Torn))]);
        for ((leg, n), crash) in torn.chain(plain).chain(lost) {
            let disk = self.traced(leg, statement);
            if let Err(why) = self.survive(leg, n, crash, Unsynced::Lost, &disk) {
                let call = &self.logs[&leg][usize::try_from(n).unwrap() - 1];
                return Some(format!("{} call {n}, {call}, {crash:?}: {}", leg.name(), first_line(&why)));
            }
        }
        None
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// Statements whose presence this train cannot show: the file, words on the line or just above it, and why.
const NEEDED_ELSEWHERE: &[(&str, &str, &str)] = &[
    (
        "effects/files.rs",
        "cannot replace `",
        "what is written next to a pointer syncs their directory; `power_loss`, case `replace`",
    ),
    (
        "effects/files.rs",
        "cannot remove `",
        "whatever a train writes anew is read back, which syncs its directory; `power_loss`, case `write_new`",
    ),
    ("effects/objects.rs", "may have been renamed just before a crash", "`power_loss`, case `objects`"),
    (
        "journal/file.rs",
        "if self.seq == 0",
        "making `objects/` beside the journal syncs their directory; `power_loss`, case `journal`",
    ),
    (
        "journal/file.rs",
        "so it must be.",
        "making `objects/` beside the journal syncs their directory; `power_loss`, case `journal`",
    ),
    (
        "journal/file.rs",
        "self.disk.truncate(",
        "no disk of this train errs late; `power_loss`, case `journal, late error`",
    ),
    (
        "stores/filesystem/objects.rs",
        "self.write_new(&Area::Public, &public",
        "the seal's files follow into that directory; `power_loss`, case `stage and promote`",
    ),
    ("stores/filesystem/objects.rs", "drop(tidied());", "`power_loss`, case `observe, then point`"),
];

/// Why a statement may be idle here, if it may.
fn needed_elsewhere(statement: &str) -> Option<&'static str> {
    let (file, rest) = statement.split(" > ").next().unwrap().split_once(':').unwrap();
    let line: usize = rest.split(':').next().unwrap().parse().unwrap();
    let source = std::fs::read_to_string(format!("{}/src/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let near: Vec<&str> = source.lines().skip(line.saturating_sub(5)).take(line.min(5)).collect();
    let near = near.join("\n");
    let call = |words: &str| words != "so it must be." || statement.ends_with("sync_dir");
    let found = NEEDED_ELSEWHERE.iter().find(|(f, words, _)| *f == file && near.contains(words) && call(words));
    found.map(|(_, _, why)| *why)
}

/// Without any single sync that a train reaches, some power loss loses something.
#[test]
fn without_any_single_sync_some_train_is_lost() {
    let begun = Instant::now();
    let lane = Lane::new();
    let disk = lane.traced(Leg::Ship, "nothing");
    lane.off_after_each(&disk).unwrap();
    let mut statements: BTreeSet<String> = disk.sites().iter().map(|s| statement(s).to_owned()).collect();
    // A journal whose last record is torn is cut, in no other train.
    let torn = lane.torn_records();
    for (leg, n) in &torn {
        let disk = lane.traced(*leg, "nothing");
        lane.survive(*leg, *n, Some(Unsynced::Torn), Unsynced::Lost, &disk).unwrap();
        statements.extend(disk.sites().iter().map(|s| statement(s).to_owned()));
    }
    drop(lane);
    std::panic::set_hook(Box::new(|_| {}));
    let mut found = lanes::sweep(statements, Lane::new, |lane, statement| {
        let elsewhere = needed_elsewhere(statement);
        if let Some(elsewhere) = elsewhere.filter(|_| !everything()) {
            println!("{statement}\n    not tried: {elsewhere}");
            return (statement.clone(), None);
        }
        let why = lane.without(statement);
        println!("{statement}\n    {}", why.as_deref().unwrap_or("NOTHING IS LOST WITHOUT IT"));
        (statement.clone(), why)
    });
    drop(std::panic::take_hook());
    found.sort();
    println!("syncs: {} statements in {:.1} s", found.len(), begun.elapsed().as_secs_f64());
    let idle = found.iter().filter(|(s, why)| why.is_none() && needed_elsewhere(s).is_none());
    let idle: Vec<&String> = idle.map(|(s, _)| s).collect();
    assert!(idle.is_empty(), "no train would notice if these were removed: {idle:#?}");
    assert!(found.len() > 10, "{found:?}");
}
