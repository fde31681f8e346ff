//! Remotes: real bare repositories by path, and servers that do not answer.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lifeboat::drill::recording::LeapingClock;
use lifeboat::effects::{Clock, Git as _, RefUpdate, Remote as _};
use lifeboat::error::{ErrorKind, Part};
use lifeboat::host::HostClock;
use lifeboat::model::{Oid, RemoteName};
use lifeboat::remotes::{self, GitRemote};

use crate::git::scratch::{Scratch, patched};

const BRANCH: &str = "refs/heads/release-1.0";
const TAG: &str = "refs/tags/v1.0.1";

fn remote(s: &Scratch, url: &str) -> GitRemote {
    GitRemote::new(s.program().clone(), RemoteName::new("origin").unwrap(), url)
}

/// A bare repository as the remote, and the updates of a train.
fn train() -> (Scratch, GitRemote, Vec<RefUpdate>) {
    let s = Scratch::new();
    s.git(".", &["clone", "-q", "--bare", "user", "remote.git"]);
    let repo = s.private();
    let (base, head) = patched(&s, &repo);
    let text = format!("object {head}\ntype commit\ntag v1.0.1\ntagger A <a@example.org> 1 +0000\n\nv1.0.1\n");
    let tag = s.git.write_tag(&repo, text.as_bytes()).unwrap();
    let updates = vec![
        RefUpdate { name: BRANCH.into(), old: Some(base), new: head },
        RefUpdate { name: TAG.into(), old: None, new: tag },
    ];
    let remote = remote(&s, &s.path("remote.git").display().to_string());
    (s, remote, updates)
}

async fn has(remote: &GitRemote) -> Vec<Option<Oid>> {
    remote.observe(&[BRANCH.into(), TAG.into()]).await.unwrap_or_else(|e| panic!("{}", e.report()))
}

#[tokio::test]
async fn all_refs_arrive_and_a_second_push_is_nothing() {
    let (s, remote, updates) = train();
    remote.probe().await.unwrap();
    assert_eq!(has(&remote).await, [updates[0].old.clone(), None]);
    // Hooks of the sender never run.
    s.write("private.git/hooks/pre-push", "#!/bin/sh\ntouch \"$HOME/ran\"\n");
    s.make_executable("private.git/hooks/pre-push");
    remote.push(&s.path("private.git"), &updates).await.unwrap_or_else(|e| panic!("{}", e.report()));
    let news: Vec<Option<Oid>> = updates.iter().map(|u| Some(u.new.clone())).collect();
    assert_eq!(has(&remote).await, news);
    remote.push(&s.path("private.git"), &updates).await.unwrap();
    assert!(!s.path("home/ran").exists());
    s.git("remote.git", &["fsck", "--strict"]);
    assert_eq!(s.git("remote.git", &["for-each-ref"]).lines().count(), 3, "nothing else arrived");
}

#[tokio::test]
async fn a_moved_branch_or_tag_is_a_conflict_and_nothing_moves() {
    let (s, remote, updates) = train();
    s.git("user", &["commit", "-q", "--allow-empty", "-m", "somebody was faster"]);
    s.git("user", &["push", "-q", "../remote.git", "release-1.0"]);
    let e = remote.push(&s.path("private.git"), &updates).await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Conflict, "{}", e.report());
    // Even where the new head is given as the expected one, the remote does not lose a commit.
    let mut expected = updates.clone();
    expected[0].old = Some(s.head("user", "HEAD"));
    let e = remote.push(&s.path("private.git"), &expected).await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Conflict, "{}", e.report());
    assert_eq!(has(&remote).await, [Some(s.head("user", "HEAD")), None], "all or none");

    let (s, remote, updates) = train();
    s.git("remote.git", &["tag", "v1.0.1", "release-1.0"]);
    let e = remote.push(&s.path("private.git"), &updates).await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Conflict, "{}", e.report());
    let mut expected = updates.clone();
    expected[1].old = Some(s.head("remote.git", "v1.0.1"));
    let e = remote.push(&s.path("private.git"), &expected).await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Conflict, "{}", e.report());
    assert_eq!(has(&remote).await[0], updates[0].old);
}

#[tokio::test]
async fn a_rule_of_the_remote_denies_all() {
    let (s, remote, updates) = train();
    s.write(
        "remote.git/hooks/update",
        "#!/bin/sh\ncase $1 in refs/tags/*) echo 'tags are protected' >&2; exit 1;; esac\n",
    );
    s.make_executable("remote.git/hooks/update");
    let e = remote.push(&s.path("private.git"), &updates).await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Fatal);
    assert!(e.report().contains("hook declined") && e.report().contains("tags are protected"), "{}", e.report());
    assert_eq!(has(&remote).await, [updates[0].old.clone(), None]);
}

#[tokio::test]
async fn a_remote_that_refuses_or_says_nothing_is_unreachable() {
    let s = Scratch::new();
    // Accepts and never answers, as when packets are dropped after the handshake.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let start = Instant::now();
    let remote_at = |url: String| remote(&s, &url).with_deadline(Duration::from_millis(700));
    let e = remote_at(format!("http://127.0.0.1:{port}/x.git")).probe().await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Unreachable, "{}", e.report());
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    drop(silent);
    for url in [format!("http://127.0.0.1:{port}/x.git"), format!("git://127.0.0.1:{port}/x.git")] {
        let e = remote(&s, &url).probe().await.unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Unreachable, "{}", e.report());
    }
    let e = remote(&s, "/nowhere.git").probe().await.unwrap_err();
    assert!(e.message().contains("has no such repository"), "{}", e.report());
}

/// Whether the process whose id stands in `file` still runs.
fn runs(file: &Path) -> bool {
    let id = std::fs::read_to_string(file).unwrap();
    // A killed process whose parent has not asked for it yet is a zombie.
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", id.trim()));
    stat.is_ok_and(|s| !s.rsplit(") ").next().unwrap_or_default().starts_with('Z'))
}

async fn wait_for(what: impl Fn() -> bool) -> bool {
    for _ in 0..200 {
        if what() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    false
}

#[tokio::test]
async fn a_call_that_ends_late_takes_its_children_with_it() {
    let s = Scratch::new();
    s.write("ssh.sh", "echo $$ > \"$HOME/pid\"\nexec sleep 60\n");
    let pid = s.path("home/pid");
    let ssh = format!("sh {}", s.path("ssh.sh").display());
    let program = s.program().clone().with_variable("GIT_SSH_COMMAND", ssh);
    let remote = GitRemote::new(program, RemoteName::new("origin").unwrap(), "git@example.invalid:a/b.git");
    let e = remote.clone().with_deadline(Duration::from_millis(1500)).probe().await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Unreachable, "{}", e.report());
    assert!(wait_for(|| !runs(&pid)).await, "the deadline kills ssh too");

    // The same when nobody waits any more.
    std::fs::remove_file(&pid).unwrap();
    let probe = tokio::spawn(async move { remote.probe().await });
    assert!(wait_for(|| pid.exists()).await);
    assert!(wait_for(|| runs(&pid)).await);
    probe.abort();
    assert!(wait_for(|| !runs(&pid)).await, "cancelling kills ssh too");
}

#[tokio::test]
async fn only_branches_and_tags_of_the_grammar() {
    let (s, remote, updates) = train();
    for name in ["refs/heads/--mirror", "refs/heads/../x", "HEAD", "refs/pull/1/head", "+refs/heads/x"] {
        let mut bad = updates.clone();
        bad[0].name = name.into();
        assert!(remote.push(&s.path("private.git"), &bad).await.is_err(), "{name}");
        assert!(remote.observe(&[name.into()]).await.is_err(), "{name}");
    }
    let taken = |url: &str| remotes::REMOTES.iter().any(|kind| (kind.facts.takes)(url));
    assert!(!taken("ext::sh -c id") && taken("/srv/a.git"));
}

/// A server that fails in a row is left alone, and asked again by itself after a while.
#[tokio::test]
async fn a_server_that_fails_in_a_row_is_left_alone_for_a_while() {
    let s = Scratch::new();
    s.write(
        "ssh.sh",
        "echo x >> \"$HOME/calls\"\necho 'ssh: connect to host h port 22: Connection refused' >&2\nexit 255\n",
    );
    let ssh = format!("sh {}", s.path("ssh.sh").display());
    let program = s.program().clone().with_variable("GIT_SSH_COMMAND", ssh).with_variable("GIT_SSH_VARIANT", "simple");
    let clock = Arc::new(LeapingClock::new(Arc::new(HostClock)));
    let url = "git@example.invalid:a/b.git";
    let remote = GitRemote::new(program, RemoteName::new("origin").unwrap(), url).with_breaker(clock.clone());
    let calls = || std::fs::read_to_string(s.path("home/calls")).unwrap_or_default().lines().count();
    for call in 1..=4 {
        let e = remote.observe(&[BRANCH.into()]).await.unwrap_err();
        assert!(e.message().contains("Connection refused") && calls() == call, "{}", e.report());
    }
    for e in [remote.probe().await.unwrap_err(), remote.observe(&[TAG.into()]).await.unwrap_err()] {
        assert_eq!((e.kind(), e.part()), (ErrorKind::Unreachable, Some(Part::Git)));
        assert!(e.message().contains("it does not answer since 20"), "{}", e.report());
    }
    assert_eq!(calls(), 4, "nobody is asked while it is left alone");
    clock.leap_to(clock.now().checked_add(jiff::SignedDuration::from_secs(31)).unwrap());
    let e = remote.observe(&[BRANCH.into()]).await.unwrap_err();
    assert!(calls() == 5 && e.message().contains("Connection refused"), "one call tries: {}", e.report());
    assert!(remote.probe().await.unwrap_err().message().contains("it does not answer since"), "the others wait");
    assert_eq!(calls(), 5);
    // It is back, even if only to refuse us.
    clock.leap_to(clock.now().checked_add(jiff::SignedDuration::from_secs(31)).unwrap());
    s.write("ssh.sh", "echo 'git@h: Permission denied (publickey).' >&2\nexit 255\n");
    for _ in 0..5 {
        let e = remote.probe().await.unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Fatal, "{}", e.report());
    }
}
