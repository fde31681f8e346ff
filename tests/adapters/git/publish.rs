//! A repository of plain files: a real `git clone` over a web server that knows nothing of git, with signed tags.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use lifeboat::effects::{Git as _, PrivateRepo, Served, StaticContent, StaticFile};
use lifeboat::error::ErrorKind;
use lifeboat::model::Oid;

use crate::git::scratch::{Scratch, committer, date, patch, patched, series};

/// `python3 -m http.server` over a directory; stopped when dropped.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn over(dir: &Path) -> Self {
        let mut child = Command::new("python3")
            .args(["-u", "-m", "http.server", "--bind", "127.0.0.1", "--directory"])
            .arg(dir)
            .arg("0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|e| panic!("cannot run `python3` ({e}): install it with `apt install python3`"));
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.split("port ").nth(1).unwrap().split(' ').next().unwrap();
        Self { url: format!("http://127.0.0.1:{port}"), child }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// What an engine does with the files: fixed ones are put once, the others replaced.
fn serve(dir: &Path, files: &[StaticFile]) {
    for file in files {
        let path = dir.join(&file.path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match &file.content {
            StaticContent::Fixed(source) if path.exists() => {
                assert_eq!(fs::read(source).unwrap(), fs::read(path).unwrap())
            }
            StaticContent::Fixed(source) => drop(fs::copy(source, path).unwrap()),
            StaticContent::Replaced(bytes) => fs::write(path, bytes).unwrap(),
        }
    }
}

fn served(dir: &Path) -> Served {
    let read = |path: &str| fs::read(dir.join(path)).unwrap_or_default();
    Served::read(&read("objects/info/packs"), &read("info/refs")).unwrap()
}

/// A throwaway gpg key; its fingerprint.
fn gpg_key(s: &Scratch) -> String {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().mode(0o700).create(s.path("gnupg")).unwrap();
    let made = s.run(
        "gpg",
        "gnupg",
        ".",
        &["--batch", "--passphrase", "", "--quick-generate-key", "Release <release@example.org>", "ed25519", "sign"],
    );
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let list = s.run("gpg", "gnupg", ".", &["--batch", "--with-colons", "--list-keys"]);
    let list = String::from_utf8(list.stdout).unwrap();
    list.lines().find_map(|l| l.strip_prefix("fpr:")).unwrap().trim_matches(':').to_owned()
}

/// A tag object with gpg's signature behind it, as `git tag -s` writes it.
fn signed_tag(s: &Scratch, repo: &PrivateRepo, name: &str, commit: &Oid) -> Oid {
    let body = format!(
        "object {commit}\ntype commit\ntag {name}\ntagger {} {} +0000\n\n{name}\n",
        committer(),
        date().as_second()
    );
    fs::write(s.path("tag.txt"), &body).unwrap();
    let out = s.run("gpg", "gnupg", ".", &["--batch", "--armor", "--detach-sign", "-o", "-", "tag.txt"]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    s.git.write_tag(repo, &[body.as_bytes(), &out.stdout].concat()).unwrap_or_else(|e| panic!("{}", e.report()))
}

#[test]
fn strangers_clone_it_and_verify_its_tags() {
    let s = Scratch::new();
    gpg_key(&s);
    let repo = s.private();
    let www = s.path("www/sample.git");
    let branch = "refs/heads/release-1.0".to_owned();
    let (_, first) = patched(&s, &repo);
    let tag = signed_tag(&s, &repo, "v1.0.1", &first);
    let tips = [
        (branch.clone(), first.clone()),
        ("refs/tags/v1.0.0".to_owned(), s.head("user", "v1.0.0")),
        ("refs/tags/v1.0.1".to_owned(), tag.clone()),
    ];
    let files =
        s.git.static_repository(&repo, &branch, &tips, &Served::default()).unwrap_or_else(|e| panic!("{}", e.report()));
    assert_eq!(files.last().unwrap().path, "info/refs", "refs last");
    assert_eq!(s.git.static_repository(&repo, &branch, &tips, &Served::default()).unwrap(), files);
    serve(&www, &files);
    let server = Server::over(&s.path("www"));
    let url = format!("{}/sample.git", server.url);
    s.git(".", &["clone", "-q", &url, "reader"]);
    s.git("reader", &["fsck", "--strict"]);
    assert_eq!(s.head("reader", "HEAD"), first);
    assert_eq!(s.git("reader", &["tag"]), "v1.0.0\nv1.0.1");
    let verified = s.try_git("reader", &["tag", "-v", "v1.0.1"]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));

    // The next train adds a pack; what is served stays.
    let next =
        s.git.apply_series(&repo, &first, &series(vec![patch(12, "LINE 12")]), &committer(), date()).unwrap().remove(0);
    let old = s.snapshot("www/sample.git/objects/pack");
    let tips =
        [(branch.clone(), next.clone()), ("refs/tags/v1.0.2".to_owned(), signed_tag(&s, &repo, "v1.0.2", &next))];
    let files = s.git.static_repository(&repo, &branch, &tips, &served(&www)).unwrap();
    serve(&www, &files);
    let now = s.snapshot("www/sample.git/objects/pack");
    assert!(old.iter().all(|f| now.contains(f)) && now.len() == old.len() + 2);
    let added = now.iter().find(|f| !old.contains(f) && f.0.extension().is_some_and(|e| e == "pack")).unwrap();
    assert!(added.1.len() < 1500, "only what is new: {}", added.1.len());
    s.git("reader", &["fetch", "-q", "--tags"]);
    assert_eq!(s.head("reader", "origin/release-1.0"), next);
    s.git(".", &["clone", "-q", &url, "newcomer"]);
    s.git("newcomer", &["fsck", "--strict"]);
    assert_eq!(s.git("newcomer", &["tag"]), "v1.0.0\nv1.0.1\nv1.0.2");
    assert!(s.try_git("newcomer", &["tag", "-v", "v1.0.2"]).status.success());

    // Once more, as after a crash: nothing new.
    let files = s.git.static_repository(&repo, &branch, &tips, &served(&www)).unwrap();
    assert!(files.iter().all(|f| matches!(f.content, StaticContent::Replaced(_))));
    serve(&www, &files);
    s.git("newcomer", &["fetch", "-q"]);

    let moved = [("refs/tags/v1.0.1".to_owned(), s.head("user", "v1.0.0"))];
    let e = s.git.static_repository(&repo, &branch, &moved, &served(&www)).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Conflict);
}

#[test]
fn what_cannot_be_served() {
    let s = Scratch::new();
    let url = format!("file://{}", s.path("user").display());
    s.git(".", &["clone", "-q", "--depth=1", &url, "shallow"]);
    let repo = PrivateRepo { dir: s.path("p.git"), borrow: s.path("shallow/.git") };
    s.git.ensure(&repo).unwrap();
    let tips = [("refs/heads/release-1.0".to_owned(), s.head("user", "HEAD"))];
    let e = s.git.static_repository(&repo, "refs/heads/release-1.0", &tips, &Served::default()).unwrap_err();
    assert!(e.report().contains("--unshallow"), "{}", e.report());
    let repo = s.private();
    assert!(s.git.static_repository(&repo, "refs/heads/none", &tips, &Served::default()).is_err());
    let odd = [("refs/pull/1".to_owned(), s.head("user", "HEAD"))];
    assert!(s.git.static_repository(&repo, "refs/pull/1", &odd, &Served::default()).is_err());
}

#[test]
fn tags_that_git_would_not_take_are_refused() {
    let s = Scratch::new();
    let repo = s.private();
    let head = s.head("user", "HEAD");
    let good = format!("object {head}\ntype commit\ntag v1.0.1\ntagger {} 1 +0000\n\nv1.0.1\n", committer());
    let id = s.git.write_tag(&repo, good.as_bytes()).unwrap();
    s.git("private.git", &["fsck", "--strict", id.as_str()]);
    for bad in [good.replace("type commit", "type tree"), good.replace(head.as_str(), &"0".repeat(40)), String::new()] {
        assert!(s.git.write_tag(&repo, bad.as_bytes()).is_err(), "{bad}");
    }
}
