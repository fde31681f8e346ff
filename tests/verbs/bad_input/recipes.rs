//! What recipes may reach is in the plan, and what becomes of them where the machine does not do as it should.

use super::*;

/// A process that holds this word as an argument of its own runs.
fn runs(word: &str) -> bool {
    fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&command).split('\0').any(|w| w == word)
    })
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whatever executes what the tree names is listed, and so is what a runner shows to recipes.
#[test]
fn the_plan_lists_what_runs_and_what_it_sees() {
    let train = with_bad_recipe("exit 1");
    let file = train.train_file().display().to_string();
    let marks = train.root().join("marks").display().to_string();
    let said = train.run(&["plan", &file]).ends_with(0).stdout;
    assert!(said.contains("cargo metadata --locked --offline"), "{said}");
    assert!(said.contains("runs what `.cargo/config.toml` of the tree names"), "{said}");
    assert!(said.contains(&format!("runner local: local, labels: linux x86_64; recipes can read {marks}")), "{said}");
    assert!(!said.contains("same_user"), "{said}");
    // An adopted plan holds it.
    train.adopt().fails(1, &["the recipe ended with exit code 1"]);
    train.edit(&train.config(), &format!("read = [{marks:?}]"), "read = [\"/srv\"]");
    train.ship().fails(4, &["runner local", "the adopted plan says"]);
}

/// A command in namespaces in which nobody can make further ones.
fn without_namespaces(train: &SampleTrain, args: &[&str]) -> Ran {
    let none = "for kind in mnt user; do echo 0 > /proc/sys/user/max_${kind}_namespaces; done; exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--", "sh", "-euc", none, "sh", env!("CARGO_BIN_EXE_lifeboat")]);
    train.surround(command.args(args));
    Ran::of(&mut command)
}

#[test]
fn where_the_system_cannot_isolate_no_recipe_runs_unless_everybody_knows() {
    let train = with_bad_recipe("sh build.sh {name}");
    let file = train.train_file().display().to_string();
    let refused = ["this machine cannot isolate programs", "hint: allow user namespaces", "`same_user = true`"];
    without_namespaces(&train, &["ship", &file]).fails(1, &refused);
    let doctor = without_namespaces(&train, &["doctor"]);
    assert!(doctor.stdout.contains("this machine cannot isolate programs"), "{}", doctor.stdout);
    let jobs = fs::read_dir(train.train_dir("drill").join("jobs")).into_iter().flatten().flatten();
    assert_eq!(jobs.filter(|job| job.path().is_dir()).count(), 0, "a job left a directory");
    train.run(&["abandon", "--reason", "other runner"]).ends_with(0);
    train.edit(&train.train_file(), "name = \"drill\"", "name = \"drill-2\"");
    train.edit(&train.config(), "kind = \"local\"\n", "kind = \"local\"\nsame_user = true\n");
    let rights = "recipes have all rights of the user who ships: they can read the signing keys";
    let plan = train.run(&["plan", &file]).ends_with(0).stdout;
    assert!(plan.contains(rights), "{plan}");
    without_namespaces(&train, &["ship", &file]).ends_with(3);
    let said = train.run(&["approve", "--as", "alice", "--yes"]).ends_with(0).stdout;
    assert!(said.contains("! runner local (`same_user`)") && said.contains(rights), "{said}");
}

/// Whoever ended a job from outside could have changed it: approvers see a warning.
#[test]
fn a_job_that_was_lost_is_shown_to_approvers() {
    let train = with_bad_recipe("touch \"$HOME/runs\"; sleep @NAP@");
    let nap = format!("4721.{}", std::process::id());
    train.edit(&train.config(), "@NAP@", &nap);
    let file = train.train_file().display().to_string();
    let mut ship = train.command(&["ship", &file]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let jobs = train.train_dir("drill").join("jobs");
    let watching = || -> Vec<String> {
        let files =
            fs::read_dir(&jobs).into_iter().flatten().flatten().filter(|j| j.path().join("inside/home/runs").exists());
        let read = |job: fs::DirEntry| fs::read_to_string(job.path().join("supervisor.json")).ok();
        let pid = |text: String| serde_json::from_str::<serde_json::Value>(&text).ok()?["pid"].as_i64();
        files.filter_map(read).filter_map(pid).map(|pid| pid.to_string()).collect()
    };
    until("both recipes run", || watching().len() == 2);
    fix(&train);
    let kill = Command::new("kill").arg("-9").args(watching()).status().unwrap();
    assert!(kill.success());
    until("what was watched over ends as well", || !runs(&nap));
    assert_eq!(ship.wait().unwrap().code(), Some(3));
    let said = train.run(&["approve", "--as", "alice", "--yes"]).ends_with(0).stdout;
    for line in ["release-1.0.0", "release-2.0.0"] {
        let warning = format!("! the job of `build/{line}/linux` was lost once and run again");
        assert!(said.contains(&warning), "{said}");
    }
}

/// Nobody goes on with a dry run: what it started ends with it, and the next one finds nothing in its way.
#[test]
fn a_dry_run_that_is_killed_leaves_nothing_running() {
    let train = with_bad_recipe("setsid sh -c 'while :; do touch \"$HOME/x\"; sleep @NAP@; done' & sleep @NAP@");
    let nap = format!("4722.{}", std::process::id());
    train.edit(&train.config(), "@NAP@", &nap);
    let file = train.train_file().display().to_string();
    let dry = ["ship", "--dry-run", &file];
    let mut run = train.command(&dry).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until("a recipe runs", || runs(&nap));
    run.kill().unwrap();
    run.wait().unwrap();
    until("its recipes end", || !runs(&nap));
    fix(&train);
    train.run(&dry).ends_with(0);
}

#[test]
fn a_recipe_that_fills_the_disk_does_not_keep_anybody_from_giving_up() {
    let train = SampleTrain::unpinned(crate::support::sample_train::REFUSING);
    let state = train.state();
    fs::create_dir(&state).unwrap();
    let run = "run = [\"cat /dev/zero > $TMPDIR/fill || touch full; sleep 4723\"]\ntest";
    train.edit(&train.config(), "run = [\"sh build.sh {name}\"]\ntest", run);
    let file = train.train_file().display().to_string();
    let space = Namespaces::mounts();
    space.shell(&format!("mount -t tmpfs -o size=24m none '{}'", state.display()));
    let root = fs::read(train.project().join("keys/trust.json")).unwrap();
    let digest = lifeboat::model::Sha256::of(&root).hex();
    ship_in(&space, &train, &["trust", "pin", &digest]).ends_with(0);
    let mut ship = space.inside(&train.command(&["ship", &file]));
    let mut ship = ship.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let room = || {
        let command = format!("df --output=avail '{}' | tail -n1", state.display());
        let out = space.inside(Command::new("sh").args(["-c", &command])).output().unwrap();
        String::from_utf8_lossy(&out.stdout).trim().parse::<u64>().unwrap_or(1)
    };
    until("the disk is full", || room() == 0);
    drop(Command::new("pkill").args(["-9", "-P", &ship.id().to_string()]).status());
    ship.kill().unwrap();
    ship.wait().unwrap();
    let ran = ship_in(&space, &train, &["abandon", "--reason", "no room"]).ends_with(0);
    assert!(ran.stdout.contains("train `drill` is abandoned"), "{}", ran.stdout);
    assert!(room() > 1000, "the files of the jobs are still there");
}
