//! What a recipe sees is not its own choice: neither its environment nor what was open before it started shows it more.

use std::fs;
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use lifeboat::effects::{JobStatus, Runner};

use super::{Bench, open, open_with, wait};

/// A machine with a key, the state and something that is nobody's secret.
fn machine() -> tempfile::TempDir {
    let dir = tempfile::Builder::new().prefix("lb").tempdir_in("/var/tmp").unwrap();
    for (path, text) in
        [("secret/release.key", "the key"), ("state/sample/operator-key.asc", "the key"), ("tools/bin/tool", "a tool")]
    {
        fs::create_dir_all(dir.path().join(path).parent().unwrap()).unwrap();
        fs::write(dir.path().join(path), text).unwrap();
    }
    dir
}

fn runner(dir: &Path) -> Arc<dyn Runner> {
    open_with(&dir.join("state/sample/trains/one"), |_, surroundings| {
        surroundings.hidden = vec![dir.join("secret/release.key"), dir.join("state")];
    })
}

#[tokio::test]
async fn the_environment_of_a_recipe_shows_nothing_that_is_hidden() {
    let machine = machine();
    let dir = machine.path();
    let (bench, runner) = (Bench::new(), runner(dir));
    let at = dir.display();
    let look = [
        format!("test \"$(cat {at}/tools/bin/tool)\" = 'a tool' || exit 7"),
        format!("if grep -r . {at}/secret {at}/state/sample/operator-key.asc; then exit 8; fi"),
    ];
    let look: Vec<&str> = look.iter().map(String::as_str).collect();
    // Directories that hold what is hidden are shown without it.
    for (variable, value) in [
        ("RUSTUP_HOME", format!("{at}")),
        ("PATH", format!("{at}:/usr/bin:/bin")),
        ("PATH", format!("{at}/state/sample:{at}/secret:{at}/tools/bin:/usr/bin:/bin")),
    ] {
        let mut request = bench.request(&look, &[]);
        request.job.env.insert(variable.into(), value.clone());
        let handle = runner.dispatch(&request).await.unwrap_or_else(|e| panic!("{}", e.report()));
        let status = wait(&*runner, &handle).await;
        let log = fs::read_to_string(runner.log(&request, &handle).await.unwrap().path).unwrap();
        assert_eq!(status, JobStatus::Exited(0), "{variable}={value}: {log}");
        runner.cancel(&handle).await.unwrap();
    }
    for variable in ["RUSTUP_HOME", "CARGO_HOME"] {
        for place in ["state/sample", "state/not-there-yet"] {
            let mut request = bench.request(&["true"], &[]);
            request.job.env.insert(variable.into(), format!("{at}/{place}"));
            let said = runner.dispatch(&request).await.err().map(|e| e.report()).unwrap_or_default();
            assert!(said.contains("which no job may see") && said.contains("pass_env"), "{variable} {place}: {said}");
        }
    }
}

/// Whoever starts lifeboat may have files open: `lifeboat ship 8< DIRECTORY`.
#[tokio::test]
async fn a_recipe_has_no_descriptor_of_whoever_started_lifeboat() {
    let machine = machine();
    let held = fs::File::open(machine.path().join("secret")).unwrap();
    rustix::io::fcntl_setfd(&held, rustix::io::FdFlags::empty()).unwrap();
    let look = format!("test -e /proc/self/fd/{}/release.key", held.as_raw_fd());
    assert!(Command::new("sh").args(["-c", &look]).status().unwrap().success(), "it does not even work outside");
    let bench = Bench::new();
    let (handle, status) = bench.finish(&bench.request(&[&format!("if {look}; then exit 9; fi")], &[])).await;
    assert_eq!(status, JobStatus::Exited(0), "{handle:?}");
}

/// Where a layer cannot be laid over another, as in a container in a container, what cargo keeps can be read and no more.
#[test]
fn without_layers_nothing_of_cargo_can_be_written() {
    let user: &[&str] = if rustix::process::geteuid().is_root() { &[] } else { &["--user", "--map-root-user"] };
    let script = "base=$(mktemp -d /var/tmp/lbXXXXXX); trap 'umount -l $base; rmdir $base' EXIT
        mount -t tmpfs none $base; cd $base; mkdir -p l/registry l/git u1 w1 m1 u2 w2 m2; echo original > l/registry/file
        mount -t overlay -o userxattr,lowerdir=l,upperdir=u1,workdir=w1 none m1
        mount -t overlay -o userxattr,lowerdir=m1,upperdir=u2,workdir=w2 none m2
        LIFEBOAT_TEST_CARGO=$base/m2 \"$0\" --ignored --exact runner::chosen::with_the_cargo_home_of_two_layers
        test \"$(cat m2/registry/file)\" = original";
    let mut command = Command::new("unshare");
    command.args(user).args(["--mount", "--propagation", "private", "--", "sh", "-euc", script]);
    let out = command.arg(std::env::current_exe().unwrap()).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success() && said.contains("1 passed"), "{said}");
}

/// The other half of the test above.
#[tokio::test]
#[ignore = "needs the mounts that the test above makes, which runs it"]
async fn with_the_cargo_home_of_two_layers() {
    let cargo = std::env::var("LIFEBOAT_TEST_CARGO").unwrap();
    let bench = Bench::new();
    let runner = open(bench.dir.path());
    let look = "cat \"$CARGO_HOME/registry/file\"; if echo poisoned >> \"$CARGO_HOME/registry/file\"; then exit 9; fi";
    let mut request = bench.request(&[look], &[]);
    request.job.env.insert("CARGO_HOME".into(), cargo);
    let handle = runner.dispatch(&request).await.unwrap_or_else(|e| panic!("{}", e.report()));
    let status = wait(&*runner, &handle).await;
    let log = fs::read_to_string(runner.log(&request, &handle).await.unwrap().path).unwrap();
    assert_eq!(status, JobStatus::Exited(0), "{log}");
    assert!(log.contains("original"), "{log}");
}
