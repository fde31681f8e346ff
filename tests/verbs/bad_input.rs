//! What goes wrong on release day: each fault is a clear error, and once it is fixed the same command goes on.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test may panic and print; clippy knows only `#[test]` functions"
)]

mod advisories;
mod amend;
mod bombs;
mod commands;
mod losses;
mod meaning;
mod names;
mod patches;
mod recipes;
mod small_print;
mod whole_train;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::namespaces::Namespaces;
use crate::support::sample_train::{Ran, SampleTrain};

/// A configuration whose `linux` recipe does `bad` until the file `fixed` exists in the scratch directory.
fn with_bad_recipe(bad: &str) -> SampleTrain {
    let train = SampleTrain::new();
    // All that recipes see of the machine.
    let marks = train.root().join("marks");
    fs::create_dir(&marks).unwrap();
    train.configure(&format!(
        "[[runner]]\nname = \"local\"\nkind = \"local\"\nread = [{:?}]\n",
        marks.display().to_string()
    ));
    let run = format!("if test -e '{}'; then sh build.sh {{name}}; else {bad}; fi", marks.join("fixed").display());
    let (old, new) = ("run = [\"sh build.sh {name}\"]\ntest", format!("run = ['''{run}''']\ntest"));
    train.edit(&train.config(), old, &new);
    train
}

fn fix(train: &SampleTrain) {
    fs::write(train.root().join("marks/fixed"), "").unwrap();
}

/// Whether a recipe made a file of this name in its `HOME`.
fn made_at_home(train: &SampleTrain, name: &str) -> bool {
    let jobs = fs::read_dir(train.train_dir("drill").join("jobs"));
    jobs.into_iter().flatten().flatten().any(|job| job.path().join("inside/home").join(name).exists())
}

fn git(train: &SampleTrain, args: &[&str]) -> Ran {
    let mut command = Command::new("git");
    command.args(args);
    train.surround(&mut command);
    Ran::of(&mut command)
}

/// `ship` inside other namespaces.
fn ship_in(space: &Namespaces, train: &SampleTrain, args: &[&str]) -> Ran {
    Ran::of(&mut space.inside(&train.command(args)))
}

#[test]
fn full_disk_under_the_state() {
    let train = SampleTrain::unpinned(crate::support::sample_train::REFUSING);
    let state = train.state();
    fs::create_dir(&state).unwrap();
    let space = Namespaces::mounts();
    let file = train.train_file().display().to_string();
    let root = fs::read(train.project().join("keys/trust.json")).unwrap();
    let digest = lifeboat::model::Sha256::of(&root).hex();
    // Left at first: not enough for the plan, for the private repository, for the artifacts.
    for left_kib in [8, 60, 120, 200] {
        space.shell(&format!("mount -t tmpfs -o size=16m none '{}'", state.display()));
        ship_in(&space, &train, &["trust", "pin", &digest]).ends_with(0);
        let fill = format!(
            "f='{0}/filler'; head -c 20000000 /dev/zero > $f 2>/dev/null || :; truncate -s -{left_kib}K $f",
            state.display()
        );
        space.shell(&fill);
        let ran = ship_in(&space, &train, &["ship", &file]);
        ran.fails(5, &["hint: free some space"]);
        space.shell(&format!("rm '{}/filler'", state.display()));
        ship_in(&space, &train, &["ship", &file]).ends_with(3);
        space.shell(&format!("umount '{}'", state.display()));
        // The train went with its state; what it staged would make the next one its rival.
        space.shell(&format!("rm -rf '{}/.staging'", train.store().display()));
    }
}

#[test]
fn full_disk_under_the_store() {
    let train = SampleTrain::new();
    let store = train.store().display().to_string();
    let space = Namespaces::mounts();
    space.shell(&format!("mount -t tmpfs -o size=12k none '{store}'"));
    let file = train.train_file().display().to_string();
    let ran = ship_in(&space, &train, &["ship", &file]);
    ran.fails(5, &["/store/.staging/", " bytes needed, ", "step: stage/mirror/release-", "hint: free some space"]);
    space.shell(&format!("mount -o remount,size=16m '{store}'"));
    ship_in(&space, &train, &["ship"]).ends_with(3);
}

#[test]
fn read_only_store() {
    let train = SampleTrain::new();
    let store = train.store().display().to_string();
    let space = Namespaces::mounts();
    space.shell(&format!("mount -t tmpfs -o size=16m,ro none '{store}'"));
    let file = train.train_file().display().to_string();
    let ran = ship_in(&space, &train, &["ship", &file]);
    ran.fails(5, &["store `mirror` is read-only", "Read-only file system", "step: stage/mirror/release-", "hint: "]);
    space.shell(&format!("mount -o remount,rw '{store}'"));
    ship_in(&space, &train, &["ship"]).ends_with(3);
    // And at the gate, which takes the branches in the store before anything becomes public.
    for person in ["alice", "bob"] {
        ship_in(&space, &train, &["approve", "--as", person, "--yes"]).ends_with(0);
    }
    space.shell(&format!("mount -o remount,ro '{store}'"));
    let ran = ship_in(&space, &train, &["ship"]);
    ran.fails(5, &["store `mirror` is read-only", "step: gate"]);
    assert!(!train.store().join("releases").exists(), "something is public");
    space.shell(&format!("mount -o remount,rw '{store}'"));
    ship_in(&space, &train, &["ship"]).ends_with(0);
}

#[test]
fn missing_keys_stop_the_train_before_anything_is_public() {
    for role in ["release", "freshness"] {
        let train = SampleTrain::new();
        train.to_the_gate();
        train.approve();
        let (key, away) = (train.key(role), train.root().join("away"));
        fs::rename(&key, &away).unwrap();
        let name = key.file_name().unwrap().to_str().unwrap().to_owned();
        let ran = train.ship();
        ran.fails(2, &[&format!("cannot use the {role} key"), &name, "step: gate", &format!("`signing.{role}`")]);
        assert!(!train.store().join("releases").exists(), "something is public without the {role} key");
        fs::rename(&away, &key).unwrap();
        train.ship().ends_with(0);
    }
}

#[test]
fn missing_approvers_key() {
    let train = SampleTrain::new();
    train.to_the_gate();
    let (key, away) = (train.key("alice"), train.root().join("away"));
    fs::rename(&key, &away).unwrap();
    train
        .run(&["approve", "--as", "alice", "--yes"])
        .fails(2, &["cannot use the approval (alice) key", "alice.key", "`signing.people.alice`"]);
    fs::rename(&away, &key).unwrap();
    train.release();
}

/// Encrypts the secret key in a file.
fn lock_key(path: &Path, passphrase: &str) {
    use openpgp::cert::amalgamation::key::PrimaryKey as _;
    use openpgp::parse::Parse as _;
    use openpgp::serialize::SerializeInto as _;
    use sequoia_openpgp as openpgp;
    let cert = openpgp::Cert::from_file(path).unwrap();
    let mut locked = Vec::new();
    for key in cert.keys().secret() {
        let packet = key.key().clone().encrypt_secret(&passphrase.into()).unwrap();
        locked.push(if key.primary() {
            openpgp::Packet::from(packet.role_into_primary())
        } else {
            openpgp::Packet::from(packet.role_into_subordinate())
        });
    }
    let (cert, _) = cert.insert_packets(locked).unwrap();
    fs::write(path, cert.as_tsk().armored().to_vec().unwrap()).unwrap();
}

#[test]
fn wrong_passphrase() {
    let train = SampleTrain::new();
    lock_key(&train.key("release"), "the right one");
    train.edit(
        &train.config(),
        "release = { file = \"../secret/release.key\" }",
        "release = { file = \"../secret/release.key\", passphrase = { env = \"RELEASE_PASSPHRASE\" } }",
    );
    train.to_the_gate();
    train.approve();
    train.ship().fails(2, &["cannot use the release key", "`RELEASE_PASSPHRASE` is not set", "hint: "]);
    let wrong = Ran::of(train.command(&["ship"]).env("RELEASE_PASSPHRASE", "the wrong one"));
    let wrong = wrong.fails(2, &["cannot use the release key", "release.key", "passphrase", "hint: "]);
    assert!(!wrong.stderr.contains("the wrong one"), "{}", wrong.stderr);
    Ran::of(train.command(&["ship"]).env("RELEASE_PASSPHRASE", "the right one")).ends_with(0);
}

#[test]
fn artifact_outside_of_the_tree_by_its_name() {
    let train = SampleTrain::new();
    for bad in ["../x", "/etc/passwd", "dist/../../x"] {
        let good = fs::read_to_string(train.config()).unwrap();
        train.edit(&train.config(), "\"dist/sample-v{version}-{name}.tar.gz\"", &format!("\"{bad}\""));
        train.adopt().fails(2, &["lifeboat.toml", "artifacts", bad]);
        fs::write(train.config(), good).unwrap();
    }
    train.to_the_gate();
}

#[test]
fn artifact_outside_of_the_tree_by_a_link() {
    let train = with_bad_recipe(
        "mkdir -p dist; ln -s /etc/passwd dist/sample-v1.0.5-linux.tar.gz; \
                                 ln -s /etc/passwd dist/sample-v2.0.2-linux.tar.gz",
    );
    train.adopt().fails(1, &["dist/sample-v", "symbolic link", "step: build/release-", "linux"]);
    fix(&train);
    train.ship().ends_with(3);
}

#[test]
fn artifact_that_is_missing() {
    let train = with_bad_recipe("mkdir -p dist");
    train.adopt().fails(1, &["dist/sample-v", "step: build/release-", "hint: "]);
    fix(&train);
    train.ship().ends_with(3);
}

#[test]
fn two_artifacts_of_one_name() {
    let train = SampleTrain::new();
    let good = fs::read_to_string(train.config()).unwrap();
    train.edit(&train.config(), "sample-v{version}-{name}.tar.gz", "sample-v{version}.tar.gz");
    train.adopt().fails(2, &["sample-v", "other", "linux"]);
    fs::write(train.config(), good).unwrap();
    train.to_the_gate();
}

#[test]
fn recipe_that_hangs() {
    let train = with_bad_recipe("echo still here; sleep 4711");
    train.edit(&train.config(), "test = [\"sh test.sh {name}\"]", "timeout = \"1s\"\ntest = [\"sh test.sh {name}\"]");
    let ran = train.adopt();
    ran.fails(1, &["the recipe ran longer than 1 s and was killed", "step: build/release-", "| still here", "log: "]);
    fix(&train);
    train.ship().ends_with(3);
}

#[test]
fn recipe_that_fails_and_prints_a_secret() {
    let train = with_bad_recipe("echo token is $TOKEN; exit 7");
    train.edit(
        &train.config(),
        "test = [\"sh test.sh {name}\"]",
        "test = [\"sh test.sh {name}\"]\nsecret_env = { TOKEN = { env = \"UPLOAD_TOKEN\" } }",
    );
    let secret = "canary-of-a-secret-4711";
    train.adopt().fails(2, &["`UPLOAD_TOKEN` is not set", "step: build/release-", "TOKEN"]);
    let ran = Ran::of(train.command(&["ship"]).env("UPLOAD_TOKEN", secret));
    let said =
        ["the recipe ended with exit code 7", "| token is [secret]", "the recipe printed a secret; it is masked"];
    let ran = ran.fails(1, &said);
    assert!(!ran.stderr.contains(secret) && !ran.stdout.contains(secret), "{ran:?}");
    fix(&train);
    let ran = Ran::of(train.command(&["ship"]).env("UPLOAD_TOKEN", secret)).ends_with(3);
    for args in [&["status", "--json"][..], &["log"], &["log", "--json"], &["status", "--all"]] {
        let shown = train.run(args);
        assert!(!shown.stdout.contains(secret) && !shown.stderr.contains(secret), "{args:?}: {shown:?}");
    }
    assert!(!ran.stderr.contains(secret) && !ran.stdout.contains(secret), "{ran:?}");
    let grep = Ran::of(Command::new("grep").args(["-r", secret]).arg(train.root()));
    assert_eq!(grep.code, Some(1), "a file holds the secret: {}", grep.stdout);
}

#[test]
fn recipe_that_succeeds_and_prints_a_secret_is_told() {
    let train = SampleTrain::new();
    train.edit(
        &train.config(),
        "run = [\"sh build.sh {name}\"]\ntest = [\"sh test.sh {name}\"]",
        "run = [\"echo $TOKEN\", \"sh build.sh {name}\"]\ntest = [\"sh test.sh {name}\"]\nsecret_env = { TOKEN = { env = \"UPLOAD_TOKEN\" } }",
    );
    let file = train.train_file().display().to_string();
    let ran = Ran::of(train.command(&["ship", &file]).env("UPLOAD_TOKEN", "canary-of-a-secret-4711")).ends_with(3);
    assert!(ran.stderr.contains("build/release-1.0.0/linux: the recipe printed a secret"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("canary-of-a-secret"), "{}", ran.stderr);
}

#[test]
fn tag_that_exists() {
    let train = SampleTrain::new();
    git(&train, &["tag", "v1.0.5", "v1.0.4"]).ends_with(0);
    train.adopt().fails(4, &["v1.0.5", "release-1.0.0", "hint: "]);
    git(&train, &["tag", "-d", "v1.0.5"]).ends_with(0);
    train.to_the_gate();
}

#[test]
fn journal_cut_and_changed() {
    let train = SampleTrain::new();
    train.to_the_gate();
    let journal = train.train_dir("drill").join("journal.jsonl");
    let whole = fs::read_to_string(&journal).unwrap();
    let lines: Vec<&str> = whole.lines().collect();

    // A torn tail never happened: the step is looked at again.
    let last = lines.len() - 1;
    fs::write(&journal, format!("{}\n{}", lines[..last].join("\n"), &lines[last][..lines[last].len() / 2])).unwrap();
    train.run(&["log"]).ends_with(0).says("the journal ends with an unfinished record");
    train.ship().ends_with(3).says("dropped an unfinished record at the end of journal");
    assert!(!train.ship().ends_with(3).stderr.contains("unfinished"), "said twice");
    let whole = fs::read_to_string(&journal).unwrap();
    assert!(whole.lines().all(|l| serde_json::from_str::<serde_json::Value>(l).is_ok()));
    let lines: Vec<&str> = whole.lines().collect();

    let without_one = [&lines[..7], &lines[8..]].concat().join("\n") + "\n";
    let changed = whole.replacen("\"attempt\":1", "\"attempt\":2", 1);
    let no_text = [&lines[..7], &["{\"format\":1,"], &lines[8..]].concat().join("\n") + "\n";
    for (bytes, code, fragments) in [
        (without_one, 6, ["line 8 does not follow line 7", "hint: restore the journal"]),
        (changed, 6, ["line 2 was changed", "hint: restore the journal"]),
        (no_text, 6, ["line 8 is not a journal record", "hint: restore the journal"]),
    ] {
        fs::write(&journal, &bytes).unwrap();
        train.ship().fails(code, &fragments);
        train.run(&["status"]).fails(code, &fragments);
        assert_eq!(fs::read_to_string(&journal).unwrap(), bytes, "a refused journal must stay as it is");
    }
    fs::write(&journal, &whole).unwrap();
    train.release();
}

#[test]
fn newer_formats() {
    let train = SampleTrain::new();
    train.to_the_gate();
    let (journal, plan) = (lifeboat::journal::FORMAT + 1, lifeboat::plan::FORMAT + 1);
    let cases = [
        ("journal.jsonl", journal, format!("journal format {journal}")),
        ("plan.json", plan, format!("format {plan}")),
    ];
    for (name, number, what) in cases {
        let path = train.train_dir("drill").join(name);
        let whole = fs::read_to_string(&path).unwrap();
        let from = if name == "plan.json" { "\"format\":1" } else { "{\"at\"" };
        assert!(whole.contains(from), "{whole}");
        let at = whole.rfind("\"format\":1").unwrap();
        let newer = format!("{}\"format\":{number}{}", &whole[..at], &whole[at + "\"format\":1".len()..]);
        fs::write(&path, &newer).unwrap();
        train
            .ship()
            .fails(1, &[&what, "this version", "hint: use the lifeboat version that ", "nothing was changed", name]);
        assert_eq!(fs::read_to_string(&path).unwrap(), newer);
        fs::write(&path, whole).unwrap();
    }
    train.release();
}

#[test]
fn patch_that_does_not_apply() {
    let train = SampleTrain::new();
    let patch = train.root().join("sample/patches/release-2.0.0/0001-fix.patch");
    let good = fs::read_to_string(&patch).unwrap();
    fs::write(&patch, good.replace("limit=16", "limit=32")).unwrap();
    let said = ["line `release-2.0.0`", "0001-fix.patch", "`sample.in`, line 7, hunk 1 of 1", "@@ -4,7", "| -limit=32"];
    // Found before anything is adopted, so the fixed series is the first that the train has.
    train.run(&["plan", &train.train_file().display().to_string()]).fails(2, &said);
    train.adopt().fails(2, &said);
    fs::write(&patch, &good).unwrap();
    train.to_the_gate();
    // The adopted plan pinned the series by its digest: what changes later is not taken, and stops whoever means it.
    fs::write(&patch, good.replace("limit=8", "limit=4")).unwrap();
    let other = train.root().join("sample/patches/release-2.0.0/0002-fix.patch");
    train.edit(&other, "limit=8", "limit=4");
    train.adopt().fails(4, &["line release-2.0.0: its patches are not those that the plan pinned"]);
    train.release();
}

#[test]
fn trust_root_that_nobody_pinned() {
    let train = SampleTrain::unpinned(crate::support::sample_train::REFUSING);
    let ran = train.adopt().fails(6, &["no trust root is pinned on this machine", "proposes sha256:", "voice"]);
    let (_, rest) = ran.stderr.split_once("`lifeboat trust pin ").unwrap();
    let digest = rest.split('`').next().unwrap();
    train.run(&["trust", "pin", digest]).ends_with(0);
    train.to_the_gate();
}

#[test]
fn two_processes_on_one_train() {
    let train = with_bad_recipe(
        "touch \"$HOME/runs\"; while ! test -e '@ROOT@/marks/fixed'; do sleep 0.05; done; sh build.sh {name}",
    );
    train.edit(&train.config(), "@ROOT@", &train.root().display().to_string());
    let file = train.train_file().display().to_string();
    let mut first = train.command(&["ship", &file]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let start = Instant::now();
    while !made_at_home(&train, "runs") {
        assert!(start.elapsed() < Duration::from_secs(60), "the first process runs nothing");
        std::thread::sleep(Duration::from_millis(20));
    }
    train.ship().fails(5, &["another lifeboat process holds the train", "hint: ", "`lifeboat status`"]);
    train.adopt().fails(5, &["another lifeboat process holds the train"]);
    train.run(&["approve", "--as", "alice", "--yes"]).fails(5, &["another lifeboat process holds the train"]);
    let status = train.run(&["status"]).ends_with(0);
    assert!(status.stdout.contains("build/release-1.0.0/linux"), "{}", status.stdout);
    fix(&train);
    assert_eq!(first.wait().unwrap().code(), Some(3));
    train.release();
}
