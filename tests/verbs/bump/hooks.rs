//! What the project's own commands may do after a bump: everything to the files that git would take, nothing beside them.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use super::checkout::{Kill, bump, checkout, git, killed, report, status, with_hooks};

/// A command that adds, removes and changes files in every way that git records.
const EVERY_WAY: &str = "mkdir -p new/deep && echo fresh > new/deep/file && printf '\\377' > new/bytes && chmod +x new/bytes \
    && rm -r gone && chmod +x plain && rm -r swapped && mkdir swapped && echo 1 > swapped/other && mkdir -p out && touch out/x";
/// What git then says.
const STATUS: &str = " M a/Cargo.toml\n M b/Cargo.toml\n D gone/deep/er\n D gone/one\n M plain\n D swapped/one\n?? new/bytes\n\
    ?? new/deep/file\n?? swapped/other\n";
/// A name with a comma cannot stand in an overlay's options: there the view is a copy.
const PLACES: [&str; 2] = ["plain", "with,comma"];

/// A checkout with what [`EVERY_WAY`] works on, in a directory of this name.
fn of_every_kind(name: &str) -> (tempfile::TempDir, PathBuf) {
    let outer = tempfile::tempdir().unwrap();
    let at = outer.path().join(name);
    std::fs::rename(checkout().keep(), &at).unwrap();
    for (path, text) in [
        ("gone/one", "1\n"),
        ("gone/deep/er", "2\n"),
        ("plain", "x\n"),
        ("swapped/one", "1\n"),
        (".gitignore", "/out\n/lifeboat.toml\n"),
    ] {
        std::fs::create_dir_all(at.join(path).parent().unwrap()).unwrap();
        std::fs::write(at.join(path), text).unwrap();
    }
    git(&at, &["rm", "-q", "--cached", "lifeboat.toml"]);
    commit(&at);
    std::fs::write(at.join("lifeboat.toml"), format!("[version]\nafter = [{{ run = '''{EVERY_WAY}''' }}]\n")).unwrap();
    (outer, at)
}

fn commit(at: &Path) {
    git(at, &["add", "-A"]);
    git(at, &["-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qm", "x"]);
}

#[test]
fn what_commands_add_remove_and_make_executable_is_written_with_the_rest() {
    for place in PLACES {
        let (_outer, dir) = of_every_kind(place);
        let dry = bump(&dir, &["--dry-run"], Kill::default());
        assert!(dry.status.success() && status(&dir).is_empty(), "{place}: {}", report(&dry));
        let out = bump(&dir, &[], Kill::default());
        assert!(out.status.success(), "{place}: {}", report(&out));
        assert_eq!(status(&dir), STATUS, "{place}");
        assert!(report(&out).contains("added `new/deep/file`") && report(&out).contains("removed `gone/one`"));
        assert_eq!(std::fs::read(dir.join("new/bytes")).unwrap(), [0xff]);
        let mode = |path: &str| std::fs::metadata(dir.join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("plain") & 0o111, mode("new/bytes"), mode("new/deep/file")), (0o111, 0o755, 0o644), "{place}");
        assert!(!dir.join("gone").exists() && !dir.join("out").exists());
        // The diff of the dry run says the same, but for what is not text.
        git(&dir, &["stash", "-qu"]);
        let text: Vec<&str> = std::str::from_utf8(&dry.stdout).unwrap().split_inclusive('\n').collect();
        let cut = text.iter().position(|l| l.starts_with("diff --git a/new/bytes")).unwrap();
        std::fs::write(dir.join("out"), [&text[..cut], &text[cut + 3..]].concat().concat()).unwrap();
        git(&dir, &["apply", "out"]);
        assert_eq!(status(&dir), STATUS.replace("?? new/bytes\n", ""), "{place}");
    }
}

#[test]
fn killed_anywhere_what_commands_did_is_there_as_a_whole_or_not_at_all() {
    let mut undone = 0;
    for point in 0.. {
        let (_outer, dir) = of_every_kind("plain");
        let first = bump(&dir, &[], Kill { program: Some(point), ..Kill::default() });
        if first.status.success() {
            assert_eq!(point, 20, "the record, nine files beside, nine put in place, and before the record goes");
            break;
        }
        assert!(killed(&first), "{}", report(&first));
        let seen = status(&dir);
        assert!(seen.is_empty() || seen == STATUS, "killed at {point}: {seen}");
        undone += usize::from(seen.is_empty());
        // And with its guard, somewhere on the way back.
        let (_outer, dir) = of_every_kind("plain");
        let both = bump(&dir, &[], Kill { program: Some(point), guard: Some(point % 7) });
        assert!(killed(&both), "{}", report(&both));
        let again = bump(&dir, &[], Kill::default());
        assert!(again.status.success(), "killed at {point}: {}", report(&again));
        assert_eq!(status(&dir), STATUS, "killed at {point}");
    }
    assert_eq!(undone, 18, "all but the last two points leave the tree as before");
}

#[test]
fn what_cannot_join_a_bump_is_refused_by_name() {
    for place in PLACES {
        for (run, named) in [
            ("ln -s a new", "`new` a link, a pipe, a socket or a device"),
            ("mkfifo a/pipe", "`a/pipe` a link, a pipe, a socket or a device"),
            ("rm plain && ln -s a plain", "`plain` a link, a pipe"),
            ("rm link && echo x > link", "`link` something else than the link that it was"),
            ("rm link", "`link` something else than the link that it was"),
            ("rm link && mkdir link && echo x > link/Cargo.toml", "`link` something else than the link that it was"),
        ] {
            let (_outer, dir) = of_every_kind(place);
            std::os::unix::fs::symlink("a", dir.join("link")).unwrap();
            commit(&dir);
            let out = with_hooks(&dir, &format!("{{ run = '{run}' }}"), &[]);
            assert_eq!(out.status.code(), Some(1), "{place}: `{run}`: {}", report(&out));
            assert!(report(&out).contains(named), "{place}: `{run}`: {}", report(&out));
            assert_eq!(status(&dir), "", "{place}: `{run}`");
        }
    }
}

/// Agents and services listen there; whoever reaches one can use it.
#[test]
fn commands_reach_no_socket_in_a_shared_directory() {
    let runtime = tempfile::tempdir_in("/var/tmp").unwrap();
    let shared = [Path::new("/tmp"), Path::new("/run"), runtime.path()];
    for (place, shared) in PLACES.iter().flat_map(|place| shared.map(|shared| (place, shared))) {
        let (_outer, dir) = of_every_kind(place);
        let held = tempfile::Builder::new().prefix("agent").tempdir_in(shared).unwrap();
        let socket = held.path().join("S.agent");
        let _listener = UnixListener::bind(&socket).unwrap();
        UnixStream::connect(&socket).unwrap();
        let connect = format!("import socket; socket.socket(socket.AF_UNIX).connect(\"{}\")", socket.display());
        std::fs::write(dir.join("plain"), connect).unwrap();
        let run = "{ run = 'python3 plain 2> said; test $? = 1 && grep -q FileNotFoundError said && rm said' }";
        let out = with_hooks(&dir, run, &[("XDG_RUNTIME_DIR", runtime.path())]);
        assert!(out.status.success(), "a command reached {}: {}", socket.display(), report(&out));
    }
    // It sees nothing else there either; it can write, and nothing of that stays.
    let (_outer, dir) = of_every_kind("plain");
    let other = tempfile::NamedTempFile::new_in("/tmp").unwrap();
    let run = format!("{{ run = 'test ! -e {} && echo x > /tmp/lifeboat-test-leak' }}", other.path().display());
    let out = with_hooks(&dir, &run, &[]);
    assert!(out.status.success(), "{}", report(&out));
    assert!(!Path::new("/tmp/lifeboat-test-leak").exists());
}

#[test]
fn commands_see_the_repository_in_a_worktree_and_in_a_copy() {
    for place in PLACES {
        let (outer, dir) = of_every_kind(place);
        let linked = outer.path().join(format!("linked {place}"));
        git(&dir, &["worktree", "add", "-q", "-b", "linked", linked.to_str().unwrap()]);
        for at in [&dir, &linked] {
            let run = "git -c safe.directory=* ls-files a > plain; touch \"$(git rev-parse --git-common-dir)/x\" || :";
            let out = with_hooks(at, &format!("{{ run = '''{run}''' }}"), &[]);
            assert!(out.status.success(), "{}: {}", at.display(), report(&out));
            assert_eq!(std::fs::read_to_string(at.join("plain")).unwrap(), "a/Cargo.toml\n", "{}", at.display());
            assert!(!dir.join(".git/x").exists(), "{}", at.display());
        }
    }
}

/// In a checkout nothing is under embargo that was not there before; a train refuses such a command.
#[test]
fn a_command_has_the_network_only_if_it_asks_for_it() {
    let own = std::fs::read_link("/proc/self/ns/net").unwrap();
    for (more, same) in [("", false), (", network = true", true)] {
        let (_outer, dir) = of_every_kind("plain");
        let run = format!("{{ run = 'readlink /proc/self/ns/net > plain'{more} }}");
        let out = with_hooks(&dir, &run, &[]);
        assert!(out.status.success(), "{}", report(&out));
        let seen = std::fs::read_to_string(dir.join("plain")).unwrap();
        assert_eq!(Path::new(seen.trim()) == own, same, "{seen}");
    }
}
