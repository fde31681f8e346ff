//! Two and three verbs of one project at once, as real processes: they wait for each other, or one says that it is busy. None
//! reads or clears what another is using, whatever comes in between.
//!
//! Each seed chooses the verbs and slows them: before its file operations, its child processes, and theirs (`pauses.c`, below
//! the program and below the git that it finds). A few seeds run here; `LIFEBOAT_PAIRS=400 cargo test --test trains together::verbs_that` runs
//! that many, `LIFEBOAT_PAIRS=1 LIFEBOAT_PAIRS_FROM=17` the one with that number.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test may panic and print; helpers are part of it")]

mod held;
mod operators;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::support::sample_train::{Ran, SampleTrain};

/// Stands for the file that a verb exports to.
const BUNDLE: &str = "BUNDLE";

/// Seeds that run without being asked for.
const SOME: u64 = 10;

/// What no message of a clean end says: something was taken away, or made, behind the process' back.
const DIRTY: [&str; 12] = [
    "panicked",
    "os error",
    "No such file",
    "File exists",
    "not empty",
    "gone",
    "fatal:",
    "does not name",
    "changes nothing",
    "does not apply",
    "lost",
    "damaged",
];

/// A simple generator: the same numbers for the same seed.
struct Dice(u64);

impl Dice {
    fn of(seed: u64) -> Self {
        let mut dice = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        // The first numbers of neighbouring seeds are alike.
        (0..8).for_each(|_| dice.0 = dice.0.wrapping_add(dice.below(1 << 20) as u64) | 1);
        dice
    }

    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % n as u64).unwrap()
    }
}

/// How far the train is when the verbs meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Fresh,
    Gate,
    Approved,
    Released,
}

const STAGES: [Stage; 4] = [Stage::Fresh, Stage::Gate, Stage::Approved, Stage::Released];

/// The program that pauses, made once.
fn pauses() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("pauses-{}.so", std::process::id()));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/trains/together/pauses.c");
        let made =
            Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).arg("-ldl").status();
        assert!(made.expect("no `cc`: apt-get install build-essential").success());
        library
    })
}

/// Makes a command pause as a seed says, the `n`th of those that meet; its git, which is put into `bin`, as well.
fn slowed(command: &mut Command, bin: &Path, seed: u64, n: usize) {
    let how = format!("{} 4 {}", seed * 8 + n as u64 + 1, [2_000, 20_000, 60_000][usize::try_from(seed % 3).unwrap()]);
    fs::create_dir_all(bin).unwrap();
    let path = std::env::var("PATH").unwrap();
    let git = format!(
        "#!/bin/sh\nPATH='{path}' LD_PRELOAD='{}' LIFEBOAT_TEST_PAUSES='{how}' exec git \"$@\"\n",
        pauses().display()
    );
    fs::write(bin.join("git"), git).unwrap();
    fs::set_permissions(bin.join("git"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    command.env("PATH", format!("{}:{path}", bin.display())).env("LD_PRELOAD", pauses());
    command.env("LIFEBOAT_TEST_PAUSES", how);
}

/// One project with its train at every stage, put back before each round.
struct World {
    train: SampleTrain,
    saved: tempfile::TempDir,
    /// What every process must print, and what is published in the end.
    plan: String,
    prepared: String,
    published: String,
}

impl World {
    fn new() -> Self {
        let train = SampleTrain::new();
        // One line is enough, and half the work.
        let text = fs::read_to_string(train.train_file()).unwrap();
        let one: Vec<&str> = text.split("\n[[line]]").take(2).collect();
        fs::write(train.train_file(), one.join("\n[[line]]")).unwrap();
        let mut world = Self {
            train,
            saved: crate::support::scratch(),
            plan: String::new(),
            prepared: String::new(),
            published: String::new(),
        };
        world.save(Stage::Fresh);
        world.plan = plan_of(&world.train.run(&["plan", &world.file(), "--json"]).ends_with(0).stdout);
        world.train.to_the_gate();
        world.prepared = world.prepared();
        world.save(Stage::Gate);
        world.train.approve();
        world.save(Stage::Approved);
        world.train.ship().ends_with(0);
        world.published = world.published();
        world.save(Stage::Released);
        assert!(world.published.lines().count() > 5, "{}", world.published);
        world
    }

    fn file(&self) -> String {
        self.train.train_file().display().to_string()
    }

    fn at(&self, stage: Stage) -> PathBuf {
        self.saved.path().join(format!("{stage:?}"))
    }

    fn save(&self, stage: Stage) {
        copy(&self.train.root().join("sample"), &self.at(stage));
    }

    fn restore(&self, stage: Stage) {
        fs::remove_dir_all(self.train.root().join("sample")).unwrap();
        copy(&self.at(stage), &self.train.root().join("sample"));
    }

    /// The commits that the train has made, as its journal has them.
    fn prepared(&self) -> String {
        let records = self.train.records("drill");
        let outcomes = records.iter().filter(|r| r.to_string().contains("\"prepared\""));
        outcomes.map(|r| r["what"].to_string()).map(|t| t.split("\"head\":").nth(1).unwrap()[..42].to_owned()).collect()
    }

    /// Every file that the store's repository serves, with its blob.
    fn published(&self) -> String {
        let git = self.train.store().join("git/sample.git");
        let mut list = Command::new("git");
        list.args(["-c", "safe.directory=*", "--git-dir"]).arg(&git).args(["ls-tree", "-r", "release-1.0.0"]);
        Ran::of(&mut list).ends_with(0).stdout
    }

    /// The verbs that may meet at a stage, each with how it is called.
    fn verbs(&self, stage: Stage) -> Vec<Vec<String>> {
        let file = self.file();
        let mut all: Vec<Vec<&str>> = vec![
            vec!["plan", &file, "--json"],
            vec!["plan", &file, "--json"],
            vec!["ship", &file],
            vec!["ship", &file, "--dry-run"],
            vec!["status"],
            vec!["refresh", "--now"],
            vec!["reconcile"],
            vec!["bump", "--to", "patch", "--date", "2026-02-24"],
        ];
        if stage > Stage::Fresh {
            all.extend([
                vec!["ship"],
                vec!["approve", "--as", "alice", "--yes"],
                vec!["approve", "--as", "carol", "--yes"],
            ]);
            all.push(vec!["abandon", "drill", "--reason", "it is not needed"]);
        }
        all.push(vec!["export", "drill", "--to", BUNDLE]);
        if stage == Stage::Gate {
            all.push(vec!["export", "drill", "--bytes", "--to", BUNDLE]);
        }
        all.into_iter().map(|verb| verb.into_iter().map(str::to_owned).collect()).collect()
    }

    /// What a verb with this number exports to.
    fn bundle(&self, n: usize) -> PathBuf {
        self.train.root().join(format!("tmp/bundle-{n}"))
    }

    /// A bundle is whole or absent, whatever ran beside its making.
    fn bundle_is_whole(&self, n: usize, context: &str) {
        let bundle = fs::File::open(self.bundle(n)).unwrap_or_else(|e| panic!("{context}: no bundle: {e}"));
        let read = lifeboat::formats::review_bundle::read(
            &mut &bundle,
            |_| Ok(Default::default()),
            |id, bytes| {
                let found = lifeboat::formats::digests::read(bytes).unwrap().sha256;
                assert_eq!(found, *id, "{context}");
                Ok(())
            },
        );
        let parts = read.unwrap_or_else(|e| panic!("{context}: {}", e.report()));
        assert_eq!(plan_of(&String::from_utf8(parts.plan).unwrap()), self.plan, "{context}");
    }

    /// Starts a verb that pauses as `seed` says.
    fn start(&self, verb: &[String], seed: u64, n: usize) -> Child {
        let bundle = self.bundle(n).display().to_string();
        let arguments: Vec<&str> =
            verb.iter().map(|word| if word == BUNDLE { &bundle } else { word.as_str() }).collect();
        let mut command = self.train.command(&arguments);
        slowed(&mut command, &self.train.root().join(format!("bin-{n}")), seed, n);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// One round; returns how each verb ended.
    fn round(&self, seed: u64) -> Vec<(String, i32)> {
        let mut dice = Dice::of(seed);
        // Planning is where the processes of a project meet most.
        let stage = STAGES[[0, 0, 1, 1, 2, 3][dice.below(6)]];
        let verbs = self.verbs(stage);
        let met: Vec<Vec<String>> = (0..2 + dice.below(2)).map(|_| verbs[dice.below(verbs.len())].clone()).collect();
        self.restore(stage);
        for n in 0..met.len() {
            drop(fs::remove_file(self.bundle(n)));
        }
        let mut children = Vec::new();
        for (n, verb) in met.iter().enumerate() {
            children.push(self.start(verb, seed, n));
            std::thread::sleep(Duration::from_millis(dice.below(60) as u64));
        }
        let context = |n: usize| format!("seed {seed}, {stage:?}, {met:?}, number {n}");
        let abandoned = met.iter().any(|v| v[0] == "abandon");
        let mut ended = Vec::new();
        for (n, child) in children.into_iter().enumerate() {
            let ran = Ran::from(&child.wait_with_output().unwrap());
            let (verb, code) = (&met[n], ran.code.unwrap_or(-1));
            let said = format!("{}: exit {code}\n{}{}", context(n), ran.stdout, ran.stderr);
            if code != 0 {
                assert!(!DIRTY.iter().any(|d| ran.stderr.contains(d)), "{said}");
            }
            let busy = ran.stderr.contains("busy with `lifeboat ") && ran.stderr.contains("(process ");
            let fine = match (verb[0].as_str(), code) {
                ("plan", 0) => plan_of(&ran.stdout) == self.plan,
                ("status" | "refresh", 0) => true,
                ("status", _) => false,
                ("bump", 4) => met.iter().filter(|v| v[0] == "bump").count() > 1,
                ("bump", 5) => ran.stderr.contains("another bump"),
                // Deliveries to the forge, which refuses connections, wait.
                ("reconcile", 5) => true,
                // The rehearsal looks at the machine too, whose disk may be nearly full.
                ("ship", 1) => verb.contains(&"--dry-run".to_owned()) && only_the_disk_is_rotten(&ran.stdout),
                // There is no train yet, or nothing to approve any more.
                ("export", 2 | 3) if stage != Stage::Gate || met.len() > 2 => true,
                (_, 5) => busy,
                // Whatever another verb did before: the train was abandoned, or is public.
                (_, 2) => abandoned || stage >= Stage::Approved,
                ("ship" | "approve" | "export", 3) | (_, 0) => true,
                // A train that was abandoned frees its versions, or retires them; one that is public has them.
                ("plan" | "ship", 4) => abandoned || stage >= Stage::Approved,
                _ => false,
            };
            assert!(fine, "{said}");
            if verb[0] == "export" && code == 0 {
                self.bundle_is_whole(n, &context(n));
            } else if verb[0] == "export" {
                assert!(!self.bundle(n).exists(), "{said}");
            }
            ended.push((verb[..verb.len().min(4)].join(" ").replace(&self.file(), "FILE"), code));
        }
        self.check(stage, abandoned, &context(0));
        ended
    }

    /// The world afterwards.
    fn check(&self, stage: Stage, abandoned: bool, context: &str) {
        let root = self.train.state().join("sample");
        let scratch = root.join("scratch");
        if let Ok(left) = fs::read_dir(&scratch) {
            let left: Vec<_> = left.map(|e| e.unwrap().file_name()).filter(|n| n != "lock").collect();
            assert!(left.is_empty(), "{context}: {left:?}");
        }
        assert!(self.train.run(&["status"]).ends_with(0).stderr.is_empty(), "{context}");
        if self.train.train_dir("drill").join("plan.json").exists() {
            let plan = fs::read_to_string(self.train.train_dir("drill").join("plan.json")).unwrap();
            assert_eq!(plan_of(&plan), self.plan, "{context}");
            let prepared = self.prepared();
            assert!(prepared.is_empty() || prepared == self.prepared, "{context}: {prepared}");
        }
        if stage < Stage::Approved {
            return;
        }
        let status = self.train.run(&["status"]).stdout;
        if !(abandoned && status.contains("abandoned")) {
            // The same command again brings it to its end, whoever was busy.
            let ran = self.train.run(&["ship", "--train", "drill"]).ends_with(0);
            assert!(ran.stdout.contains("released"), "{context}: {ran:?}");
            assert_eq!(self.published(), self.published, "{context}");
        }
    }
}

/// Whether a rehearsal found fault with nothing but the room on this machine's disk.
fn only_the_disk_is_rotten(stdout: &str) -> bool {
    let mut rotten = stdout.lines().filter(|l| l.starts_with("  rotten   ")).peekable();
    rotten.peek().is_some() && rotten.all(|l| l.starts_with("  rotten   disk: ") && l.contains(" GiB free for "))
}

/// The digest of a plan that was printed as JSON: of its canonical bytes.
fn plan_of(stdout: &str) -> String {
    let plan: lifeboat::plan::Plan = serde_json::from_str(stdout).unwrap_or_else(|e| panic!("{e}: {stdout}"));
    plan.id().unwrap().0.hex()
}

fn copy(from: &Path, to: &Path) {
    let done = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(done.success(), "cp -a {} {}", from.display(), to.display());
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|n| n.parse().unwrap_or_else(|_| panic!("{name} is not a number")))
}

#[test]
fn verbs_that_meet_wait_or_are_busy() {
    let (count, from) = (number("LIFEBOAT_PAIRS").unwrap_or(SOME), number("LIFEBOAT_PAIRS_FROM").unwrap_or(1));
    let next = AtomicU64::new(from);
    let start = Instant::now();
    let work = || {
        let world = World::new();
        let mut ends: BTreeMap<(String, i32), u32> = BTreeMap::new();
        loop {
            let seed = next.fetch_add(1, Ordering::SeqCst);
            if seed >= from + count {
                return ends;
            }
            world.round(seed).into_iter().for_each(|end| *ends.entry(end).or_default() += 1);
        }
    };
    let all = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..2.min(count)).map(|_| scope.spawn(work)).collect();
        let mut all: BTreeMap<(String, i32), u32> = BTreeMap::new();
        for worker in workers {
            // A failed round says its seed; the other worker goes on to its end.
            let ends = worker.join().unwrap_or_else(|e| std::panic::resume_unwind(e));
            ends.into_iter().for_each(|(end, n)| *all.entry(end).or_default() += n);
        }
        all
    });
    println!("{count} seeds from {from} in {:.0?}", start.elapsed());
    for ((verb, code), n) in all {
        println!("  {n:4} x {verb}: exit {code}");
    }
}
