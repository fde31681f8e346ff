//! What is lost of a train's files, and what a killed process leaves.

use super::*;

/// Whether a process whose command line holds `marker` runs.
fn runs(marker: &str) -> bool {
    fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        let pid = entry.file_name();
        let Some(pid) = pid.to_str().filter(|p| p.bytes().all(|b| b.is_ascii_digit())) else { return false };
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&command).contains(marker)
    })
}

#[test]
fn abandon_ends_the_jobs_that_a_killed_ship_left() {
    let train = with_bad_recipe("env -i sleep @NAP@1 & touch \"$HOME/runs\"; sleep @NAP@2");
    let nap = format!("4713.{}", std::process::id());
    train.edit(&train.config(), "@NAP@", &nap);
    let file = train.train_file().display().to_string();
    let mut ship = train.command(&["ship", &file]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let start = Instant::now();
    while !(made_at_home(&train, "runs") && runs(&nap)) {
        assert!(start.elapsed() < Duration::from_secs(60), "the recipe does not run");
        std::thread::sleep(Duration::from_millis(20));
    }
    ship.kill().unwrap();
    ship.wait().unwrap();
    let here = train.root().display().to_string();
    assert!(runs(&nap) && runs(&here), "jobs outlive the process that started them");
    assert!(train.train_dir("drill").join("jobs").exists());
    let ran = train.run(&["abandon", "--reason", "wrong fix"]).ends_with(0);
    assert!(!runs(&nap), "the recipe lives on");
    assert!(!runs(&here), "a supervisor lives on");
    assert!(!train.train_dir("drill").join("jobs").exists(), "embargoed sources are left");
    assert!(ran.stdout.contains("its jobs on runner `local` are ended, and their files removed"), "{}", ran.stdout);
    train.run(&["abandon", "--reason", "again"]).ends_with(0);
}

#[test]
fn abandon_tells_of_a_runner_that_cannot_be_reached() {
    let train = with_bad_recipe("sleep 4714");
    let file = train.train_file().display().to_string();
    let mut ship = train.command(&["ship", &file]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let start = Instant::now();
    let journal = train.train_dir("drill").join("journal.jsonl");
    while !fs::read_to_string(&journal).unwrap_or_default().contains("\"handle\":") {
        assert!(start.elapsed() < Duration::from_secs(60), "no job is recorded");
        std::thread::sleep(Duration::from_millis(20));
    }
    ship.kill().unwrap();
    ship.wait().unwrap();
    // Another runner does the project's jobs now.
    let config = fs::read_to_string(train.config()).unwrap();
    train.edit(&train.config(), "[[runner]]\nname = \"local\"", "[[runner]]\nname = \"elsewhere\"\nlabels = []");
    let ran = train.run(&["abandon", "--reason", "wrong fix"]).ends_with(5);
    let said = "its jobs on runner `local` may still run, with the embargoed sources";
    assert!(ran.stdout.contains(said) && ran.stdout.contains("train `drill` is abandoned"), "{}", ran.stdout);
    fs::write(train.config(), config).unwrap();
    let ran = train.run(&["abandon", "--reason", "again"]).ends_with(0);
    assert!(ran.stdout.contains("its jobs on runner `local` are ended"), "{}", ran.stdout);
    assert!(!runs(&train.root().display().to_string()), "a job lives on");
}

/// In a container every process is number 1: names of temporary directories must not come from it.
#[test]
fn what_a_process_of_the_same_number_left_is_in_nobodys_way() {
    let train = SampleTrain::new();
    for name in ["lifeboat-probe-1-0", "lifeboat-fence-1-0"] {
        fs::create_dir(train.root().join("tmp").join(name)).unwrap();
    }
    let mut command = Command::new("unshare");
    let user: &[&str] = if rustix::process::geteuid().is_root() { &[] } else { &["--user", "--map-root-user"] };
    command.args(user).args(["--pid", "--fork", "--mount-proc", "--"]).arg(env!("CARGO_BIN_EXE_lifeboat"));
    command.arg("ship").arg(train.train_file());
    train.surround(&mut command);
    Ran::of(&mut command).ends_with(3);
    let left: Vec<_> = fs::read_dir(train.root().join("tmp")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn a_train_whose_journal_is_lost_does_not_begin_again() {
    let train = SampleTrain::new();
    train.to_the_gate();
    train.release();
    let dir = train.train_dir("drill");
    let journal = dir.join("journal.jsonl");
    let whole = fs::read(&journal).unwrap();
    let said = ["journal.jsonl` has lost its records", "hint: restore the journal from a backup", "abandon the train"];
    for lost in [true, false] {
        if lost {
            fs::remove_file(&journal).unwrap();
        } else {
            fs::write(&journal, "").unwrap();
        }
        for args in [&["ship"][..], &["ship", "--train", "drill"], &["status"], &["abandon", "drill", "--reason", "x"]]
        {
            train.run(args).fails(6, &said);
        }
        train.adopt().fails(6, &said);
        assert!(fs::read(&journal).unwrap_or_default().is_empty(), "the train began again");
    }
    fs::write(&journal, whole).unwrap();
    train.run(&["ship", "--train", "drill"]).ends_with(0);

    // Adoption itself leaves pinned series, also of an attempt with others that was killed: that is not a loss.
    let train = SampleTrain::new();
    train.to_the_gate();
    let dir = train.train_dir("drill");
    fs::remove_file(dir.join("journal.jsonl")).unwrap();
    for start in fs::read_dir(dir.join("objects")).unwrap().map(|e| e.unwrap().path()) {
        for object in fs::read_dir(start).unwrap().map(|e| e.unwrap().path()) {
            if !fs::read(&object).unwrap().starts_with(b"{\"format\":1,\"patches\":[") {
                fs::remove_file(object).unwrap();
            }
        }
    }
    train.ship().ends_with(3);
}

#[test]
fn a_train_whose_plan_is_lost_is_named() {
    let train = SampleTrain::new();
    train.to_the_gate();
    let dir = train.train_dir("drill");
    let plan = fs::read_to_string(dir.join("plan.json")).unwrap();
    fs::remove_file(dir.join("plan.json")).unwrap();
    let place = format!("the train in `{}` has lost its `plan.json`", dir.display());
    for args in [&["status"][..], &["ship"], &["status", "drill"], &["ship", "--train", "drill"], &["log", "drill"]] {
        train.run(args).fails(6, &[&place, "hint: restore `plan.json`"]);
    }
    train.adopt().fails(6, &[&place]);
    assert!(!dir.join("plan.json").exists(), "another plan took its place");
    // One that was edited is refused by name, whether it still holds together or not.
    let path = dir.join("plan.json");
    let hint = "hint: restore ";
    for (from, to, said) in [
        ("release.key", "another.key", "is not the one that was adopted"),
        ("\"threshold\":2", "\"threshold\":1", "plan.json` is not the plan that was adopted"),
        ("\"threshold\":2", "\"threshold\":0", "plan.json` is not the plan that was adopted"),
        ("\"threshold\":2,", "", "plan.json"),
    ] {
        assert!(plan.contains(from), "{plan}");
        fs::write(&path, plan.replace(from, to)).unwrap();
        let ran = train.ship().fails(6, &[said, "plan.json", hint]);
        assert!(!ran.stderr.contains("plan the train again"), "{}", ran.stderr);
    }
    fs::write(&path, plan).unwrap();
    train.release();
}

#[test]
fn hints_say_what_helps() {
    let train = SampleTrain::new();
    train.to_the_gate();
    train.approve();
    // Every object but the pinned series' has other bytes.
    let objects = train.train_dir("drill").join("objects");
    for start in fs::read_dir(&objects).unwrap().map(|e| e.unwrap().path()) {
        for object in fs::read_dir(start).unwrap().map(|e| e.unwrap().path()) {
            let bytes = fs::read(&object).unwrap();
            fs::remove_file(&object).unwrap();
            fs::write(&object, [&bytes[..], b"x"].concat()).unwrap();
        }
    }
    let ran = train.ship();
    assert_ne!(ran.code, Some(0), "{ran:?}");
    let said = "from a backup or another maintainer's copy";
    assert!(ran.stderr.contains(said) && !ran.stderr.contains("move the file away"), "{}", ran.stderr);

    let train = SampleTrain::new();
    fs::rename(train.project().join("keys"), train.root().join("keys")).unwrap();
    let ran = train.adopt().fails(2, &["keys/trust.json", "pinned sha256:", "hint: restore that directory"]);
    assert!(!ran.stderr.contains("trust init"), "{}", ran.stderr);
}

/// A journal that lost its end after the release: nobody is advised to remove good signatures, or to retire what is public.
#[test]
fn a_journal_that_was_cut_after_the_gate_is_told_by_what_is_public() {
    let train = SampleTrain::new();
    train.to_the_gate();
    train.release();
    let path = train.train_dir("drill").join("journal.jsonl");
    let whole = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    let first = |words: &[&str]| lines.iter().position(|l| words.iter().all(|w| l.contains(w))).unwrap();
    let gate = first(&["\"started\"", "\"gate\""]);
    let seal = first(&["\"started\"", "\"seal/release-1.0.0\""]);
    let sealed = first(&["\"succeeded\"", "\"seal/release-1.0.0\""]);
    let served = crate::support::train_ends::files(&train.store());
    let said = [
        "is public in store `mirror`, and its journal knows nothing of that",
        "restore the train's `journal.jsonl` from a backup, then `lifeboat ship --train drill`",
        "do not abandon the train, and remove nothing from the store",
    ];
    for cut in [gate, gate + 1, seal, seal + 1, sealed] {
        fs::write(&path, lines[..cut].iter().map(|l| format!("{l}\n")).collect::<String>()).unwrap();
        let ran = train.ship().fails(6, &said);
        let advice = ran.stderr.replace("do not abandon the train", "");
        assert!(!advice.contains("remove it if") && !advice.contains("abandon the train"), "{}", ran.stderr);
        train.run(&["abandon", "drill", "--reason", "x"]).fails(6, &said);
        let now: Vec<_> = crate::support::train_ends::files(&train.store());
        let public = |all: &[(String, u32)]| -> Vec<String> {
            all.iter()
                .map(|(p, _)| p.clone())
                .filter(|p| !p.starts_with(".staging/") && !p.contains("/locks/"))
                .collect()
        };
        assert_eq!(public(&now), public(&served), "cut at {cut}");
    }
    fs::write(&path, &whole).unwrap();
    train.run(&["ship", "--train", "drill"]).ends_with(0);
    train.run(&["verify", "1.0.5", &train.store().display().to_string()]).ends_with(0);
}
