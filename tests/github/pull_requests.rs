//! Protected branches: a pull request brings each line home, however people merge it; the tag never moves.

use crate::github_double::actions::Workflow;
use crate::github_double::faults::{Fault, Kind};
use crate::workflows::{Project, git};

const LINES: [(&str, &str); 2] = [("release-1.0.0", "v1.0.5"), ("release-2.0.0", "v2.0.2")];

impl Project {
    fn at(&self, args: &[&str]) -> String {
        let bare = self.bare.display().to_string();
        git(&self.train, &[&["--git-dir", &bare][..], args].concat()).trim().to_owned()
    }

    /// Somebody else's commit on a branch, in a file of its own.
    fn somebody_commits(&self, branch: &str) -> String {
        let (name, parent) = (format!("refs/heads/{branch}"), self.at(&["rev-parse", branch]));
        let blob = self.at(&["hash-object", "-w", &self.train.config().display().to_string()]);
        let listed = self.at(&["ls-tree", &parent]);
        let tree = self.tree(&format!("{listed}\n100644 blob {blob}\tsomebody-elses\n"));
        let commit = self.commit(&tree, &parent, "Something else", "somebody@example.org");
        self.at(&["update-ref", &name, &commit]);
        commit
    }

    fn tree(&self, listed: &str) -> String {
        let file = self.train.root().join("listed");
        std::fs::write(&file, listed).unwrap();
        let mut command = std::process::Command::new("git");
        command.arg("--git-dir").arg(&self.bare).arg("mktree");
        self.train.surround(&mut command);
        command.stdin(std::fs::File::open(file).unwrap());
        crate::support::sample_train::Ran::of(&mut command).ends_with(0).stdout.trim().to_owned()
    }

    fn commit(&self, tree: &str, parent: &str, message: &str, email: &str) -> String {
        let (name, email) = ("user.name=Somebody".to_owned(), format!("user.email={email}"));
        self.at(&["-c", &name, "-c", &email, "commit-tree", tree, "-p", parent, "-m", message])
    }

    /// The tree of `onto` with what `from..to` changes laid over it.
    fn laid_over(&self, onto: &str, from: &str, to: &str) -> String {
        self.at(&["merge-tree", "--write-tree", &format!("--merge-base={from}"), onto, to])
    }
}

/// What the journal says of how a line came home.
fn how(project: &Project, branch: &str) -> (String, String) {
    let records = project.train.records("drill");
    let step = format!("merge-back/github/{branch}");
    let found = records.iter().rev().find(|r| r["what"]["event"] == "succeeded" && r["what"]["step"] == step.as_str());
    let outcome = &found.unwrap_or_else(|| panic!("no `{step}` in the journal"))["what"]["outcome"];
    (outcome["how"].as_str().unwrap().to_owned(), outcome["commit"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_come_home_by_squash_and_by_rebase_and_tags_never_move() {
    let project = Project::new(&[("pr.yml", "on:\n  pull_request:\n    branches: ['release-*']\n")]).await;
    project.configure("", "push = \"pull-request\"");
    project.plan().await.fails(2, &["pr.yml: line `release-1.0.0`, `pull_request` of `lifeboat/drill/release-1.0.0`"]);
    project.train.edit(
        &project.train.config(),
        "remote = \"github-git\"",
        "remote = \"github-git\"\ntriggers = { \"pr.yml\" = \"accept\" }",
    );
    // One answer is lost after the effect, and what is shown afterwards is old.
    for (nth, kind) in [(1, Kind::ErrorAfter), (2, Kind::Stale)] {
        project.double.inject(Fault { call: "POST pulls".to_owned(), nth, kind });
    }
    let before: Vec<String> = LINES.iter().map(|(b, _)| project.at(&["rev-parse", b])).collect();
    let shipped = project.ship().await.ends_with(0);
    assert!(shipped.stdout.contains("train drill: released"), "{shipped:?}");
    assert!(shipped.stdout.contains("deferred  merge-back/github/release-1.0.0"), "{shipped:?}");
    let tags: Vec<String> = LINES.iter().map(|(_, tag)| project.at(&["rev-parse", tag])).collect();
    for ((branch, tag), base) in LINES.iter().zip(&before) {
        assert_eq!(project.at(&["rev-parse", branch]), *base, "the protected branch was not pushed");
        let via = format!("lifeboat/drill/{branch}");
        assert_eq!(project.at(&["rev-parse", &via]), project.at(&["rev-parse", &format!("{tag}^{{commit}}")]));
    }
    // Nothing is merged: nothing comes home, and nothing is opened twice.
    let waits = project.run(&["reconcile"]).await.ends_with(5);
    assert!(waits.stdout.contains("waits to be merged into `release-1.0.0`"), "{waits:?}");
    {
        let world = project.double.world();
        let mut pulls: Vec<(&str, &str)> =
            world.state.pulls.iter().map(|p| (p.from.as_str(), p.into.as_str())).collect();
        pulls.sort_unstable();
        assert_eq!(
            pulls,
            LINES.map(|(b, _)| (
                if b == LINES[0].0 { "lifeboat/drill/release-1.0.0" } else { "lifeboat/drill/release-2.0.0" },
                b
            ))
        );
        assert_eq!(world.faults.happened, 2);
        assert_eq!(world.violations, Vec::<String>::new());
    }

    // Both branches moved on before people merged: one squashes, one rebases.
    let onto: Vec<String> = LINES.iter().map(|(b, _)| project.somebody_commits(b)).collect();
    let squashed = project.laid_over(&onto[0], &before[0], LINES[0].1);
    let squash = project.commit(&squashed, &onto[0], "Bring v1.0.5 into release-1.0.0 (#1001)", "robot@example.org");
    project.at(&["update-ref", "refs/heads/release-1.0.0", &squash]);
    let own = project.at(&["rev-list", "--reverse", &format!("{}..{}", before[1], LINES[1].1)]);
    let mut tip = onto[1].clone();
    for commit in own.lines() {
        let tree = project.laid_over(&tip, &format!("{commit}^"), commit);
        let message = project.at(&["log", "-1", "--format=%B", commit]);
        tip = project.commit(&tree, &tip, &message, &project.at(&["log", "-1", "--format=%ae", commit]));
    }
    project.at(&["update-ref", "refs/heads/release-2.0.0", &tip]);
    // The branch goes on: its first commit with everything counts.
    project.somebody_commits("release-2.0.0");
    for (branch, _) in LINES {
        project.double.merge(&format!("lifeboat/drill/{branch}"));
    }
    assert_eq!(project.at(&["branch", "--list", "lifeboat/*"]), "", "the forge removed what was merged");
    let home = project.run(&["reconcile"]).await.ends_with(0);
    assert!(home.stdout.contains("train drill: reconciled"), "{home:?}");
    assert_eq!(how(&project, "release-1.0.0"), ("squash".to_owned(), squash));
    assert_eq!(how(&project, "release-2.0.0"), ("rebase".to_owned(), tip));
    assert_eq!(tags, LINES.map(|(_, tag)| project.at(&["rev-parse", tag])), "no tag moved");
    let pulls = project.double.world().state.pulls.len();
    project.run(&["reconcile"]).await.ends_with(0);
    assert_eq!((project.double.world().state.pulls.len(), pulls), (2, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_merge_counts_and_what_lacks_a_file_does_not() {
    let project = Project::new(&[]).await;
    project.configure("", "push = { \"release-1.*\" = \"pull-request\" }");
    let before = project.at(&["rev-parse", "release-1.0.0"]);
    project.ship().await.ends_with(0);
    assert_eq!(project.at(&["rev-parse", "release-2.0.0"]), project.at(&["rev-parse", "v2.0.2^{commit}"]), "pushed");
    // Merged without the bump: the pull request is gone, and the branch lacks a file.
    let parent = project.at(&["rev-parse", "v1.0.5^{commit}^"]);
    project.at(&["update-ref", "refs/heads/release-1.0.0", &parent]);
    {
        let mut world = project.double.world();
        (world.state.pulls[0].open, world.state.pulls[0].merged) = (false, true);
    }
    project.run(&["reconcile"]).await.fails(4, &["no commit of `release-1.0.0` has every file as the release has it"]);
    (project.double.world()).state.pulls[0].merged = false;
    project.run(&["reconcile"]).await.fails(4, &["was closed without merging"]);

    project.at(&["update-ref", "refs/heads/release-1.0.0", &before]);
    let onto = project.somebody_commits("release-1.0.0");
    let tree = project.laid_over(&onto, &before, "v1.0.5");
    let (name, email) = ("user.name=S", "user.email=s@example.org");
    let ours = project.at(&["rev-parse", "v1.0.5^{commit}"]);
    let merge = project.at(&["-c", name, "-c", email, "commit-tree", &tree, "-p", &onto, "-p", &ours, "-m", "Merge"]);
    project.at(&["update-ref", "refs/heads/release-1.0.0", &merge]);
    let home = project.run(&["reconcile"]).await.ends_with(0);
    assert!(home.stdout.contains("train drill: reconciled"), "{home:?}");
    assert_eq!(how(&project, "release-1.0.0"), ("merge".to_owned(), merge));
    // A branch that is moved back has lost it.
    project.at(&["update-ref", "refs/heads/release-1.0.0", &onto]);
    project.run(&["reconcile"]).await.fails(4, &["branch `release-1.0.0` of `github-git` has lost the release"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn suppressed_workflows_are_off_until_people_have_merged_and_status_says_so() {
    let project = Project::new(&[("ci.yml", "on:\n  push:\n    branches: ['release-*']\n")]).await;
    project.configure("triggers = { \"ci.yml\" = \"suppress\" }", "push = \"pull-request\"");
    project.double.world().state.workflows.push(Workflow::new("ci.yml", "push", "refs/heads/release-"));
    let planned = project.plan().await.ends_with(0);
    let says = "github ci.yml, release-1.0.0: suppress (`push` of `release-1.0.0` once it is merged)";
    assert!(planned.stdout.contains(says), "{planned:?}");
    project.ship().await.ends_with(0);
    assert!(!project.double.world().state.workflows[0].on);
    let off = "workflow `ci.yml` of `github` is disabled since 20";
    let until = "`lifeboat reconcile` enables it again once these are done: `merge-back/github/release-1.0.0`, \
                 `merge-back/github/release-2.0.0`";
    for verb in ["status", "doctor"] {
        let said = project.run(&[verb]).await;
        assert!(said.stdout.contains(off) && said.stdout.contains(until), "{verb}: {said:?}");
    }
    let json = project.run(&["status", "--json"]).await.ends_with(0);
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json[0]["workflows_off"][0]["files"], serde_json::json!(["ci.yml"]), "{json}");
    assert_eq!(json[0]["workflows_off"][0]["restore"], "restore-workflows/github");

    for (branch, tag) in LINES {
        let commit = project.at(&["rev-parse", &format!("{tag}^{{commit}}")]);
        project.at(&["update-ref", &format!("refs/heads/{branch}"), &commit]);
    }
    project.run(&["reconcile"]).await.ends_with(0);
    assert!(project.double.world().state.workflows[0].on);
    let said = project.run(&["status"]).await.ends_with(0);
    assert!(!said.stdout.contains("disabled"), "{said:?}");
    assert_eq!(project.runs(), [], "neither the push nor the merge started it");
}
