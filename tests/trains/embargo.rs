//! Before the gate nobody learns of the fix: not from files, names, arguments, environments, the network or the user's git.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test may panic and print; clippy knows only `#[test]` functions"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::canary::{Eyes, Search};
use crate::support::sample_train::{Ran, SampleTrain};

const TEXT: &str = "CANARYTEXT7734";
const FILE: &str = "CANARYFILE7734";
const SUBJECT: &str = "CANARYSUBJECT7734";
const ADVISORY: &str = "CANARY-ADVISORY-7734";
const VERSIONS: [&str; 2] = ["1.0.77347", "2.0.77348"];
const SECRET: &str = "CANARYSECRET7734";

/// What must not be learned before the gate.
const EMBARGOED: [&str; 6] = [TEXT, FILE, SUBJECT, ADVISORY, VERSIONS[0], VERSIONS[1]];
/// What must never stand in an argument or in the environment of a child. File names of artifacts hold the version.
const NEVER_IN_PROCESSES: [&str; 4] = [TEXT, FILE, SUBJECT, ADVISORY];

/// A sample train full of canaries in a scratch directory that strangers can read, as a careless home is. Only what the
/// user themselves must keep private is: the patches, the train file, the keys.
struct World {
    train: SampleTrain,
    umask: &'static str,
}

impl World {
    fn new(github: &str, umask: &'static str) -> Self {
        let train = SampleTrain::unpinned(github);
        let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        for dir in ["", "sample", "home", "tmp"] {
            mode(&train.root().join(dir), 0o755);
        }
        let sample = train.root().join("sample");
        mode(&sample.join("patches"), 0o700);
        mode(&sample.join("train.toml"), 0o600);
        let private = train.root().join("private");
        fs::create_dir(&private).unwrap();
        mode(&private, 0o700);
        for (line, version) in ["release-1.0.0", "release-2.0.0"].iter().zip(VERSIONS) {
            let patch = format!(
                "From 1111111111111111111111111111111111111111 Mon Sep 17 00:00:00 2001\n\
                 From: Sample Reporter <reporter@example.org>\nDate: Tue, 6 Jan 2026 10:00:00 +0000\n\
                 Subject: [PATCH] {SUBJECT}\n\nBecause of {ADVISORY}.\n---\n\
                 diff --git a/src/{FILE}.rs b/src/{FILE}.rs\nnew file mode 100644\nindex 0000000..1111111\n\
                 --- /dev/null\n+++ b/src/{FILE}.rs\n@@ -0,0 +1 @@\n+// {TEXT}\n-- \n2.39\n"
            );
            fs::write(sample.join("patches").join(line).join(format!("0003-{FILE}.patch")), patch).unwrap();
            let branch = format!("branch = \"{line}\"");
            train.edit(&train.train_file(), &branch, &format!("{branch}\nto = \"{version}\""));
        }
        train.edit(&train.train_file(), "SAMPLE-2026-0001", ADVISORY);
        train.edit(
            &train.config(),
            "run = [\"sh build.sh {name}\"]\ntest",
            "run = [\"echo $TOKEN\", \"sh build.sh {name}\"]\nsecret_env = { TOKEN = { env = \"UPLOAD_TOKEN\" } }\ntest",
        );
        let remote = train.root().join("remote.git");
        train.configure(&format!(
            "[[remote]]\nname = \"remote\"\nurl = \"file://{}\"\nrequired = false\n",
            remote.display()
        ));
        let world = Self { train, umask };
        world.git(&world.train.root().join("home"), &["init", "-q", "--bare", &remote.display().to_string()]);
        world.git(&world.train.project(), &["push", "-q", &remote.display().to_string(), "--all"]);
        world.git(&world.train.project(), &["remote", "add", "origin", &remote.display().to_string()]);
        world.hooks();
        let root = fs::read(world.train.project().join("keys/trust.json")).unwrap();
        world.run(&["trust", "pin", &lifeboat::model::Sha256::of(&root).hex()]).ends_with(0);
        world
    }

    /// Hooks of every kind, in the repository and for all of the user's: each leaves a mark when it is run.
    fn hooks(&self) {
        let kinds = "applypatch-msg pre-applypatch post-applypatch pre-commit prepare-commit-msg commit-msg post-commit \
                     post-checkout post-merge pre-push pre-receive update post-receive post-update \
                     reference-transaction post-rewrite post-index-change fsmonitor-watchman";
        let global = self.train.root().join("home/hooks");
        let mark = self.train.root().join("home/a-hook-ran");
        for dir in [self.train.project().join(".git/hooks"), global.clone()] {
            fs::create_dir_all(&dir).unwrap();
            for kind in kinds.split_whitespace() {
                let hook = dir.join(kind);
                fs::write(&hook, format!("#!/bin/sh\necho {kind} >> '{}'\n", mark.display())).unwrap();
                fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
            }
        }
        let config =
            format!("[core]\n\thooksPath = {}\n[user]\n\tname = U\n\temail = u@example.org\n", global.display());
        fs::write(self.train.root().join("home/.gitconfig"), config).unwrap();
    }

    fn git(&self, dir: &Path, args: &[&str]) -> String {
        let mut command = Command::new("git");
        command.args(args);
        self.train.surround(&mut command);
        Ran::of(command.current_dir(dir)).ends_with(0).stdout
    }

    /// A command with the umask; the state is where it is by default, below a home that strangers can read.
    fn command(&self, prefix: &[&str], args: &[&str]) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("umask {}; exec \"$@\"", self.umask), "sh"]);
        command.args(prefix).arg(env!("CARGO_BIN_EXE_lifeboat")).args(args);
        self.train.surround(&mut command);
        command.env_remove("LIFEBOAT_STATE").env("UPLOAD_TOKEN", SECRET);
        command
    }

    fn run(&self, args: &[&str]) -> Ran {
        Ran::of(&mut self.command(&[], args))
    }

    fn file(&self) -> String {
        self.train.train_file().display().to_string()
    }

    fn state(&self) -> PathBuf {
        self.train.root().join("home/.local/state/lifeboat")
    }
}

/// Looks at everything that strangers can read, without a pause, until it is asked to stop.
struct Watch {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<(Vec<String>, usize, usize)>,
}

impl Watch {
    fn start(root: &Path) -> Self {
        let (stop, root) = (Arc::new(AtomicBool::new(false)), root.to_owned());
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut search = Search::new(&EMBARGOED, Eyes::Strangers);
            let (mut found, mut rounds) = (Vec::new(), 0);
            loop {
                // Once more after the end.
                let last = stopped.load(Ordering::Relaxed);
                found.extend(search.find(&root));
                rounds += 1;
                if last {
                    return (found, rounds, search.files);
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        Self { stop, thread }
    }

    fn finish(self) {
        self.stop.store(true, Ordering::Relaxed);
        let (found, rounds, files) = self.thread.join().unwrap();
        eprintln!("watched {files} versions of readable files in {rounds} rounds");
        assert!(rounds > 20 && files > 20, "it hardly looked: {rounds} rounds, {files} files");
        assert!(found.is_empty(), "strangers could read:\n{}", found.join("\n"));
    }
}

/// A GitHub on loopback that answers everything with an empty object and keeps what it was sent, until it is asked to hang up.
fn github() -> (String, Arc<Mutex<Vec<u8>>>, Arc<AtomicBool>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let got = Arc::new(Mutex::new(Vec::new()));
    let down = Arc::new(AtomicBool::new(false));
    let (keep, hangs_up) = (got.clone(), down.clone());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            if hangs_up.load(Ordering::SeqCst) {
                continue;
            }
            let mut buffer = [0; 65536];
            let n = stream.read(&mut buffer).unwrap_or(0);
            keep.lock().unwrap().extend_from_slice(&buffer[..n]);
            drop(stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"));
        }
    });
    (address, got, down)
}

/// Every file below a directory: mode and bytes.
fn tree(top: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut out = BTreeMap::new();
    let mut dirs = vec![top.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            let bytes = if meta.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
            if meta.is_dir() {
                dirs.push(path.clone());
            }
            out.insert(path, (meta.mode(), bytes));
        }
    }
    out
}

#[track_caller]
fn assert_same(what: &str, before: &BTreeMap<PathBuf, (u32, Vec<u8>)>, after: &BTreeMap<PathBuf, (u32, Vec<u8>)>) {
    let changed: Vec<_> = before.iter().filter(|(p, v)| after.get(*p) != Some(v)).map(|(p, _)| p).collect();
    let new: Vec<_> = after.keys().filter(|p| !before.contains_key(*p)).collect();
    assert!(changed.is_empty() && new.is_empty(), "{what}: changed or gone {changed:?}, new {new:?}");
}

/// What strace(1) saw: processes, their arguments and environments, connections, files opened to write.
fn check_trace(trace: &str, root: &Path) {
    let root = root.display().to_string();
    let (mut processes, mut connections) = (0, 0);
    for line in trace.lines() {
        let call = line.split_once(' ').map_or(line, |(_, call)| call.trim_start());
        if call.starts_with("execve(") {
            processes += 1;
            for word in NEVER_IN_PROCESSES {
                assert!(!line.contains(word), "`{word}` in an argument or a variable:\n{line}");
            }
            // The recipe's own environment is what `secret_env` is for; ours it was given by its caller.
            let allowed = line.contains("/trains/drill/jobs/") || line.contains("\"UPLOAD_TOKEN=");
            assert!(allowed || !line.contains(SECRET), "the secret in an argument or a variable:\n{line}");
        }
        if ["connect(", "sendto(", "sendmsg(", "sendmmsg("].iter().any(|c| call.starts_with(c)) {
            for family in ["AF_INET,", "AF_INET6,"] {
                if call.contains(family) {
                    connections += 1;
                    assert!(call.contains("\"127.0.0.1\"") || call.contains("\"::1\""), "outwards:\n{line}");
                }
            }
        }
        let writes = ["O_WRONLY", "O_RDWR", "O_CREAT"].iter().any(|f| call.contains(f));
        if call.starts_with("openat(") && writes {
            // `openat(AT_FDCWD</dir>, "path", …`
            let path = call.split('"').nth(1).unwrap_or_default();
            let dir = call.split(['<', '>']).nth(1).unwrap_or_default();
            let path = if path.starts_with('/') { path.to_owned() } else { format!("{dir}/{path}") };
            let nothing = ["/dev/null", "/dev/tty"].contains(&path.as_str()) || path.starts_with("/proc/");
            // The root of a sandbox while it is made: in memory, in a mount namespace of its own.
            let sandbox = path.starts_with("/new/");
            let fine = path.starts_with(&root) || nothing || sandbox;
            assert!(fine, "written outside of the scratch directory:\n{line}");
        }
    }
    assert!(processes > 20, "strace saw {processes} processes only");
    assert!(connections > 0, "strace saw no connection, not even to the GitHub on loopback");
    // Before the program reads anything that is embargoed or secret.
    let before = trace.find("lifeboat.toml").unwrap();
    for call in ["RLIMIT_CORE, {rlim_cur=0, rlim_max=0}", "PR_SET_DUMPABLE, SUID_DUMP_DISABLE"] {
        assert!(trace.find(call).is_some_and(|at| at < before), "no `{call}` before the configuration is read");
    }
}

fn nobody_learns_before_the_gate(umask: &'static str) {
    let (address, received, down) = github();
    let world = World::new(&address, umask);
    let root = world.train.root().to_owned();
    let (project, remote) = (world.train.project(), root.join("remote.git"));
    let (project_before, remote_before) = (tree(&project), tree(&remote));
    let refs_before = world.git(&project, &["for-each-ref"]);
    assert_same("looking at refs", &project_before, &tree(&project));

    let watch = Watch::start(&root);
    let trace = root.join("private/trace");
    let calls = "trace=execve,%network,openat,prctl,prlimit64,setrlimit";
    let out = trace.display().to_string();
    let strace = ["strace", "-f", "--seccomp-bpf", "-qq", "-v", "-y", "-s", "100000", "-e", calls, "-o", &out, "--"];
    let plan = world.run(&["plan", &world.file()]).ends_with(0);
    let ship = Ran::of(&mut world.command(&strace, &["ship", &world.file()])).ends_with(3);
    let mut runs = vec![plan, ship];
    for person in ["alice", "bob"] {
        runs.push(world.run(&["approve", "--as", person, "--yes"]).ends_with(0));
    }
    for args in [&["status"][..], &["status", "--json"], &["log"], &["log", "--json"], &["reconcile"]] {
        runs.push(world.run(args).ends_with(0));
    }
    watch.finish();

    check_trace(&fs::read_to_string(&trace).unwrap(), &root);
    let received = received.lock().unwrap().clone();
    assert!(!received.is_empty(), "nobody asked GitHub whether it is there");
    let search = Search::new(&[&EMBARGOED[..], &[SECRET]].concat(), Eyes::Owner);
    assert!(search.words_in(&received).is_empty(), "{}", String::from_utf8_lossy(&received));

    // The user's repository and the remote are as they were, byte for byte, and no hook ran.
    assert_same("the user's repository", &project_before, &tree(&project));
    assert_same("the remote", &remote_before, &tree(&remote));
    assert!(!root.join("home/a-hook-ran").exists(), "{}", fs::read_to_string(root.join("home/a-hook-ran")).unwrap());
    // What a careless `git push` or `git fetch` moves is nothing of the train.
    for args in [&["push", "-q", "--tags"][..], &["push", "-q", "--mirror"]] {
        let public = root.join(format!("public-{}.git", args.last().unwrap().trim_start_matches('-')));
        let address = public.display().to_string();
        world.git(&root, &["init", "-q", "--bare", &address]);
        world.git(&project, &[args, &[&address]].concat());
        assert!(!world.git(&public, &["for-each-ref"]).is_empty(), "{args:?} pushed nothing at all");
        assert_eq!(Search::new(&EMBARGOED, Eyes::Owner).find(&public), Vec::<String>::new());
    }
    let clone = root.join("clone.git");
    world.git(&root, &["clone", "-q", "--mirror", &project.display().to_string(), &clone.display().to_string()]);
    assert_eq!(Search::new(&EMBARGOED, Eyes::Owner).find(&clone), Vec::<String>::new());
    world.git(&project, &["fetch", "-q", "--all", "--tags"]);
    let own = |refs: &str| refs.lines().filter(|l| !l.contains("refs/remotes/")).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(own(&world.git(&project, &["for-each-ref"])), own(&refs_before));

    // The secret is nowhere, not even where only we can read.
    for ran in &runs {
        assert!(!ran.stdout.contains(SECRET) && !ran.stderr.contains(SECRET), "{ran:?}");
    }
    for dir in [world.state(), world.train.store(), root.join("tmp")] {
        assert_eq!(Search::new(&[SECRET], Eyes::Owner).find(&dir), Vec::<String>::new());
    }

    // The same eyes see the release once it is out: they were open.
    // GitHub is down by now: what it would be sent is another test's affair.
    down.store(true, Ordering::SeqCst);
    world.run(&["ship"]).ends_with(0);
    let seen = Search::new(&EMBARGOED, Eyes::Strangers).find(&world.train.store()).join("\n");
    for word in EMBARGOED {
        assert!(seen.contains(word), "`{word}` is not found in what is public:\n{seen}");
    }
    let state = Search::new(&EMBARGOED, Eyes::Strangers).find(&root.join("home"));
    assert!(state.is_empty(), "strangers can read the state: {state:?}");
}

#[test]
fn nobody_learns_before_the_gate_with_umask_000() {
    nobody_learns_before_the_gate("000");
}

#[test]
fn nobody_learns_before_the_gate_with_umask_022() {
    nobody_learns_before_the_gate("022");
}

#[test]
fn nobody_learns_before_the_gate_with_umask_077() {
    nobody_learns_before_the_gate("077");
}

#[test]
fn the_search_finds_what_is_hidden_in_archives_and_git() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best()));
    let mut header = tar::Header::new_ustar();
    header.set_size(TEXT.len() as u64);
    header.set_cksum();
    tar.append_data(&mut header, "a", TEXT.as_bytes()).unwrap();
    fs::write(dir.path().join("archive"), tar.into_inner().unwrap().finish().unwrap()).unwrap();
    let repo = git2::Repository::init_bare(dir.path().join("git")).unwrap();
    repo.blob(ADVISORY.as_bytes()).unwrap();
    let mut pack = Vec::new();
    {
        let mut builder = repo.packbuilder().unwrap();
        builder.insert_object(repo.blob(SUBJECT.as_bytes()).unwrap(), None).unwrap();
        builder
            .foreach(|bytes| {
                pack.extend_from_slice(bytes);
                true
            })
            .unwrap();
    }
    fs::write(dir.path().join("some.pack"), pack).unwrap();
    fs::write(dir.path().join(FILE), "").unwrap();
    let private = dir.path().join("private");
    fs::create_dir(&private).unwrap();
    fs::write(private.join("open"), VERSIONS[0]).unwrap();
    fs::set_permissions(&private, fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(dir.path().join("closed"), VERSIONS[1]).unwrap();
    fs::set_permissions(dir.path().join("closed"), fs::Permissions::from_mode(0o600)).unwrap();
    let seen = Search::new(&EMBARGOED, Eyes::Strangers).find(dir.path()).join("\n");
    for word in [TEXT, FILE, SUBJECT, ADVISORY] {
        assert!(seen.contains(word), "no {word} in:\n{seen}");
    }
    assert!(!seen.contains(VERSIONS[0]) && !seen.contains(VERSIONS[1]), "{seen}");
}
