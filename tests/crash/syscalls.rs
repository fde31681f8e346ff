//! The program itself, killed by strace as it enters its Nth system call of a kind.
//!
//! With `LIFEBOAT_RUNTIME=current-thread` one thread makes every system call that changes a file, so strace, which counts
//! by thread, counts what the program does. What its children do, it counts not: they may live on, as after any crash.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::lanes::Tried;
use crate::support::scratch;
use crate::support::train_ends::{End, Reader, difference};
use crate::support::train_world::World;
use crate::{every, everything, lanes};

/// System calls that change files, and how many of each a sample tries in each command.
const CALLS: &[(&str, usize)] = &[
    ("openat", 2),
    ("write", 2),
    ("rename", 2),
    ("link", 2),
    ("linkat", 2),
    ("fsync", 2),
    ("fdatasync", 1),
    ("unlink", 2),
    ("unlinkat", 1),
    ("mkdir", 2),
    ("rmdir", 1),
    ("fchmod", 1),
    ("chmod", 1),
    ("ftruncate", 1),
];

/// What the people type, and the documented exit code of each command.
const COMMANDS: &[(&str, &[&str], i32)] = &[
    ("ship", &["ship", "train.toml"], 3),
    ("amend", &["amend", "train.toml", "--yes", "--config", "project/amended.toml"], 0),
    ("again", &["ship"], 3),
    ("alice", &["approve", "--as", "alice", "--yes"], 0),
    ("bob", &["approve", "--as", "bob", "--yes"], 0),
    ("finish", &["ship"], 0),
    ("bring", &["ship", "--approval", "approvals/alice.json", "--approval", "approvals/bob.json"], 0),
];

/// The command that takes the place of the approvals here and of what follows them.
const BRING: usize = 6;

/// The name of what is kept of the beginning of a command.
fn begins_as(command: usize) -> &'static str {
    if command == BRING { "alice" } else { COMMANDS[command].0 }
}

/// This command and those that follow it to the end of the train.
fn to_the_end(command: usize) -> std::ops::Range<usize> {
    if command == BRING { BRING..BRING + 1 } else { command..BRING }
}

/// A world, its beginnings of commands, the numbers of the calls that change it, and how it ended without a crash.
struct Lane {
    _dir: tempfile::TempDir,
    world: World,
    reader: Reader,
    /// By command and system call: which of its calls change the world, counted from 1 among all of that name.
    calls: BTreeMap<(usize, &'static str), Vec<u64>>,
    end: End,
}

struct Ran {
    killed: bool,
    code: Option<i32>,
    said: String,
}

fn run(world: &World, command: usize, tracer: &[String]) -> Ran {
    typed(world, COMMANDS[command].1, tracer)
}

fn typed(world: &World, arguments: &[&str], tracer: &[String]) -> Ran {
    let program = env!("CARGO_BIN_EXE_lifeboat").to_owned();
    let line: Vec<String> = tracer.iter().cloned().chain([program]).collect();
    let out = Command::new(&line[0])
        .args(&line[1..])
        .args(arguments)
        .current_dir(world.dir())
        .env("LIFEBOAT_CONFIG", world.config_file())
        .env("LIFEBOAT_STATE", world.live().join("state"))
        .env("LIFEBOAT_RUNTIME", "current-thread")
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|e| panic!("cannot run `{}`: {e}; strace is in the apt package `strace`", line[0]));
    let said = String::from_utf8_lossy(&out.stderr).into_owned() + &String::from_utf8_lossy(&out.stdout);
    // strace ends as its program did.
    Ran { killed: out.status.signal() == Some(9), code: out.status.code(), said }
}

fn strace(world: &World, more: &[&str]) -> Vec<String> {
    let log = world.dir().join("strace.log").display().to_string();
    ["strace", "-y", "-o", &log].into_iter().chain(more.iter().copied()).map(str::to_owned).collect()
}

fn log(world: &World) -> Vec<String> {
    let text = fs::read(world.dir().join("strace.log")).unwrap();
    String::from_utf8_lossy(&text).lines().map(str::to_owned).collect()
}

fn traced_calls() -> String {
    let names: Vec<&str> = CALLS.iter().map(|(name, _)| *name).collect();
    format!("trace={}", names.join(","))
}

/// Whether a line of a trace shows a call that changes something below `live/`.
fn changes(line: &str, name: &str, world: &World) -> bool {
    let live = world.live().display().to_string();
    let below = line.contains(&live) && !line.contains(" = -1 ");
    below && (name != "openat" || line.contains("O_CREAT"))
}

/// Makes a review bundle, and an approval of each person from it, as on other machines.
fn approve_elsewhere(world: &World) {
    fs::create_dir_all(world.dir().join("approvals")).unwrap();
    let bundle = "approvals/bundle";
    let ran = typed(world, &["export", "--to", bundle], &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.said);
    for (person, to) in [("alice", "approvals/alice.json"), ("bob", "approvals/bob.json")] {
        let ran = typed(world, &["approve", "--bundle", bundle, "--as", person, "--yes", "--out", to], &[]);
        assert_eq!(ran.code, Some(0), "{}", ran.said);
    }
}

impl Lane {
    fn new() -> Self {
        let dir = scratch();
        let world = World::create(dir.path());
        let mut calls: BTreeMap<(usize, &'static str), Vec<u64>> = BTreeMap::new();
        let mut end = None;
        for (i, (name, _, code)) in COMMANDS.iter().enumerate() {
            if i == BRING {
                end = Some(Reader::new(&world, true).read().unwrap());
                world.restore_from(begins_as(i));
                approve_elsewhere(&world);
            } else {
                world.keep_as(name);
            }
            let ran = run(&world, i, &strace(&world, &["-e", &traced_calls()]));
            assert_eq!(ran.code, Some(*code), "{name}: {}", ran.said);
            let lines = log(&world);
            for (call, _) in CALLS {
                let of_name = lines.iter().filter(|l| l.starts_with(&format!("{call}(")));
                let changing = of_name.zip(1u64..).filter(|(l, _)| changes(l, call, &world));
                calls.insert((i, call), changing.map(|(_, n)| n).collect());
            }
        }
        let (reader, end) = (Reader::new(&world, true), end.unwrap());
        let difference = difference(&end, &reader.read().unwrap());
        assert!(difference.is_empty(), "approved elsewhere: {difference}");
        Self { _dir: dir, world, reader, calls, end }
    }

    /// Kills a command at its `n`th call and repeats it, then goes on to the end; false if there was no such call.
    fn kill(&self, command: usize, call: &str, n: u64) -> Result<bool, String> {
        self.world.restore_from(begins_as(command));
        let inject = format!("inject={call}:signal=KILL:when={n}");
        let killed = run(&self.world, command, &strace(&self.world, &["-e", &format!("trace={call}"), "-e", &inject]));
        if !killed.killed {
            let made = log(&self.world).iter().filter(|l| l.starts_with(&format!("{call}("))).count() as u64;
            // Names of objects are random, and so is how many directories they need.
            return if made < n {
                Ok(false)
            } else {
                Err(format!("not killed by call {n} of {made}: {}", killed.said))
            };
        }
        let early = self.reader.public_too_early();
        if !early.is_empty() {
            return Err(format!("public before the gate: {early:?}"));
        }
        let fixed = self.reader.fixed();
        for i in to_the_end(command) {
            let (name, _, code) = &COMMANDS[i];
            let ran = run(&self.world, i, &[]);
            // The killed command may have come as far as its record.
            let amended = *name == "amend" && i == command && ran.said.contains("nothing differs");
            if ran.code != Some(*code) && !amended {
                return Err(format!("{name} again: {:?} {}", ran.code, ran.said));
            }
        }
        let now = self.reader.fixed();
        let changed: Vec<_> = fixed.iter().filter(|(k, v)| now.get(*k) != Some(v)).collect();
        if !changed.is_empty() {
            return Err(format!("changed by the resumed run: {changed:?}"));
        }
        let difference = difference(&self.end, &self.reader.read()?);
        if difference.is_empty() { Ok(true) } else { Err(difference) }
    }
}

#[test]
fn a_program_that_is_killed_in_any_system_call_goes_on() {
    let begun = Instant::now();
    let report = lanes::sweep([5, BRING, 0, 1, 2, 3, 4], Lane::new, |lane, command| {
        let mut tried = Tried::default();
        for (call, some) in CALLS {
            let all = &lane.calls[&(*command, *call)];
            let chosen = if everything() { all.clone() } else { every(all, *some) };
            tried.total += all.len();
            for n in chosen {
                match lane.kill(*command, call, n) {
                    Ok(false) => tried.total -= 1,
                    done => tried.point(|| format!("{} {call} {n}", COMMANDS[*command].0), done.map(drop)),
                }
            }
        }
        tried
    });
    Tried::report("killed by strace", &report, begun);
}

/// What strace counts is what the program does: no other thread of it changes a file.
#[test]
fn one_thread_makes_all_changes() {
    let dir = scratch();
    let world = World::create(dir.path());
    let trace = format!("{},clone,clone3", traced_calls());
    let mut others = Vec::new();
    let mut seen = 0;
    for (i, (name, _, code)) in COMMANDS.iter().enumerate().take(BRING) {
        let ran = run(&world, i, &strace(&world, &["-f", "-e", &trace]));
        assert_eq!(ran.code, Some(*code), "{name}: {}", ran.said);
        let lines = log(&world);
        let mut threads: BTreeSet<String> = BTreeSet::new();
        let main = lines[0].split_whitespace().next().unwrap().to_owned();
        for line in &lines {
            let (pid, call) = line.split_once(' ').unwrap();
            let ours = pid == main || threads.contains(pid);
            let call = call.trim_start();
            if ours && call.contains("CLONE_THREAD") {
                threads.extend(call.rsplit("= ").next().and_then(|n| n.split_whitespace().next()).map(str::to_owned));
            }
            let kind = CALLS.iter().map(|(c, _)| *c).find(|c| call.starts_with(&format!("{c}(")));
            if let Some(kind) = kind.filter(|k| ours && changes(call, k, &world)) {
                seen += 1;
                if pid != main {
                    others.push(format!("{name}: {call} ({kind})"));
                }
            }
        }
    }
    println!("{seen} changes, {} of them by other threads", others.len());
    assert!(seen > 300, "{seen}");
    assert!(others.is_empty(), "{others:#?}");
}
