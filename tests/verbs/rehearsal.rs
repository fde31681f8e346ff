//! `ship --dry-run`: everything but the public effects happens, and those are recorded.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use lifeboat::drill::{BlackHole, SampleProject};
use lifeboat::effects::{Clock as _, Disk as _};
use lifeboat::host::{HostClock, HostDisk};
use lifeboat::model::Sha256;

struct World {
    dir: tempfile::TempDir,
    sample: SampleProject,
    _hole: BlackHole,
}

impl World {
    fn new() -> Self {
        Self::made(HostClock.now())
    }

    /// A world whose keys and trust root were made then.
    fn made(then: jiff::Timestamp) -> Self {
        let dir = crate::support::scratch();
        let hole = BlackHole::open().unwrap();
        let sample = SampleProject::create(&dir.path().join("drill"), hole.address(), then, HostClock.now()).unwrap();
        let root = std::fs::read(sample.project().join("keys/trust.json")).unwrap();
        lifeboat::trust::pin(&HostDisk, &sample.state().join("sample"), &Sha256::of(&root)).unwrap();
        Self { dir, sample, _hole: hole }
    }

    fn lifeboat(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lifeboat"));
        command
            .args(arguments)
            .current_dir(self.sample.project())
            .env("HOME", self.dir.path())
            .env("LIFEBOAT_STATE", self.sample.state());
        command
    }

    /// Changes the configuration.
    fn configure(&self, from: &str, to: &str) {
        let path = self.sample.project().join("lifeboat.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        std::fs::write(&path, text.replace(from, to)).unwrap();
    }

    /// A train file without patches, as a weekly rehearsal has it; its date has passed long ago.
    fn without_patches(&self) -> PathBuf {
        let path = self.dir.path().join("rehearsal.toml");
        let lines = ["release-1.0.0", "release-2.0.0"].map(|b| format!("\n[[line]]\nbranch = \"{b}\"\n"));
        std::fs::write(&path, format!("name = \"rehearsal\"\ndate = 2026-01-05\n{}", lines.concat())).unwrap();
        path
    }

    /// Every file that the store shows to strangers.
    fn public(&self) -> BTreeSet<PathBuf> {
        files(&self.sample.store()).into_iter().filter(|p| !p.to_string_lossy().contains(".staging")).collect()
    }

    fn staged(&self) -> BTreeSet<PathBuf> {
        let inside = |p: &PathBuf| p.to_string_lossy().contains(".staging/") && !p.to_string_lossy().contains(".locks");
        files(&self.sample.store()).into_iter().filter(inside).collect()
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        match entry.file_type().unwrap().is_dir() {
            true => out.extend(files(&entry.path())),
            false => out.push(entry.path()),
        }
    }
    out
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn a_dry_run_says_what_the_run_does() {
    let world = World::new();
    let train = world.sample.train_file();
    let train = train.to_str().unwrap();
    let rehearsed = world.lifeboat(&["ship", train, "--dry-run", "--json"]);
    assert!(rehearsed.status.success(), "{}", text(&rehearsed));
    assert_eq!(world.public(), BTreeSet::new(), "nothing public is touched");
    assert_eq!(world.staged(), BTreeSet::new(), "the staging area is cleared");
    let report: serde_json::Value = serde_json::from_slice(&rehearsed.stdout).unwrap();
    assert_eq!(report["state"], "released");
    let promised: BTreeSet<(String, String)> = report["public"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|p| p["verb"] == "promote")
        .map(|p| (p["what"].as_str().unwrap().to_owned(), p["digest"].as_str().unwrap().to_owned()))
        .collect();
    assert!(promised.len() >= 14, "{promised:?}");

    // The same train for real: the same plan, and what was promised is what is public, but for what names the train's nonce.
    let shipped = world.lifeboat(&["ship", train, "--plan", report["plan"].as_str().unwrap()]);
    assert_eq!(shipped.status.code(), Some(3), "{}", text(&shipped));
    for person in ["alice", "bob"] {
        let approved = world.lifeboat(&["approve", "--as", person, "--yes"]);
        assert!(approved.status.success(), "{}", text(&approved));
    }
    let shipped = world.lifeboat(&["ship"]);
    assert!(shipped.status.success(), "{}", text(&shipped));
    for (path, digest) in &promised {
        let bytes = std::fs::read(world.sample.store().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
        let of_this_train = path.ends_with("manifest.json") || path.contains("SUMS");
        if !of_this_train {
            assert_eq!(&format!("sha256:{}", Sha256::of(&bytes)), digest, "{path}");
        }
    }

    // What is public already is a conflict, in a rehearsal too: here the user's branch lacks the release just made.
    std::fs::remove_dir_all(world.sample.state().join("sample/trains")).unwrap();
    let again = world.lifeboat(&["ship", train, "--dry-run"]);
    assert_eq!(again.status.code(), Some(4), "{}", text(&again));
    assert!(text(&again).contains("your branch lacks what store `mirror` has"), "{}", text(&again));
}

#[test]
fn a_dry_run_does_not_wait_for_the_embargo() {
    let world = World::new();
    let train = world.sample.train_file();
    let mut text_of = std::fs::read_to_string(&train).unwrap();
    let later = HostClock.now().checked_add(jiff::SignedDuration::from_hours(48)).unwrap();
    text_of = text_of.replacen("advisories", &format!("not_before = {later}\nadvisories"), 1);
    std::fs::write(&train, text_of).unwrap();
    let rehearsed = world.lifeboat(&["ship", train.to_str().unwrap(), "--dry-run"]);
    assert!(rehearsed.status.success(), "{}", text(&rehearsed));
    assert!(text(&rehearsed).contains("nothing public was done"), "{}", text(&rehearsed));

    // The run itself does wait, with its exit code for that, and says until when.
    let shipped = world.lifeboat(&["ship", train.to_str().unwrap()]);
    assert_eq!(shipped.status.code(), Some(3));
    for person in ["alice", "bob"] {
        assert!(world.lifeboat(&["approve", "--as", person, "--yes"]).status.success());
    }
    let waits = world.lifeboat(&["ship"]);
    assert_eq!(waits.status.code(), Some(3), "{}", text(&waits));
    assert!(text(&waits).contains("the embargo ends"), "{}", text(&waits));
    assert_eq!(world.public(), BTreeSet::new());
}

#[test]
fn a_killed_dry_run_is_cleared_by_the_next_one() {
    let world = World::new();
    let train = world.sample.train_file();
    let arguments = ["ship", train.to_str().unwrap(), "--dry-run"];
    let mut killed = world.command(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while world.staged().is_empty() {
        assert!(killed.try_wait().unwrap().is_none(), "it ended before it was seen to stage anything");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert_ne!(world.staged(), BTreeSet::new(), "it was killed before its staging area was cleared");

    // One at a time: another one would clear what this one works on.
    let home = world.sample.state().join("sample/rehearsals/drill");
    let lock = HostDisk.try_lock(&home.join("lock")).unwrap().unwrap();
    let second = world.lifeboat(&arguments);
    assert_eq!(second.status.code(), Some(5), "{}", text(&second));
    assert!(text(&second).contains("another dry run of this train is under way"), "{}", text(&second));
    drop(lock);

    // Another plan than the one that was reviewed is not rehearsed.
    let other = "0".repeat(64);
    let refused = world.lifeboat(&[&arguments[..], &["--plan", &other]].concat());
    assert_eq!(refused.status.code(), Some(4), "{}", text(&refused));
    assert!(text(&refused).contains("the plan is now"), "{}", text(&refused));

    let again = world.lifeboat(&arguments);
    assert!(again.status.success(), "{}", text(&again));
    assert_eq!(world.staged(), BTreeSet::new(), "what the killed one staged is gone too");
    assert!(!home.join("scratch").exists());
}

/// The last line of standard output.
fn summary(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).lines().next_back().unwrap_or_default().to_owned()
}

/// Processes with this argument.
fn running(argument: &str) -> Vec<String> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let commands = entries.filter_map(|e| std::fs::read(e.path().join("cmdline")).ok());
    let texts = commands.map(|c| String::from_utf8_lossy(&c).replace('\0', " "));
    texts.filter(|c| c.split(' ').any(|word| word == argument)).collect()
}

#[test]
fn right_after_a_release_a_train_without_patches_is_rehearsed_without_anybodys_keys() {
    let world = World::new();
    std::fs::remove_dir_all(world.dir.path().join("drill/secret")).unwrap();
    // Every section is dated, as after a release; the next version has none.
    for (branch, _) in lifeboat::drill::LINES {
        let edit = format!(
            "git checkout -q {branch} && sed -i 's/^Unreleased\\.$/Released 2026-01-06./; s/^## \\(.*\\)\\.[0-9]*$/## \\1.0/' RELEASES.md && sed -i s/limit=16/limit=8/ sample.in \
             && git -c user.name=a -c user.email=a@example.org commit -qam dated"
        );
        assert!(Command::new("sh").args(["-c", &edit]).current_dir(world.sample.project()).status().unwrap().success());
    }
    let train = world.without_patches();
    let shipped = world.lifeboat(&["ship", train.to_str().unwrap()]);
    assert_eq!(shipped.status.code(), Some(2), "{}", text(&shipped));
    assert!(text(&shipped).contains("no section for 1.0.5"), "{}", text(&shipped));

    let summaries = world.dir.path().join("summary.md");
    let rehearsed = world
        .command(&["ship", "--dry-run", train.to_str().unwrap()])
        .env("GITHUB_STEP_SUMMARY", &summaries)
        .output()
        .unwrap();
    assert!(rehearsed.status.success(), "{}", text(&rehearsed));
    assert!(text(&rehearsed).contains("no line has patches, so the changelog stays as it is"), "{}", text(&rehearsed));
    assert!(summary(&rehearsed).starts_with("rehearsal: fit: 25 steps in "), "{}", text(&rehearsed));
    assert_eq!(std::fs::read_to_string(summaries).unwrap(), format!("✅ {}\n\n", summary(&rehearsed)));
    assert!(text(&rehearsed).lines().any(|l| l.starts_with("done      build/") && l.ends_with(" s")), "no times");
}

#[test]
fn the_last_line_says_what_has_rotted() {
    let world = World::made(HostClock.now() - jiff::SignedDuration::from_hours(24 * 340));
    world.configure("sh build.sh {name}", "echo the compiler is gone; exit 7");
    let train = world.sample.train_file();
    let rehearsed = world.lifeboat(&["ship", "--dry-run", train.to_str().unwrap(), "--json"]);
    assert_eq!(rehearsed.status.code(), Some(1), "{}", text(&rehearsed));
    let report: serde_json::Value = serde_json::from_slice(&rehearsed.stdout).unwrap();
    assert_eq!(report["fit"], false);
    let said = report["summary"].as_str().unwrap();
    assert!(said.starts_with("rehearsal: rotten, "), "{said}");
    assert!(said.contains("recipe: build/release-1.0.0/linux: the recipe ended with exit code 7"), "{said}");
    assert!(said.contains("expiry: trust root: ends in 2"), "{said}");
    assert!(report["steps"][0]["seconds"].is_number(), "{report}");

    let rehearsed = world.lifeboat(&["ship", "--dry-run", train.to_str().unwrap()]);
    assert_eq!(rehearsed.status.code(), Some(1), "{}", text(&rehearsed));
    assert_eq!(summary(&rehearsed).split(',').next(), Some("rehearsal: rotten"), "{}", text(&rehearsed));
    assert!(text(&rehearsed).contains("| the compiler is gone"), "{}", text(&rehearsed));
    assert!(!text(&rehearsed).contains("are kept"), "a dry run keeps no step: {}", text(&rehearsed));
    assert!(text(&rehearsed).contains("a dry run starts from the beginning"), "{}", text(&rehearsed));

    // What soon rots alone is enough for another exit code than 0.
    world.configure("echo the compiler is gone; exit 7", "sh build.sh {name}");
    let rehearsed = world.lifeboat(&["ship", "--dry-run", train.to_str().unwrap()]);
    assert_eq!(rehearsed.status.code(), Some(1), "{}", text(&rehearsed));
    assert!(
        summary(&rehearsed).starts_with("rehearsal: rotten, 1 finding: expiry: trust root"),
        "{}",
        text(&rehearsed)
    );

    // What cannot be read at all is said in the same line.
    world.configure("[[store]]", "[[stroe]]");
    let rehearsed = world.lifeboat(&["ship", "--dry-run", train.to_str().unwrap()]);
    assert_eq!(rehearsed.status.code(), Some(2), "{}", text(&rehearsed));
    assert!(summary(&rehearsed).contains("configuration: "), "{}", text(&rehearsed));
}

#[test]
fn a_dry_run_that_is_stopped_leaves_nothing_running_and_the_next_one_starts() {
    std::thread::scope(|scope| {
        for (n, signal, code) in [(1, "INT", Some(130)), (2, "TERM", Some(143)), (3, "KILL", None)] {
            // An argument that no other process has.
            let mark = format!("3{}.{n}", std::process::id());
            scope.spawn(move || stopped_by(signal, code, &mark));
        }
    });
}

fn stopped_by(signal: &str, code: Option<i32>, mark: &str) {
    let world = World::new();
    world.configure("sh build.sh {name}", &format!("sleep {mark}"));
    let train = world.sample.train_file();
    let arguments = ["ship", "--dry-run", train.to_str().unwrap(), "--heartbeat", "1"];
    let mut stopped = world.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while running(mark).is_empty() {
        assert!(stopped.try_wait().unwrap().is_none(), "{signal}: it ended before it built anything");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    // Long enough for a heartbeat.
    std::thread::sleep(std::time::Duration::from_millis(1500));
    let kill = Command::new("kill").args(["-s", signal, &stopped.id().to_string()]).status();
    assert!(kill.unwrap().success());
    let ended = stopped.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), code, "{signal}: {}", text(&ended));
    let beat = |l: &str| l.starts_with("running   build/release-") && l.contains(" for ") && l.contains(", log: /");
    assert!(text(&ended).lines().any(beat), "{signal}: no heartbeat: {}", text(&ended));
    let scratch = world.sample.state().join("sample/rehearsals/drill/scratch");
    if code.is_some() {
        assert_eq!(running(mark), Vec::<String>::new(), "{signal}");
        assert!(!scratch.exists(), "{signal}: embargoed sources are left");
        assert!(text(&ended).contains("cancelled"), "{signal}: {}", text(&ended));
    }

    world.configure(&format!("sleep {mark}"), "sh build.sh {name}");
    let again = world.lifeboat(&arguments);
    assert!(again.status.success(), "{signal}: {}", text(&again));
    assert_eq!(running(mark), Vec::<String>::new(), "{signal}");
    assert!(!scratch.exists(), "{signal}");
}
