//! Processes that abort at the Nth call.

use std::env;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use lifeboat::host::HostDisk;

use crate::lanes::Tried;
use crate::support::kill_points::{Action, KillPoints};
use crate::support::scratch;
use crate::support::train_ends::{End, Reader, difference};
use crate::support::train_ports::{Signatures, effects};
use crate::support::train_world::{Leg, World};
use crate::{lanes, sample};

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
    match at {
        // The uninterrupted run: writes down its calls and its signatures.
        0 => {
            let (points, signatures) = (KillPoints::counting(), Signatures::in_file(known));
            world.go(&effects(&world, Arc::new(HostDisk), &points, &signatures, None), leg).unwrap();
            signatures.save();
            fs::write(log(&world, leg), points.log().join("\n")).unwrap();
        }
        // Resumes, to the end of the train.
        u64::MAX => {
            for leg in leg.to_the_end() {
                let (points, signatures) = (KillPoints::counting(), Signatures::fresh());
                world.go(&effects(&world, Arc::new(HostDisk), &points, &signatures, None), leg).unwrap();
            }
        }
        at => {
            let (points, signatures) = (KillPoints::at(at, Action::Abort), Signatures::in_file(known));
            drop(world.go(&effects(&world, Arc::new(HostDisk), &points, &signatures, None), leg).unwrap());
        }
    }
}

fn log(world: &World, leg: Leg) -> std::path::PathBuf {
    world.dir().join(format!("calls.{}", leg.name()))
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
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stderr).into_owned() + &String::from_utf8_lossy(&out.stdout);
    Ran { aborted: out.status.signal() == Some(6), ok: out.status.success(), said }
}

/// A world, its beginnings of legs, and how the uninterrupted train ended there.
struct Lane {
    _dir: tempfile::TempDir,
    world: World,
    reader: Reader,
    end: End,
}

impl Lane {
    fn new() -> Self {
        let dir = scratch();
        let world = World::create(dir.path());
        for leg in Leg::ALL {
            world.keep(leg);
            let ran = start(&world, leg, 0);
            assert!(ran.ok, "{leg:?}: {}", ran.said);
        }
        let reader = Reader::new(&world, false);
        let end = reader.read().unwrap();
        // The same train again, approved elsewhere: it ends the same.
        world.restore(Leg::Bring);
        world.approve_elsewhere().unwrap();
        let ran = start(&world, Leg::Bring, 0);
        assert!(ran.ok, "approved elsewhere: {}", ran.said);
        let difference = difference(&end, &reader.read().unwrap());
        assert!(difference.is_empty(), "approved elsewhere: {difference}");
        Self { _dir: dir, world, reader, end }
    }

    fn log(&self, leg: Leg) -> Vec<String> {
        fs::read_to_string(log(&self.world, leg)).unwrap().lines().map(str::to_owned).collect()
    }

    fn crash(&self, leg: Leg, at: u64) -> Result<(), String> {
        self.world.restore(leg);
        let killed = start(&self.world, leg, at);
        if !killed.aborted {
            return Err(format!("it was not killed: {}", killed.said));
        }
        let early = self.reader.public_too_early();
        if !early.is_empty() {
            return Err(format!("public before the gate: {early:?}"));
        }
        let fixed = self.reader.fixed();
        let resumed = start(&self.world, leg, u64::MAX);
        if !resumed.ok {
            return Err(format!("killed: {}\nresumed: {}", killed.said, resumed.said));
        }
        let now = self.reader.fixed();
        let changed: Vec<_> = fixed.iter().filter(|(k, v)| now.get(*k) != Some(v)).collect();
        if !changed.is_empty() {
            return Err(format!("changed by the resumed run: {changed:?}"));
        }
        let end = self.reader.read()?;
        let difference = difference(&self.end, &end);
        if difference.is_empty() { Ok(()) } else { Err(format!("{}\n{difference}", killed.said)) }
    }
}

#[test]
fn a_train_that_is_killed_anywhere_ends_as_if_it_had_not_been() {
    let begun = Instant::now();
    // A leg belongs to one lane: the numbers of its calls are those of the lane's own uninterrupted run.
    let report = lanes::sweep(Leg::EACH, Lane::new, |lane, leg| {
        let log = lane.log(*leg);
        let mut tried = Tried { total: log.len(), ..Tried::default() };
        for n in sample(&log, 12, 10) {
            tried.point(|| format!("{} call {n}", leg.name()), lane.crash(*leg, n));
        }
        tried
    });
    Tried::report("killed", &report, begun);
}
