//! A train whose recipe or configuration is wrong is amended: what did not change is kept, what people approved lapses.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::sample_train::{Ran, SampleTrain};

/// Gives the target `other`, which nothing tests, these commands.
fn with_recipe(train: &SampleTrain, run: &str) {
    let text = fs::read_to_string(train.config()).unwrap();
    let (before, rest) = text.split_once("name = \"other\"").unwrap();
    let (start, end) = (rest.find("run = ").unwrap(), rest.find("\nartifacts").unwrap());
    fs::write(train.config(), format!("{before}name = \"other\"{}run = [{run}]{}", &rest[..start], &rest[end..]))
        .unwrap();
}

fn amend(train: &SampleTrain, more: &[&str]) -> Ran {
    let file = train.train_file().display().to_string();
    train.run(&[&["amend", file.as_str()], more].concat())
}

/// The command in back quotes that begins so.
fn the(said: &str, begins: &str) -> String {
    let found = said.split('`').skip(1).step_by(2).find(|c| c.starts_with(begins));
    found.unwrap_or_else(|| panic!("no `{begins} …` in:\n{said}")).to_owned()
}

fn paste(train: &SampleTrain, command: &str) -> Ran {
    let mut shell = std::process::Command::new("sh");
    train.surround(&mut shell);
    let program = env!("CARGO_BIN_EXE_lifeboat");
    Ran::of(shell.args(["-c", &command.replacen("lifeboat", &format!("'{program}'"), 1)]))
}

/// How often each step was started.
fn started(train: &SampleTrain, step: &str) -> usize {
    let is = |r: &serde_json::Value| r["what"]["event"] == "started" && r["what"]["step"] == step;
    train.records("drill").iter().filter(|r| is(r)).count()
}

fn verifies(train: &SampleTrain) {
    let store = format!("file://{}", train.store().display());
    for version in ["1.0.5", "2.0.2"] {
        train.run(&["verify", version, &store]).ends_with(0);
    }
    assert!(fs::read_dir(train.store().join(".staging")).unwrap().all(|e| {
        let name = e.unwrap().file_name().to_string_lossy().into_owned();
        name.starts_with('.')
    }));
}

#[test]
fn a_broken_recipe_is_fixed_and_finished_steps_are_kept() {
    let train = SampleTrain::new();
    with_recipe(&train, "\"false\"");
    let ran =
        train.adopt().fails(1, &["the recipe ended with exit code 1", "finished steps that do not change are kept"]);
    let file = train.train_file().display().to_string();
    assert_eq!(the(&ran.stderr, "lifeboat amend"), format!("lifeboat amend {file}"));
    with_recipe(&train, "\"sh build.sh {name}\"");
    // The adopted plan is what ships, and that is said.
    let ran = train.ship().fails(1, &["differs from the adopted plan (build/release-1.0.0/other: job.run"]);
    assert!(ran.stderr.contains(&format!("`lifeboat amend {file}`")), "{}", ran.stderr);
    let ran = amend(&train, &[]).fails(2, &["there is no terminal to ask on; nothing was changed"]);
    for said in ["build/release-1.0.0/other: job.run", "keeps what ", "; plan "] {
        assert!(ran.stdout.contains(said), "{said}: {}", ran.stdout);
    }
    let ran = paste(&train, &the(&ran.stderr, "lifeboat amend")).ends_with(0);
    assert!(ran.stdout.contains("train drill: amended"), "{}", ran.stdout);
    // The same command again has nothing to do.
    let command = format!("lifeboat amend {file} --plan {}", plan(&train));
    assert!(paste(&train, &command).ends_with(0).stdout.contains("amended before"));
    let ran = train.ship().ends_with(3);
    assert!(!ran.stderr.contains("differs from the adopted plan"), "{}", ran.stderr);
    for kept in
        ["prepare/release-1.0.0", "bundle/release-2.0.0", "build/release-1.0.0/linux", "test/release-2.0.0/linux"]
    {
        assert_eq!(started(&train, kept), 1, "{kept}");
    }
    let log = train.run(&["log"]).ends_with(0);
    assert!(log.stdout.contains("amended   plan "), "{}", log.stdout);
    train.run(&["log", "--verify"]).ends_with(0);
    train.release();
    verifies(&train);
}

fn plan(train: &SampleTrain) -> String {
    let ran = train.run(&["status", "--json"]).ends_with(0);
    let value: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    value[0]["plan"].as_str().unwrap().to_owned()
}

#[test]
fn approvals_lapse_and_staged_files_of_the_parent_are_in_nobodys_way() {
    let train = SampleTrain::new();
    train.to_the_gate();
    train.approve();
    let recipe = "\"echo '# more' >> sample.in\", \"sh build.sh {name}\"";
    with_recipe(&train, recipe);
    let ran = amend(&train, &["--yes", "--reason", "it lacked a line"]).ends_with(0);
    for said in ["approvals lapse: alice, bob must approve again", "finished steps made; done again: build/"] {
        assert!(ran.stdout.contains(said), "{said}: {}", ran.stdout);
    }
    let ran = train.ship().ends_with(3);
    assert!(ran.stdout.contains("0 of 2 people have approved"), "{}", ran.stdout);
    let status = train.run(&["status"]).ends_with(0);
    assert!(status.stdout.contains("approved before the plan was amended, not since: alice, bob"), "{}", status.stdout);
    assert_eq!(started(&train, "build/release-1.0.0/linux"), 1);
    assert_eq!(started(&train, "build/release-1.0.0/other"), 2);
    // A second time, back to what it was: of one line alone, the other stays as it is staged.
    with_recipe(&train, "\"sh build.sh {name}\"");
    amend(&train, &["--yes"]).ends_with(0);
    train.ship().ends_with(3);
    with_recipe(&train, recipe);
    amend(&train, &["--yes"]).ends_with(0);
    train.ship().ends_with(3);
    bundle_names_the_staged_files(&train);
    train.release();
    verifies(&train);
    let archive = train.store().join("releases/1.0.5/sample-v1.0.5-other.tar.gz");
    let tar = std::process::Command::new("tar").args(["xzO", "-f"]).arg(archive).output().unwrap();
    assert!(String::from_utf8_lossy(&tar.stdout).contains("# more"));
    amend(&train, &["--yes"]).fails(2, &["train `drill` cannot be amended: something of it is public"]);
}

/// The bundle of an amended train says where the files are that are approved now, not those of its parent.
fn bundle_names_the_staged_files(train: &SampleTrain) {
    let file = train.root().join("bundle.tar").display().to_string();
    let ran = train.run(&["export", "--to", &file, "--json"]).ends_with(0);
    let bundle: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let staged: Vec<_> =
        bundle["staged"].as_array().unwrap().iter().map(|s| s["directory"].as_str().unwrap()).collect();
    let archive = staged.iter().map(|dir| train.store().join(dir).join("releases/1.0.5/sample-v1.0.5-other.tar.gz"));
    let archive = archive.filter(|path| path.exists()).collect::<Vec<_>>();
    assert_eq!(archive.len(), 1, "{staged:?}");
    let tar = std::process::Command::new("tar").args(["xzO", "-f"]).arg(&archive[0]).output().unwrap();
    assert!(String::from_utf8_lossy(&tar.stdout).contains("# more"), "{staged:?}");
}

#[test]
fn an_approval_of_the_parent_counts_for_nothing_when_it_is_put_back() {
    let train = SampleTrain::new();
    train.to_the_gate();
    train.approve();
    // Only what follows the gate changes: all that was approved is made already.
    train.edit(&train.config(), "required = false", "required = false\nprerelease = false");
    let ran = amend(&train, &["--yes"]);
    if ran.code != Some(0) {
        // The forge has no such setting: another way to change what follows the gate.
        train.edit(&train.config(), "required = false\nprerelease = false", "required = false");
        let text = fs::read_to_string(train.train_file()).unwrap();
        let date = text.lines().find_map(|l| l.strip_prefix("date = ")).unwrap().to_owned();
        fs::write(train.train_file(), text.replace("\nadvisories", &format!("\nnot_before = {date}\nadvisories")))
            .unwrap();
        amend(&train, &["--yes"]).ends_with(0);
    }
    let ran = train.ship().ends_with(3);
    assert!(ran.stdout.contains("0 of 2 people have approved"), "{}", ran.stdout);
    assert!(!train.store().join("releases").exists(), "it was promoted without approvals");
    // Given up now, the versions stay retired: signatures over them exist.
    let ran = train.run(&["abandon", "drill", "--reason", "x"]).ends_with(0);
    assert!(ran.stdout.contains("1.0.5, 2.0.2"), "{}", ran.stdout);
    amend(&train, &["--yes"]).fails(2, &["train `drill` was abandoned"]);
}

#[test]
fn what_amending_is_not_for_is_refused_by_name() {
    let train = SampleTrain::new();
    amend(&train, &["--yes"]).fails(2, &["there is no train `drill` to amend", "`lifeboat ship "]);
    train.to_the_gate();
    amend(&train, &["--yes"]).fails(2, &["nothing differs", "`lifeboat ship --train drill`"]);
    let file = fs::read_to_string(train.train_file()).unwrap();
    let (before, _) = file.rsplit_once("\n[[line]]").unwrap();
    fs::write(train.train_file(), before).unwrap();
    let said =
        ["cannot amend train `drill`", "line release-2.0.0: it is no longer in the file", "lifeboat abandon drill"];
    amend(&train, &["--yes"]).fails(4, &said);
    fs::write(train.train_file(), &file).unwrap();
    let patch = train.root().join("sample/patches/release-1.0.0/0001-fix.patch");
    train.edit(&patch, "limit=8", "limit=9");
    amend(&train, &["--yes"]).fails(4, &["line release-1.0.0: its patches are not those"]);
    train.edit(&patch, "limit=9", "limit=8");
    train.edit(&train.config(), "[version]", "[version]\ntag = \"r{version}\"");
    amend(&train, &["--yes"]).fails(4, &["line release-1.0.0: tag: v1.0.5 in the adopted plan, r1.0.5 today"]);
    train.edit(&train.config(), "[version]\ntag = \"r{version}\"", "[version]");
    // Branches and patch files that went on, or are gone, change nothing: the train stands on what it was adopted on.
    let mut git = std::process::Command::new("git");
    train.surround(&mut git);
    let author = ["-c", "user.name=M", "-c", "user.email=m@example.org"];
    Ran::of(git.args(author).args(["commit", "--quiet", "--allow-empty", "-m", "on"])).ends_with(0);
    fs::remove_dir_all(train.root().join("sample/patches")).unwrap();
    with_recipe(&train, "\"sh build.sh {name}\", \"true\"");
    let wrong = "0".repeat(64);
    amend(&train, &["--plan", &wrong]).fails(4, &["the plan is now"]);
    amend(&train, &["--yes"]).ends_with(0);
    train.ship().ends_with(3);
    train.release();
    verifies(&train);
}

#[test]
fn a_key_and_a_store_that_moved_are_pinned_anew() {
    let train = SampleTrain::new();
    train.to_the_gate();
    let (key, moved) = (train.key("release"), train.root().join("sample/secret/moved.key"));
    fs::rename(&key, &moved).unwrap();
    train.edit(&train.config(), "../secret/release.key", "../secret/moved.key");
    let store = train.root().join("other-store");
    fs::create_dir(&store).unwrap();
    let url = format!("file://{}", train.store().display());
    train.edit(&train.config(), &url, &format!("file://{}", store.display()));
    let ran = train.ship().fails(4, &["store mirror is at"]);
    let command = the(&ran.stderr, "lifeboat amend");
    let ran = paste(&train, &format!("{command} --yes")).ends_with(0);
    for said in [
        "signing.release: key file `../secret/release.key` -> key file `../secret/moved.key`",
        "store mirror: file://",
        "left behind: the staged files of this train in store mirror at file://",
    ] {
        assert!(ran.stdout.contains(said), "{said}: {}", ran.stdout);
    }
    train.ship().ends_with(3);
    train.release();
    let url = format!("file://{}", store.display());
    train.run(&["verify", "1.0.5", &url]).ends_with(0);
    assert!(!train.store().join("releases").exists());
}

#[test]
fn running_jobs_of_changed_steps_are_ended() {
    let train = SampleTrain::new();
    let running = train.root().join("running");
    with_recipe(&train, &format!("\"touch dist-{{name}}; touch '{}'; exec sleep 987654\"", running.display()));
    let file = train.train_file().display().to_string();
    let mut ship = train.command(&["ship", &file]);
    let mut child = ship.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let since = Instant::now();
    let waiting = || {
        let journal = fs::read_to_string(train.train_dir("drill").join("journal.jsonl")).unwrap_or_default();
        journal.lines().filter(|l| l.contains("\"event\":\"waiting\"") && l.contains("/other")).count()
    };
    while waiting() == 0 {
        assert!(since.elapsed() < Duration::from_secs(60), "the job never ran");
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    with_recipe(&train, "\"sh build.sh {name}\"");
    amend(&train, &["--yes"]).ends_with(0);
    let jobs = train.train_dir("drill").join("jobs");
    let journal = fs::read_to_string(train.train_dir("drill").join("journal.jsonl")).unwrap();
    let mut ended = 0;
    for line in journal.lines().filter(|l| l.contains("\"event\":\"waiting\"") && l.contains("/other")) {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        let job = record["what"]["handle"]["job"].as_str().unwrap();
        assert!(!jobs.join(job).exists(), "{job} is still there");
        ended += 1;
    }
    assert!(ended > 0);
    train.ship().ends_with(3);
}

#[test]
fn a_train_that_was_given_up_is_not_said_to_go_on() {
    let train = SampleTrain::new();
    train.to_the_gate();
    train.run(&["abandon", "drill", "--reason", "wrong"]).ends_with(0);
    let ran = train.adopt().fails(2, &["train `drill` was abandoned: wrong"]);
    assert!(!ran.stderr.contains("going on"), "{}", ran.stderr);
}
