//! Git in the sweep of failures: the real program and the real git over an ssh that fails on request, at every call.
//!
//! The train is released while GitHub's git server swallows everything; each run then reconciles a copy of that state
//! through one failure (or two, `LIFEBOAT_GIT_FAULT_PAIRS=N`) and must end in the same world.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::essence::essence;
use crate::github_double::state::State;
use crate::github_double::{Double, TOKEN};
use crate::support::sample_train::{Ran, SampleTrain};

/// An ssh that runs the command here. `fault` holds lines `N KIND`: how the Nth call fails; `calls` lists the calls.
const SSH: &str = r#"#!/bin/sh
for command; do :; done
dir=$(dirname "$0")
echo "${command%% *}" >> "$dir/calls"
n=$(($(wc -l < "$dir/calls")))
kind=$(sed -n "s/^\($n\|all\) //p" "$dir/fault" | head -1)
# The program is two above: it runs git, which runs this.
program=$(ps -o ppid= -p $PPID)
case $kind in
refused) echo 'ssh: connect to host example.invalid port 22: Connection refused' >&2; exit 255;;
silent) exec sleep 60;;
reset)
    case $command in
    git-receive-pack*) head -c 600 | sh -c "$command";;
    *) sh -c "$command" | head -c 100;;
    esac
    echo 'Connection reset by peer' >&2; exit 255;;
kill-before) kill -9 $program; exit 255;;
kill-after) sh -c "$command"; kill -9 $program; exit 255;;
hook-rejects) export REJECT=1;;
hook-fails-after) export FAIL_AFTER=1;;
answer-lost) export LOSE_ANSWER=1;;
esac
sh -c "$command"
"#;

const PRE_RECEIVE: &str = "#!/bin/sh\ncat >/dev/null\nif [ -n \"$REJECT\" ]; then echo 'not today' >&2; exit 1; fi\n";

/// What the server does after the refs have moved.
const POST_RECEIVE: &str = "#!/bin/sh\ncat >> \"$GIT_DIR/arrived\"\n\
    if [ -n \"$FAIL_AFTER\" ]; then echo 'the mirror is full' >&2; exit 1; fi\n\
    if [ -n \"$LOSE_ANSWER\" ]; then kill -9 $PPID; fi\n";

const AT_A_READ: [&str; 4] = ["refused", "reset", "kill-before", "kill-after"];
const AT_A_PUSH: [&str; 7] =
    ["refused", "reset", "kill-before", "kill-after", "hook-rejects", "hook-fails-after", "answer-lost"];

struct World {
    train: SampleTrain,
    double: Double,
    /// The double's state when the train was released.
    released: State,
}

impl World {
    fn path(&self, name: &str) -> PathBuf {
        self.train.root().join(name)
    }

    async fn run(&self, args: &[&str]) -> Ran {
        let mut command = self.train.command(args);
        command.env("GITHUB_TOKEN", TOKEN);
        tokio::task::spawn_blocking(move || Ran::of(&mut command)).await.unwrap()
    }

    fn git(&self, args: &[&str]) -> String {
        let mut command = Command::new("git");
        command.args(args);
        self.train.surround(&mut command);
        Ran::of(&mut command).ends_with(0).stdout
    }

    fn faults(&self, lines: &[(usize, &str)]) {
        let text: String = lines.iter().map(|(n, kind)| format!("{n} {kind}\n")).collect();
        fs::write(self.path("fault"), text).unwrap();
        fs::write(self.path("calls"), "").unwrap();
    }

    fn calls(&self) -> Vec<String> {
        fs::read_to_string(self.path("calls")).unwrap().lines().map(str::to_owned).collect()
    }

    /// A train that is released; GitHub's git server and API have nothing of it.
    async fn released() -> Self {
        let double = Double::start().await;
        double.world().state.immutable_releases = true;
        let train = SampleTrain::unpinned(&double.api());
        train.pin();
        let bare = |name: &str| train.root().join(name).display().to_string();
        let api = format!("api = \"{}\"", double.api());
        train.edit(
            &train.config(),
            &format!("{api}\n{}", crate::support::sample_train::TOKEN),
            &format!("{api}\nremote = \"github-git\"\ntoken = {{ env = \"GITHUB_TOKEN\" }}"),
        );
        train.configure(&format!(
            "[[remote]]\nname = \"github-git\"\nurl = \"ssh://git@example.invalid{}\"\n\
             [[remote]]\nname = \"own-git\"\nurl = \"{}\"\n",
            bare("github.git"),
            bare("own.git")
        ));
        let released = State::default();
        let mut world = Self { train, double, released };
        let write = |name: &str, text: &str| {
            use std::os::unix::fs::PermissionsExt as _;
            let path = world.path(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        };
        for name in ["github.git", "own.git"] {
            let project = world.train.project().display().to_string();
            world.git(&["clone", "--quiet", "--bare", &project, &world.path(name).display().to_string()]);
        }
        write("github.git/hooks/pre-receive", PRE_RECEIVE);
        write("github.git/hooks/post-receive", POST_RECEIVE);
        write("ssh.sh", SSH);
        // The clone's own settings hold for every call, from whichever repository it is made.
        let project = world.train.project().display().to_string();
        let ssh = world.path("ssh.sh").display().to_string();
        for setting in [["core.sshCommand", &ssh], ["ssh.variant", "simple"]] {
            world.git(&["-C", &project, "config", setting[0], setting[1]]);
        }
        write("fault", "all silent\n");
        write("calls", "");
        world.double.world().git = Some(world.path("github.git"));
        let file = world.train.train_file().display().to_string();
        world.run(&["ship", &file]).await.ends_with(3);
        assert_eq!(world.double.world().writes, Vec::<String>::new(), "a draft before the gate");
        for person in ["alice", "bob"] {
            world.run(&["approve", "--as", person, "--yes"]).await.ends_with(0);
        }
        let shipped = world.run(&["ship"]).await.ends_with(0);
        assert!(shipped.stdout.contains("train drill: released"), "{shipped:?}");
        world.released = world.double.world().state.clone();
        copy(&world.path("sample"), &world.path("sample.released"));
        copy(&world.path("github.git"), &world.path("github.git.released"));
        world
    }

    /// Everything as it was when the train was released.
    fn again(&self) {
        for name in ["sample", "github.git"] {
            fs::remove_dir_all(self.path(name)).unwrap();
            copy(&self.path(&format!("{name}.released")), &self.path(name));
        }
        let mut world = self.double.world();
        world.state = self.released.clone();
        world.writes.clear();
    }

    /// What GitHub has, on both of its sides.
    fn essence(&self) -> String {
        let dir = self.path("github.git").display().to_string();
        let refs = self.git(&["--git-dir", &dir, "for-each-ref", "--format=%(objectname) %(objecttype) %(refname)"]);
        self.git(&["--git-dir", &dir, "fsck", "--strict", "--no-dangling"]);
        format!("{refs}\n{}", essence(&self.double.world().state))
    }

    /// One run with these failures; what was wrong, and whether the first of them was reached: it may keep the second away.
    async fn one(&self, faults: &[(usize, &str)], expected: &str) -> Result<bool, String> {
        self.again();
        self.faults(faults);
        let first = self.run(&["reconcile"]).await;
        let reached = self.calls().len() >= faults.iter().map(|(n, _)| *n).min().unwrap_or(0);
        // No release without its tag, whatever happened.
        if !self.double.world().state.made_tags.is_empty() {
            return Err(format!("a release was published before its tag: {first:?}"));
        }
        self.faults(&[]);
        let home = self.run(&["reconcile"]).await;
        if home.code != Some(0) || !home.stdout.contains("reconciled, 4 deliveries read back and equal") {
            return Err(format!("not home: {home:?}\nafter {first:?}"));
        }
        if self.essence() != expected {
            return Err(format!("another world:\n{}\nexpected:\n{expected}\nafter {first:?}", self.essence()));
        }
        let arrived = fs::read_to_string(self.path("github.git/arrived")).unwrap();
        if arrived.lines().count() != 4 {
            return Err(format!("two branches and two tags arrive once each:\n{arrived}"));
        }
        let (writes, records) = (self.double.world().writes.len(), self.train.records("drill").len());
        self.faults(&[]);
        self.run(&["reconcile"]).await.ends_with(0);
        let changed = self.double.world().writes.len() != writes
            || self.train.records("drill").len() != records
            || self.calls().iter().any(|c| c != "git-upload-pack");
        if changed { Err("the last reconcile changed something".to_owned()) } else { Ok(reached) }
    }
}

fn copy(from: &Path, to: &Path) {
    Ran::of(Command::new("cp").arg("-a").arg(from).arg(to)).ends_with(0);
}

/// How many tests share the failures: each has a world of its own, and they run beside each other.
const PARTS: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_failure_at_every_call_of_git_ends_in_the_same_world_1() {
    part(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_failure_at_every_call_of_git_ends_in_the_same_world_2() {
    part(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_failure_at_every_call_of_git_ends_in_the_same_world_3() {
    part(2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_failure_at_every_call_of_git_ends_in_the_same_world_4() {
    part(3).await;
}

/// Every [`PARTS`]th failure, from the one with this number.
async fn part(number: usize) {
    let world = World::released().await;
    // The other remote has its own clock: it was served while this one was silent.
    let records = world.train.records("drill");
    let at = |event: &str, step: &str| {
        let found = records.iter().find(|r| r["what"]["event"] == event && r["what"]["step"] == step);
        found.unwrap_or_else(|| panic!("no `{event}` of {step}"))["at"]
            .as_str()
            .unwrap()
            .parse::<jiff::Timestamp>()
            .unwrap()
    };
    let served = at("succeeded", "push-git/own-git");
    let given_up = at("deferred", "push-git/github-git");
    assert!(served < given_up, "own-git waited for github-git: {served}, {given_up}");
    assert_eq!(world.double.world().writes, Vec::<String>::new(), "no release before its tag");

    world.faults(&[]);
    world.run(&["reconcile"]).await.ends_with(0);
    let (calls, expected) = (world.calls(), world.essence());
    let pushes = calls.iter().filter(|c| *c == "git-receive-pack").count();
    assert_eq!(pushes, 1, "all refs in one push: {calls:?}");
    let mut singles = Vec::new();
    for (i, call) in calls.iter().enumerate() {
        let kinds: &[&str] = if call == "git-receive-pack" { &AT_A_PUSH } else { &AT_A_READ };
        singles.extend(kinds.iter().map(|kind| (i + 1, *kind)));
    }
    let pairs = std::env::var("LIFEBOAT_GIT_FAULT_PAIRS").map_or(6, |n| n.parse::<usize>().unwrap());
    // Any two, evenly spread: a step that shares no factor with how many there are.
    let all: Vec<[(usize, &str); 2]> =
        singles.iter().flat_map(|a| singles.iter().filter(|b| b.0 > a.0).map(|b| [*a, *b])).collect();
    let drawn = (0..pairs.min(all.len())).map(|i| all[i * 101 % all.len()].to_vec());
    let sets = singles.iter().map(|s| vec![*s]).chain(drawn);
    let sets: Vec<Vec<(usize, &str)>> = sets.skip(number).step_by(PARTS).collect();
    let (mut reached, mut wrong) = (0, Vec::new());
    for faults in &sets {
        match world.one(faults, &expected).await {
            Ok(r) => reached += usize::from(r),
            Err(why) => wrong.push(format!("{faults:?}: {why}")),
        }
    }
    println!("{} calls; {} of {} single failures and {pairs} pairs run", calls.len(), sets.len(), singles.len());
    assert!(wrong.is_empty(), "{} of {} runs:\n{}", wrong.len(), sets.len(), wrong.join("\n\n"));
    assert_eq!(reached, sets.len(), "a failure that does not happen proves nothing");
    assert_eq!(world.double.world().violations, Vec::<String>::new());
}
