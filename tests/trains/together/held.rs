//! What one process finds that another one holds, by name.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use lifeboat::effects::{Disk as _, Scratch, locks};
use lifeboat::host::HostDisk;

use crate::support::sample_train::SampleTrain;

#[test]
fn a_busy_train_names_the_process_and_its_verb() {
    let train = SampleTrain::new();
    // A build that waits for a signal.
    train.edit(&train.config(), "run = [\"sh build.sh {name}\"]", "run = [\"sleep 60\"]");
    let mut ship = train.command(&["ship", &train.train_file().display().to_string()]);
    let mut ship = ship.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let lock = train.train_dir("drill").join("lock");
    let start = Instant::now();
    while !fs::read_to_string(&lock).is_ok_and(|t| t.contains("ship")) {
        assert!(start.elapsed() < Duration::from_secs(60), "the train does not start");
        std::thread::sleep(Duration::from_millis(50));
    }
    let holder = format!("busy with `lifeboat ship` (process {})", ship.id());
    for verb in
        [&["approve", "--as", "alice", "--yes"][..], &["abandon", "--reason", "x"], &["ship"], &["reconcile", "drill"]]
    {
        train.run(verb).fails(5, &["another lifeboat process holds the train", &holder, "hint: "]);
    }
    train.run(&["status"]).ends_with(0);
    train.run(&["plan", &train.train_file().display().to_string()]).ends_with(0);
    ship.kill().unwrap();
    ship.wait().unwrap();
    // What it started ends with the train.
    train.run(&["abandon", "--reason", "x"]).ends_with(0);
}

#[test]
fn scratch_directories_are_of_one_process_and_go_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let all = dir.path().join("scratch");
    let one = Scratch::new(&HostDisk, &all).unwrap();
    let two = Scratch::new(&HostDisk, &all).unwrap();
    assert_ne!(one.path(), two.path());
    fs::write(one.path().join("index-1-0"), "x").unwrap();
    // What a killed process, or an older program, left: nobody holds it.
    for left in ["99999999-0", "series.git"] {
        fs::create_dir_all(all.join(left).join("objects")).unwrap();
    }
    let three = Scratch::new(&HostDisk, &all).unwrap();
    assert!(!all.join("99999999-0").exists() && !all.join("series.git").exists());
    assert!(one.path().join("index-1-0").exists(), "the living are left alone");
    let path = one.path().to_owned();
    drop((one, two, three));
    assert!(!path.exists());
    assert_eq!(HostDisk.list(&all).unwrap().len(), 1, "only the lock of all");
}

#[test]
fn a_lock_of_a_moment_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let lock = dir.path().join("lock");
    let held = locks::take(&HostDisk, &lock, "it is tested").unwrap();
    let e = locks::take(&HostDisk, &lock, "it is tested").err().unwrap();
    assert!(e.kind().exit_code() == 5 && e.message().contains(&std::process::id().to_string()), "{}", e.report());
    let waiting = std::thread::spawn(move || locks::wait(&HostDisk, &lock, "it is tested").map(drop));
    std::thread::sleep(Duration::from_millis(100));
    drop(held);
    waiting.join().unwrap().unwrap();
}

/// A limit on the size of files, as `ulimit -f` sets it.
#[test]
fn a_limit_on_the_size_of_files_is_an_error_with_words() {
    let train = SampleTrain::new();
    train.to_the_gate();
    for (blocks, verb) in [(1, "ship --train drill".to_owned()), (1, "approve --as alice --yes".to_owned())] {
        let mut shell = Command::new("bash");
        train.surround(&mut shell);
        shell.args(["-c", &format!("ulimit -c 0 -f {blocks}; exec '{}' {verb}", env!("CARGO_BIN_EXE_lifeboat"))]);
        let ran = crate::support::sample_train::Ran::of(&mut shell);
        assert!(ran.code.is_some(), "`{verb}` is killed without a word");
        if ran.code != Some(3) {
            assert!(ran.stderr.contains("ulimit -f"), "{verb}: {ran:?}");
        }
    }
    train.run(&["status"]).ends_with(0);
    train.release();
}
