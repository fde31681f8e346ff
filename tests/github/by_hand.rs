//! What people did by hand while a delivery waited: taken where it is ours, reported where it is not.

use std::fs;

use crate::workflows::{Project, git};

const BRANCH: &str = "release-1.0.0";

impl Project {
    /// Released with the repository on GitHub gone; the repository is back afterwards.
    async fn released_without_git() -> Self {
        let project = Self::new(&[]).await;
        project.configure("", "");
        let away = project.train.root().join("away.git");
        fs::rename(&project.bare, &away).unwrap();
        let shipped = project.ship().await.ends_with(0);
        assert!(shipped.stdout.contains("deferred  push-git/github-git"), "{shipped:?}");
        fs::rename(&away, &project.bare).unwrap();
        project
    }

    /// A clone of what the store serves, as a person makes one, on the line's branch.
    fn clone_by_hand(&self) -> String {
        let (store, clone) = (self.train.store().join("git/sample.git"), self.train.root().join("by-hand"));
        let clone = clone.display().to_string();
        git(&self.train, &["clone", "--quiet", "--branch", BRANCH, &store.display().to_string(), &clone]);
        clone
    }

    fn on_github(&self, what: &str) -> String {
        git(&self.train, &["--git-dir", &self.bare.display().to_string(), "rev-parse", what]).trim().to_owned()
    }
}

/// A commit of somebody else's on what is checked out, and a push of it.
fn commit_and_push(project: &Project, clone: &str, refs: &[&str]) {
    let at = |args: &[&str]| git(&project.train, &[&["-C", clone][..], args].concat());
    at(&["-c", "user.name=U", "-c", "user.email=u@e", "commit", "--quiet", "--allow-empty", "--message", "next"]);
    let bare = project.bare.display().to_string();
    at(&[&["push", "--quiet", &bare][..], refs].concat());
}

/// GitHub is back, and a maintainer was faster: the branch went on from our commits, and one tag is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_branch_that_went_on_from_ours_and_an_equal_tag_are_taken() {
    let project = Project::released_without_git().await;
    let clone = project.clone_by_hand();
    commit_and_push(&project, &clone, &[BRANCH, "v1.0.5"]);
    let (branch, tag) = (project.on_github(BRANCH), project.on_github("v1.0.5"));
    let home = project.run(&["reconcile"]).await.ends_with(0);
    assert!(home.stdout.contains("train drill: reconciled, 3 deliveries read back and equal"), "{home:?}");
    assert_eq!((project.on_github(BRANCH), project.on_github("v1.0.5")), (branch, tag), "neither moved");
    assert_eq!(project.on_github("release-2.0.0"), project.on_github("v2.0.2^{commit}"), "the other line came");
}

/// A branch that went on without our commits is for people: it is never forced, and once they merged it, all comes home.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_branch_that_went_on_without_ours_waits_for_a_merge_by_hand() {
    let project = Project::released_without_git().await;
    let clone = project.clone_by_hand();
    let at = |args: &[&str]| git(&project.train, &[&["-C", &clone][..], args].concat());
    at(&["switch", "--quiet", "--detach", &project.on_github(BRANCH)]);
    commit_and_push(&project, &clone, &[&format!("HEAD:refs/heads/{BRANCH}")]);
    let theirs = project.on_github(BRANCH);
    let refused = project.run(&["reconcile"]).await.fails(4, &["`refs/heads/release-1.0.0` at", &theirs]);
    refused.says("merge our commit into that branch by hand");
    assert_eq!(project.on_github(BRANCH), theirs);

    at(&["-c", "user.name=U", "-c", "user.email=u@e", "merge", "--quiet", "--no-edit", "v1.0.5^{commit}"]);
    commit_and_push(&project, &clone, &[&format!("HEAD:refs/heads/{BRANCH}")]);
    let home = project.run(&["reconcile"]).await.ends_with(0);
    assert!(home.stdout.contains("train drill: reconciled, 3 deliveries read back and equal"), "{home:?}");
}

/// A tag of another hand, even on our own commit, is never ours: nothing of the push happens.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lightweight_tag_by_hand_is_told_and_left() {
    let project = Project::released_without_git().await;
    let clone = project.clone_by_hand();
    commit_and_push(&project, &clone, &["v1.0.5^{commit}:refs/tags/v1.0.5"]);
    let before = project.on_github("release-2.0.0");
    project.run(&["reconcile"]).await.fails(4, &["`refs/tags/v1.0.5` at", "a tag never moves"]);
    assert_eq!(project.on_github("release-2.0.0"), before, "all refs or none");
    assert_eq!(project.double.world().state.releases, []);
}

/// What stands below our commits is not there yet: that passes by itself, and is not an outage.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_branch_that_is_still_behind_is_waited_for() {
    let project = Project::released_without_git().await;
    let base = project.on_github(BRANCH);
    let bare = project.bare.display().to_string();
    let set = |to: &str| git(&project.train, &["--git-dir", &bare, "update-ref", &format!("refs/heads/{BRANCH}"), to]);
    set(&format!("{base}^"));
    let waits = project.run(&["reconcile"]).await.ends_with(5);
    assert!(waits.stdout.contains("and not yet the commit on which the train was planned"), "{waits:?}");
    assert_ne!(project.on_github(BRANCH), base, "nothing was pushed");
    let status = project.run(&["status"]).await.ends_with(0);
    assert!(!status.stdout.contains("down "), "GitHub answers: {status:?}");
    set(&base);
    project.run(&["reconcile"]).await.ends_with(0);
}
