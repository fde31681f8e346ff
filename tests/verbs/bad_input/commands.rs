//! The project's own commands after a bump, and a bump that was killed before a train.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use crate::support::sample_train::{Ran, SampleTrain};

fn with_commands(after: &str) -> SampleTrain {
    let train = SampleTrain::new();
    train.edit(&train.config(), "{ run = \"sh version.sh\" }", &format!("{{ run = \"sh version.sh\" }}, {after}"));
    train
}

#[test]
fn what_commands_change_joins_the_train_and_all_else_they_do_is_refused_by_name() {
    let train =
        with_commands("{ run = 'echo more >> RELEASES.md && mkdir out && echo x | tee out/CACHEDIR.TAG > out/x' }");
    train.adopt().ends_with(3);
    let review = train.run(&["approve", "--as", "alice", "--yes"]).ends_with(0);
    assert!(review.stdout.contains("RELEASES.md"), "{}", review.stdout);
    for (run, said) in [
        ("rm RELEASES.md", "removed `RELEASES.md`"),
        ("chmod +x RELEASES.md", "changed the mode of `RELEASES.md`"),
        ("rm RELEASES.md && ln -s Cargo.toml RELEASES.md", "replaced by something else `RELEASES.md`"),
        ("mkdir new && echo x > new/file", "added `new/file`"),
    ] {
        let train = with_commands(&format!("{{ run = '{run}' }}"));
        train.adopt().fails(1, &["a command of `after`", said, "as a patch of the series"]);
    }
}

#[test]
fn a_command_that_wants_the_network_is_refused_before_the_gate() {
    let train = with_commands("{ run = 'true', network = true }");
    let says = ["`true` of `after` wants the network", "network = false"];
    train.run(&["plan", &train.train_file().display().to_string()]).fails(2, &says);
    train.adopt().fails(2, &says);
    assert!(!train.state().join("sample/trains").exists() || train.records("drill").is_empty(), "it was adopted");
}

/// Kills a bump of the sample with its guard between two files.
fn half_a_bump(train: &SampleTrain) -> Vec<String> {
    let args = ["bump", "--config", "lifeboat.toml", "--to", "patch", "--date", "2026-05-21", "--no-hooks"];
    for point in 2..20 {
        let mut bump = train.command(&args);
        bump.process_group(0).env("LIFEBOAT_TEST_KILL_BUMP", point.to_string()).env("LIFEBOAT_TEST_KILL_GUARD", "0");
        // To the end of its output, which the guard holds open: it may not touch anything later.
        assert!(!bump.output().unwrap().status.success(), "it ended before it could be killed half-way");
        let changed = changed(train);
        if changed.iter().any(|l| l.starts_with(" M")) {
            return changed;
        }
        Ran::of(&mut train.command(&["doctor"]));
    }
    panic!("no kill left a file changed");
}

fn changed(train: &SampleTrain) -> Vec<String> {
    let mut git = Command::new("git");
    train.surround(&mut git);
    let out = git.args(["status", "--porcelain", "-uall"]).output().unwrap();
    String::from_utf8(out.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn a_bump_that_was_killed_is_undone_before_a_train_looks_at_the_tree() {
    let file = SampleTrain::new().train_file().file_name().unwrap().to_owned();
    for verb in ["plan", "ship", "doctor", "init"] {
        let train = SampleTrain::new();
        let before = changed(&train);
        half_a_bump(&train);
        let place = train.train_file().with_file_name(&file).display().to_string();
        let args = match verb {
            "plan" | "ship" => vec![verb, place.as_str()],
            "init" => vec![verb, "--dry-run"],
            _ => vec![verb],
        };
        let ran = train.run(&args);
        assert!(ran.stderr.contains("a bump was killed here: its files are as before"), "{verb}: {ran:?}");
        assert_eq!(changed(&train), before, "{verb}");
        assert!(!train.project().join(".git/lifeboat-bump").exists(), "{verb}");
    }
}

#[test]
fn a_file_edited_after_a_killed_bump_stops_a_train() {
    let train = SampleTrain::new();
    let half = half_a_bump(&train);
    let path = half.iter().find_map(|l| l.strip_prefix(" M ")).unwrap();
    fs::write(train.project().join(path), "mine").unwrap();
    train.adopt().fails(4, &[path, "was edited after a bump was interrupted"]);
    assert_eq!(fs::read_to_string(train.project().join(path)).unwrap(), "mine");
}
