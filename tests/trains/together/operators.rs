//! Two operators, each with a machine of their own, bring a train each to one bucket at the same moment.
//!
//! Each seed chooses the two trains, what each operator types first, and the pauses below the programs, before requests too. Both then
//! go on until nothing is left to do. Of two trains on one base one is released, and the other one is refused with a reason; of
//! two trains of different lines both are. Meanwhile a stranger never reads of a release that is not all there. A few seeds run here;
//! `LIFEBOAT_OPERATORS=200 cargo test --test trains together::operators` runs that many, `LIFEBOAT_OPERATORS=1
//! LIFEBOAT_PAIRS_FROM=17` the one with that number.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lifeboat::formats::index::Index;
use lifeboat::formats::manifest::Manifest;
use lifeboat::model::Sha256;

use super::{Dice, copy, number, slowed};
use crate::support::radosgw::{ACCESS_KEY, Bucket, SECRET_KEY};
use crate::support::sample_train::{Ran, SampleTrain};
use crate::support::train_ends::files;

/// Seeds that run without being asked for.
const SOME: u64 = 1;

/// How often an operator tries again.
const PATIENCE: usize = 6;

/// What each of the two operators releases: the branch and the version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trains {
    /// Two trains on one base: at most one of them can be the next release of that line.
    OneBase,
    TwoLines,
}

impl Trains {
    fn of(self, operator: usize) -> (&'static str, &'static str) {
        match (self, operator) {
            (Self::OneBase, 0) => ("release-1.0.0", "1.0.6"),
            (Self::OneBase, _) => ("release-1.0.0", "1.0.7"),
            (Self::TwoLines, 0) => ("release-1.0.0", "1.0.5"),
            (Self::TwoLines, _) => ("release-2.0.0", "2.0.2"),
        }
    }
}

/// What a machine has at the beginning of each round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// Nothing but the project.
    Fresh,
    /// A train that enough people approved.
    Approved,
}

/// Two machines and the bucket.
struct World {
    trains: Trains,
    machines: [SampleTrain; 2],
    bucket: Bucket,
    saved: tempfile::TempDir,
}

impl World {
    fn new(trains: Trains) -> Self {
        let (bucket, saved) = (Bucket::new(), crate::support::scratch());
        let first = SampleTrain::new();
        // The same project, keys and trust root, in another place.
        let second = SampleTrain::new();
        fs::remove_dir_all(second.root().join("sample")).unwrap();
        copy(&first.root().join("sample"), &second.root().join("sample"));
        let world = Self { trains, machines: [first, second], bucket, saved };
        for operator in 0..2 {
            world.set_up(operator);
        }
        world.save(Stage::Fresh);
        for operator in 0..2 {
            world.machines[operator].to_the_gate();
            world.machines[operator].approve();
        }
        world.save(Stage::Approved);
        world
    }

    /// The configuration and the train file of an operator.
    fn set_up(&self, operator: usize) {
        let (machine, (branch, version)) = (&self.machines[operator], self.trains.of(operator));
        let text = fs::read_to_string(machine.config()).unwrap();
        let (before, rest) = text.split_once("url = \"file://").unwrap();
        let (_, after) = rest.split_once('\n').unwrap();
        let table = format!(
            "url = \"s3://{}\"\nendpoint = \"{}\"\npublic_url = \"{}\"\naccess_key = {{ file = \"../secret/access\" }}\n\
             secret_key = {{ file = \"../secret/key\" }}\n",
            self.bucket.name,
            self.bucket.endpoint,
            self.bucket.url()
        );
        fs::write(machine.config(), format!("{before}{table}{after}")).unwrap();
        for (name, value) in [("access", ACCESS_KEY), ("key", SECRET_KEY)] {
            fs::write(machine.root().join("sample/secret").join(name), value).unwrap();
        }
        let whole = fs::read_to_string(machine.train_file()).unwrap();
        let mut parts = whole.split("\n[[line]]\n");
        let head = parts.next().unwrap().replace("\"drill\"", &format!("\"{}\"", name(operator)));
        let line = parts.find(|part| part.contains(branch)).unwrap();
        let branch = format!("branch = \"{branch}\"");
        let line = line.replace(&branch, &format!("{branch}\nto = \"{version}\""));
        fs::write(machine.train_file(), format!("{head}\n[[line]]\n{line}")).unwrap();
        machine.pin();
    }

    fn at(&self, stage: Stage, what: &str) -> PathBuf {
        self.saved.path().join(format!("{stage:?}-{what}"))
    }

    fn save(&self, stage: Stage) {
        for (operator, machine) in self.machines.iter().enumerate() {
            copy(&machine.root().join("sample"), &self.at(stage, name(operator)));
        }
        self.bucket.save_to(&self.at(stage, "bucket"));
    }

    fn restore(&self, stage: Stage) {
        for (operator, machine) in self.machines.iter().enumerate() {
            let sample = machine.root().join("sample");
            fs::remove_dir_all(&sample).unwrap();
            copy(&self.at(stage, name(operator)), &sample);
        }
        self.bucket.fill_from(&self.at(stage, "bucket"), files(&self.at(stage, "bucket")));
    }

    /// What an operator types, with pauses.
    fn start(&self, operator: usize, verb: &[&str], seed: u64) -> Child {
        let machine = &self.machines[operator];
        let mut command = machine.command(verb);
        slowed(&mut command, &machine.root().join("bin"), seed, operator);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Brings an operator's train to its end, or to where it is refused; gives that reason.
    fn finish(&self, operator: usize, context: &str) -> Option<String> {
        let machine = &self.machines[operator];
        for _ in 0..PATIENCE {
            let ran = match machine.train_dir(name(operator)).join("plan.json").exists() {
                false => machine.adopt(),
                true => machine.ship(),
            };
            ran.hints_exist();
            match ran.code {
                Some(0) => {
                    assert!(ran.stdout.contains("released"), "{context}: {ran:?}");
                    return None;
                }
                Some(3) => machine.approve(),
                // Somebody else holds the branch at this moment.
                Some(5) => {}
                Some(2 | 4) => return Some(ran.stderr),
                _ => panic!("{context}: {ran:?}"),
            }
        }
        panic!("{context}: {} is never done", name(operator));
    }

    /// One round; says how each operator's train ended.
    fn round(&self, seed: u64) -> String {
        let mut dice = Dice::of(seed);
        let stage = [Stage::Fresh, Stage::Approved, Stage::Approved][dice.below(3)];
        self.restore(stage);
        let files = self.machines.each_ref().map(|machine| machine.train_file().display().to_string());
        let met: Vec<Vec<&str>> = (0..2)
            .map(|operator| match (stage, dice.below(6)) {
                (_, 0) => vec!["refresh", "--now"],
                (Stage::Approved, 1) => vec!["reconcile"],
                (Stage::Approved, _) => vec!["ship"],
                (Stage::Fresh, _) => vec!["ship", files[operator].as_str()],
            })
            .collect();
        let context = format!("seed {seed}, {:?}, {stage:?}, {met:?}", self.trains);
        let stranger = Stranger::look(self.bucket.clone(), context.clone());
        let mut children = Vec::new();
        for (operator, verb) in met.iter().enumerate() {
            children.push(self.start(operator, verb, seed));
            std::thread::sleep(Duration::from_millis(dice.below(300) as u64));
        }
        for child in children {
            let ran = Ran::from(&child.wait_with_output().unwrap());
            let expected = matches!(ran.code, Some(0 | 2 | 3 | 4 | 5));
            let dirty = ["panicked", "os error", "damaged", "other bytes"];
            let is_clean = !dirty.iter().any(|word| ran.stderr.contains(word));
            assert!(expected && is_clean, "{context}: {ran:?}");
        }
        // The one who is first now is not always the same.
        let first = dice.below(2);
        let mut ends = [None, None];
        for operator in [first, 1 - first] {
            ends[operator] = Some(self.finish(operator, &context));
        }
        stranger.end();
        let ends = ends.map(Option::unwrap);
        self.check(&ends, &context);
        let released: Vec<usize> = (0..2).filter(|operator| ends[*operator].is_none()).collect();
        format!(
            "{:?}, {stage:?}, {}: released by {released:?}",
            self.trains,
            met.iter().map(|v| v[0]).collect::<Vec<_>>().join(" and ")
        )
    }

    /// The world afterwards, as a stranger sees it.
    fn check(&self, ends: &[Option<String>; 2], context: &str) {
        let released = ends.iter().filter(|end| end.is_none()).count();
        let expected = if self.trains == Trains::OneBase { 1 } else { 2 };
        assert_eq!(released, expected, "{context}: {ends:?}");
        let keys = self.bucket.keys("");
        for (operator, end) in ends.iter().enumerate() {
            let (machine, (_, version)) = (&self.machines[operator], self.trains.of(operator));
            let dir = format!("releases/{version}/");
            match end {
                None => {
                    let pin = Sha256::of(&fs::read(machine.project().join("keys/trust.json")).unwrap()).hex();
                    let home = tempfile::tempdir().unwrap();
                    let mut verify = machine.command(&["verify", "--pin", &pin, version, &self.bucket.url()]);
                    verify.env("HOME", home.path()).env_remove("LIFEBOAT_STATE").current_dir(home.path());
                    let ran = Ran::of(&mut verify);
                    assert!(ran.code == Some(0) && ran.stdout.contains("verifies"), "{context}: {ran:?}");
                }
                Some(why) => {
                    assert!(!keys.iter().any(|key| key.starts_with(&dir)), "{context}: {version} is public in part");
                    let known = [
                        "is bringing `release-1.0.0` to the public",
                        "would lose commits",
                        "lacks what store `mirror` has",
                        "is not the latest",
                        "based on",
                    ];
                    assert!(known.iter().any(|known| why.contains(known)), "{context}: {why}");
                }
            }
        }
        let left: Vec<&String> = keys.iter().filter(|key| key.contains("/.claims/")).collect();
        assert!(left.is_empty(), "{context}: {left:?}");
    }
}

/// The train of an operator.
fn name(operator: usize) -> &'static str {
    ["left", "right"][operator]
}

/// Somebody without credentials who reads the index again and again, and all files of each release that it names.
struct Stranger {
    over: Arc<AtomicBool>,
    looking: std::thread::JoinHandle<()>,
}

impl Stranger {
    fn look(bucket: Bucket, context: String) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let ended = over.clone();
        let looking = std::thread::spawn(move || {
            let read = |path: &str| bucket.as_a_stranger(path).map(|(_, bytes)| bytes);
            while !ended.load(Ordering::SeqCst) {
                if let Some(bytes) = read("releases/index.json") {
                    let index = Index::from_bytes(&bytes).unwrap_or_else(|e| panic!("{context}: {}", e.report()));
                    for version in index.releases.keys() {
                        let dir = format!("releases/{version}");
                        let manifest = read(&format!("{dir}/manifest.json"));
                        let manifest = manifest.unwrap_or_else(|| panic!("{context}: {version} has no manifest"));
                        let manifest =
                            Manifest::from_bytes(&manifest).unwrap_or_else(|e| panic!("{context}: {}", e.report()));
                        for artifact in &manifest.artifacts {
                            let bytes = read(&format!("{dir}/{}", artifact.name)).unwrap_or_default();
                            let found = Sha256::of(&bytes);
                            assert_eq!(found, artifact.digests.sha256, "{context}: {version}: {}", artifact.name);
                        }
                    }
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        Self { over, looking }
    }

    fn end(self) {
        self.over.store(true, Ordering::SeqCst);
        self.looking.join().unwrap();
    }
}

#[test]
fn two_operators_meet_at_one_bucket() {
    let (count, from) = (number("LIFEBOAT_OPERATORS").unwrap_or(SOME), number("LIFEBOAT_PAIRS_FROM").unwrap_or(1));
    let begun = Instant::now();
    let work = |trains: Trains| {
        let world = World::new(trains);
        let mut ends: BTreeMap<String, u32> = BTreeMap::new();
        // A seed is of one kind, whoever is quicker.
        for seed in (from..from + count).filter(|seed| seed % 2 == trains as u64) {
            *ends.entry(world.round(seed)).or_default() += 1;
        }
        ends
    };
    let all = std::thread::scope(|scope| {
        let kinds = [Trains::OneBase, Trains::TwoLines];
        let workers: Vec<_> = kinds.into_iter().map(|kind| scope.spawn(move || work(kind))).collect();
        let mut all: BTreeMap<String, u32> = BTreeMap::new();
        for worker in workers {
            let ends = worker.join().unwrap_or_else(|e| std::panic::resume_unwind(e));
            ends.into_iter().for_each(|(end, n)| *all.entry(end).or_default() += n);
        }
        all
    });
    println!("{count} seeds from {from} in {:.0?}", begun.elapsed());
    for (end, n) in all {
        println!("  {n:4} x {end}");
    }
}
