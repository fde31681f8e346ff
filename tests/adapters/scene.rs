//! The scene of `examples/stores`, as a person runs it.

use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn a_release_to_three_stores_of_which_one_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/stores/run.sh");
    let out = Command::new("bash")
        .arg(script)
        .arg(dir.path().join("stores"))
        .env("LIFEBOAT", env!("CARGO_BIN_EXE_lifeboat"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&out.stdout), text(&out.stderr));
    assert!(out.status.success(), "{}\n{stdout}\n{stderr}", out.status);
    assert!(stdout.contains("All of them saw what they should"), "{stdout}");
    assert_eq!(stdout.matches("sample 2.0.2 verifies").count(), 4, "{stdout}");
}
