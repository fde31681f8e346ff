//! Nothing becomes public before it can be finished: what a required step after the gate needs is there before it opens.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking; clippy exempts test functions only")]

mod after;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::support::sample_train::{Ran, SampleTrain};

/// git in a directory, with the sample's surroundings; what it printed.
fn git(train: &SampleTrain, dir: &Path, args: &[&str]) -> String {
    let mut command = Command::new("git");
    train.surround(&mut command);
    command.current_dir(dir).args(["-c", "user.name=M", "-c", "user.email=m@example.org"]).args(args);
    Ran::of(&mut command).ends_with(0).stdout.trim().to_owned()
}

/// Puts two commits on a line, so that its history has a file that its head lacks; gives the id of that file.
fn with_history(train: &SampleTrain) -> String {
    let project = train.project();
    git(train, &project, &["checkout", "-q", "release-1.0.0"]);
    fs::write(project.join("notes.txt"), "what once was\n").unwrap();
    git(train, &project, &["add", "notes.txt"]);
    git(train, &project, &["commit", "-q", "-m", "Add notes"]);
    let blob = git(train, &project, &["rev-parse", "HEAD:notes.txt"]);
    fs::write(project.join("notes.txt"), "what is now\n").unwrap();
    git(train, &project, &["commit", "-q", "-a", "-m", "Change notes"]);
    git(train, &project, &["checkout", "-q", "release-2.0.0"]);
    blob
}

fn loose(train: &SampleTrain, object: &str) -> PathBuf {
    train.project().join(".git/objects").join(&object[..2]).join(&object[2..])
}

fn nothing_is_public(train: &SampleTrain) {
    for place in ["releases", "git", "keys"] {
        assert!(!train.store().join(place).exists(), "`{place}` is in the store");
    }
}

#[test]
fn a_lost_old_file_stops_the_train_before_the_gate_and_does_not_matter_after_it() {
    let train = SampleTrain::new();
    let lost = loose(&train, &with_history(&train));
    let kept = train.root().join("kept");
    fs::rename(&lost, &kept).unwrap();
    train.adopt().fails(2, &["1 objects of the history are not in the clone", "fetch --refetch", "missing: "]);
    nothing_is_public(&train);
    fs::rename(&kept, &lost).unwrap();
    train.ship().ends_with(3);
    // What was packed is kept with the train: the clone may lose it by now.
    fs::rename(&lost, &kept).unwrap();
    train.release();
    git(&train, train.root(), &["clone", "-q", &format!("{}/git/sample.git", train.store().display()), "reader"]);
    git(&train, &train.root().join("reader"), &["fsck", "--strict"]);
    let notes = git(&train, &train.root().join("reader"), &["show", "origin/release-1.0.0~3^:notes.txt"]);
    assert_eq!(notes, "what once was");
}

#[test]
fn a_base_that_is_pruned_after_the_approvals_stops_the_train_at_the_gate() {
    let train = SampleTrain::new();
    with_history(&train);
    train.to_the_gate();
    train.approve();
    let project = train.project();
    let base = git(&train, &project, &["rev-parse", "release-1.0.0"]);
    let bare = train.root().join("kept.git").display().to_string();
    git(&train, &project, &["clone", "-q", "--bare", ".", &bare]);
    git(&train, &project, &["branch", "-q", "-D", "release-1.0.0"]);
    git(&train, &project, &["tag", "-d", "v1.0.4"]);
    git(&train, &project, &["reflog", "expire", "--expire=now", "--all"]);
    git(&train, &project, &["gc", "-q", "--prune=now"]);
    let ran = train.ship();
    assert_ne!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.contains(&base[..12]) || ran.stderr.contains("history"), "{ran:?}");
    nothing_is_public(&train);
    git(&train, &project, &["fetch", "-q", &bare, "release-1.0.0:release-1.0.0"]);
    train.ship().ends_with(0);
}

/// No forge: then a train has nothing left to deliver.
fn without_forge(train: &SampleTrain) {
    let forge = "[forge.github]\nrepository = \"example/sample\"\napi = \"http://127.0.0.1:1\"\ntoken = { file = \"../secret/github.token\" }\nrequired = false\n";
    train.edit(&train.config(), forge, "");
}

/// From the gate to the end of a train that goes to its store alone.
fn to_the_end(train: &SampleTrain) {
    train.approve();
    let ran = train.ship().ends_with(0);
    assert!(ran.stdout.contains("train drill: reconciled"), "{ran:?}");
}

#[test]
fn a_key_that_the_root_does_not_know_is_refused_before_there_is_a_plan() {
    for role in ["release", "freshness"] {
        let train = SampleTrain::new();
        let file = format!("{role} = {{ file = \"../secret/{role}.key\" }}");
        train.edit(&train.config(), &file, &format!("{role} = {{ file = \"../secret/carol.key\" }}"));
        let unknown = format!("the trust root does not know the key of `signing.{role}`");
        train.adopt().fails(6, &[&unknown, &format!("role {role}: ")]);
        let doctor = train.run(&["doctor"]);
        assert_eq!(doctor.code, Some(1), "{doctor:?}");
        assert!(doctor.stdout.contains(&unknown), "{doctor:?}");
    }
}

#[test]
fn a_key_that_was_exchanged_after_the_approvals_stops_the_train_at_the_gate() {
    for role in ["release", "freshness"] {
        let train = SampleTrain::new();
        without_forge(&train);
        train.to_the_gate();
        train.approve();
        let kept = fs::read(train.key(role)).unwrap();
        fs::write(train.key(role), fs::read(train.key("carol")).unwrap()).unwrap();
        train.ship().fails(6, &[&format!("the trust root does not know the key of `signing.{role}`")]);
        nothing_is_public(&train);
        fs::write(train.key(role), kept).unwrap();
        train.ship().ends_with(0);
    }
}

#[test]
fn a_key_may_move_to_another_file_and_a_token_may_not() {
    let train = SampleTrain::new();
    without_forge(&train);
    train.to_the_gate();
    let moved = |role: &str| {
        fs::rename(train.key(role), train.key(&format!("moved-{role}"))).unwrap();
        let file = |name: &str| format!("../secret/{name}.key");
        train.edit(&train.config(), &file(role), &file(&format!("moved-{role}")));
    };
    moved("release");
    to_the_end(&train);
    moved("freshness");
    train.run(&["reconcile"]).ends_with(0);
    train.run(&["refresh", "--now"]).ends_with(0);
}

#[test]
fn a_push_that_would_fail_is_found_before_anything_is_public() {
    let train = SampleTrain::new();
    without_forge(&train);
    let remote = train.root().join("remote.git");
    git(&train, train.root(), &["clone", "-q", "--bare", &train.project().display().to_string(), "remote.git"]);
    train.configure(&format!("[[remote]]\nname = \"team\"\nurl = \"file://{}\"\nrequired = true\n", remote.display()));
    train.to_the_gate();
    train.approve();
    let elsewhere = "url.file:///nowhere/.pushInsteadOf";
    git(&train, &train.project(), &["config", elsewhere, "file:///"]);
    let ran = train.ship();
    assert_ne!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.contains("a push would be refused"), "{ran:?}");
    nothing_is_public(&train);
    git(&train, &train.project(), &["config", "--unset", elsewhere]);
    train.ship().ends_with(0);
    let there = git(&train, &remote, &["rev-parse", "v1.0.5^{commit}"]);
    assert_eq!(there, git(&train, &remote, &["rev-parse", "release-1.0.0"]));
}

#[test]
fn a_pipe_for_a_key_file_is_refused_at_once() {
    let train = SampleTrain::new();
    fs::remove_file(train.key("release")).unwrap();
    let mut mkfifo = Command::new("mkfifo");
    Ran::of(mkfifo.arg(train.key("release"))).ends_with(0);
    let doctor = train.run(&["doctor"]);
    assert_eq!(doctor.code, Some(1), "{doctor:?}");
    assert!(doctor.stdout.contains("is not a regular file"), "{doctor:?}");
    train.adopt().fails(1, &["it is not a regular file"]);
}

fn files_of(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut out = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else {
                out.push((path.clone(), fs::read(&path).unwrap()));
            }
        }
    }
    out.sort();
    out
}

#[test]
fn staged_files_that_a_store_lost_are_staged_again() {
    let train = SampleTrain::new();
    without_forge(&train);
    train.to_the_gate();
    let staging = train.store().join(".staging");
    let staged = |_: ()| files_of(&staging).into_iter().find(|(p, _)| p.ends_with("SHA256SUMS")).unwrap().0;
    // While people are to approve: `ship` looks.
    let lost = staged(());
    fs::remove_file(&lost).unwrap();
    train.run(&["approve", "--as", "alice", "--yes"]).fails(1, &["has lost the staged", "`lifeboat ship`"]);
    train.ship().ends_with(3);
    assert!(lost.exists());
    train.approve();
    // At the gate: all of it.
    for entry in fs::read_dir(&staging).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().len() == 32 {
            fs::remove_dir_all(path).unwrap();
        }
    }
    let ran = train.ship().ends_with(0);
    assert!(ran.stderr.contains("was put there again") || ran.stdout.contains("was put there again"), "{ran:?}");
    train.run(&["verify", "1.0.5", &train.store().display().to_string()]).ends_with(0);
}

/// A web server over a directory, `DIR HIDDEN OFFSET`: whether it refuses what is hidden, and by how many seconds its clock
/// is off.
const WEB: &str = r#"
import http.server, os, sys, time, email.utils
class H(http.server.SimpleHTTPRequestHandler):
    def __init__(self, *a): super().__init__(*a, directory=sys.argv[1])
    def date_time_string(self, timestamp=None):
        return email.utils.formatdate((timestamp or time.time()) + int(sys.argv[3]), usegmt=True)
    def do_GET(self):
        if sys.argv[2] == 'yes' and '/.staging' in self.path: self.send_error(404)
        else: super().do_GET()
    def log_message(self, *a): pass
s = http.server.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[4])), H)
print(s.server_address[1], flush=True)
s.serve_forever()
"#;

struct Web {
    child: Child,
    port: u16,
}

impl Web {
    fn over(dir: &Path, hides: bool, offset: i64, port: u16) -> Self {
        let mut command = Command::new("python3");
        command.args(["-c", WEB]).arg(dir);
        command.args([if hides { "yes" } else { "no" }, &offset.to_string(), &port.to_string()]);
        Self::started(&mut command)
    }

    /// Runs a server that prints its port.
    fn started(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|e| panic!("cannot run `python3` ({e}): apt-get install python3"));
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, port: line.trim().parse().unwrap() }
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn with_public_url(train: &SampleTrain, port: u16) {
    let store = format!("url = \"file://{}\"\n", train.store().display());
    train.edit(&train.config(), &store, &format!("{store}public_url = \"http://127.0.0.1:{port}\"\n"));
}

#[test]
fn a_staging_area_that_strangers_can_read_is_refused_before_anything_is_staged() {
    let train = SampleTrain::new();
    without_forge(&train);
    let web = Web::over(&train.store(), false, 0, 0);
    with_public_url(&train, web.port);
    let file = train.train_file().display().to_string();
    let expected = ["strangers can read a file of the staging area", "location ~ /"];
    train.run(&["plan", &file]).fails(1, &expected);
    train.adopt().fails(1, &expected);
    let doctor = train.run(&["doctor"]);
    assert_eq!(doctor.code, Some(1), "{doctor:?}");
    assert!(doctor.stdout.contains("strangers can read a file"), "{doctor:?}");
    let left: Vec<PathBuf> = files_of(&train.store()).into_iter().map(|(path, _)| path).collect();
    let staged = |path: &PathBuf| path.ends_with("SHA256SUMS") || path.to_string_lossy().contains("stranger-");
    assert!(!left.iter().any(staged), "{left:?}");
    // The server is put right, and wrong again once the train is adopted: each train looks for itself.
    let port = web.port;
    drop(web);
    let web = Web::over(&train.store(), true, 0, port);
    train.run(&["plan", &file]).ends_with(0);
    drop(web);
    let _web = Web::over(&train.store(), false, 0, port);
    train.adopt().fails(1, &expected);
}

#[test]
fn strangers_may_see_what_is_encrypted_and_people_are_told() {
    let train = SampleTrain::new();
    without_forge(&train);
    train.edit(&train.config(), "\nrequired = true\n", "\nrequired = true\nstaging = \"encrypted\"\n");
    let web = Web::over(&train.store(), false, 0, 0);
    with_public_url(&train, web.port);
    let file = train.train_file().display().to_string();
    let told = "of store `mirror`: they learn that a train is under way, about how large it is";
    train.run(&["plan", &file]).ends_with(0).says(told);
    let doctor = train.run(&["doctor"]).ends_with(0);
    assert!(doctor.stdout.contains("staging: encrypted") && doctor.stdout.contains(told), "{doctor:?}");
    train.adopt().ends_with(3).says(told);
    train.approve();
    train.ship().ends_with(0);
}

/// A server that sends everybody to another one, as one does from `http` to `https`.
const AWAY: &str = r"
import http.server, sys
class Away(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(301)
        self.send_header('Location', 'http://127.0.0.1:' + sys.argv[1] + self.path)
        self.end_headers()
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Away)
print(server.server_port, flush=True)
server.serve_forever()
";

#[test]
fn a_redirect_hides_nothing_from_strangers() {
    let train = SampleTrain::new();
    without_forge(&train);
    let web = Web::over(&train.store(), false, 0, 0);
    let away = Web::started(Command::new("python3").args(["-c", AWAY, &web.port.to_string()]));
    with_public_url(&train, away.port);
    let file = train.train_file().display().to_string();
    train.run(&["plan", &file]).fails(1, &["strangers can read a file of the staging area"]);
}

#[test]
fn a_clock_that_others_contradict_opens_no_gate() {
    for (offset, how) in [(-86_400, "ahead"), (86_400, "behind")] {
        let train = SampleTrain::new();
        without_forge(&train);
        let web = Web::over(&train.store(), true, offset, 0);
        let port = web.port;
        with_public_url(&train, port);
        train.to_the_gate();
        train.approve();
        let expected = format!("this machine's clock may be {how}");
        let doctor = train.run(&["doctor"]);
        assert!(doctor.code == Some(1) && doctor.stdout.contains(&expected), "{doctor:?}");
        train.ship().fails(1, &[&expected, "store `mirror` shows "]);
        nothing_is_public(&train);
        drop(web);
        let _web = Web::over(&train.store(), true, 0, port);
        train.ship().ends_with(0);
    }
}

#[test]
fn a_forge_without_credentials_is_refused_before_there_is_a_plan() {
    let train = SampleTrain::new();
    train.edit(&train.config(), "token = { file = \"../secret/github.token\" }\n", "");
    train.adopt().fails(2, &["`[forge.github]` has neither `token` nor `app`"]);
    let doctor = train.run(&["doctor"]);
    assert_eq!(doctor.code, Some(1), "{doctor:?}");
    assert!(doctor.stdout.contains("has neither `token` nor `app`"), "{doctor:?}");
}

#[test]
fn what_gets_bytes_is_pinned() {
    let train = SampleTrain::new();
    train.to_the_gate();
    let kept = fs::read_to_string(train.config()).unwrap();
    with_public_url(&train, 1);
    train
        .ship()
        .fails(4, &["public address of store mirror is at `http://127.0.0.1:1` now, the adopted plan says `none`"]);
    fs::write(train.config(), &kept).unwrap();
    train.configure("[[runner]]\nname = \"other\"\nkind = \"local\"\nlabels = [\"linux\"]\n");
    train.ship().fails(4, &["runner "]);
    fs::write(train.config(), &kept).unwrap();
    train.ship().ends_with(3);
}

#[test]
fn old_signatures_of_an_index_are_removed() {
    let train = SampleTrain::new();
    without_forge(&train);
    train.to_the_gate();
    to_the_end(&train);
    for _ in 0..3 {
        train.run(&["refresh", "--now"]).ends_with(0);
        train.run(&["verify", "1.0.5", &train.store().display().to_string()]).ends_with(0);
    }
    let names = fs::read_dir(train.store().join("releases")).unwrap().map(|e| e.unwrap().file_name());
    let names: Vec<String> = names.map(|n| n.into_string().unwrap()).collect();
    let signatures = names.iter().filter(|n| n.starts_with("index.") && n.ends_with(".asc") && n.len() > 20);
    assert_eq!(signatures.count(), 2, "{names:?}");
}

#[test]
fn a_wrong_answer_ends_no_watch_at_once() {
    let train = SampleTrain::new();
    without_forge(&train);
    let remote = train.root().join("remote.git");
    git(&train, train.root(), &["clone", "-q", "--bare", &train.project().display().to_string(), "remote.git"]);
    train.configure(&format!("[[remote]]\nname = \"team\"\nurl = \"file://{}\"\nrequired = false\n", remote.display()));
    // A server that refuses for no reason.
    let hook = remote.join("hooks/update");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    fs::write(&hook, "#!/bin/sh\nexit 1\n").unwrap();
    std::os::unix::fs::symlink(&hook, remote.join("kept")).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&hook, mode).unwrap();
    train.to_the_gate();
    train.approve();
    train.ship();
    let mut command = train.command(&["reconcile", "--watch", "--every", "2"]);
    let mut watching = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert!(watching.try_wait().unwrap().is_none(), "one refusal is not believed");
    fs::remove_file(&hook).unwrap();
    let ran = Ran::from(&watching.wait_with_output().unwrap()).ends_with(0);
    assert!(ran.stderr.contains("is tried again"), "{ran:?}");
    assert_eq!(git(&train, &remote, &["tag", "-l", "v1.0.5"]), "v1.0.5");
}

#[test]
fn a_partial_clone_is_refused_by_doctor_and_plan() {
    let train = SampleTrain::new();
    with_history(&train);
    let project = train.project();
    git(&train, &project, &["config", "uploadpack.allowFilter", "true"]);
    let clone = train.root().join("sample/partial");
    let from = format!("file://{}", project.display());
    git(&train, train.root(), &["clone", "-q", "--filter=blob:none", &from, &clone.display().to_string()]);
    for branch in ["release-1.0.0", "release-2.0.0"] {
        git(&train, &clone, &["checkout", "-q", branch]);
    }
    fs::copy(train.config(), clone.join("lifeboat.toml")).unwrap();
    let copied = Command::new("cp").arg("-r").arg(project.join("keys")).arg(&clone).status().unwrap();
    assert!(copied.success());
    let at = |verb: &[&str]| Ran::of(train.command(verb).current_dir(&clone));
    let expected = "objects of the history are not in the clone";
    at(&["plan", &train.train_file().display().to_string()]).fails(2, &[expected, "fetch --refetch"]);
    let doctor = at(&["doctor"]);
    assert_eq!(doctor.code, Some(1), "{doctor:?}");
    assert!(doctor.stdout.contains(expected), "{doctor:?}");
}

#[test]
fn a_template_that_fails_with_the_train_s_own_data_is_found_before_anything_is_public() {
    let train = SampleTrain::new();
    without_forge(&train);
    let templates = train.project().join("release-templates");
    fs::create_dir(&templates).unwrap();
    let built_in = include_str!("../../release-templates/release.html");
    // It can be made of the sample data with which templates are tried, and not of this train's.
    let picky = format!("{built_in}{{% if version == '1.0.5' %}}{{{{ nothing.of.the.kind }}}}{{% endif %}}");
    fs::write(templates.join("release.html"), picky).unwrap();
    train.to_the_gate();
    train.approve();
    let ran = train.ship();
    assert_ne!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.contains("release.html") && ran.stderr.contains("step: gate"), "{ran:?}");
    nothing_is_public(&train);
}
