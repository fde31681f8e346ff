//! What goes wrong on release day: each fault is a clear error, and once it is mended the same command goes on.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test may panic and print; clippy knows only `#[test]` functions"
)]

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::namespaces::Namespaces;
use support::sample_train::{Ran, SampleTrain};

/// A configuration whose `linux` recipe does `bad` until the file `mended` exists in the scratch directory.
fn with_bad_recipe(bad: &str) -> SampleTrain {
    let train = SampleTrain::new();
    let mended = train.root().join("mended");
    let run = format!("if test -e '{}'; then sh build.sh {{name}}; else {bad}; fi", mended.display());
    let (old, new) = ("run = [\"sh build.sh {name}\"]\ntest", format!("run = ['''{run}''']\ntest"));
    train.edit(&train.config(), old, &new);
    train
}

fn mend(train: &SampleTrain) {
    fs::write(train.root().join("mended"), "").unwrap();
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
    let train = SampleTrain::unpinned(support::sample_train::REFUSING);
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
    // And at the gate, where the files become public.
    for person in ["alice", "bob"] {
        ship_in(&space, &train, &["approve", "--as", person, "--yes"]).ends_with(0);
    }
    space.shell(&format!("mount -o remount,ro '{store}'"));
    let ran = ship_in(&space, &train, &["ship"]);
    ran.fails(5, &["store `mirror` is read-only", "step: promote/mirror/release-"]);
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
    mend(&train);
    train.ship().ends_with(3);
}

#[test]
fn artifact_that_is_missing() {
    let train = with_bad_recipe("mkdir -p dist");
    train.adopt().fails(1, &["dist/sample-v", "step: build/release-", "hint: "]);
    mend(&train);
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
    mend(&train);
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
    let ran = ran.fails(1, &["the recipe ended with exit code 7", "| token is [secret]"]);
    assert!(!ran.stderr.contains(secret) && !ran.stdout.contains(secret), "{ran:?}");
    mend(&train);
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
    train.ship().ends_with(3);
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
    for (name, what) in [("journal.jsonl", "journal format 2"), ("plan.json", "format 2")] {
        let path = train.train_dir("drill").join(name);
        let whole = fs::read_to_string(&path).unwrap();
        let from = if name == "plan.json" { "\"format\":1" } else { "{\"at\"" };
        assert!(whole.contains(from), "{whole}");
        let newer = match whole.rfind("\"format\":1") {
            Some(at) => format!("{}\"format\":2{}", &whole[..at], &whole[at + "\"format\":1".len()..]),
            None => unreachable!(),
        };
        fs::write(&path, &newer).unwrap();
        train
            .ship()
            .fails(1, &[what, "this version", "hint: use the lifeboat version that ", "nothing was changed", name]);
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
    // Found before anything is adopted, so the mended series is the first that the train has.
    train.run(&["plan", &train.train_file().display().to_string()]).fails(2, &said);
    train.adopt().fails(2, &said);
    fs::write(&patch, &good).unwrap();
    train.to_the_gate();
    // The adopted plan pinned the series by its digest: what changes later is not taken, and the program says so.
    fs::write(&patch, good.replace("limit=8", "limit=4")).unwrap();
    let other = train.root().join("sample/patches/release-2.0.0/0002-fix.patch");
    train.edit(&other, "limit=8", "limit=4");
    train.adopt().fails(3, &["train `drill` was adopted before: going on with plan "]);
    train.release();
}

#[test]
fn trust_root_that_nobody_pinned() {
    let train = SampleTrain::unpinned(support::sample_train::REFUSING);
    let ran = train.adopt().fails(6, &["no trust root is pinned on this machine", "proposes sha256:", "voice"]);
    let (_, rest) = ran.stderr.split_once("`lifeboat trust pin ").unwrap();
    let digest = rest.split('`').next().unwrap();
    train.run(&["trust", "pin", digest]).ends_with(0);
    train.to_the_gate();
}

#[test]
fn two_processes_on_one_train() {
    let train = with_bad_recipe(
        "touch '@ROOT@/runs'; while ! test -e '@ROOT@/mended'; do sleep 0.05; done; sh build.sh {name}",
    );
    train.edit(&train.config(), "@ROOT@", &train.root().display().to_string());
    let file = train.train_file().display().to_string();
    let mut first = train.command(&["ship", &file]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let start = Instant::now();
    while !train.root().join("runs").exists() {
        assert!(start.elapsed() < Duration::from_secs(60), "the first process runs nothing");
        std::thread::sleep(Duration::from_millis(20));
    }
    train.ship().fails(5, &["another lifeboat process holds the train", "hint: ", "`lifeboat status`"]);
    train.adopt().fails(5, &["another lifeboat process holds the train"]);
    train.run(&["approve", "--as", "alice", "--yes"]).fails(5, &["another lifeboat process holds the train"]);
    let status = train.run(&["status"]).ends_with(0);
    assert!(status.stdout.contains("build/release-1.0.0/linux"), "{}", status.stdout);
    mend(&train);
    assert_eq!(first.wait().unwrap().code(), Some(3));
    train.release();
}

#[test]
fn store_that_is_gone_when_files_become_public() {
    let train = SampleTrain::new();
    train.to_the_gate();
    train.approve();
    let away = train.root().join("away");
    fs::rename(train.store(), &away).unwrap();
    train.ship().fails(5, &["store `mirror`: there is no directory", "step: gate", "hint: mount it"]);
    assert!(!train.store().exists(), "a store's directory is never made by itself: the disk may not be mounted");
    fs::rename(&away, train.store()).unwrap();
    train.ship().ends_with(0);
}

#[test]
fn store_with_other_bytes_at_the_place_of_the_release() {
    let train = SampleTrain::new();
    train.to_the_gate();
    train.approve();
    let squatter = train.store().join("releases/1.0.5/SHA256SUMS");
    fs::create_dir_all(squatter.parent().unwrap()).unwrap();
    fs::write(&squatter, "other bytes\n").unwrap();
    let said = ["store `mirror` has other bytes at `releases/1.0.5/SHA256SUMS`", "ours: sha256 ", "there: sha256 "];
    let ran = train.ship().fails(4, &said);
    assert!(ran.stderr.contains("nothing was overwritten"), "{}", ran.stderr);
    assert!(ran.stderr.contains("it is in the way of `promote/mirror/release-1.0.0`"), "{}", ran.stderr);
    assert_eq!(fs::read_to_string(&squatter).unwrap(), "other bytes\n");
    assert!(!train.store().join("releases/2.0.2").exists(), "the other line is public alone");
    fs::remove_file(&squatter).unwrap();
    train.ship().ends_with(0);
}

#[test]
fn approvals_of_somebody_unknown() {
    let train = SampleTrain::new();
    train.to_the_gate();
    train.run(&["approve", "--as", "mallory", "--yes"]).fails(2, &["mallory", "alice, bob, carol", "hint: "]);
    train.run(&["approve", "--as", "alice"]).fails(2, &["no terminal", "--yes"]);
    // The key of one person under another's name.
    fs::copy(train.key("alice"), train.key("bob")).unwrap();
    train.run(&["approve", "--as", "bob", "--yes"]).fails(6, &["bob", "hint: "]);
    let status = train.run(&["status"]).ends_with(0);
    assert!(!status.stdout.contains("approved by"), "{}", status.stdout);
}

#[test]
fn approval_before_the_gate() {
    let train = with_bad_recipe("exit 1");
    train.adopt().fails(1, &["the recipe ended with exit code 1"]);
    train.run(&["approve", "--as", "alice", "--yes"]).fails(2, &["has not succeeded yet", "hint: run `lifeboat ship`"]);
    mend(&train);
    train.ship().ends_with(3);
}

#[test]
fn abandoned_train() {
    let train = SampleTrain::new();
    train.to_the_gate();
    train.run(&["abandon", "--reason", "wrong fix"]).ends_with(0);
    train.ship().fails(2, &["train `drill` was given up", "wrong fix", "hint: "]);
    train.run(&["approve", "--as", "alice", "--yes"]).fails(2, &["train `drill` was given up"]);
    train.run(&["abandon", "--reason", "again"]).ends_with(0);
    train.adopt().fails(2, &["train `drill` was given up"]);
    assert!(!train.store().join("releases").exists());
    let staged = fs::read_dir(train.store().join(".staging")).unwrap();
    let left: Vec<_> = staged.map(|e| e.unwrap().file_name()).filter(|n| n != ".locks").collect();
    assert!(left.is_empty(), "staged files stay behind: {left:?}");
    train.edit(&train.train_file(), "name = \"drill\"", "name = \"drill-2\"");
    train.to_the_gate();
    train.release();
    let ran = train.run(&["abandon", "drill-2", "--reason", "too late"]);
    ran.fails(2, &["public", "`lifeboat ship`"]);
}

#[test]
fn two_trains_with_one_version() {
    let train = SampleTrain::new();
    train.to_the_gate();
    train.edit(&train.train_file(), "name = \"drill\"", "name = \"second\"");
    let said = ["version 1.0.5 is claimed by train `drill`", "`lifeboat abandon drill --reason"];
    train.adopt().fails(4, &said);
    assert!(!train.train_dir("second").join("plan.json").exists());
    train.run(&["abandon", "drill", "--reason", "the second is better"]).ends_with(0);
    train.to_the_gate();
}

#[test]
fn train_file_with_faults() {
    let train = SampleTrain::new();
    let good = fs::read_to_string(train.train_file()).unwrap();
    for (from, to, fragments) in [
        ("advisories", "advisorys", ["train.toml:4:1", "advisorys", "did you mean `advisories`"]),
        (
            "branch = \"release-2.0.0\"",
            "branch = \"release-9.9.9\"",
            ["release-9.9.9", "line `release-9.9.9`", "hint: "],
        ),
        ("patches/release-2.0.0", "patches/nowhere", ["patches/nowhere", "line `release-2.0.0`", "hint: "]),
        ("[[line]]", "[[lines]]", ["train.toml", "lines", "did you mean `line`?"]),
    ] {
        fs::write(train.train_file(), good.replace(from, to)).unwrap();
        train.adopt().fails(2, &fragments);
        train.run(&["plan", &train.train_file().display().to_string()]).fails(2, &fragments);
    }
    fs::remove_file(train.train_file()).unwrap();
    train.adopt().fails(2, &["train.toml", "hint: "]);
    fs::write(train.train_file(), good).unwrap();
    train.to_the_gate();
}

#[test]
fn no_configuration_and_no_train() {
    let train = SampleTrain::new();
    train.ship().fails(2, &["there is no train", "`lifeboat plan"]);
    train.run(&["status", "--train", "nowhere"]).ends_with(2);
    let mut elsewhere = train.command(&["ship"]);
    Ran::of(elsewhere.current_dir(train.root().join("home"))).fails(2, &["no `lifeboat.toml`", "`lifeboat drill`"]);
    train.run(&["ship", "--config", "nowhere.toml"]).fails(2, &["nowhere.toml", "hint: "]);
}

#[test]
fn failures_as_json() {
    let train = SampleTrain::new();
    git(&train, &["tag", "v1.0.5", "v1.0.4"]).ends_with(0);
    let file = train.train_file().display().to_string();
    let json = |ran: &Ran| {
        let value: serde_json::Value = serde_json::from_str(&ran.stderr).unwrap_or_else(|e| panic!("{e}: {ran:?}"));
        value
    };
    let ran = train.run(&["--json", "ship", &file]).ends_with(4);
    assert_eq!(json(&ran)["kind"], "conflict");
    assert_eq!(json(&ran)["exit_code"], 4);
    assert!(json(&ran)["error"].as_str().unwrap().contains("v1.0.5"), "{ran:?}");
    assert!(!json(&ran)["hints"].as_array().unwrap().is_empty(), "{ran:?}");
    assert!(ran.stdout.is_empty(), "{ran:?}");
    git(&train, &["tag", "-d", "v1.0.5"]).ends_with(0);

    // A step that fails: the failure on standard error, how the train stands on standard output.
    train.to_the_gate();
    train.approve();
    let away = train.root().join("away");
    fs::rename(train.key("release"), &away).unwrap();
    let ran = train.run(&["ship", "--json"]).ends_with(2);
    assert_eq!(json(&ran)["kind"], "input");
    assert_eq!(json(&ran)["details"], serde_json::json!(["step: gate, attempt 1"]));
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(report["failed"], serde_json::json!(["gate"]), "{report}");
    fs::rename(&away, train.key("release")).unwrap();
    train.run(&["ship", "--json"]).ends_with(0);
}

/// Whatever the program says to run must be one of its verbs, also where no test here makes it say so.
#[test]
fn every_command_that_a_message_names_exists() {
    let verbs = support::sample_train::verbs();
    let mut seen = 0;
    let mut dirs = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            for (at, _) in text.match_indices("`lifeboat ") {
                let verb: String = text[at + "`lifeboat ".len()..]
                    .chars()
                    .take_while(|c| c.is_ascii_lowercase() || *c == '-')
                    .collect();
                // What the program starts itself with is no command for people.
                if verb == lifeboat::runners::local::VERB {
                    continue;
                }
                seen += 1;
                assert!(verb.is_empty() || verbs.contains(&verb), "{}: `lifeboat {verb}`", path.display());
            }
        }
    }
    assert!(seen > 20, "only {seen} commands are named in all of `src`");
}

/// A claim of a train that never was adopted, and an abandoned train's second `abandon`, block nobody.
#[test]
fn claims_follow_their_trains() {
    let train = SampleTrain::new();
    let file = fs::read_to_string(train.train_file()).unwrap();
    let (head, lines) = file.split_once("\n[[line]]").unwrap();
    let (one, two) = lines.split_once("\n[[line]]").unwrap();
    // The first train makes one version, the second wants both, the other one first.
    fs::write(train.train_file(), format!("{head}\n[[line]]{one}")).unwrap();
    train.to_the_gate();
    fs::write(train.train_file(), format!("{head}\n[[line]]{two}\n[[line]]{one}")).unwrap();
    train.edit(&train.train_file(), "\"drill\"", "\"second\"");
    train.adopt().fails(4, &["version 1.0.5 is claimed by train `drill`"]);
    fs::write(train.train_file(), format!("{head}\n[[line]]{two}")).unwrap();
    train.edit(&train.train_file(), "\"drill\"", "\"third\"");
    train.to_the_gate();
    train.run(&["abandon", "third", "--reason", "not needed"]).ends_with(0);
    train.edit(&train.train_file(), "\"third\"", "\"fourth\"");
    train.to_the_gate();
    train.run(&["abandon", "third", "--reason", "once more"]).ends_with(0);
    train.edit(&train.train_file(), "\"fourth\"", "\"fifth\"");
    train.adopt().fails(4, &["version 2.0.2 is claimed by train `fourth`"]);
}

/// What was staged for one line is gone at the gate: no other line becomes public.
#[test]
fn store_that_lost_what_was_staged() {
    let train = SampleTrain::new();
    train.to_the_gate();
    train.approve();
    let mut nonces = fs::read_dir(train.store().join(".staging")).unwrap().map(|e| e.unwrap().path());
    let staged = nonces.find(|p| !p.ends_with(".locks")).unwrap().join("releases/1.0.5");
    let away = train.root().join("away");
    fs::rename(&staged, &away).unwrap();
    train
        .ship()
        .fails(1, &["store `mirror` has lost the staged `releases/1.0.5/", "step: gate", "nothing is public yet"]);
    assert!(!train.store().join("releases").exists());
    fs::rename(&away, &staged).unwrap();
    train.ship().ends_with(0);
}

#[test]
fn a_claim_that_was_left_behind_is_taken_over() {
    let train = SampleTrain::new();
    let claims = train.state().join("sample/claims");
    fs::create_dir_all(&claims).unwrap();
    // A process that died between its claim and its plan; its train was then named otherwise.
    fs::write(claims.join("1.0.5"), "never-adopted\n").unwrap();
    train.to_the_gate();
    assert_eq!(fs::read_to_string(claims.join("1.0.5")).unwrap(), "drill\n");
    // That of an adopted train stands.
    train.edit(&train.train_file(), "name = \"drill\"", "name = \"second\"");
    train.adopt().fails(4, &["version 1.0.5 is claimed by train `drill`"]);
}

#[test]
fn what_is_to_be_approved_is_shown_with_json_too() {
    let train = SampleTrain::new();
    train.to_the_gate();
    let ran = train.run(&["approve", "--as", "alice", "--json"]);
    let ran = ran.fails(2, &["line release-1.0.0: 1.0.5", "staged files read back: equal", "there is no terminal"]);
    assert_eq!(ran.stdout, "");
}

#[test]
fn a_journal_says_who_wrote_it() {
    let train = SampleTrain::new();
    train.to_the_gate();
    let ran = train.run(&["log", "--verify"]).ends_with(0);
    assert!(
        ran.stdout.contains("each signed by who held the train") && ran.stdout.contains("this machine's operator"),
        "{ran:?}"
    );
    // A signature in the middle is another record's: the chain and the last signature cannot tell.
    let path = train.train_dir("drill").join("journal.jsonl");
    let mut records = train.records("drill");
    records[1]["signature"] = records[2]["signature"].clone();
    let lines: Vec<String> = records.iter().map(|r| format!("{r}\n")).collect();
    fs::write(&path, lines.concat()).unwrap();
    train.run(&["log"]).ends_with(0);
    train.run(&["log", "--verify"]).fails(6, &["journal of `drill`", "line 2", "it is not signed by"]);
}

#[test]
fn ship_with_nothing_under_way_says_how_trains_stand() {
    let train = SampleTrain::new();
    train.to_the_gate();
    train.run(&["abandon", "drill", "--reason", "another day"]).ends_with(0);
    train.edit(&train.train_file(), "name = \"drill\"", "name = \"second\"");
    train.to_the_gate();
    train.release();
    let ran = train.ship().ends_with(0);
    let hint = "`lifeboat reconcile` brings them home, `lifeboat reconcile --list` lists them";
    assert!(ran.stdout.contains("no train is under way") && ran.stdout.contains(hint), "{ran:?}");
}

#[test]
fn verify_finds_the_projects_keys_and_says_what_is_not_there() {
    let train = SampleTrain::new();
    train.to_the_gate();
    train.release();
    let store = train.store().display().to_string();
    let config = train.config().display().to_string();
    let mut elsewhere = train.command(&["--config", &config, "verify", "1.0.5", &store]);
    Ran::of(elsewhere.current_dir(train.root())).ends_with(0);
    train.run(&["verify", "1.0.5", "/no/such/place"]).fails(2, &["no such directory: `/no/such/place`"]);
}

#[test]
fn doctor_judges_the_trust_root_and_the_repository() {
    let train = SampleTrain::unpinned(support::sample_train::REFUSING);
    let ran = train.run(&["doctor"]).ends_with(1);
    assert!(ran.stdout.contains("no trust root is pinned") && ran.stdout.contains("`lifeboat trust pin "), "{ran:?}");
    train.pin();
    let ran = train.run(&["doctor"]).ends_with(0);
    assert!(ran.stdout.contains("2 of "), "{ran:?}");
    let head = git(&train, &["rev-parse", "HEAD"]).ends_with(0).stdout;
    fs::write(train.project().join(".git/shallow"), head).unwrap();
    let ran = train.run(&["doctor"]).ends_with(1);
    assert!(ran.stdout.contains("is shallow") && ran.stdout.contains("--unshallow"), "{ran:?}");
}
