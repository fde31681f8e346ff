//! What is read from the user's repository.

use std::collections::BTreeMap;

use lifeboat::git::facts::UserRepository;
use lifeboat::model::BranchName;

use crate::git::scratch::Scratch;

fn open(s: &Scratch, path: &str) -> UserRepository {
    UserRepository::open(s.program(), &s.path(path)).unwrap_or_else(|e| panic!("{}", e.report()))
}

#[test]
fn branches_and_tags() {
    let s = Scratch::new();
    s.git(".", &["clone", "-q", "user", "clone"]);
    s.git("user", &["branch", "release-2.0"]);
    s.git("user", &["commit", "-q", "--allow-empty", "-m", "newer"]);
    s.git("user", &["tag", "light"]);
    s.git("clone", &["fetch", "-q"]);
    let before = s.snapshot("clone");
    let facts = open(&s, "clone");
    let branches = facts.branches("release-*").unwrap();
    assert_eq!(branches.len(), 2);
    // The local branch counts, and the remote's newer head is noted.
    assert_eq!(
        (branches[0].from.as_str(), &branches[0].head),
        ("refs/heads/release-1.0", &s.head("clone", "release-1.0"))
    );
    let warning = branches[0].warning.as_ref().unwrap();
    assert!(warning.contains("refs/remotes/origin/release-1.0") && warning.contains(s.head("user", "HEAD").as_str()));
    assert_eq!((branches[1].from.as_str(), &branches[1].warning), ("refs/remotes/origin/release-2.0", &None));
    assert!(facts.branch(&BranchName::new("nothing").unwrap()).is_err());
    let tags = facts.tags();
    let names: Vec<&str> = tags.iter().map(|t| t.name.as_str()).collect();
    assert_eq!(names, ["light", "v1.0.0"]);
    assert_eq!(tags[0].commit.as_ref(), Some(&tags[0].object));
    assert_eq!(tags[1].commit, Some(s.head("user", "v1.0.0^{commit}")));
    assert_ne!(tags[1].commit.as_ref(), Some(&tags[1].object));
    assert_eq!(s.snapshot("clone"), before, "reading writes nothing");
}

#[test]
fn files_and_shallow_history() {
    let s = Scratch::new();
    let head = s.head("user", "HEAD");
    let facts = open(&s, "user");
    assert_eq!(facts.read(&head, "b.txt").unwrap().as_deref(), Some(&b"b\n"[..]));
    assert_eq!(facts.read(&head, "c.txt").unwrap(), None);
    assert!(!facts.is_shallow());
    assert!(facts.missing_files(&head).unwrap().is_empty());

    let url = format!("file://{}", s.path("user").display());
    s.git(".", &["clone", "-q", "--depth=1", &url, "shallow"]);
    let cut = open(&s, "shallow");
    assert!(cut.is_shallow());

    s.git("user", &["worktree", "add", "-q", "--detach", "../linked"]);
    s.git(".", &["clone", "-q", "--bare", "user", "bare.git"]);
    s.git("user", &["config", "--global", "safe.bareRepository", "explicit"]);
    for place in ["linked", "bare.git", "user/.git", "user/src"] {
        assert_eq!(open(&s, place).branch(&BranchName::new("release-1.0").unwrap()).unwrap().head, head, "{place}");
    }
    assert!(UserRepository::open(s.program(), &s.path("home")).is_err());
    assert!(UserRepository::open(s.program(), &s.path("nowhere")).is_err());
}

#[test]
fn lost_blobs_are_named() {
    let s = Scratch::new();
    let blob = s.head("user", "HEAD:src/a.txt");
    std::fs::remove_file(s.path("user/.git/objects").join(&blob.as_str()[..2]).join(&blob.as_str()[2..])).unwrap();
    assert_eq!(open(&s, "user").missing_files(&s.head("user", "HEAD")).unwrap(), ["src/a.txt"]);
}

#[test]
fn submodules_and_where_they_are() {
    let s = Scratch::new();
    s.git(".", &["init", "-q", "sub"]);
    s.git("sub", &["commit", "-q", "--allow-empty", "-m", "sub"]);
    let commit = s.head("sub", "HEAD");
    for path in ["third/party", "fourth"] {
        s.git("user", &["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", "../sub", path]);
    }
    s.git("user", &["commit", "-qm", "with submodules"]);
    let head = s.head("user", "HEAD");
    std::fs::remove_dir_all(s.path("user/.git/modules/fourth")).unwrap();
    let facts = open(&s, "user");
    let found = facts.submodules(&head, &BTreeMap::new()).unwrap();
    assert_eq!(found.iter().map(|f| f.path.as_str()).collect::<Vec<_>>(), ["fourth", "third/party"]);
    assert_eq!(found[0].repository, None, "missing");
    assert_eq!(found[1].repository, Some(s.path("user/.git/modules/third/party").canonicalize().unwrap()));
    assert_eq!((found[1].url.as_deref(), &found[1].commit), (Some("../sub"), &commit));
    let given = BTreeMap::from([("fourth".to_owned(), s.path("sub"))]);
    let found = facts.submodules(&head, &given).unwrap();
    assert_eq!(found[0].repository, Some(s.path("sub/.git").canonicalize().unwrap()));
}
