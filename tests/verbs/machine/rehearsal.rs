//! A dry run that is ended from outside, as a cancelled job of a CI system is.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::sample_train::SampleTrain;

/// The processes of a test: those whose command line or environment names its directory.
fn of(train: &SampleTrain) -> Vec<String> {
    let here = train.root().display().to_string();
    let mut out = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let read = |name: &str| {
            String::from_utf8_lossy(&fs::read(entry.path().join(name)).unwrap_or_default()).replace('\0', " ")
        };
        let command = read("cmdline");
        if entry.file_name().to_string_lossy().bytes().all(|b| b.is_ascii_digit())
            && (command.contains(&here) || read("environ").contains(&here))
        {
            out.push(command);
        }
    }
    out
}

#[test]
fn a_dry_run_that_is_killed_leaves_nothing_running_and_the_next_one_starts() {
    let train = SampleTrain::new();
    let recipe = "run = [\"sh build.sh {name}\"]";
    train.edit(&train.config(), recipe, "run = [\"touch dist-runs; sleep 4823 & sleep 4823\"]");
    let file = train.train_file().display().to_string();
    let mut dry = train.command(&["ship", &file, "--dry-run"]);
    let mut dry = dry.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let since = Instant::now();
    while !of(&train).iter().any(|c| c.contains("sleep 4823")) {
        assert!(since.elapsed() < Duration::from_secs(90), "the recipe does not run: {:?}", of(&train));
        std::thread::sleep(Duration::from_millis(20));
    }
    dry.kill().unwrap();
    dry.wait().unwrap();
    // A job watches over whoever started it: nothing has to be cleaned up by hand.
    let since = Instant::now();
    while !of(&train).is_empty() {
        assert!(since.elapsed() < Duration::from_secs(20), "left running: {:?}", of(&train));
        std::thread::sleep(Duration::from_millis(50));
    }
    train.edit(&train.config(), "run = [\"touch dist-runs; sleep 4823 & sleep 4823\"]", recipe);
    let ran = train.run(&["ship", &file, "--dry-run"]);
    // It looks at the machine too, whose disk may be full.
    assert!(ran.code == Some(0) || ran.stdout.contains("GiB free"), "{ran:?}");
    assert!(ran.stdout.contains("rehearsal"), "{ran:?}");
    assert!(!ran.stderr.contains("not empty"), "{ran:?}");
    assert!(of(&train).is_empty());
}
