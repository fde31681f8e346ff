//! What comes to git remotes: lines that only carry the fix, and what waited for a remote that was away.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking; clippy exempts test functions only")]

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::sample_train::{Ran, SampleTrain};

/// `git` in a repository.
fn git(train: &SampleTrain, repository: &Path, args: &[&str]) -> String {
    let mut command = Command::new("git");
    command.arg("-C").arg(repository).args(args);
    train.surround(&mut command);
    command.current_dir(train.root());
    Ran::of(&mut command).ends_with(0).stdout.trim().to_owned()
}

/// A bare clone of the project that the configuration names as a remote.
fn remote(train: &SampleTrain, required: bool) -> PathBuf {
    let here = train.root().join("remote.git");
    let (project, to) = (train.project().display().to_string(), here.display().to_string());
    git(train, train.root(), &["clone", "--quiet", "--bare", &project, &to]);
    train.configure(&format!("[[remote]]\nname = \"origin\"\nurl = \"{to}\"\nrequired = {required}\n"));
    here
}

/// Takes the forge out of the sample's configuration.
fn without_forge(train: &SampleTrain) {
    let text = fs::read_to_string(train.config()).unwrap();
    let (before, rest) = text.split_once("[forge.github]").unwrap();
    let (_, after) = rest.split_once("[signing]").unwrap();
    fs::write(train.config(), format!("{before}[signing]{after}")).unwrap();
}

#[test]
fn a_line_that_carries_the_fix_is_served_and_pushed_without_a_release() {
    let train = SampleTrain::new();
    without_forge(&train);
    let project = train.project();
    git(&train, &project, &["branch", "main", "release-2.0.0"]);
    let base = git(&train, &project, &["rev-parse", "main"]);
    let here = remote(&train, true);
    let patches = train.train_file().parent().unwrap().join("patches/release-2.0.0");
    let count = fs::read_dir(&patches).unwrap().count();
    let text = fs::read_to_string(train.train_file()).unwrap();
    let line = "[[line]]\nbranch = \"main\"\nkind = \"carry\"\npatches = \"patches/release-2.0.0\"\n";
    fs::write(train.train_file(), format!("{text}\n{line}")).unwrap();
    train.to_the_gate();
    for repository in [&here, &project] {
        assert_eq!(git(&train, repository, &["rev-parse", "main"]), base, "nothing moves before the gate");
    }
    train.approve();
    let ran = train.ship().ends_with(0);
    assert!(ran.stdout.contains("train drill: reconciled"), "{ran:?}");

    let served = train.store().join("git/sample.git");
    let tip = git(&train, &here, &["rev-parse", "main"]);
    assert_eq!(git(&train, &served, &["rev-parse", "main"]), tip, "store and remote have the same");
    let commits = git(&train, &served, &["log", "--format=%s", &format!("{base}..main")]);
    assert_eq!(commits.lines().count(), count, "the patches and no bump: {commits}");
    let changed = git(&train, &served, &["diff", "--name-only", &base, "main", "--", "Cargo.toml", "RELEASES.md"]);
    assert_eq!(changed, "", "no version is bumped");
    assert_eq!(git(&train, &served, &["tag", "--points-at", "main"]), "");
    // A stranger clones it, and has the same tree as the released line but for the bump.
    let clone = train.root().join("clone");
    git(&train, train.root(), &["clone", "--quiet", &served.display().to_string(), &clone.display().to_string()]);
    assert_eq!(git(&train, &clone, &["rev-parse", "origin/main"]), tip);
    let fixed = |branch: &str| git(&train, &served, &["show", &format!("{branch}:sample.in")]);
    assert_eq!(fixed("main"), fixed("release-2.0.0"));
    assert_ne!(fixed("main"), git(&train, &served, &["show", &format!("{base}:sample.in")]));
    let released =
        fs::read_dir(train.store().join("releases")).unwrap().filter(|e| e.as_ref().unwrap().path().is_dir());
    assert_eq!(released.count(), 2, "the carried line has no release");
}

/// What `reconcile --watch` says that goes on while its remote is `away`, and ends by itself once it is `here`.
fn watched(train: &SampleTrain, away: &Path, here: &Path) -> Ran {
    let mut command = train.command(&["reconcile", "--watch", "--every", "1"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(4));
    assert!(child.try_wait().unwrap().is_none(), "it must go on while the remote is away");
    fs::rename(away, here).unwrap();
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > Duration::from_secs(60) {
            child.kill().unwrap();
            panic!("it did not see that the remote is back");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ran::from(&child.wait_with_output().unwrap())
}

/// Two trains that carry a fix on one branch make commits that cannot follow each other: the branch is held in the store.
#[test]
fn a_train_of_carried_fixes_is_served_and_holds_its_branch() {
    let train = SampleTrain::new();
    without_forge(&train);
    let project = train.project();
    git(&train, &project, &["branch", "main", "release-2.0.0"]);
    let line = "[[line]]\nbranch = \"main\"\nkind = \"carry\"\npatches = \"patches/release-2.0.0\"\n";
    let sample = train.train_file();
    for (name, date) in [("first", "2026-02-24"), ("second", "2026-02-25")] {
        let file = sample.with_file_name(format!("{name}.toml"));
        fs::write(&file, format!("name = \"{name}\"\ndate = {date}\n{line}")).unwrap();
        train.run(&["ship", &file.display().to_string()]).ends_with(3);
        for person in ["alice", "bob"] {
            train.run(&["approve", name, "--as", person, "--yes"]).ends_with(0);
        }
    }
    // Whoever is on its way holds the branch: the store's directory for that cannot be written, so nobody can.
    let held = train.store().join(".staging/.held");
    fs::DirBuilder::new().mode(0o700).create(held.parent().unwrap()).unwrap();
    fs::write(&held, "in the way").unwrap();
    train.run(&["ship", "--train", "first"]).fails(4, &["step: gate", ".staging/.held"]);
    fs::remove_file(&held).unwrap();
    let shipped = train.run(&["ship", "--train", "first"]).ends_with(0);
    assert!(shipped.stdout.contains("train first: reconciled"), "{shipped:?}");
    let served = train.store().join("git/sample.git");
    let (base, tip) = (git(&train, &project, &["rev-parse", "main"]), git(&train, &served, &["rev-parse", "main"]));
    assert_ne!(base, tip);
    let clone = train.root().join("clone");
    git(&train, train.root(), &["clone", "--quiet", &served.display().to_string(), &clone.display().to_string()]);
    assert_eq!(git(&train, &clone, &["rev-parse", "origin/main"]), tip);
    assert!(fs::read_dir(&held).is_ok_and(|mut all| all.next().is_none()), "given back");
    train.run(&["reconcile"]).ends_with(0);
    train.run(&["ship", "--train", "second"]).fails(4, &["`refs/heads/main`"]);
    assert_eq!(git(&train, &served, &["rev-parse", "main"]), tip, "nothing of the other one came there");
}

#[test]
fn reconcile_watches_until_everything_is_home() {
    let train = SampleTrain::new();
    without_forge(&train);
    let here = remote(&train, false);
    let away = train.root().join("away");
    fs::rename(&here, &away).unwrap();
    train.to_the_gate();
    train.approve();
    let ran = train.ship().ends_with(0);
    assert!(ran.stdout.contains("deferred  push-git/origin"), "{ran:?}");

    let ran = watched(&train, &away, &here).ends_with(0);
    assert!(ran.stdout.contains("1 delivery waits; the next try is in 1 s"), "{ran:?}");
    assert!(ran.stdout.contains("train drill: reconciled"), "{ran:?}");
    assert!(git(&train, &here, &["tag"]).contains("v2.0.2"));
}

/// A train that cannot be read is reported, and does not stop the others.
#[test]
fn one_broken_train_does_not_end_the_watch_for_the_others() {
    let train = SampleTrain::new();
    without_forge(&train);
    let here = remote(&train, false);
    let away = train.root().join("away");
    fs::rename(&here, &away).unwrap();
    train.to_the_gate();
    train.approve();
    train.ship().ends_with(0);
    let broken = train.train_dir("a-broken-one");
    fs::create_dir(&broken).unwrap();
    fs::write(broken.join("plan.json"), "{").unwrap();

    let ran = watched(&train, &away, &here);
    assert!(ran.code != Some(0), "the broken train is a failure in the end: {ran:?}");
    assert!(ran.stdout.contains("train drill: reconciled"), "{ran:?}");
    assert!(ran.stderr.contains("train: a-broken-one"), "{ran:?}");
    fs::remove_dir_all(&broken).unwrap();
    // Nor does a train that cannot be opened, here by another process that holds it.
    let lock = fs::File::open(train.train_dir("drill").join("lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let held = train.run(&["reconcile"]).fails(5, &["another lifeboat process holds the train", "train: drill"]);
    assert!(held.stdout.contains("train drill: reconciled, 0 deliveries read back and equal"), "{held:?}");
}

/// The tag of a release on a remote that the train must reach: found before anything is public.
#[test]
fn a_tag_that_a_required_remote_has_already_stops_at_the_gate() {
    let train = SampleTrain::new();
    without_forge(&train);
    let here = remote(&train, true);
    train.to_the_gate();
    train.approve();
    git(&train, &here, &["tag", "v2.0.2", "release-2.0.0"]);
    let there = git(&train, &here, &["rev-parse", "v2.0.2"]);
    let said = [&format!("remote `origin` has `refs/tags/v2.0.2` at {there}"), "step: gate", "nothing is public yet"];
    train.ship().fails(4, &said);
    assert!(!train.store().join("releases").exists(), "the train is public");
    git(&train, &here, &["tag", "-d", "v2.0.2"]);
    train.ship().ends_with(0);
    assert!(git(&train, &here, &["tag"]).contains("v2.0.2"));
}
