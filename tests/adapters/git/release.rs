//! What a release carries: the source archive, the git bundle, the signed tag.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use lifeboat::effects::{ArchiveSpec, Git as _, PrivateRepo};
use lifeboat::model::Oid;
use lifeboat::step::Submodule;

use crate::git::scratch::{Scratch, date, patched};

fn archive(s: &Scratch, repo: &PrivateRepo, commit: &Oid, submodules: &[Submodule]) -> Vec<u8> {
    let mut out = Vec::new();
    let spec = ArchiveSpec { commit, prefix: "sample-v1.0.1", submodules, date: date() };
    s.git.archive(repo, &spec, &mut out).unwrap_or_else(|e| panic!("{}", e.report()));
    out
}

/// `(mode, owner, time, path, link)` of every member, as GNU tar lists them.
fn listed(s: &Scratch, bytes: &[u8]) -> Vec<String> {
    fs::write(s.path("a.tar.gz"), bytes).unwrap();
    let out = s.run("tar", "tar", ".", &["--utc", "--full-time", "--numeric-owner", "-tvzf", "a.tar.gz"]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap().lines().map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn the_archive_is_the_tree_and_nothing_else() {
    let s = Scratch::new();
    let long = format!("deep/{}/{}/file.txt", "d".repeat(90), "e".repeat(120));
    s.write(&format!("user/{long}"), "far\n");
    s.write("user/secret.txt", "kept\n");
    s.write("user/version.txt", "$Format:%H$\n");
    s.write("user/.gitattributes", "secret.txt export-ignore\nversion.txt export-subst\n*.txt text eol=crlf\n");
    s.write("user/src.txt", "sorts before src/\n");
    std::os::unix::fs::symlink("../run.sh", s.path("user/src/link")).unwrap();
    std::os::unix::fs::symlink(format!("../{}", "x".repeat(150)), s.path("user/src/longlink")).unwrap();
    s.git("user", &["add", "."]);
    s.git("user", &["commit", "-qm", "files of all kinds"]);
    let repo = s.private();
    let head = s.head("user", "HEAD");
    let bytes = archive(&s, &repo, &head, &[]);
    assert_eq!(&bytes[4..8], [0, 0, 0, 0], "no time in the gzip header");
    assert_eq!(bytes[3] & 0x08, 0, "no name in the gzip header");
    let list = listed(&s, &bytes);
    assert!(list.iter().all(|l| l.contains(" 0/0 ") && l.contains("2026-02-24 00:00:00")), "{list:?}");
    assert_eq!(list[0], "drwxr-xr-x 0/0 0 2026-02-24 00:00:00 sample-v1.0.1/");
    assert!(list.iter().any(|l| l.starts_with("-rwxr-xr-x") && l.ends_with("sample-v1.0.1/run.sh")));
    assert!(list.iter().any(|l| l.starts_with("lrwxrwxrwx") && l.ends_with("src/link -> ../run.sh")));
    let at = |end: &str| list.iter().position(|l| l.ends_with(end)).unwrap_or_else(|| panic!("{end}: {list:?}"));
    assert!(at("/src.txt") < at("/src/"), "sorted by path");

    // Unpacked and added again, it is the same tree.
    s.git(".", &["init", "-q", "again"]);
    let out = s.run("tar", "tar", ".", &["-xzf", "a.tar.gz", "-C", "again", "--strip-components=1"]);
    assert!(out.status.success());
    s.git("again", &["-c", "core.autocrlf=false", "add", "-f", "."]);
    let tree: Oid = s.git("again", &["write-tree"]).parse().unwrap();
    assert_eq!(tree, s.git.tree_id(&repo, &head).unwrap());
}

#[test]
fn the_archive_does_not_depend_on_how_objects_are_stored() {
    let s = Scratch::new();
    s.write("user/large.txt", &(0..400_000).map(|n| format!("{n}\n")).collect::<String>());
    s.git("user", &["add", "."]);
    s.git("user", &["commit", "-qm", "a large file"]);
    let repo = s.private();
    let head = s.head("user", "HEAD");
    let loose = archive(&s, &repo, &head, &[]);
    s.git("user", &["gc", "-q", "--prune=now"]);
    assert_eq!(archive(&s, &repo, &head, &[]), loose);
    assert_eq!(listed(&s, &loose).len(), 6);
}

#[test]
fn an_altered_or_missing_blob_stops_the_archive() {
    let s = Scratch::new();
    let large: String = (0..400_000).map(|n| format!("{n}\n")).collect();
    s.write("user/large.txt", &large);
    s.git("user", &["add", "."]);
    s.git("user", &["commit", "-qm", "a large file"]);
    let repo = s.private();
    let head = s.head("user", "HEAD");
    let place = |name: &str| {
        let oid = s.head("user", name);
        s.path("user/.git/objects").join(&oid.as_str()[..2]).join(&oid.as_str()[2..])
    };
    // The same length, other bytes: a whole zlib stream whose hash is wrong.
    s.write("other", &large.replacen('1', "2", 1));
    let other: Oid = s.git("user", &["hash-object", "-w", "../other"]).parse().unwrap();
    let file = place("HEAD:large.txt");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    fs::copy(place(other.as_str()), &file).unwrap();
    let spec = ArchiveSpec { commit: &head, prefix: "p", submodules: &[], date: date() };
    let e = s.git.archive(&repo, &spec, &mut Vec::new()).unwrap_err();
    assert!(e.message().contains("large.txt`"), "{}", e.report());
    fs::remove_file(&file).unwrap();
    let e = s.git.archive(&repo, &spec, &mut Vec::new()).unwrap_err();
    assert!(e.message().contains("large.txt`") && !e.hints().is_empty(), "{}", e.report());
}

#[test]
fn submodules_are_included_or_left_empty() {
    let s = Scratch::new();
    s.git(".", &["init", "-q", "sub"]);
    s.write("sub/inner.txt", "inner\n");
    s.git("sub", &["add", "."]);
    s.git("sub", &["commit", "-qm", "sub"]);
    let commit = s.head("sub", "HEAD");
    s.git("user", &["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", "../sub", "third/party"]);
    s.git("user", &["commit", "-qm", "with a submodule"]);
    let repo = s.private();
    let head = s.head("user", "HEAD");
    let repository = s.path("user/.git/modules/third/party").display().to_string();
    let wanted = [Submodule { path: "third/party".into(), commit, repository: repository.clone() }];
    let with = listed(&s, &archive(&s, &repo, &head, &wanted));
    assert!(with.iter().any(|l| l.ends_with("sample-v1.0.1/third/party/inner.txt")), "{with:?}");
    let without = listed(&s, &archive(&s, &repo, &head, &[]));
    assert!(without.iter().any(|l| l.ends_with("sample-v1.0.1/third/party/")), "{without:?}");
    assert!(!without.iter().any(|l| l.ends_with("inner.txt")));
    for bad in [
        Submodule { path: "third/party".into(), commit: head.clone(), repository: repository.clone() },
        Submodule { path: "nowhere".into(), commit: wanted[0].commit.clone(), repository },
        Submodule { repository: "/nowhere".into(), ..wanted[0].clone() },
    ] {
        let spec = ArchiveSpec { commit: &head, prefix: "p", submodules: &[bad], date: date() };
        assert!(s.git.archive(&repo, &spec, &mut Vec::new()).is_err());
    }
}

#[test]
fn git_takes_the_bundle_where_the_base_is() {
    let s = Scratch::new();
    let repo = s.private();
    let (base, head) = patched(&s, &repo);
    let bundle = || {
        let mut out = Vec::new();
        s.git.bundle(&repo, "release-1.0", &base, &head, &mut out).unwrap();
        out
    };
    let bytes = bundle();
    assert_eq!(bundle(), bytes);
    fs::write(s.path("fix.bundle"), &bytes).unwrap();
    s.git(".", &["clone", "-q", "user", "reader"]);
    s.git("reader", &["bundle", "verify", "-q", "../fix.bundle"]);
    s.git("reader", &["-c", "fetch.fsckObjects=true", "fetch", "-q", "../fix.bundle", "release-1.0:fixed"]);
    assert_eq!(s.head("reader", "fixed"), head);
    s.git("reader", &["fsck", "--strict", "--no-dangling"]);
    s.git(".", &["init", "-q", "stranger"]);
    assert!(!s.try_git("stranger", &["bundle", "verify", "-q", "../fix.bundle"]).status.success());
    assert!(s.git.bundle(&repo, "release-1.0", &head, &base, &mut Vec::new()).is_err(), "not a line from its base");
    assert!(s.git.bundle(&repo, "--all", &base, &head, &mut Vec::new()).is_err());
    assert!(s.git.bundle(&repo, "release-1.0", &base, &base, &mut Vec::new()).is_err(), "empty");
}

#[test]
fn packs_do_not_depend_on_the_clone() {
    let s = Scratch::new();
    let repo = s.private();
    let (base, head) = patched(&s, &repo);
    let pack = |repo: &PrivateRepo| {
        let mut out = Vec::new();
        s.git.export_pack(repo, &base, &head, &mut out).unwrap();
        out
    };
    let bytes = pack(&repo);
    s.git("user", &["gc", "-q", "--aggressive"]);
    let other = PrivateRepo { dir: s.path("other.git"), borrow: s.path("user/.git") };
    s.git.ensure(&other).unwrap();
    assert!(!s.git.has_commit(&other, &head).unwrap());
    s.git.import_pack(&other, &bytes).unwrap();
    assert!(s.git.has_commit(&other, &head).unwrap());
    assert_eq!(pack(&other), bytes);
    fs::write(s.path("other.git/x.pack"), &bytes).unwrap();
    s.git("other.git", &["index-pack", "--strict", "x.pack"]);
}
