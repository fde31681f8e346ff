//! Processes that abort at the Nth call: of any port, where the store is a directory; where it is on a real server, before or amid
//! the Nth request that changes it or the Nth write of the journal. What else the disk holds does not depend on where the store is.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use lifeboat::host::HostDisk;
use lifeboat::model::Sha256;

use crate::lanes::Tried;
use crate::places::{self, Kind, Place};
use crate::support::kill_points::{Action, KillPoints};
use crate::support::scratch;
use crate::support::tap::WIRE;
use crate::support::train_ends::{End, Reader, difference, files};
use crate::support::train_ports::{Signatures, effects};
use crate::support::train_world::{Leg, World};
use crate::{every, everything, lanes, sample};

/// Makes a test process a person's command instead: `<leg> <call to abort at> <directory of the world>`.
const ORDER: &str = "LIFEBOAT_CRASH_CHILD";

/// The process that is killed, and the one that resumes; started by the other tests, and nothing to do by itself.
#[test]
#[ignore = "the other tests start it as a process of its own"]
fn child() {
    let Ok(order) = env::var(ORDER) else { return };
    let mut words = order.splitn(3, ' ');
    let (leg, at) = (Leg::of(words.next().unwrap()), words.next().unwrap().parse::<u64>().unwrap());
    let world = World::at(Path::new(words.next().unwrap()));
    let known = world.dir().join("signatures.json");
    let points = match at {
        0 | u64::MAX => KillPoints::among(among(&world), u64::MAX, Action::Fail),
        at => KillPoints::among(among(&world), at, Action::Abort),
    };
    for tap in places::taps(&world) {
        tap.start(points.clone());
    }
    let go = |signatures: &Arc<Signatures>, leg| {
        drop(world.go(&effects(&world, Arc::new(HostDisk), &points, signatures, None), leg).unwrap());
    };
    match at {
        // The uninterrupted run: writes down its calls and its signatures.
        0 => {
            let signatures = Signatures::in_file(known);
            go(&signatures, leg);
            signatures.save();
            fs::write(log(&world, leg), points.log().join("\n")).unwrap();
        }
        // Resumes, to the end of the train.
        u64::MAX => leg.to_the_end().for_each(|leg| go(&Signatures::fresh(), leg)),
        _ => go(&Signatures::in_file(known), leg),
    }
}

/// Which calls count.
fn among(world: &World) -> fn(&str) -> bool {
    if places::taps(world).is_empty() {
        return |_| true;
    }
    |label| label.starts_with(WIRE) || label.ends_with("journal.jsonl")
}

fn log(world: &World, leg: Leg) -> std::path::PathBuf {
    world.dir().join(format!("calls.{}", leg.name()))
}

/// Ours come before the machine's programs.
fn path(world: &World) -> std::ffi::OsString {
    let machines = env::var_os("PATH").unwrap();
    let all: Vec<PathBuf> = std::iter::once(world.dir().join("bin")).chain(env::split_paths(&machines)).collect();
    env::join_paths(all).unwrap()
}

struct Ran {
    aborted: bool,
    ok: bool,
    said: String,
}

fn start(world: &World, leg: Leg, at: u64) -> Ran {
    let out = Command::new(env::current_exe().unwrap())
        .args(["--exact", "kill::child", "--ignored", "--nocapture", "--test-threads=1"])
        .env(ORDER, format!("{} {at} {}", leg.name(), world.dir().display()))
        .env("LIFEBOAT_PROGRAM", env!("CARGO_BIN_EXE_lifeboat"))
        .env("PATH", path(world))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stderr).into_owned() + &String::from_utf8_lossy(&out.stdout);
    Ran { aborted: out.status.signal() == Some(6), ok: out.status.success(), said }
}

/// A world, its beginnings of legs, and how the uninterrupted train ended there.
struct Lane {
    _dir: tempfile::TempDir,
    place: Place,
    world: World,
    reader: Reader,
    end: End,
    /// What was public in the end.
    public: BTreeMap<String, Sha256>,
}

impl Lane {
    fn new(kind: Kind) -> Self {
        let dir = scratch();
        let (place, world) = Place::world(kind, dir.path());
        let reader = Reader::new(&world, false);
        let mut lane = Self { _dir: dir, place, world, reader, end: End::new(), public: BTreeMap::new() };
        for leg in Leg::ALL {
            lane.place.fetch(&lane.world);
            lane.world.keep(leg);
            lane.place.put_back(&lane.world);
            let ran = start(&lane.world, leg, 0);
            assert!(ran.ok, "{kind:?} {leg:?}: {}", ran.said);
        }
        lane.end = lane.read().unwrap();
        lane.public = lane.public();
        if kind == Kind::Directory {
            // The same train again, approved elsewhere: it ends the same.
            lane.world.restore(Leg::Bring);
            lane.world.approve_elsewhere().unwrap();
            let ran = start(&lane.world, Leg::Bring, 0);
            assert!(ran.ok, "approved elsewhere: {}", ran.said);
            let difference = difference(&lane.end, &lane.reader.read().unwrap());
            assert!(difference.is_empty(), "approved elsewhere: {difference}");
        }
        lane
    }

    fn read(&self) -> Result<End, String> {
        self.place.fetch(&self.world);
        self.reader.read()
    }

    /// What strangers see now, which nothing changes meanwhile.
    fn public(&self) -> BTreeMap<String, Sha256> {
        let root = self.world.store();
        let public = files(&root).into_iter().map(|(path, _)| path).filter(|path| !path.starts_with('.'));
        public.map(|path| (path.clone(), Sha256::of(&fs::read(root.join(path)).unwrap()))).collect()
    }

    fn log(&self, leg: Leg) -> Vec<String> {
        fs::read_to_string(log(&self.world, leg)).unwrap().lines().map(str::to_owned).collect()
    }

    /// Kills a leg at its `at`th call, and goes on to the end of the train; false if there was no such call.
    fn crash(&self, leg: Leg, at: u64) -> Result<bool, String> {
        self.world.restore(leg);
        self.place.put_back(&self.world);
        let killed = start(&self.world, leg, at);
        if !killed.aborted {
            // What is read ahead, or asked twice, differs by a call or two where several things are done at once.
            let is_late = !matches!(self.place, Place::Directory) && killed.ok && at + 3 > self.log(leg).len() as u64;
            return if is_late { Ok(false) } else { Err(format!("it was not killed: {}", killed.said)) };
        }
        self.place.fetch(&self.world);
        let early = self.reader.public_too_early();
        if !early.is_empty() {
            return Err(format!("public before the gate: {early:?}"));
        }
        if !matches!(self.place, Place::Directory) {
            // The killed run signs as the uninterrupted one did: each file is absent or final.
            let mut wrong = self.public();
            wrong.retain(|path, is| self.public.get(path) != Some(is));
            if !wrong.is_empty() {
                return Err(format!("killed: {}\nstrangers see: {wrong:?}", killed.said));
            }
        }
        let fixed = self.reader.fixed();
        let resumed = start(&self.world, leg, u64::MAX);
        if !resumed.ok {
            return Err(format!("killed: {}\nresumed: {}", killed.said, resumed.said));
        }
        let end = self.read()?;
        let now = self.reader.fixed();
        let changed: Vec<_> = fixed.iter().filter(|(k, v)| now.get(*k) != Some(v)).collect();
        if !changed.is_empty() {
            return Err(format!("changed by the resumed run: {changed:?}"));
        }
        let difference = difference(&self.end, &end);
        if difference.is_empty() { Ok(true) } else { Err(format!("{}\n{difference}", killed.said)) }
    }
}

#[test]
fn a_train_that_is_killed_anywhere_ends_as_if_it_had_not_been() {
    let begun = Instant::now();
    // A leg belongs to one lane: the numbers of its calls are those of the lane's own uninterrupted run.
    let report = lanes::sweep(
        Leg::EACH,
        || Lane::new(Kind::Directory),
        |lane, leg| {
            let log = lane.log(*leg);
            let mut tried = Tried { total: log.len(), ..Tried::default() };
            for n in sample(&log, 8, 7) {
                tried.point(|| format!("{} call {n}", leg.name()), lane.crash(*leg, n).map(drop));
            }
            tried
        },
    );
    Tried::report("killed", &report, begun);
}

/// The legs that change a store: staging, staging anew, and what becomes public.
const AT_A_STORE: [Leg; 3] = [Leg::Finish, Leg::Ship, Leg::Amend];

#[test]
fn a_train_to_a_server_that_is_killed_anywhere_ends_as_if_it_had_not_been() {
    let begun = Instant::now();
    let kinds = [Kind::Sftp, Kind::Bucket, Kind::WebDav];
    let parts: Vec<(Kind, Vec<Leg>)> = match everything() {
        true => kinds.iter().flat_map(|kind| AT_A_STORE.iter().map(|leg| (*kind, vec![*leg]))).collect(),
        // Fewer worlds, which take longer to make than to kill.
        false => kinds.into_iter().zip([Leg::Ship, Leg::Ship, Leg::Finish].map(|leg| vec![leg])).collect(),
    };
    let report = lanes::sweep(parts, || (), |_, (kind, legs)| to_a_server(*kind, legs));
    Tried::report("killed on the way to a server", &report, begun);
}

fn to_a_server(kind: Kind, legs: &[Leg]) -> Tried {
    let lane = Lane::new(kind);
    let mut tried = Tried::default();
    for leg in legs {
        let log = lane.log(*leg);
        let all: Vec<(u64, &String)> = (1..).zip(&log).collect();
        // On the wire: between two of the journal's writes nothing else counts.
        let wire: Vec<_> = all.iter().copied().filter(|(_, call)| call.starts_with(WIRE)).collect();
        assert!(wire.len() > 20, "{kind:?} {leg:?}: {log:#?}");
        let chosen = if everything() { all } else { every(&wire, 3) };
        tried.total += log.len();
        for (n, call) in chosen {
            match lane.crash(*leg, n) {
                Ok(false) => tried.total -= 1,
                done => tried.point(|| format!("{kind:?} {} call {n}, {call}", leg.name()), done.map(drop)),
            }
        }
    }
    println!(
        "{kind:?} {legs:?}: {}/{} passed, of {} points",
        tried.count - tried.failed.len(),
        tried.count,
        tried.total
    );
    tried
}
