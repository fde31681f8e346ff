//! The project's own workflows, with the real program, a real bare repository and the double: refused, disabled,
//! waited for, let run.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::github_double::actions::{Run, Workflow};
use crate::github_double::faults::{Fault, Kind};
use crate::github_double::state::Asset;
use crate::github_double::{Double, Side, TOKEN};
use crate::support::sample_train::{Ran, SampleTrain};
use crate::train::{Template, double_with};

/// Starts on the push of a tag, as a project's publishing does.
const PUBLISH: &str = "name: Publish\non:\n  push:\n    tags: ['v*']\njobs: {}\n";
/// Starts on the push of a release branch.
const CI: &str = "name: CI\non:\n  push:\n    branches: ['release-*']\njobs: {}\n";

/// The sample project with workflows of its own on every release branch, and its repository on GitHub.
pub struct Project {
    pub train: SampleTrain,
    pub double: Double,
    pub bare: PathBuf,
}

pub fn git(train: &SampleTrain, args: &[&str]) -> String {
    let mut command = Command::new("git");
    command.args(args);
    train.surround(&mut command);
    Ran::of(&mut command).ends_with(0).stdout
}

impl Project {
    pub async fn new(workflows: &[(&str, &str)]) -> Self {
        let double = Double::start().await;
        let train = SampleTrain::unpinned(&double.api());
        train.pin();
        let project = train.project().display().to_string();
        let (work, bare) = (train.root().join("work"), train.root().join("github.git"));
        git(&train, &["clone", "--quiet", &project, &work.display().to_string()]);
        let work_dir = work.display().to_string();
        let at = |args: &[&str]| git(&train, &[&["-C", &work_dir][..], args].concat());
        for branch in ["release-1.0.0", "release-2.0.0"] {
            at(&["switch", "--quiet", branch]);
            for (file, text) in workflows {
                let dir = work.join(".github/workflows");
                fs::create_dir_all(&dir).unwrap();
                fs::write(dir.join(file), text).unwrap();
                at(&["add", "."]);
            }
            at(&[
                "-c",
                "user.name=A",
                "-c",
                "user.email=a@example.org",
                "commit",
                "--quiet",
                "--allow-empty",
                "-m",
                "workflows",
            ]);
            let (id, name) = (at(&["rev-parse", "HEAD"]), format!("refs/heads/{branch}"));
            git(&train, &["fetch", "--quiet", &work_dir, &name]);
            git(&train, &["update-ref", &name, id.trim()]);
        }
        git(&train, &["clone", "--quiet", "--bare", &project, &bare.display().to_string()]);
        double.serve_git(bare.clone());
        Self { train, double, bare }
    }

    /// Adds keys to the forge's table and to its remote's.
    pub fn configure(&self, forge: &str, remote: &str) {
        let api = format!("api = \"{}\"", self.double.api());
        let with = format!("{api}\nremote = \"github-git\"\ntoken = {{ env = \"GITHUB_TOKEN\" }}\n{forge}");
        self.train.edit(&self.train.config(), &format!("{api}\n{}", crate::support::sample_train::TOKEN), &with);
        let remote = format!("[[remote]]\nname = \"github-git\"\nurl = \"{}\"\n{remote}\n", self.bare.display());
        self.train.configure(&remote);
    }

    /// Runs the program beside the double, which answers on this runtime.
    pub async fn run(&self, args: &[&str]) -> Ran {
        let mut command = self.train.command(args);
        command.env("GITHUB_TOKEN", TOKEN).env("FORGEJO_TOKEN", crate::forgejo_double::TOKEN);
        tokio::task::spawn_blocking(move || Ran::of(&mut command)).await.unwrap()
    }

    pub async fn plan(&self) -> Ran {
        self.run(&["plan", &self.train.train_file().display().to_string()]).await
    }

    /// From the plan to the release.
    pub async fn ship(&self) -> Ran {
        self.run(&["ship", &self.train.train_file().display().to_string()]).await.ends_with(3);
        for person in ["alice", "bob"] {
            self.run(&["approve", "--as", person, "--yes"]).await.ends_with(0);
        }
        self.run(&["ship"]).await
    }

    /// The runs so far, sorted: file, event, ref.
    pub fn runs(&self) -> Vec<(String, String, String)> {
        let world = self.double.world();
        let said = |r: &Run| (r.file.clone(), r.event.clone(), r.on.clone());
        let mut runs: Vec<_> = world.state.runs.iter().map(said).collect();
        runs.sort();
        runs
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_decided_about_stops_the_plan() {
    let project = Project::new(&[
        ("publish.yml", PUBLISH),
        ("ci.yml", CI),
        ("nightly.yaml", "on:\n  schedule:\n    - cron: '0 0 * * *'\n"),
    ])
    .await;
    project.configure("triggers = { \"ci.yml\" = \"accept\" }", "");
    let refused = project.plan().await.fails(
        2,
        &["`publish.yml`", "line `release-1.0.0`, `push` of `v1.0.5`", "line `release-2.0.0`, `push` of `v2.0.2`"],
    );
    let refused = refused.says("add to `[forge.github]`: `triggers = { \"publish.yml\" = \"accept\" }`");
    assert!(!refused.stderr.contains("ci.yml") && !refused.stderr.contains("nightly"), "{refused:?}");
    project.train.edit(
        &project.train.config(),
        "\"ci.yml\" = \"accept\"",
        "\"ci.yml\" = \"accept\", \"publish.yml\" = \"adopt\"",
    );
    let planned = project.plan().await.ends_with(0);
    for says in [
        "github publish.yml, release-1.0.0: adopt (`push` of `v1.0.5`)",
        "github ci.yml, release-2.0.0: accept (`push` of `release-2.0.0`)",
        "await-runs/github/release-1.0.0",
        "note: forge `github` may start more than workflow files: check its settings (README, ",
    ] {
        assert!(planned.stdout.contains(says), "no `{says}` in:\n{}", planned.stdout);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suppressed_workflow_does_not_run_and_is_on_again_afterwards() {
    let project = Project::new(&[("publish.yml", PUBLISH), ("ci.yml", CI)]).await;
    project.configure("triggers = { \"ci.yml\" = \"accept\", \"publish.yml\" = \"suppress\" }", "");
    {
        let mut world = project.double.world();
        world.state.workflows.push(Workflow::new("publish.yml", "push", "refs/tags/v"));
        world.state.workflows.push(Workflow::new("ci.yml", "push", "refs/heads/release-"));
    }
    let shipped = project.ship().await.ends_with(0);
    assert!(shipped.stdout.contains("train drill: reconciled"), "{shipped:?}");
    let branch = |b: &str| ("ci.yml".to_owned(), "push".to_owned(), format!("refs/heads/release-{b}.0.0"));
    assert_eq!(project.runs(), [branch("1"), branch("2")], "the tags started nothing");
    let world = project.double.world();
    assert!(world.state.workflows.iter().all(|w| w.on), "{:?}", world.state.workflows);
    assert_eq!(world.violations, Vec::<String>::new());
    let switches: Vec<&String> = world.writes.iter().filter(|w| w.starts_with("PUT")).collect();
    assert_eq!(switches, ["PUT actions/workflows/publish.yml/disable", "PUT actions/workflows/publish.yml/enable"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_adopted_workflow_is_waited_for_and_must_succeed() {
    let project = Project::new(&[("publish.yml", PUBLISH)]).await;
    project.configure("triggers = { \"publish.yml\" = \"adopt\" }", "");
    let mut workflow = Workflow::new("publish.yml", "push", "refs/tags/v");
    workflow.ends = ("in_progress".to_owned(), None);
    project.double.world().state.workflows.push(workflow);
    let shipped = project.ship().await.ends_with(0);
    assert!(shipped.stdout.contains("train drill: released"), "{shipped:?}");
    assert!(shipped.stdout.contains("deferred  await-runs/github/release-1.0.0"), "{shipped:?}");
    project.run(&["reconcile"]).await.ends_with(5);

    for run in &mut project.double.world().state.runs {
        run.ends = ("completed".to_owned(), Some("failure".to_owned()));
    }
    let failed =
        project.run(&["reconcile"]).await.fails(4, &["of workflow `publish.yml` on our commit ended with `failure`"]);
    assert!(failed.stdout.contains("failed   await-runs/github/release-1.0.0"), "{failed:?}");

    // A run on another commit is not ours, whatever it came to.
    for run in &mut project.double.world().state.runs {
        run.ends = ("completed".to_owned(), Some("success".to_owned()));
    }
    let commit = std::mem::replace(&mut project.double.world().state.runs[0].commit, "d".repeat(40));
    project.run(&["reconcile"]).await.ends_with(5);
    project.double.world().state.runs[0].commit = commit;
    let home = project.run(&["reconcile"]).await.ends_with(0);
    assert!(home.stdout.contains("train drill: reconciled, 5 deliveries read back and equal"), "{home:?}");
    assert_eq!(project.double.world().violations, Vec::<String>::new());
}

#[tokio::test]
async fn what_was_off_before_stays_off_and_a_kill_forgets_nothing() {
    let template = Template::new();
    for call in ["PUT actions/workflows/publish.yml/disable", "PUT actions/workflows/publish.yml/enable"] {
        for kind in [Kind::KillBefore, Kind::KillAfter] {
            let double = double_with(&[Fault { call: call.to_owned(), nth: 1, kind }]).await;
            let run = template.copy();
            assert!(run.ship(&template, &double).await.is_none(), "{call} {kind:?}: killed");
            run.ship(&template, &double).await.unwrap();
            let world = double.world();
            assert!(world.state.workflows.iter().all(|w| w.on), "{call} {kind:?}: {:?}", world.state.workflows);
            assert!(world.state.runs.iter().all(|r| r.file == "after.yml"), "{:?}", world.state.runs);
        }
    }
    let (double, run) = (double_with(&[]).await, template.copy());
    double.world().state.workflows[0].on = false;
    run.ship(&template, &double).await.unwrap();
    let world = double.world();
    assert!(!world.state.workflows[0].on, "somebody else had switched it off");
    assert!(!world.writes.iter().any(|w| w.starts_with("PUT")), "{:?}", world.writes);
}

/// A run that succeeds and changes the release meanwhile is not a success.
#[tokio::test]
async fn what_an_adopted_workflow_does_to_the_release_is_compared() {
    let (template, double) = (Template::new(), double_with(&[]).await);
    let run = template.copy();
    {
        let mut world = double.world();
        world.state.workflows[1].ends = ("in_progress".to_owned(), None);
        world.state.immutable_releases = false;
    }
    run.ship(&template, &double).await.unwrap();
    {
        let mut world = double.world();
        let release = world.state.releases.iter_mut().find(|r| r.tag == "v36.0.14").unwrap();
        let (name, sha256) = ("sbom.json".to_owned(), "0".repeat(64));
        release.assets.push(Asset { id: 7, name, size: 1, sha256, whole: true });
        for run in &mut world.state.runs {
            run.ends = ("completed".to_owned(), Some("success".to_owned()));
        }
    }
    let done = run.reconcile(&template, &double).await.unwrap().unwrap();
    let Some(lifeboat::engine::Ended::Stuck(errors)) = &done.ended else { panic!("{done:?}") };
    let [(step, error)] = &errors[..] else { panic!("{errors:?}") };
    assert_eq!(step.as_str(), "await-runs/github/release-36.0.0");
    assert!(error.report().contains("`sbom.json`"), "{}", error.report());
}

/// The release comes days after the workflows were disabled; somebody, or something, has enabled one since.
#[tokio::test]
async fn a_workflow_that_is_on_again_is_switched_off_before_a_late_delivery() {
    let template = Template::new();
    for on_before in [true, false] {
        let (double, run) = (double_with(&[]).await, template.copy());
        double.world().state.workflows[0].on = on_before;
        double.world().faults.down.insert(Side::Uploads, Kind::HostDown);
        run.ship(&template, &double).await.unwrap();
        assert!(!double.world().state.workflows[0].on && double.world().state.published.is_empty());
        double.repair();
        double.world().state.workflows[0].on = true;
        let done = run.reconcile(&template, &double).await.unwrap().unwrap();
        assert!(matches!(done.ended, Some(lifeboat::engine::Ended::Done(_))), "{done:?}");
        let world = double.world();
        assert_eq!(world.state.published.len(), 3);
        let files: Vec<&str> = world.state.runs.iter().map(|r| r.file.as_str()).collect();
        assert_eq!(files, ["after.yml"; 3], "on before: {on_before}");
        assert!(world.state.workflows[0].on, "whoever switched it on has it on again; on before: {on_before}");
        let recorded = String::from_utf8(run.journal()).unwrap().matches("found-on").count();
        assert_eq!(recorded, usize::from(!on_before), "what nobody had seen on is recorded before it is disabled");
    }
}

/// What a push would start is on again after the push, although the releases wait for a host that is down.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workflows_are_on_again_when_nothing_is_left_that_would_start_them() {
    let project = Project::new(&[("publish.yml", PUBLISH)]).await;
    project.configure("triggers = { \"publish.yml\" = \"suppress\" }", "");
    {
        let mut world = project.double.world();
        world.state.workflows.push(Workflow::new("publish.yml", "push", "refs/tags/v"));
        world.faults.down.insert(Side::Uploads, Kind::HostDown);
    }
    let shipped = project.ship().await.ends_with(0);
    assert!(shipped.stdout.contains("deferred  forge-release/github/release-1.0.0"), "{shipped:?}");
    assert!(project.double.world().state.workflows[0].on, "{shipped:?}");
    assert_eq!(project.runs(), []);
    let status = project.run(&["status"]).await.ends_with(0);
    assert!(!status.stdout.contains("disabled"), "{status:?}");
    project.double.repair();
    project.run(&["reconcile"]).await.ends_with(0);
    let switches = project.double.world().writes.iter().filter(|w| w.starts_with("PUT")).count();
    assert_eq!(switches, 2, "a release that starts nothing switches nothing");
}

/// Which branch is the default one is seen or configured, never guessed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_default_branch_is_the_remotes_or_the_configured_one() {
    let project = Project::new(&[("ci.yml", CI)]).await;
    project.configure("triggers = { \"ci.yml\" = \"accept\" }", "");
    let git = |args: &[&str]| git(&project.train, args);
    // A branch of a usual name, which is not the forge's default branch.
    let work = project.train.root().join("work");
    let at = |args: &[&str]| git(&[&["-C", work.to_str().unwrap()][..], args].concat());
    let deploy = "on:\n  workflow_run:\n    workflows: [CI]\n";
    fs::write(work.join(".github/workflows/deploy.yml"), deploy).unwrap();
    at(&["add", "."]);
    at(&["-c", "user.name=A", "-c", "user.email=a@example.org", "commit", "--quiet", "-m", "deploy"]);
    git(&["fetch", "--quiet", work.to_str().unwrap(), "HEAD:refs/remotes/up/trunk"]);
    let planned = project.plan().await.ends_with(0);
    let unknown = "the default branch of forge `github` is not known: no remote of this clone is `example/sample`";
    assert!(planned.stdout.contains(unknown), "{planned:?}");

    // Nothing runs at the release commits, and a pull request still starts what the default branch has for one.
    let bare = Project::new(&[]).await;
    bare.configure("", "");
    let planned = bare.plan().await.ends_with(0);
    assert!(!planned.stdout.contains("the default branch of forge"), "{planned:?}");
    bare.train.edit(&bare.train.config(), "name = \"github-git\"", "name = \"github-git\"\npush = \"pull-request\"");
    let planned = bare.plan().await.ends_with(0);
    assert!(planned.stdout.contains(unknown), "{planned:?}");

    git(&["config", "remote.up.url", "git@github.com:Example/sample.git"]);
    let planned = project.plan().await.ends_with(0);
    assert!(planned.stdout.contains("the default branch of forge `github` is not known"), "{planned:?}");
    git(&["symbolic-ref", "refs/remotes/up/HEAD", "refs/remotes/up/trunk"]);
    project.plan().await.fails(2, &["deploy.yml: line `release-1.0.0`, `workflow_run` after CI, ci.yml"]);
    git(&["symbolic-ref", "--delete", "refs/remotes/up/HEAD"]);
    project.train.edit(
        &project.train.config(),
        "remote = \"github-git\"",
        "remote = \"github-git\"\ndefault_branch = \"trunk\"",
    );
    project.plan().await.fails(2, &["deploy.yml: line `release-1.0.0`"]);
}
