//! The drill, run as a person runs it who stops it and starts it again.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn drill(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lifeboat"));
    command.arg("drill").current_dir(dir).env_clear().env("HOME", dir).env("PATH", std::env::var_os("PATH").unwrap());
    command.stdin(Stdio::null());
    command
}

fn ends_well(dir: &Path, when: &str) {
    let out = drill(dir).output().unwrap();
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{when}: {said}{}", String::from_utf8_lossy(&out.stderr));
    assert!(said.contains("train drill: released"), "{when}: {said}");
}

#[test]
fn the_same_command_goes_on_after_a_kill_and_after_the_end() {
    let dir = crate::support::scratch();
    let train = dir.path().join("lifeboat-drill/state/sample/trains/drill");
    // Killed when the plan is adopted, with its address of GitHub, and when something is public.
    for file in [train.join("journal.jsonl"), dir.path().join("lifeboat-drill/store/releases/1.0.5")] {
        let mut child = drill(dir.path()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let since = Instant::now();
        while !file.exists() && child.try_wait().unwrap().is_none() {
            assert!(since.elapsed() < Duration::from_secs(120), "`{}` is never there", file.display());
            std::thread::sleep(Duration::from_millis(2));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(file.exists());
    }
    ends_well(dir.path(), "after two kills");
    ends_well(dir.path(), "after the end");
    crate::schemas::describe(&dir.path().join("lifeboat-drill/store"));
}
