//! The program in a checkout: the diff, the files, and kills at every point of writing them.

use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Command, Output};

const FILES: [(&str, &str); 4] = [
    ("Cargo.toml", "[workspace]\nmembers = ['a', 'b']\n"),
    ("a/Cargo.toml", "[package]\nname = 'a'\nversion = '1.2.3'\n"),
    (
        "b/Cargo.toml",
        "[package]\nname = 'b'\nversion = '1.2.3'\n[dependencies]\na = { path = '../a', version = '=1.2.3' }\n",
    ),
    (
        "lifeboat.toml",
        "[project]\nname = 'x'\n[version]\nafter = [{ run = 'grep -q 1.2.4 a/Cargo.toml && touch hooked' }]\n[[target]]\nname = 'y'\n",
    ),
];

pub(crate) fn git(dir: &Path, args: &[&str]) {
    let isolated = [("GIT_CONFIG_GLOBAL", "/dev/null"), ("GIT_CONFIG_SYSTEM", "/dev/null")];
    let ok = Command::new("git").arg("-C").arg(dir).args(args).envs(isolated).status().unwrap();
    assert!(ok.success(), "git {args:?}");
}

pub(crate) fn checkout() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in FILES {
        let at = dir.path().join(path);
        std::fs::create_dir_all(at.parent().unwrap()).unwrap();
        std::fs::write(at, text).unwrap();
    }
    git(dir.path(), &["init", "-q"]);
    git(dir.path(), &["add", "-A"]);
    git(dir.path(), &["-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qm", "x"]);
    dir
}

/// Where the program is killed: after so many points of writing, and its guard after so many of undoing.
#[derive(Clone, Copy, Default)]
pub(crate) struct Kill {
    pub(crate) program: Option<usize>,
    pub(crate) guard: Option<usize>,
}

fn command(dir: &Path, more: &[&str]) -> Vec<String> {
    let line = ["bump", "--config", "lifeboat.toml", "--to", "patch", "--date", "2026-05-21", "--dir"];
    let line = line.into_iter().map(str::to_owned).chain([dir.display().to_string()]);
    line.chain(more.iter().map(|s| (*s).to_owned())).collect()
}

/// Runs it in a group of its own, since a kill takes the whole group, as a terminal's or a CI job's end does.
pub(crate) fn bump(dir: &Path, more: &[&str], kill: Kill) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_lifeboat"));
    program.current_dir(dir).args(command(dir, more)).process_group(0);
    for (name, after) in [("LIFEBOAT_TEST_KILL_BUMP", kill.program), ("LIFEBOAT_TEST_KILL_GUARD", kill.guard)] {
        if let Some(after) = after {
            program.env(name, after.to_string());
        }
    }
    program.output().unwrap()
}

pub(crate) fn killed(out: &Output) -> bool {
    out.status.signal() == Some(9)
}

pub(crate) fn status(dir: &Path) -> String {
    let out = Command::new("git").arg("-C").arg(dir).args(["status", "--porcelain", "-uall"]).output().unwrap();
    String::from_utf8(out.stdout).unwrap()
}

const BUMPED: &str = " M a/Cargo.toml\n M b/Cargo.toml\n";

/// How many of the two manifests are at the new version.
fn moved(dir: &Path) -> usize {
    let at = |p: &str| std::fs::read_to_string(dir.join(p)).unwrap();
    [("a/Cargo.toml", FILES[1].1), ("b/Cargo.toml", FILES[2].1)]
        .iter()
        .filter(|(path, before)| {
            let now = at(path);
            assert!(now == *before || now == before.replace("1.2.3", "1.2.4"), "{path} is torn: {now}");
            now != *before
        })
        .count()
}

#[test]
fn a_dry_run_prints_what_git_applies_and_changes_nothing() {
    let dir = checkout();
    let out = bump(dir.path(), &["--dry-run", "--no-hooks"], Kill::default());
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert_eq!(moved(dir.path()), 0);
    std::fs::write(dir.path().join("d.patch"), &out.stdout).unwrap();
    git(dir.path(), &["apply", "d.patch"]);
    assert_eq!(moved(dir.path()), 2);
}

/// As in a container: the session that the program belongs to has no number there.
#[test]
fn it_writes_where_its_session_is_not_seen() {
    let dir = checkout();
    let unshare = ["--user", "--map-root-user", "--pid", "--fork", "--kill-child", env!("CARGO_BIN_EXE_lifeboat")];
    let mut program = Command::new("unshare");
    program.current_dir(dir.path()).args(unshare).args(command(dir.path(), &["--no-hooks"]));
    let out = program.output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert_eq!(moved(dir.path()), 2);
    assert_eq!(status(dir.path()), BUMPED);
}

#[test]
fn killed_anywhere_the_tree_is_as_before_or_complete() {
    let mut undone = 0;
    for point in 0.. {
        let dir = checkout();
        let first = bump(dir.path(), &["--no-hooks"], Kill { program: Some(point), ..Kill::default() });
        if first.status.success() {
            assert_eq!(point, 6, "the record, two files beside, two renames, and before the record goes");
            break;
        }
        assert!(killed(&first), "{}", String::from_utf8_lossy(&first.stderr));
        // At once: nothing has run but the guard.
        let (moved, seen) = (moved(dir.path()), status(dir.path()));
        assert!(moved == 0 && seen.is_empty() || moved == 2 && seen == BUMPED, "killed at {point}: {moved} {seen}");
        undone += usize::from(moved == 0);
        same_again(dir.path(), &format!("killed at {point}"));
    }
    assert_eq!(undone, 4, "all but the last two points leave the tree as before");
}

#[test]
fn killed_with_its_guard_the_next_command_makes_the_tree_whole() {
    let mut half = 0;
    for point in 0..6 {
        for guard in 0.. {
            let dir = checkout();
            let first = bump(dir.path(), &["--no-hooks"], Kill { program: Some(point), guard: Some(guard) });
            assert!(killed(&first));
            let at = format!("killed at {point}, its guard at {guard}");
            let before = moved(dir.path());
            half += usize::from(before == 1);
            // Another command than the one that was killed, and one that writes nothing itself.
            let dry = bump(dir.path(), &["--no-hooks", "--dry-run"], Kill::default());
            assert!(dry.status.success(), "{at}: {}", String::from_utf8_lossy(&dry.stderr));
            let seen = status(dir.path());
            assert!(seen.is_empty() || seen == BUMPED, "{at}: {seen}");
            same_again(dir.path(), &at);
            if guard > 4 {
                break;
            }
        }
    }
    assert!(half > 0, "no kill left one file new and one old: the test shows nothing");
}

/// The command that was killed, once more: every file is new, once, and nothing else is left.
fn same_again(dir: &Path, at: &str) {
    let second = bump(dir, &["--no-hooks"], Kill::default());
    assert!(second.status.success(), "{at}: {}", String::from_utf8_lossy(&second.stderr));
    assert_eq!(moved(dir), 2, "{at}");
    assert_eq!(status(dir), BUMPED, "{at}");
    assert!(!dir.join(".git/lifeboat-bump").exists(), "{at}");
}

/// strace kills the program as it enters its Nth call of each kind that changes files. It follows no children: the guard
/// lives on, as after any kill.
#[test]
fn killed_at_every_system_call_the_tree_is_as_before_or_complete() {
    let calls =
        ["openat", "write", "rename", "unlink", "rmdir", "mkdir", "fsync", "chmod", "fchmod", "unlinkat", "flock"];
    let (mut kills, mut undone) = (0, 0);
    for call in calls {
        for n in 1.. {
            let dir = checkout();
            let out = Command::new("strace")
                .args(["-qq", "-o", "/dev/null", "-e", &format!("trace={call}")])
                .args(["-e", &format!("inject={call}:signal=KILL:when={n}")])
                .arg(env!("CARGO_BIN_EXE_lifeboat"))
                .args(command(dir.path(), &["--no-hooks"]))
                .current_dir(dir.path())
                .env("RAYON_NUM_THREADS", "1")
                .output()
                .unwrap_or_else(|e| panic!("cannot run `strace`: {e}; it is in the apt package `strace`"));
            if out.status.success() {
                break;
            }
            assert!(killed(&out), "{call} {n}: {}", String::from_utf8_lossy(&out.stderr));
            kills += 1;
            let (moved, seen) = (moved(dir.path()), status(dir.path()));
            assert!(moved == 0 && seen.is_empty() || moved == 2 && seen == BUMPED, "{call} {n}: {moved} {seen}");
            undone += usize::from(moved == 0);
            if moved == 0 {
                same_again(dir.path(), &format!("killed at {call} {n}"));
            }
        }
    }
    assert!(kills > undone && undone > 20, "{kills} kills, {undone} as before");
}

/// strace lets every call of one kind fail from the Nth on, as a disk does that is full or broken: those of the program
/// alone, as where room is made meanwhile, or the guard's too. A command that never ends is cut off, and fails here.
#[test]
fn on_a_full_or_broken_disk_the_command_ends_and_the_tree_is_as_before_or_complete() {
    let calls = [("write", "ENOSPC"), ("openat", "ENOSPC"), ("rename", "ENOSPC"), ("fchmod", "EIO"), ("fsync", "EIO")];
    let strace = Command::new("strace").arg("-V").output();
    assert!(strace.is_ok(), "cannot run `strace`: {strace:?}; it is in the apt package `strace`");
    let mut undone = 0;
    let cases = calls.iter().flat_map(|c| [(c, &[][..]), (c, &["-f"][..])]);
    for ((call, error), follow) in cases {
        for n in 1.. {
            let dir = checkout();
            let out = Command::new("timeout")
                .args(["120", "strace", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}")])
                .args(follow)
                .args(["-e", &format!("inject={call}:error={error}:when={n}+")])
                .arg(env!("CARGO_BIN_EXE_lifeboat"))
                .args(command(dir.path(), &["--no-hooks"]))
                .current_dir(dir.path())
                .env("RAYON_NUM_THREADS", "1")
                .output()
                .unwrap_or_else(|e| panic!("cannot run `timeout`: {e}; it is in the apt package `coreutils`"));
            if out.status.success() {
                break;
            }
            let at = format!("{call} fails from {n} on {follow:?}: {}", String::from_utf8_lossy(&out.stderr));
            assert_ne!(out.status.code(), Some(124), "never ended; {at}");
            let (moved, seen) = (moved(dir.path()), status(dir.path()));
            assert!(moved == 0 && seen.is_empty() || moved == 2 && seen == BUMPED, "{at}: {moved} {seen}");
            if moved == 0 {
                undone += 1;
                same_again(dir.path(), &at);
            }
        }
    }
    assert!(undone > 20, "{undone} failures left the tree as before");
}

#[test]
fn a_file_edited_after_a_crash_is_not_overwritten() {
    let dir = checkout();
    bump(dir.path(), &["--no-hooks"], Kill { program: Some(3), guard: Some(0) });
    std::fs::write(dir.path().join("b/Cargo.toml"), "mine").unwrap();
    let again = bump(dir.path(), &["--no-hooks"], Kill::default());
    assert_eq!(again.status.code(), Some(4), "{}", String::from_utf8_lossy(&again.stderr));
    assert_eq!(std::fs::read_to_string(dir.path().join("b/Cargo.toml")).unwrap(), "mine");
}

/// Runs the bump with these commands in `after`; `more` is its environment.
pub(crate) fn with_hooks(dir: &Path, after: &str, more: &[(&str, &Path)]) -> Output {
    std::fs::write(dir.join("lifeboat.toml"), format!("[version]\nafter = [{after}]\n")).unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_lifeboat"));
    // The test's own toolchain stands in the environment.
    program
        .current_dir(dir)
        .args(command(dir, &[]))
        .env_remove("CARGO_HOME")
        .envs(more.iter().copied())
        .output()
        .unwrap()
}

pub(crate) fn report(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).into_owned()
}

#[test]
fn what_commands_change_is_written_with_the_rest() {
    let dir = checkout();
    std::fs::write(dir.path().join("VERSION"), "old\n").unwrap();
    std::fs::write(dir.path().join(".gitignore"), "built\n").unwrap();
    git(dir.path(), &["add", "VERSION", ".gitignore"]);
    let out = with_hooks(
        dir.path(),
        "{ run = 'grep -q 1.2.4 a/Cargo.toml && echo new > VERSION && touch built' }, { run = 'grep new VERSION' }",
        &[],
    );
    assert!(out.status.success(), "{}", report(&out));
    assert_eq!(std::fs::read_to_string(dir.path().join("VERSION")).unwrap(), "new\n");
    assert!(!dir.path().join("built").exists(), "what git ignores is build output");
    assert_eq!(moved(dir.path()), 2);
}

#[test]
fn a_command_that_fails_leaves_the_tree_as_before() {
    let dir = checkout();
    let out = with_hooks(dir.path(), "{ run = 'echo x > a/Cargo.toml; echo because; exit 7' }", &[]);
    assert_eq!(out.status.code(), Some(1));
    assert!(report(&out).contains("because"), "{}", report(&out));
    assert_eq!(moved(dir.path()), 0);
    let out = with_hooks(dir.path(), "{ run = 'exit 7', on_failure = 'warn' }", &[]);
    assert!(out.status.success() && report(&out).contains("warning"), "{}", report(&out));
    assert_eq!(moved(dir.path()), 2);
}

#[test]
fn commands_see_no_network_no_keys_and_write_nowhere_else() {
    let (dir, home) = (checkout(), tempfile::tempdir().unwrap());
    std::fs::create_dir_all(home.path().join(".ssh")).unwrap();
    std::fs::create_dir_all(home.path().join(".cargo/bin")).unwrap();
    for secret in [".ssh/id_ed25519", ".netrc", "notes", ".cargo/credentials.toml"] {
        std::fs::write(home.path().join(secret), "hush").unwrap();
    }
    std::fs::write(home.path().join(".cargo/bin/seen"), "").unwrap();
    let (at, own) = (home.path().display(), dir.path().display());
    let beside = tempfile::tempdir().unwrap();
    for attempt in [
        format!("grep -r hush {at}"),
        format!("cat {at}/.cargo/credentials.toml | grep ."),
        "test -n \"$SECRET\"".to_owned(),
        "grep -v -e lo: -e '|' /proc/net/dev".to_owned(),
        format!("touch {}/escaped", beside.path().display()),
        // Below its own path the checkout is the command's view: what is left there by one that fails goes with it.
        format!("touch {own}/escaped && false"),
        "touch .git/hooks/post-checkout && test -e escaped".to_owned(),
        format!("umount {at}"),
        "mount -o remount,rw / && touch /etc/escaped".to_owned(),
        // Some of these are the command's own, and go with it.
        "touch /etc/escaped; touch /usr/escaped; touch /var/tmp/escaped; false".to_owned(),
        "echo x > /proc/sys/kernel/domainname".to_owned(),
    ] {
        let out = with_hooks(
            dir.path(),
            &format!("{{ run = '''{attempt}''' }}"),
            &[("HOME", home.path()), ("SECRET", Path::new("hush"))],
        );
        assert_eq!(out.status.code(), Some(1), "`{attempt}` went through: {}", report(&out));
        assert!(report(&out).contains("failed"), "{}", report(&out));
    }
    assert!(std::fs::read_dir(beside.path()).unwrap().next().is_none());
    assert!(!dir.path().join("escaped").exists());
    assert!(["/etc/escaped", "/usr/escaped", "/var/tmp/escaped"].iter().all(|p| !Path::new(p).exists()));
    assert!(!dir.path().join(".git/hooks/post-checkout").exists());
    // What it may: see cargo's directory, use its own TMPDIR and HOME, and the network if it is asked for.
    let fine =
        "test -e \"$CARGO_HOME/bin/seen\" && touch \"$TMPDIR/x\" \"$HOME/x\" && cat /proc/net/dev | wc -l | grep -q 3";
    let out = with_hooks(dir.path(), &format!("{{ run = '''{fine}''' }}"), &[("HOME", home.path())]);
    assert!(out.status.success(), "{}", report(&out));
}

#[test]
fn cargo_says_whether_the_lock_fits() {
    let dir = checkout();
    let lock = |v: &str| {
        let package = |name: &str, more: &str| format!("\n[[package]]\nname = \"{name}\"\nversion = \"{v}\"\n{more}");
        format!("version = 4\n{}{}", package("a", ""), package("b", "dependencies = [\n \"a\",\n]\n"))
    };
    let sources = ["a/src/lib.rs", "b/src/lib.rs"];
    for path in sources {
        std::fs::create_dir_all(dir.path().join(path).parent().unwrap()).unwrap();
        std::fs::write(dir.path().join(path), "").unwrap();
    }
    std::fs::write(dir.path().join("Cargo.lock"), lock("1.2.3")).unwrap();
    git(dir.path(), &["add", "-A"]);
    let out = bump(dir.path(), &["--no-hooks", "--check"], Kill::default());
    assert!(out.status.success() && !report(&out).contains("not checked"), "{}", report(&out));
    assert_eq!(std::fs::read_to_string(dir.path().join("Cargo.lock")).unwrap(), lock("1.2.4"));
    // The cargo that is found may lie elsewhere than cargo's own directory.
    git(dir.path(), &["checkout", "-q", "."]);
    let elsewhere = tempfile::tempdir().unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_lifeboat"));
    program.current_dir(dir.path()).args(command(dir.path(), &["--no-hooks", "--check"]));
    let out = program.env("CARGO_HOME", elsewhere.path()).output().unwrap();
    assert!(out.status.success() && !report(&out).contains("not checked"), "{}", report(&out));
    // A lock whose references are behind does not fit, and nothing is written.
    git(dir.path(), &["checkout", "-q", "a", "b"]);
    let stale = lock("1.2.3").replace("dependencies = [\n \"a\",\n]\n", "");
    std::fs::write(dir.path().join("Cargo.lock"), &stale).unwrap();
    let out = bump(dir.path(), &["--no-hooks", "--check"], Kill::default());
    assert_eq!(out.status.code(), Some(1), "{}", report(&out));
    assert!(report(&out).contains("does not fit the bumped manifests"), "{}", report(&out));
    assert_eq!(moved(dir.path()), 0);
    assert_eq!(std::fs::read_to_string(dir.path().join("Cargo.lock")).unwrap(), stale);
}

/// A tree may hold a link where the new file is written first; it is neither followed nor removed.
#[test]
fn a_link_in_the_way_is_not_followed() {
    let dir = checkout();
    let victim = dir.path().join("victim");
    std::fs::write(&victim, "precious").unwrap();
    let link = dir.path().join("a/.Cargo.toml.lifeboat-bump");
    std::os::unix::fs::symlink(&victim, &link).unwrap();
    let out = bump(dir.path(), &["--no-hooks"], Kill::default());
    assert_eq!(out.status.code(), Some(4), "{}", String::from_utf8_lossy(&out.stderr));
    assert!(String::from_utf8_lossy(&out.stderr).contains("is in the way, and no bump left it"));
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "precious");
    assert!(std::fs::symlink_metadata(&link).is_ok());
    assert_eq!(moved(dir.path()), 0);
}
