//! `ship --dry-run`: everything but the public effects happens, and those are recorded.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use lifeboat::drill::{BlackHole, Sample};
use lifeboat::effects::{Clock as _, Disk as _};
use lifeboat::host::{HostClock, HostDisk};
use lifeboat::model::Sha256;

struct World {
    dir: tempfile::TempDir,
    sample: Sample,
    _hole: BlackHole,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let hole = BlackHole::open().unwrap();
        let now = HostClock.now();
        let sample = Sample::create(&dir.path().join("drill"), hole.address(), now, now).unwrap();
        let root = std::fs::read(sample.project().join("keys/trust.json")).unwrap();
        lifeboat::trust::pin(&HostDisk, &sample.state().join("sample"), &Sha256::of(&root)).unwrap();
        Self { dir, sample, _hole: hole }
    }

    fn lifeboat(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lifeboat"));
        command
            .args(arguments)
            .current_dir(self.sample.project())
            .env("HOME", self.dir.path())
            .env("LIFEBOAT_STATE", self.sample.state());
        command
    }

    /// Every file that the store shows to strangers.
    fn public(&self) -> BTreeSet<PathBuf> {
        files(&self.sample.store()).into_iter().filter(|p| !p.to_string_lossy().contains(".staging")).collect()
    }

    fn staged(&self) -> BTreeSet<PathBuf> {
        let inside = |p: &PathBuf| p.to_string_lossy().contains(".staging/") && !p.to_string_lossy().contains(".locks");
        files(&self.sample.store()).into_iter().filter(inside).collect()
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        match entry.file_type().unwrap().is_dir() {
            true => out.extend(files(&entry.path())),
            false => out.push(entry.path()),
        }
    }
    out
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn a_dry_run_says_what_the_run_does() {
    let world = World::new();
    let train = world.sample.train_file();
    let train = train.to_str().unwrap();
    let rehearsed = world.lifeboat(&["ship", train, "--dry-run", "--json"]);
    assert!(rehearsed.status.success(), "{}", text(&rehearsed));
    assert_eq!(world.public(), BTreeSet::new(), "nothing public is touched");
    assert_eq!(world.staged(), BTreeSet::new(), "the staging area is cleared");
    let report: serde_json::Value = serde_json::from_slice(&rehearsed.stdout).unwrap();
    assert_eq!(report["state"], "released");
    let promised: BTreeSet<(String, String)> = report["public"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|p| p["verb"] == "promote")
        .map(|p| (p["what"].as_str().unwrap().to_owned(), p["digest"].as_str().unwrap().to_owned()))
        .collect();
    assert!(promised.len() >= 14, "{promised:?}");

    // The same train for real: the same plan, and what was promised is what is public, but for what names the train's nonce.
    let shipped = world.lifeboat(&["ship", train, "--plan", report["plan"].as_str().unwrap()]);
    assert_eq!(shipped.status.code(), Some(3), "{}", text(&shipped));
    for person in ["alice", "bob"] {
        let approved = world.lifeboat(&["approve", "--as", person, "--yes"]);
        assert!(approved.status.success(), "{}", text(&approved));
    }
    let shipped = world.lifeboat(&["ship"]);
    assert!(shipped.status.success(), "{}", text(&shipped));
    for (path, digest) in &promised {
        let bytes = std::fs::read(world.sample.store().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
        let of_this_train = path.ends_with("manifest.json") || path.contains("SUMS");
        if !of_this_train {
            assert_eq!(&format!("sha256:{}", Sha256::of(&bytes)), digest, "{path}");
        }
    }

    // What is public already is a conflict, in a rehearsal too: here the user's branch lacks the release just made.
    std::fs::remove_dir_all(world.sample.state().join("sample/trains")).unwrap();
    let again = world.lifeboat(&["ship", train, "--dry-run"]);
    assert_eq!(again.status.code(), Some(4), "{}", text(&again));
    assert!(text(&again).contains("your branch lacks what store `mirror` has"), "{}", text(&again));
}

#[test]
fn a_dry_run_does_not_wait_for_the_embargo() {
    let world = World::new();
    let train = world.sample.train_file();
    let mut text_of = std::fs::read_to_string(&train).unwrap();
    let later = HostClock.now().checked_add(jiff::SignedDuration::from_hours(48)).unwrap();
    text_of = text_of.replacen("advisories", &format!("not_before = {later}\nadvisories"), 1);
    std::fs::write(&train, text_of).unwrap();
    let rehearsed = world.lifeboat(&["ship", train.to_str().unwrap(), "--dry-run"]);
    assert!(rehearsed.status.success(), "{}", text(&rehearsed));
    assert!(text(&rehearsed).contains("nothing public was done"), "{}", text(&rehearsed));

    // The run itself does wait, with its exit code for that, and says until when.
    let shipped = world.lifeboat(&["ship", train.to_str().unwrap()]);
    assert_eq!(shipped.status.code(), Some(3));
    for person in ["alice", "bob"] {
        assert!(world.lifeboat(&["approve", "--as", person, "--yes"]).status.success());
    }
    let waits = world.lifeboat(&["ship"]);
    assert_eq!(waits.status.code(), Some(3), "{}", text(&waits));
    assert!(text(&waits).contains("the embargo ends"), "{}", text(&waits));
    assert_eq!(world.public(), BTreeSet::new());
}

#[test]
fn a_killed_dry_run_is_cleared_by_the_next_one() {
    let world = World::new();
    let train = world.sample.train_file();
    let arguments = ["ship", train.to_str().unwrap(), "--dry-run"];
    let mut killed = world.command(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while world.staged().is_empty() {
        assert!(killed.try_wait().unwrap().is_none(), "it ended before it was seen to stage anything");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert_ne!(world.staged(), BTreeSet::new(), "it was killed before its staging area was cleared");

    // One at a time: another one would clear what this one works on.
    let home = world.sample.state().join("sample/rehearsals/drill");
    let lock = HostDisk.try_lock(&home.join("lock")).unwrap().unwrap();
    let second = world.lifeboat(&arguments);
    assert_eq!(second.status.code(), Some(5), "{}", text(&second));
    assert!(text(&second).contains("another dry run of this train is under way"), "{}", text(&second));
    drop(lock);

    // Another plan than the one that was reviewed is not rehearsed.
    let other = "0".repeat(64);
    let refused = world.lifeboat(&[&arguments[..], &["--plan", &other]].concat());
    assert_eq!(refused.status.code(), Some(4), "{}", text(&refused));
    assert!(text(&refused).contains("the plan is now"), "{}", text(&refused));

    let again = world.lifeboat(&arguments);
    assert!(again.status.success(), "{}", text(&again));
    assert_eq!(world.staged(), BTreeSet::new(), "what the killed one staged is gone too");
    assert!(!home.join("scratch").exists());
}
