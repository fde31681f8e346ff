//! A network in which everything but loopback is dropped in silence: trains ship, and no required step waits for a time-out.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test may panic and print; clippy knows only `#[test]` functions"
)]

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::namespaces::Namespaces;
use crate::support::sample_train::{Ran, SampleTrain};
use jiff::Timestamp;
use serde_json::Value;

/// A little less than the shortest deadline of a probe, 3 s from the start of a run: whoever waits for it ends later.
const PROBE: Duration = Duration::from_millis(2900);
/// A machine may be busy; a step that waits for a time-out does so every time.
const ROUNDS: usize = 6;

/// Steps that deliver to GitHub.
fn is_deferrable(step: &str) -> bool {
    step.starts_with("forge-release/") || step.starts_with("push-git/")
}

/// Connections and look-ups must hang; if they failed at once, these tests would prove nothing.
fn assert_silent(hole: &Namespaces, train: &SampleTrain) {
    let tries: [&[&str]; 2] = [
        &["timeout", "2", "bash", "-c", "exec 3<>/dev/tcp/140.82.121.6/443"],
        &["timeout", "2", "getent", "hosts", "api.github.com"],
    ];
    for argv in tries {
        let mut command = Command::new(argv[0]);
        command.args(&argv[1..]);
        train.surround(&mut command);
        let ran = Ran::of(&mut hole.inside(&command));
        // timeout(1): 124 if it had to end the command.
        assert_eq!(ran.code, Some(124), "the network does not drop in silence: {argv:?}: {ran:?}");
    }
    let mut loopback = Command::new("bash");
    loopback.args(["-c", "exec 3<>/dev/tcp/127.0.0.1/1"]);
    train.surround(&mut loopback);
    let ran = Ran::of(&mut hole.inside(&loopback));
    assert!(ran.stderr.contains("refused"), "loopback is down: {ran:?}");
}

fn at(record: &Value) -> Timestamp {
    record["at"].as_str().unwrap().parse().unwrap()
}

fn since(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

/// What a journal says of one run of a train.
struct Course {
    /// From adoption to the last required step.
    required: Duration,
    /// The longest pause between two records of required steps before the gate. A step that waits for a probe there makes
    /// one of a deadline's length, for all have begun within moments.
    pause: Duration,
    /// From the start of the run that opens the gate to the last required step: promoted, pointed at.
    public: Duration,
    /// When the last required step ended.
    end: Timestamp,
    deferred: Vec<(String, String)>,
}

fn course(records: &[Value]) -> Course {
    let step = |r: &Value| r["what"]["step"].as_str().map(str::to_owned);
    let is = |r: &Value, event: &str| r["what"]["event"] == event;
    let required: Vec<&Value> = records.iter().filter(|r| step(r).is_some_and(|s| !is_deferrable(&s))).collect();
    let last = required.last().unwrap();
    assert!(is(last, "succeeded") && step(last).unwrap().starts_with("point/"), "{last}");
    let gate = required.iter().position(|r| step(r).as_deref() == Some("gate") && is(r, "started")).unwrap();
    let pauses = required[..gate].windows(2).map(|w| since(at(w[0]), at(w[1])));
    let deferred = records.iter().filter(|r| is(r, "deferred"));
    Course {
        required: since(at(&records[0]), at(last)),
        pause: pauses.max().unwrap(),
        public: since(at(required[gate]), at(last)),
        end: at(last),
        deferred: deferred.map(|r| (step(r).unwrap(), r["what"]["reason"].as_str().unwrap().to_owned())).collect(),
    }
}

/// Ships a sample train inside, with the sample's usual people.
fn ship(hole: &Namespaces, train: &SampleTrain) -> (Course, Timestamp) {
    let inside = |args: &[&str]| Ran::of(&mut hole.inside(&train.command(args)));
    let file = train.train_file().display().to_string();
    inside(&["plan", &file]).ends_with(0);
    inside(&["ship", &file]).ends_with(3);
    for person in ["alice", "bob"] {
        inside(&["approve", "--as", person, "--yes"]).ends_with(0);
    }
    let ran = inside(&["ship"]).ends_with(0);
    let ended = Timestamp::now();
    assert!(ran.stdout.contains("train drill: released") || ran.stdout.contains("reconciled"), "{ran:?}");
    inside(&["status"]).ends_with(0);
    (course(&train.records("drill")), ended)
}

/// GitHub's API and its git server, at their real addresses.
fn with_github() -> SampleTrain {
    let train = SampleTrain::unpinned("https://api.github.com");
    train.configure(
        "[[remote]]\nname = \"github-git\"\nurl = \"https://github.com/example/sample.git\"\nrequired = false\n",
    );
    train.pin();
    train
}

/// The same without any destination outside.
fn without_github() -> SampleTrain {
    let train = SampleTrain::unpinned("https://api.github.com");
    let text = fs::read_to_string(train.config()).unwrap();
    let (before, rest) = text.split_once("[forge.github]").unwrap();
    let (_, after) = rest.split_once("[signing]").unwrap();
    fs::write(train.config(), format!("{before}[signing]{after}")).unwrap();
    train.pin();
    train
}

#[test]
fn a_train_ships_and_waits_for_no_time_out() {
    let scratch = crate::support::scratch();
    let hole = Namespaces::black_hole(scratch.path());
    assert_silent(&hole, &without_github());
    let mut seen = String::new();
    for _ in 0..ROUNDS {
        let (alone, _) = ship(&hole, &without_github());
        assert!(alone.deferred.is_empty(), "{:?}", alone.deferred);
        let train = with_github();
        let (beside, ended) = ship(&hole, &train);

        let deferred: Vec<&str> = beside.deferred.iter().map(|(step, _)| step.as_str()).collect();
        for step in ["forge-release/github/release-1.0.0", "forge-release/github/release-2.0.0", "push-git/github-git"]
        {
            assert!(deferred.contains(&step), "`{step}` is not deferred: {deferred:?}");
        }
        for (step, reason) in &beside.deferred {
            // Whose deadline comes first, the resolver's or ours, is the system's affair.
            let says = ["no answer within", "did not finish within", "Could not resolve host", "cannot be looked up"];
            let helps = reason.contains("github") && says.iter().any(|w| reason.contains(w));
            assert!(helps, "`{step}` is deferred for no reason that helps: {reason}");
        }
        assert!(train.store().join("releases/1.0.5/SHA256SUMS").is_file());
        assert!(train.store().join("releases/index.json").is_file());

        let tail = since(beside.end, ended);
        seen = format!(
            "from adoption to the last required step {:.2?} beside GitHub, {:.2?} without; longest pause before the gate \
             {:.2?} and {:.2?}; from opening the gate to the last required step {:.2?} and {:.2?}; the command ends \
             {tail:.2?} after the last required step",
            beside.required, alone.required, beside.pause, alone.pause, beside.public, alone.public
        );
        eprintln!("{seen}");
        // The bar is ten seconds; a step that waited for one time-out would cost three.
        let later = beside.required.saturating_sub(alone.required);
        assert!(later < Duration::from_secs(10), "released {later:.2?} later beside GitHub: {seen}");
        if beside.pause < PROBE && beside.public < PROBE {
            return;
        }
    }
    panic!("required steps wait for GitHub, or this machine is too slow for this test: {seen}");
}

#[test]
fn the_drill_ships() {
    let train = without_github();
    let scratch = crate::support::scratch();
    let hole = Namespaces::black_hole(scratch.path());
    assert_silent(&hole, &train);
    let mut drill = train.command(&["drill"]);
    drill.current_dir(train.root().join("tmp"));
    let start = Instant::now();
    let ran = Ran::of(&mut hole.inside(&drill)).ends_with(0);
    let took = start.elapsed();
    assert!(ran.stdout.contains("train drill: released"), "{ran:?}");
    // Shown at once, not after GitHub's deadline.
    let released = ran.stderr.find("released  every required destination has the train").unwrap();
    assert!(released < ran.stderr.find("deferred  forge-release/").unwrap(), "{}", ran.stderr);
    let dir = train.root().join("tmp/lifeboat-drill");
    let text = fs::read_to_string(dir.join("state/sample/trains/drill/journal.jsonl")).unwrap();
    let records: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let course = course(&records);
    assert_eq!(course.deferred.len(), 2, "{:?}", course.deferred);
    assert!(course.deferred.iter().all(|(_, reason)| reason.contains("no answer within 3 s")), "{:?}", course.deferred);
    assert!(dir.join("store/releases/2.0.2/SHA256SUMS").is_file());
    eprintln!("the drill took {took:.2?}; its required steps {:.2?}", course.required);
}
