//! Where secrets come from is part of the plan: no command is run for one before somebody adopted it, or after it changed.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking; clippy exempts test functions only")]

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::process::Command;

use crate::support::sample_train::{Ran, SampleTrain};
use lifeboat::model::Sha256;

const RELEASE: &str = "release = { file = \"../secret/release.key\" }";
const FRESHNESS: &str = "freshness = { file = \"../secret/freshness.key\" }";

/// A file that a command for a secret leaves when it is run.
fn mark(train: &SampleTrain, name: &str) -> PathBuf {
    train.root().join(name)
}

/// The key with a passphrase from a command; the key has none, so any will do.
fn from_command(key: &str, mark: &std::path::Path) -> String {
    let command = format!("touch {}; echo some passphrase", mark.display());
    key.replace(" }", &format!(", passphrase = {{ command = [\"sh\", \"-c\", \"{command}\"] }} }}"))
}

#[test]
fn a_command_for_a_secret_is_run_as_adopted_and_not_before() {
    let train = SampleTrain::new();
    let (ran, changed) = (mark(&train, "ran"), mark(&train, "changed"));
    train.edit(&train.config(), RELEASE, &from_command(RELEASE, &ran));
    let job =
        format!("secret_env = {{ TOKEN = {{ command = [\"sh\", \"-c\", \"touch {}; echo t\"] }} }}", ran.display());
    train.edit(&train.config(), "test = [\"sh test.sh {name}\"]", &format!("test = [\"sh test.sh {{name}}\"]\n{job}"));
    let file = train.train_file().display().to_string();

    let shown = train.run(&["plan", &file]).ends_with(0).stdout;
    for line in [
        "signing.release: key file `../secret/release.key`, its passphrase: output of the command",
        "target.linux.secret_env.TOKEN: output of the command",
        "signing.people.alice: key file",
    ] {
        assert!(shown.contains(line), "no `{line}` in:\n{shown}");
    }
    train.run(&["ship", "--dry-run", &file]).ends_with(0);
    train.run(&["doctor"]);
    assert!(!ran.exists(), "a command was run before anything was adopted");
    train.to_the_gate();
    assert!(ran.exists(), "the job's secret comes from the command");
    fs::remove_file(&ran).unwrap();
    train.approve();

    // Whoever can write to the checkout puts another command there.
    let good = fs::read_to_string(train.config()).unwrap();
    fs::write(train.config(), good.replace(&ran.display().to_string(), &changed.display().to_string())).unwrap();
    for args in [&["ship"][..], &["approve", "--as", "carol", "--yes"], &["reconcile", "drill"]] {
        train.run(args).fails(4, &["comes from another place than the adopted plan says", "plan: ", "now: "]);
    }
    // A key that the plan does not know of is not better.
    fs::write(
        train.config(),
        good.replace(
            "[signing]\n",
            &format!("[signing]\n{}\n", from_command("operator = { file = \"../secret/alice.key\" }", &changed)),
        ),
    )
    .unwrap();
    train.run(&["ship"]).fails(4, &["`signing.operator` comes from another place", "plan: nowhere"]);
    assert!(!changed.exists(), "a command that nobody adopted was run");
    fs::write(train.config(), good).unwrap();
    train.ship().ends_with(0);
    assert!(ran.exists());
}

#[test]
fn refresh_runs_no_command_that_nobody_adopted() {
    let train = SampleTrain::new();
    train.to_the_gate();
    train.release();
    let ran = mark(&train, "ran");
    train.edit(&train.config(), FRESHNESS, &from_command(FRESHNESS, &ran));
    train
        .run(&["refresh", "--now"])
        .fails(2, &["cannot use the freshness key", "is not run before its plan is adopted"]);
    let elsewhere = train.root().join("elsewhere").display().to_string();
    let root = fs::read(train.project().join("keys/trust.json")).unwrap();
    train.run(&["trust", "pin", &Sha256::of(&root).hex(), "--state", &elsewhere]).ends_with(0);
    train.run(&["refresh", "--now", "--state", &elsewhere]).fails(2, &["is not run before its plan is adopted"]);
    assert!(!ran.exists());
}

/// The configuration is everybody's, and its sources are pinned with the plan; a person names a key that lies elsewhere.
#[test]
fn a_person_may_keep_the_key_elsewhere() {
    let train = SampleTrain::new();
    let away = |person: &str| train.root().join("home").join(format!("my {person} key"));
    for person in ["alice", "bob"] {
        fs::rename(train.key(person), away(person)).unwrap();
    }
    train.to_the_gate();
    train.run(&["approve", "--as", "alice", "--yes"]).fails(2, &["there is no key file", "alice.key"]);
    let file = away("alice").display().to_string();
    // A key of somebody else is not an approval, and neither is one that is not there.
    let wrong = away("bob").display().to_string();
    train
        .run(&["approve", "--as", "alice", "--yes", "--key", &wrong])
        .fails(6, &["the approval of alice would not count"]);
    train.run(&["approve", "--as", "alice", "--yes", "--key", "absent"]).fails(2, &["there is no key file", "absent"]);
    train.run(&["approve", "--as", "alice", "--yes", "--key", &file]).ends_with(0);
    // The other one's is in an agent.
    let agent = train.root().join("home/.gnupg");
    fs::DirBuilder::new().mode(0o700).create(&agent).unwrap();
    let gpg = |args: &[&str]| {
        let mut command = Command::new("gpg");
        train.surround(command.args(["--batch", "--quiet"]).args(args));
        Ran::of(&mut command).ends_with(0).stdout
    };
    gpg(&["--import", &away("bob").display().to_string()]);
    let listed = gpg(&["--with-colons", "--list-secret-keys"]);
    let fingerprint = listed.lines().find_map(|l| l.strip_prefix("fpr:::::::::")).unwrap().trim_end_matches(':');
    train.run(&["approve", "--as", "bob", "--yes", "--gpg", fingerprint]).ends_with(0);
    let mut stop = Command::new("gpgconf");
    train.surround(stop.args(["--kill", "all"]));
    Ran::of(&mut stop).ends_with(0);
    train.ship().ends_with(0);
}
